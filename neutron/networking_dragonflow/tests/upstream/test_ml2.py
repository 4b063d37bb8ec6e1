"""Neutron's own tests of ML2 networks, ports and bindings, with our mechanism driver and our L3 plugin.

No chassis is alive here, so that no port is bound by us: `tests/unit/test_binding.py` and the system tests have some.
"""

from neutron.tests.unit.plugins.ml2 import test_plugin
from oslo_config import cfg

from networking_dragonflow.tests.upstream import ours


class TestNetworks(ours.Ml2, test_plugin.TestMl2NetworksV2):
    pass


class TestPorts(ours.Ml2, test_plugin.TestMl2PortsV2):
    pass


class TestPortBinding(ours.Ml2, test_plugin.TestMl2PortBinding):
    pass


class TestPortBindingHost(ours.Ml2, test_plugin.TestMl2PortBindingHost):
    pass


class TestPortBindingVnicType(ours.Ml2, test_plugin.TestMl2PortBindingVnicType):
    pass


class TestMultiSegmentNetworks(ours.Ml2, test_plugin.TestMultiSegmentNetworks):
    pass


class TestSegments(ours.Ml2, test_plugin.TestML2Segments):
    # These look into Neutron's driver "test", and have it bind ports.
    _mechanism_drivers = ['test', *ours.Ml2._mechanism_drivers]


class TestAllowedAddressPairs(ours.Ml2, test_plugin.TestMl2AllowedAddressPairs):
    pass


class TestPortSecurity(ours.Ml2, test_plugin.TestMl2PortSecurity):
    pass


class TestDhcpOptions(ours.Ml2, test_plugin.DHCPOptsTestCase):

    def setUp(self):
        cfg.CONF.set_override('mechanism_drivers', self._mechanism_drivers, group='ml2')
        super().setUp()
