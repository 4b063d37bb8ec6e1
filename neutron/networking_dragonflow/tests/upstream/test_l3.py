"""Neutron's own tests of routers, floating IPs, extra routes and gateway modes, against our L3 plugin."""

from neutron_lib import constants

from neutron.tests.unit.extensions import test_extraroute
from neutron.tests.unit.extensions import test_l3
from neutron.tests.unit.extensions import test_l3_ext_gw_mode

from networking_dragonflow.tests.upstream import ours

CORE = 'neutron.tests.unit.extensions.test_l3.TestNoL3NatPlugin'
SERVICES = {'l3_plugin_name': ours.L3_PLUGIN}


class TestExtraRoute(ours.SkipMixin, test_l3.L3BaseForSepTests, test_l3.L3NatTestCaseBase,
                     test_extraroute.ExtraRouteDBTestCaseBase):
    """All of L3, and extra routes."""

    def setUp(self):
        self.skip_if_listed()
        manager = test_extraroute.ExtraRouteTestExtensionManager()
        super(test_l3.L3BaseForSepTests, self).setUp(plugin=CORE, ext_mgr=manager, service_plugins=SERVICES)
        self.setup_notification_driver()

    # These take the status that they expect: floating IPs are not forwarded yet, so ours are never ACTIVE.

    def test_create_floatingip_with_assoc(self):
        super().test_create_floatingip_with_assoc(constants.FLOATINGIP_STATUS_DOWN)

    def test_floatingip_update(self):
        super().test_floatingip_update(constants.FLOATINGIP_STATUS_DOWN)

    def test_floatingip_update_subnet_gateway_disabled(self):
        super().test_floatingip_update_subnet_gateway_disabled(constants.FLOATINGIP_STATUS_DOWN)

    def test_floatingip_update_to_same_port_id_twice(self):
        super().test_floatingip_update_to_same_port_id_twice(constants.FLOATINGIP_STATUS_DOWN)


class TestGatewayMode(ours.SkipMixin, test_l3_ext_gw_mode.ExtGwModeIntTestCase):
    """enable_snat."""

    def setUp(self):
        super().setUp(plugin=CORE, svc_plugins=SERVICES)
