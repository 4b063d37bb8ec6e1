"""The ML2 mechanism driver: binds ports to chassis that the controller reports alive, without agents."""

from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import resources
from neutron_lib import constants
from neutron_lib.plugins.ml2 import api
from oslo_log import log

from neutron.db import provisioning_blocks

from networking_dragonflow import agents
from networking_dragonflow import conf
from networking_dragonflow import journal
from networking_dragonflow.sync import worker

LOG = log.getLogger(__name__)

BRIDGE = 'br-int'
VNIC_TYPES = (portbindings.VNIC_NORMAL,)


class DragonflowMechanismDriver(api.MechanismDriver):
    """Neutron's view of Dragonflow: all that it does in an API call, it does in the database."""

    def initialize(self):
        conf.register()
        journal.install()

    @property
    def connectivity(self):
        return portbindings.CONNECTIVITY_L2

    def get_workers(self):
        return [worker.SyncWorker()]

    def create_port_precommit(self, context):
        if _must_be_wired(context.current, context.host):
            _block_until_wired(context)

    def update_port_precommit(self, context):
        moved = context.host != context.original_host
        if moved and _must_be_wired(context.current, context.host):
            _block_until_wired(context)

    def bind_port(self, context):
        port = context.current
        vnic_type = port.get(portbindings.VNIC_TYPE, portbindings.VNIC_NORMAL)
        if vnic_type not in VNIC_TYPES:
            LOG.debug('port %s is of vnic type %s, which is not ours', port['id'], vnic_type)
            return
        chassis = agents.alive(context.host_agents(agents.TYPE))
        if chassis is None:
            LOG.warning('port %s cannot be bound: no chassis %s is alive', port['id'], context.host)
            return
        for segment in context.segments_to_bind:
            if agents.reaches(chassis, segment):
                context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OVS, _vif_details())
                return
        LOG.warning('port %s cannot be bound: chassis %s reaches no segment of network %s',
                    port['id'], context.host, port['network_id'])


def _vif_details():
    return {
        # Security groups are kept by the controller, but not enforced yet.
        portbindings.CAP_PORT_FILTER: False,
        portbindings.OVS_HYBRID_PLUG: False,
        portbindings.VIF_DETAILS_CONNECTIVITY: portbindings.CONNECTIVITY_L2,
        portbindings.VIF_DETAILS_BRIDGE_NAME: BRIDGE,
    }


def _must_be_wired(port, host):
    return bool(host) and port['status'] != constants.PORT_STATUS_ACTIVE


def _block_until_wired(context):
    """The port gets ACTIVE when the controller says so (`sync.status`)."""
    provisioning_blocks.add_provisioning_component(
        context.plugin_context, context.current['id'], resources.PORT, provisioning_blocks.L2_AGENT_ENTITY)
