"""Which chassis can take which port; what else needs no database."""

import pathlib
import subprocess
import sys
import unittest

from networking_dragonflow import agents

REPOSITORY = pathlib.Path(__file__).parents[4]


class AgentsTest(unittest.TestCase):

    def test_a_chassis_reaches_what_it_says(self):
        here = agents.row({'id': 'hv1', 'alive': True, 'tunnels': True, 'bridge_mappings': {'physnet1': 'br-ex'}})['configurations']
        for kind in ('vxlan', 'gre', 'geneve'):
            self.assertTrue(agents.reaches(here, {'network_type': kind, 'physical_network': None}))
        for kind in ('vlan', 'flat'):
            self.assertTrue(agents.reaches(here, {'network_type': kind, 'physical_network': 'physnet1'}))
            self.assertFalse(agents.reaches(here, {'network_type': kind, 'physical_network': 'physnet2'}))
        self.assertFalse(agents.reaches(here, {'network_type': 'local', 'physical_network': None}))

    def test_a_chassis_without_an_address_carries_no_tunnels(self):
        here = agents.row({'id': 'hv1', 'alive': True, 'tunnels': False, 'bridge_mappings': {}})['configurations']
        self.assertFalse(agents.reaches(here, {'network_type': 'vxlan', 'physical_network': None}))

    def test_what_the_controller_said_last_counts(self):
        configuration = agents.row({'id': 'hv1', 'alive': True, 'tunnels': True, 'bridge_mappings': {}})['configurations']
        # Not heard of for long: the controller is away, but nobody said that the chassis is.
        row = {'alive': False, 'admin_state_up': True, 'configurations': configuration}
        self.assertEqual(agents.connected([row]), configuration)
        self.assertIsNone(agents.connected([]))
        self.assertIsNone(agents.connected([{**row, 'configurations': {**configuration, 'connected': False}}]))
        self.assertIsNone(agents.connected([{**row, 'admin_state_up': False}]))


# In a process of its own: Neutron's test base may have replaced threads and sockets in this one.
SERVE = '''
import urllib.request
from networking_dragonflow.sync import metrics as n_metrics
metrics = n_metrics.Metrics()
metrics.add('objects_put', 3)
metrics.add('objects_put', 4)
metrics.set('epoch', 9)
server = metrics.serve('127.0.0.1:0')
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open('http://127.0.0.1:%d/metrics' % server.server_port, timeout=20) as page:
    print(page.read().decode())
'''


class MetricsTest(unittest.TestCase):

    def test_the_page_shows_what_was_counted(self):
        done = subprocess.run([sys.executable, '-c', SERVE], capture_output=True, text=True, check=True, timeout=60)
        lines = done.stdout.splitlines()
        self.assertIn('dragonflow_neutron_objects_put_total 7', lines)
        self.assertIn('dragonflow_neutron_epoch 9', lines)
        self.assertIn('# TYPE dragonflow_neutron_epoch gauge', lines)


class DevStackTest(unittest.TestCase):

    def test_shellcheck_finds_nothing(self):
        files = [str(REPOSITORY / 'devstack' / name) for name in ('plugin.sh', 'settings')]
        done = subprocess.run(['shellcheck', '--shell=bash', *files], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ''))
