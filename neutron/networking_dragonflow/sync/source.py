"""What is in Neutron now, in the controller's words."""

from neutron_lib import constants
from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
import sqlalchemy as sa

from neutron.db.models import address_group
from neutron.db.models import l3
from neutron.db.models import securitygroup
from neutron.db import models_v2

from networking_dragonflow import journal
from networking_dragonflow import translate

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
        """The objects that there are of these, by id. What the controller shall not know of is left out."""
        context = n_context.get_admin_context()
        found = _READERS[kind](context, {'id': list(ids)})
        return {object_id: spec for object_id, spec in found if spec is not None}

    def routers_of(self, ports):
        """The routers that these ports are part of: a change of the port is one of the router."""
        context = n_context.get_admin_context()
        query = sa.select(models_v2.Port.device_id).where(
            models_v2.Port.id.in_(list(ports)), models_v2.Port.device_owner.in_(journal.ROUTER_OWNERS))
        with db_api.CONTEXT_READER.using(context):
            return {router for router in context.session.execute(query).scalars() if router}


def _networks(context, filters):
    return ((net['id'], translate.network(net)) for net in directory.get_plugin().get_networks(context, filters))


def _subnets(context, filters):
    return ((sub['id'], translate.subnet(sub)) for sub in directory.get_plugin().get_subnets(context, filters))


def _ports(context, filters):
    return ((port['id'], translate.port(port)) for port in directory.get_plugin().get_ports(context, filters))


def _routers(context, filters):
    l3_plugin = directory.get_plugin(plugin_constants.L3)
    if l3_plugin is None:
        return
    legs = {}
    interfaces = {'device_id': filters['id'], 'device_owner': list(constants.ROUTER_INTERFACE_OWNERS)}
    for port in directory.get_plugin().get_ports(context, interfaces):
        legs.setdefault(port['device_id'], []).append(port)
    for router in l3_plugin.get_routers(context, filters):
        yield router['id'], translate.router(router, legs.get(router['id'], ()))


def _floating_ips(context, filters):
    l3_plugin = directory.get_plugin(plugin_constants.L3)
    if l3_plugin is not None:
        for fip in l3_plugin.get_floatingips(context, filters):
            yield fip['id'], translate.floating_ip(fip)


def _security_groups(context, filters):
    # default_sg: do not make a default group for the project of the context.
    groups = directory.get_plugin().get_security_groups(context, filters, default_sg=True)
    return ((group['id'], translate.security_group(group)) for group in groups)


def _address_groups(context, filters):
    groups = directory.get_plugin().get_address_groups(context, filters)
    return ((group['id'], translate.address_group(group)) for group in groups)


_READERS = {
    journal.NETWORK: _networks,
    journal.SUBNET: _subnets,
    journal.PORT: _ports,
    journal.ROUTER: _routers,
    journal.FLOATING_IP: _floating_ips,
    journal.SECURITY_GROUP: _security_groups,
    journal.ADDRESS_GROUP: _address_groups,
}
