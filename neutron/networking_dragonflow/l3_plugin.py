"""The L3 service plugin: routers are rows in the database, and the worker tells the controller of them."""

from neutron_lib import constants
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.services import base

from neutron.api.rpc.agentnotifiers import utils as notifier_utils
from neutron.db import dns_db
from neutron.db import extraroute_db
from neutron.db import l3_db
from neutron.db import l3_fip_pools_db
from neutron.db import l3_fip_port_details
from neutron.db import l3_gwmode_db
from neutron.db.models import l3 as l3_models
from neutron.quota import resource_registry

from networking_dragonflow import conf
from networking_dragonflow import journal


# L3NotifierMixin goes before everything that brings l3_db.L3_NAT_dbonly_mixin: else its router.interface.*
# notifications are lost.
class DragonflowL3Plugin(base.ServicePluginBase,
                         l3_db.L3NotifierMixin,
                         extraroute_db.ExtraRoute_dbonly_mixin,
                         l3_gwmode_db.L3_NAT_dbonly_mixin,
                         dns_db.DNSDbMixin,
                         l3_fip_port_details.Fip_port_details_db_mixin,
                         l3_fip_pools_db.FloatingIPPoolsMixin):
    """Routers, extra routes, gateways and floating IPs without L3 agents."""

    supported_extension_aliases = [
        'dns-integration', 'ext-gw-mode', 'extraroute', 'extraroute-atomic', 'fip-port-details',
        'floatingip-pools', 'router',
    ]

    @resource_registry.tracked_resources(router=l3_models.Router, floatingip=l3_models.FloatingIP)
    def __init__(self):
        super().__init__()
        conf.register()
        journal.install()
        # Takes every notification for L3 agents, of which there are none, and does nothing.
        self._l3_rpc_notifier = notifier_utils.RPCNotifierHandler()

    @property
    def l3_rpc_notifier(self):
        return self._l3_rpc_notifier

    @classmethod
    def get_plugin_type(cls):
        return plugin_constants.L3

    def get_plugin_description(self):
        return 'Distributed routers by Dragonflow'

    def create_floatingip(self, context, floatingip, initial_status=constants.FLOATINGIP_STATUS_DOWN):
        """Floating IPs are DOWN: the controller keeps them, but forwards nothing by them yet."""
        return super().create_floatingip(context, floatingip, initial_status)

    def update_router_gw_ports(self, context, network, subnet):
        """Called by ML2 when an external network gains a subnet: gateways may need an address there."""
        self._update_router_gateway_ports(context, network, subnet)
