"""Neutron's own tests of ML2 of which few reach our code; `cargo xtask test --only neutron-more` runs them."""

from neutron.tests.unit.plugins.ml2 import test_plugin

from networking_dragonflow.tests.upstream import ours


class TestSubnets(ours.Ml2, test_plugin.TestMl2SubnetsV2):
    pass


class TestPortsWithL3(ours.Ml2, test_plugin.TestMl2PortsV2WithL3):
    """The tests of ports once more, with a router."""
