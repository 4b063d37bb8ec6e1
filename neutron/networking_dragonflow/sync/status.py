"""From the controller back to Neutron: which chassis are alive, which ports and router interfaces are wired."""

import time

from neutron_lib.callbacks import resources
from neutron_lib import constants
from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from neutron_lib.plugins import directory
from oslo_log import log
import sqlalchemy as sa

from neutron.db import models_v2
from neutron.db import provisioning_blocks
from neutron.plugins.ml2 import models as ml2_models

from networking_dragonflow import agents
from networking_dragonflow.sync import pusher as n_pusher

LOG = log.getLogger(__name__)

#: Ids in one query.
PAGE = 500


class Status:
    """What the controller says, and what Neutron was told of it."""

    def __init__(self, report_interval, metrics, clock=time.monotonic):
        self._report_interval = report_interval
        self._metrics = metrics
        self._clock = clock
        self.instance = None
        self.cursor = None
        self._chassis = {}
        self._ports = {}
        self._routers = {}
        self._heartbeat_due = 0

    def poll(self, client, wait):
        """Asks, waits for news up to `wait` seconds, and tells Neutron."""
        answer = client.states(self.cursor, self.instance, wait)
        if answer['full']:
            self._chassis, self._ports, self._routers = {}, {}, {}
        self._ports.update((port['id'], port) for port in answer['ports'])
        self._routers.update((router['id'], set(router['subnets'])) for router in answer['routers'])
        context = n_context.get_admin_context()
        if answer['full']:
            agents.bury_all_but(directory.get_plugin(), context, {chassis['id'] for chassis in answer['chassis']})
        self._tell_chassis(context, answer['chassis'])
        self._tell_ports(context, [port['id'] for port in answer['ports']])
        self._tell_routers(context, [router['id'] for router in answer['routers']])
        # Only now: what could not be told is asked for again.
        self.instance, self.cursor = answer['instance'], answer['cursor']

    def again(self, keys):
        """Tells Neutron again of what was just sent: a port that was unbound and bound again before the controller
        noticed stays up there, and nobody would say so."""
        context = n_context.get_admin_context()
        self._tell_ports(context, [object_id for kind, object_id in keys if kind == 'port'])
        self._tell_routers(context, [object_id for kind, object_id in keys if kind == 'router'])

    def _tell_chassis(self, context, news):
        core = directory.get_plugin()
        for chassis in news:
            before = self._chassis.get(chassis['id'])
            self._chassis[chassis['id']] = chassis
            if chassis['alive']:
                LOG.info('chassis %s is alive', chassis['id'])
                agents.heartbeat(core, context, chassis)
            elif before is None or before['alive']:
                LOG.warning('chassis %s is not connected', chassis['id'])
                agents.bury(core, context, chassis)
        if self._clock() >= self._heartbeat_due:
            for chassis in self._chassis.values():
                if chassis['alive']:
                    agents.heartbeat(core, context, chassis)
            self._heartbeat_due = self._clock() + self._report_interval / 2
        self._metrics.set('chassis_alive', sum(chassis['alive'] for chassis in self._chassis.values()))

    def _tell_ports(self, context, ids):
        for some in n_pusher.chunks([object_id for object_id in ids if object_id in self._ports], PAGE):
            for object_id, status, host in _bound_ports(context, some):
                known = self._ports.get(object_id)
                if known is None or known['chassis'] != host:
                    continue
                if known['up'] and status != constants.PORT_STATUS_ACTIVE:
                    provisioning_blocks.provisioning_complete(
                        context, object_id, resources.PORT, provisioning_blocks.L2_AGENT_ENTITY)
                elif not known['up'] and status == constants.PORT_STATUS_ACTIVE:
                    self._set_down(context, object_id)

    def _set_down(self, context, object_id):
        # First the block, so that nobody else makes it active.
        provisioning_blocks.add_provisioning_component(
            context, object_id, resources.PORT, provisioning_blocks.L2_AGENT_ENTITY)
        directory.get_plugin().update_port_status(context, object_id, constants.PORT_STATUS_DOWN)

    def _tell_routers(self, context, ids):
        """Interfaces are bound nowhere, so their status is set directly."""
        core = directory.get_plugin()
        for some in n_pusher.chunks([object_id for object_id in ids if object_id in self._routers], PAGE):
            interfaces = core.get_ports(context, {
                'device_id': some, 'device_owner': list(constants.ROUTER_INTERFACE_OWNERS)})
            for port in interfaces:
                subnets = {ip['subnet_id'] for ip in port['fixed_ips']}
                is_up = subnets <= self._routers[port['device_id']]
                status = constants.PORT_STATUS_ACTIVE if is_up else constants.PORT_STATUS_DOWN
                if port['status'] != status:
                    core.update_port_status(context, port['id'], status)


@db_api.retry_db_errors
def _bound_ports(context, ids):
    """Id, status and host of these ports, of those that are bound."""
    binding = ml2_models.PortBinding
    query = sa.select(models_v2.Port.id, models_v2.Port.status, binding.host).join(
        binding, binding.port_id == models_v2.Port.id).where(
        models_v2.Port.id.in_(ids), binding.status == constants.ACTIVE)
    with db_api.CONTEXT_READER.using(context):
        return [tuple(row) for row in context.session.execute(query)]
