"""Bodies as the controller has them."""

import unittest

from networking_dragonflow import translate

NETWORK = {'id': 'n', 'mtu': 1450, 'provider:network_type': 'vxlan', 'provider:segmentation_id': 7,
           'provider:physical_network': None}
PORT = {'id': 'p', 'network_id': 'n', 'mac_address': 'FA:16:3E:00:00:01', 'device_owner': 'compute:nova',
        'admin_state_up': True, 'binding:vif_type': 'ovs', 'binding:host_id': 'hv1', 'fixed_ips': []}


class TranslateTest(unittest.TestCase):

    def test_digest_is_that_of_the_controller(self):
        # The same object and hash are in controller/src/northbound/batch.rs.
        group = translate.address_group({'id': 'g', 'addresses': ['2001:db8::1/128', '10.0.0.0/8']})
        self.assertEqual(translate.digest(group), '5b01c6d6b73a070384dd2c594316cd33')

    def test_segments(self):
        def segment(**provider):
            net = {'id': 'n', **{f'provider:{key}': value for key, value in provider.items()}}
            return (translate.network(net) or {}).get('segment')

        for kind in ('vxlan', 'gre', 'geneve'):
            self.assertEqual(segment(network_type=kind, segmentation_id=5), {'type': kind, 'id': 5})
        self.assertEqual(segment(network_type='vlan', segmentation_id=5, physical_network='a'),
                         {'type': 'vlan', 'physical_network': 'a', 'id': 5})
        self.assertEqual(segment(network_type='flat', physical_network='a'), {'type': 'flat', 'physical_network': 'a'})
        self.assertIsNone(segment(network_type='local'))
        several = {'id': 'n', 'segments': [
            {'provider:network_type': 'gre', 'provider:segmentation_id': 1},
            {'provider:network_type': 'vlan', 'provider:segmentation_id': 2, 'provider:physical_network': 'a'}]}
        self.assertEqual(translate.network(several)['segment'], {'type': 'gre', 'id': 1})

    def test_mtu_that_the_controller_refuses_is_left_out(self):
        self.assertEqual(translate.network(NETWORK)['mtu'], 1450)
        self.assertNotIn('mtu', translate.network({**NETWORK, 'mtu': 68}))

    def test_subnet(self):
        subnet = {'id': 's', 'network_id': 'n', 'cidr': '2001:DB8::/64', 'gateway_ip': 'fe80::1', 'enable_dhcp': False,
                  'dns_nameservers': ['2001:db8:0::53'], 'ipv6_ra_mode': 'dhcpv6-stateful', 'ipv6_address_mode': None,
                  'host_routes': [{'destination': '2001:db8:2::/48', 'nexthop': '2001:db8::9'}]}
        # A gateway outside is for hosts only.
        self.assertEqual(translate.subnet(subnet), {
            'id': 's', 'network': 'n', 'cidr': '2001:db8::/64',
            'dhcp': {'enabled': False, 'dns_servers': ['2001:db8::53'], 'ipv6_ra_mode': 'dhcpv6-stateful',
                     'host_routes': [{'destination': '2001:db8:2::/48', 'next_hop': '2001:db8::9'}]}})

    def test_port(self):
        port = {**PORT, 'fixed_ips': [{'subnet_id': 's', 'ip_address': '10.0.0.9'}], 'port_security_enabled': False,
                'allowed_address_pairs': [
                    {'ip_address': '10.0.0.7', 'mac_address': 'fa:16:3e:00:00:01'},
                    {'ip_address': '10.0.1.7/24', 'mac_address': 'fa:16:3e:00:00:02'}],
                'security_groups': ['b', 'a'],
                'extra_dhcp_opts': [{'opt_name': 'mtu', 'opt_value': '1400', 'ip_version': 4}]}
        self.assertEqual(translate.port(port), {
            'id': 'p', 'network': 'n', 'mac': 'fa:16:3e:00:00:01', 'chassis': 'hv1', 'port_security': False,
            'fixed_ips': [{'subnet': 's', 'ip': '10.0.0.9'}],
            'allowed_address_pairs': [{'ip': '10.0.0.7'}, {'ip': '10.0.1.0/24', 'mac': 'fa:16:3e:00:00:02'}],
            'security_groups': ['a', 'b'], 'dhcp_options': [{'name': 'mtu', 'value': '1400', 'ip_version': 4}]})

    def test_a_port_is_somewhere_only_if_bound_and_up(self):
        for change in ({'binding:vif_type': 'unbound'}, {'binding:vif_type': 'binding_failed'},
                       {'binding:host_id': ''}, {'admin_state_up': False}):
            self.assertNotIn('chassis', translate.port({**PORT, **change}), change)

    def test_ports_of_routers_are_no_ports(self):
        for owner in ('network:router_interface', 'network:router_gateway', 'network:floatingip'):
            self.assertIsNone(translate.port({**PORT, 'device_owner': owner}))

    def test_router(self):
        leg = {**PORT, 'fixed_ips': [{'subnet_id': 's', 'ip_address': '10.0.0.1'}]}
        router = {'id': 'r', 'admin_state_up': True, 'external_gateway_info': {
            'network_id': 'x', 'enable_snat': False,
            'external_fixed_ips': [{'subnet_id': 'xs', 'ip_address': '203.0.113.4'}]},
            'routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.8'},
                       {'destination': '10.9.0.0/16', 'nexthop': '10.0.0.7'}]}
        self.assertEqual(translate.router(router, [leg]), {
            'id': 'r', 'interfaces': [{'subnet': 's', 'ip': '10.0.0.1', 'mac': 'fa:16:3e:00:00:01'}],
            'routes': [{'destination': '10.9.0.0/16', 'next_hops': ['10.0.0.7', '10.0.0.8']}],
            'gateway': {'network': 'x', 'snat': False, 'fixed_ips': [{'subnet': 'xs', 'ip': '203.0.113.4'}]}})
        self.assertEqual(translate.router({**router, 'admin_state_up': False}, [leg]), {'id': 'r'})

    def test_security_group(self):
        rule = {'direction': 'ingress', 'ethertype': 'IPv4', 'protocol': 'tcp', 'port_range_min': 22,
                'port_range_max': 22, 'remote_ip_prefix': '10.0.0.1/8', 'remote_group_id': None,
                'remote_address_group_id': None}
        group = {'id': 'g', 'stateful': True, 'security_group_rules': [rule]}
        self.assertEqual(translate.security_group(group), {'id': 'g', 'rules': [
            {'direction': 'ingress', 'ether_type': 'ipv4', 'protocol': 'tcp', 'port_min': 22, 'port_max': 22,
             'remote_prefix': '10.0.0.0/8'}]})

    def test_floating_ip(self):
        fip = {'id': 'f', 'floating_network_id': 'x', 'floating_ip_address': '203.0.113.7', 'router_id': None,
               'port_id': None, 'fixed_ip_address': None}
        self.assertEqual(translate.floating_ip(fip), {'id': 'f', 'network': 'x', 'ip': '203.0.113.7'})
