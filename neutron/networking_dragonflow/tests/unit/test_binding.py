"""Ports and the chassis that take them, with ML2 as it is."""

from unittest import mock

from neutron_lib.api.definitions import portbindings
from neutron_lib import constants
from neutron_lib import context as n_context
from neutron_lib.plugins import directory

from neutron.db import provisioning_blocks
from neutron.tests.unit.plugins.ml2 import test_plugin

from networking_dragonflow import agents
from networking_dragonflow.sync import metrics as n_metrics
from networking_dragonflow.sync import source as n_source
from networking_dragonflow.sync import status as n_status
from networking_dragonflow.tests.upstream import ours
from networking_dragonflow import translate

CHASSIS = {'id': 'hv1', 'alive': True, 'tunnels': True, 'bridge_mappings': {'physnet1': 'br-ex'}}
VXLAN = {'provider:network_type': 'vxlan', 'provider:segmentation_id': 7}


class Controller:
    """Answers with the states that were put into it."""

    def __init__(self, **states):
        self.states_now = {'instance': 'i', 'cursor': 1, 'full': True, 'chassis': [], 'ports': [], 'routers': [], **states}

    def states(self, since, instance, wait):
        return self.states_now


class BindingTest(ours.Ml2, test_plugin.Ml2PluginV2TestCase):

    def setUp(self):
        super().setUp()
        self.context = n_context.get_admin_context()
        self.core = directory.get_plugin()
        agents.heartbeat(self.core, self.context, CHASSIS)

    def network(self, **provider):
        return self.core.create_network(self.context, {'network': {
            'name': 'n', 'tenant_id': 't', 'admin_state_up': True, 'shared': False, **(provider or VXLAN)}})['id']

    def port(self, network, host='hv1', **more):
        return self.core.create_port(self.context, {'port': {
            'network_id': network, 'tenant_id': 't', 'name': 'p', 'admin_state_up': True, 'device_id': 'vm',
            'device_owner': 'compute:nova', 'fixed_ips': [], 'mac_address': constants.ATTR_NOT_SPECIFIED,
            portbindings.HOST_ID: host, **more}})

    def poll(self, **states):
        n_status.Status(20, n_metrics.Metrics()).poll(Controller(**states), 0)

    def is_blocked(self, port):
        return provisioning_blocks.is_object_blocked(self.context, port['id'], 'port')

    def test_a_port_is_bound_and_waits_to_be_wired(self):
        port = self.port(self.network())
        self.assertEqual(port[portbindings.VIF_TYPE], 'ovs')
        self.assertEqual(port[portbindings.VIF_DETAILS]['bridge_name'], 'br-int')
        self.assertTrue(self.is_blocked(port))
        self.assertEqual(self.core.get_port(self.context, port['id'])['status'], 'DOWN')
        for up, status in ((True, 'ACTIVE'), (False, 'DOWN'), (True, 'ACTIVE')):
            self.poll(chassis=[CHASSIS], ports=[{'id': port['id'], 'chassis': 'hv1', 'up': up}])
            self.assertEqual(self.core.get_port(self.context, port['id'])['status'], status)

    def test_what_is_said_of_another_chassis_is_no_news(self):
        port = self.port(self.network())
        self.poll(chassis=[CHASSIS], ports=[{'id': port['id'], 'chassis': 'hv2', 'up': True}])
        self.assertEqual(self.core.get_port(self.context, port['id'])['status'], 'DOWN')

    def test_hosts_of_others_are_left_to_them(self):
        port = self.port(self.network(), 'elsewhere')
        self.assertEqual(port[portbindings.VIF_TYPE], 'binding_failed')
        self.assertFalse(self.is_blocked(port))

    def test_vnic_types_of_others_are_left_to_them(self):
        network = self.network()
        for kind in ('direct', 'macvtap', 'vdpa', 'virtio-forwarder'):
            port = self.port(network, **{portbindings.VNIC_TYPE: kind})
            self.assertEqual(port[portbindings.VIF_TYPE], 'binding_failed', kind)
            self.assertFalse(self.is_blocked(port), kind)

    def test_only_what_the_chassis_reaches_is_bound(self):
        vlan = {'provider:network_type': 'vlan', 'provider:segmentation_id': 5}
        for physical, vif_type in (('physnet1', 'ovs'), ('physnet2', 'binding_failed')):
            network = self.network(**vlan, **{'provider:physical_network': physical})
            self.assertEqual(self.port(network)[portbindings.VIF_TYPE], vif_type)

    def test_of_several_segments_only_the_first_is_bound(self):
        for number, names, vif_type in ((5, ('physnet1', 'physnet2'), 'ovs'),
                                        (6, ('physnet2', 'physnet1'), 'binding_failed')):
            network = self.network(segments=[
                {'provider:network_type': 'vlan', 'provider:segmentation_id': number, 'provider:physical_network': name}
                for name in names])
            self.assertEqual(self.port(network)[portbindings.VIF_TYPE], vif_type)

    def test_a_chassis_that_is_away_takes_no_port_but_a_silent_controller_does(self):
        network = self.network()
        [row] = self.core.get_agent_objects(self.context, filters={'host': 'hv1'})
        row.heartbeat_timestamp = row.heartbeat_timestamp.replace(year=2001)
        row.update()
        self.assertEqual(self.port(network)[portbindings.VIF_TYPE], 'ovs')
        self.poll(chassis=[{**CHASSIS, 'alive': False}])
        self.assertEqual(self.port(network)[portbindings.VIF_TYPE], 'binding_failed')
        self.poll(chassis=[CHASSIS])
        self.assertEqual(self.port(network)[portbindings.VIF_TYPE], 'ovs')
        # The controller serves it no longer.
        self.poll(chassis=[])
        self.assertEqual(self.port(network)[portbindings.VIF_TYPE], 'binding_failed')

    def test_an_object_that_cannot_be_spelled_holds_up_no_other(self):
        network = self.network()
        ports = [self.port(network)['id'] for _number in range(3)]
        spell = translate.port

        def fails_once(port):
            if port['id'] == ports[1]:
                raise KeyError('as asked')
            return spell(port)

        with mock.patch.object(translate, 'port', fails_once):
            self.assertEqual(set(n_source.Source().specs('port', ports)), {ports[0], ports[2]})
