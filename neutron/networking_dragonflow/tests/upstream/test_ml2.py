"""Neutron's own tests of ML2, with our mechanism driver and our L3 plugin."""

from neutron.tests.unit.plugins.ml2 import test_plugin

from networking_dragonflow.db import models  # noqa: F401 - the fixture makes tables of what is imported
from networking_dragonflow.tests.upstream import skips

L3_PLUGIN = 'networking_dragonflow.l3_plugin.DragonflowL3Plugin'
DRIVERS = ['logger', 'dragonflow']


class TestNetworks(skips.SkipMixin, test_plugin.TestMl2NetworksV2):
    _mechanism_drivers = DRIVERS
    l3_plugin = L3_PLUGIN


class TestSubnets(skips.SkipMixin, test_plugin.TestMl2SubnetsV2):
    _mechanism_drivers = DRIVERS
    l3_plugin = L3_PLUGIN


class TestPorts(skips.SkipMixin, test_plugin.TestMl2PortsV2):
    _mechanism_drivers = DRIVERS
    l3_plugin = L3_PLUGIN


class TestPortsWithL3(skips.SkipMixin, test_plugin.TestMl2PortsV2WithL3):
    _mechanism_drivers = DRIVERS
    l3_plugin = L3_PLUGIN
