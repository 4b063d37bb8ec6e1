"""Which chassis can take which port; what else needs no database."""

import pathlib
import subprocess
import unittest
import urllib.request

from networking_dragonflow import agents
from networking_dragonflow.sync import metrics as n_metrics

REPOSITORY = pathlib.Path(__file__).parents[4]


class AgentsTest(unittest.TestCase):

    def test_a_chassis_reaches_what_it_says(self):
        here = agents.row({'id': 'hv1', 'tunnels': True, 'bridge_mappings': {'physnet1': 'br-ex'}})['configurations']
        for kind in ('vxlan', 'gre', 'geneve'):
            self.assertTrue(agents.reaches(here, {'network_type': kind, 'physical_network': None}))
        for kind in ('vlan', 'flat'):
            self.assertTrue(agents.reaches(here, {'network_type': kind, 'physical_network': 'physnet1'}))
            self.assertFalse(agents.reaches(here, {'network_type': kind, 'physical_network': 'physnet2'}))
        self.assertFalse(agents.reaches(here, {'network_type': 'local', 'physical_network': None}))

    def test_a_chassis_without_an_address_carries_no_tunnels(self):
        here = agents.row({'id': 'hv1', 'tunnels': False, 'bridge_mappings': {}})['configurations']
        self.assertFalse(agents.reaches(here, {'network_type': 'vxlan', 'physical_network': None}))

    def test_only_the_living_count(self):
        row = {'alive': True, 'admin_state_up': True, 'configurations': {'a': 1}}
        self.assertEqual(agents.alive([row]), {'a': 1})
        self.assertIsNone(agents.alive([]))
        self.assertIsNone(agents.alive([{**row, 'alive': False}]))
        self.assertIsNone(agents.alive([{**row, 'admin_state_up': False}]))


class MetricsTest(unittest.TestCase):

    def test_the_page_shows_what_was_counted(self):
        metrics = n_metrics.Metrics()
        metrics.add('objects_put', 3)
        metrics.add('objects_put', 4)
        metrics.set('epoch', 9)
        server = metrics.serve('127.0.0.1:0')
        try:
            with urllib.request.urlopen('http://127.0.0.1:%d/metrics' % server.server_port) as page:
                lines = page.read().decode().splitlines()
        finally:
            server.shutdown()
            server.server_close()
        self.assertIn('dragonflow_neutron_objects_put_total 7', lines)
        self.assertIn('dragonflow_neutron_epoch 9', lines)
        self.assertIn('# TYPE dragonflow_neutron_epoch gauge', lines)


class DevStackTest(unittest.TestCase):

    def test_the_plugin_is_shell(self):
        for name in ('plugin.sh', 'settings'):
            subprocess.run(['bash', '-n', str(REPOSITORY / 'devstack' / name)], check=True)
