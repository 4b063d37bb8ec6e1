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
        if _is_to_be_wired(context):
            _block_until_wired(context)

    def update_port_precommit(self, context):
        if context.host != context.original_host and _is_to_be_wired(context):
            _block_until_wired(context)

    def bind_port(self, context):
        port = context.current
        if not _is_ours(port):
            LOG.info('port %s is of vnic type %s: Dragonflow binds %s only', port['id'], port[portbindings.VNIC_TYPE],
                     ', '.join(VNIC_TYPES))
            return
        chassis = agents.connected(context.host_agents(agents.TYPE))
        if chassis is None:
            LOG.warning('port %s cannot be bound: no chassis %s is connected', port['id'], context.host)
            return
        segment = _carried_segment(context)
        if segment is None:
            LOG.warning('port %s cannot be bound: of the segments of network %s Dragonflow carries only the first',
                        port['id'], port['network_id'])
        elif agents.reaches(chassis, segment):
            context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OVS, _vif_details())
        else:
            LOG.warning('port %s cannot be bound: chassis %s does not reach network %s of type %s', port['id'],
                        context.host, port['network_id'], segment[api.NETWORK_TYPE])


def _carried_segment(context):
    """The segment that the controller knows the network by (`translate.network`), if it is among those to bind."""
    first = context.network.network_segments[0][api.ID]
    return next((segment for segment in context.segments_to_bind if segment[api.ID] == first), None)


def _vif_details():
    return {
        # Security groups are kept by the controller, but not enforced yet.
        portbindings.CAP_PORT_FILTER: False,
        portbindings.OVS_HYBRID_PLUG: False,
        portbindings.VIF_DETAILS_CONNECTIVITY: portbindings.CONNECTIVITY_L2,
        portbindings.VIF_DETAILS_BRIDGE_NAME: BRIDGE,
    }


def _is_ours(port):
    return port.get(portbindings.VNIC_TYPE, portbindings.VNIC_NORMAL) in VNIC_TYPES


def _is_to_be_wired(context):
    """Whether we will say when the port is active. On hosts without a chassis of ours nobody would."""
    port = context.current
    if not context.host or port['status'] == constants.PORT_STATUS_ACTIVE or not _is_ours(port):
        return False
    return bool(context.host_agents(agents.TYPE))


def _block_until_wired(context):
    """The port gets ACTIVE when the controller says so (`sync.status`)."""
    provisioning_blocks.add_provisioning_component(
        context.plugin_context, context.current['id'], resources.PORT, provisioning_blocks.L2_AGENT_ENTITY)
