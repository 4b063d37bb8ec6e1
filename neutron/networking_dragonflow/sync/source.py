"""What is in Neutron now, in the controller's words."""

import functools

from neutron_lib import constants
from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
from oslo_log import log
import sqlalchemy as sa

from neutron.db.models import address_group
from neutron.db.models import l3
from neutron.db.models import securitygroup
from neutron.db import models_v2

from networking_dragonflow import journal
from networking_dragonflow import translate

LOG = log.getLogger(__name__)

#: Every kind that is mirrored, in the order in which a batch has them, and the table that lists its objects.
TABLES = {
    journal.SECURITY_GROUP: securitygroup.SecurityGroup,
    journal.ADDRESS_GROUP: address_group.AddressGroup,
    journal.NETWORK: models_v2.Network,
    journal.SUBNET: models_v2.Subnet,
    journal.PORT: models_v2.Port,
    journal.ROUTER: l3.Router,
    journal.FLOATING_IP: l3.FloatingIP,
}

#: As in paths of the controller.
PLURALS = {kind: kind + 's' for kind in TABLES}


class Source:
    """Reads objects through the plugins, so that all their extensions are heard."""

    def ids(self, kind):
        """The ids of all objects of a kind, in order."""
        context = n_context.get_admin_context()
        column = TABLES[kind].id
        with db_api.CONTEXT_READER.using(context):
            return list(context.session.execute(sa.select(column).order_by(column)).scalars())

    def specs(self, kind, ids):
        """The objects that there are of these, by id. What the controller shall not know of is left out; so is, with a
        loud word, what we cannot spell: one object must not hold up all others."""
        context = n_context.get_admin_context()
        specs = {}
        for object_id, spell in _READERS[kind](context, {'id': list(ids)}):
            try:
                spec = spell()
            except (AttributeError, KeyError, TypeError, ValueError):
                LOG.exception('%s %s cannot be told to the controller', kind, object_id)
                continue
            if spec is not None:
                specs[object_id] = spec
        return specs

    def routers_of(self, ports):
        """The routers that these ports are part of: a change of the port is one of the router."""
        context = n_context.get_admin_context()
        query = sa.select(models_v2.Port.device_id).where(
            models_v2.Port.id.in_(list(ports)), models_v2.Port.device_owner.in_(journal.ROUTER_OWNERS))
        with db_api.CONTEXT_READER.using(context):
            return {router for router in context.session.execute(query).scalars() if router}


# Readers give ids, and what spells the object.

def _networks(context, filters):
    for net in directory.get_plugin().get_networks(context, filters):
        yield net['id'], functools.partial(translate.network, net)


def _subnets(context, filters):
    for subnet in directory.get_plugin().get_subnets(context, filters):
        yield subnet['id'], functools.partial(translate.subnet, subnet)


def _ports(context, filters):
    for port in directory.get_plugin().get_ports(context, filters):
        yield port['id'], functools.partial(translate.port, port)


def _routers(context, filters):
    l3_plugin = directory.get_plugin(plugin_constants.L3)
    if l3_plugin is None:
        return
    legs = {}
    interfaces = {'device_id': filters['id'], 'device_owner': list(constants.ROUTER_INTERFACE_OWNERS)}
    for port in directory.get_plugin().get_ports(context, interfaces):
        legs.setdefault(port['device_id'], []).append(port)
    for router in l3_plugin.get_routers(context, filters):
        yield router['id'], functools.partial(translate.router, router, legs.get(router['id'], ()))


def _floating_ips(context, filters):
    l3_plugin = directory.get_plugin(plugin_constants.L3)
    if l3_plugin is None:
        return
    for fip in l3_plugin.get_floatingips(context, filters):
        yield fip['id'], functools.partial(translate.floating_ip, fip)


def _security_groups(context, filters):
    # default_sg: do not make a default group for the project of the context.
    for group in directory.get_plugin().get_security_groups(context, filters, default_sg=True):
        yield group['id'], functools.partial(translate.security_group, group)


def _address_groups(context, filters):
    for group in directory.get_plugin().get_address_groups(context, filters):
        yield group['id'], functools.partial(translate.address_group, group)


_READERS = {
    journal.NETWORK: _networks,
    journal.SUBNET: _subnets,
    journal.PORT: _ports,
    journal.ROUTER: _routers,
    journal.FLOATING_IP: _floating_ips,
    journal.SECURITY_GROUP: _security_groups,
    journal.ADDRESS_GROUP: _address_groups,
}
