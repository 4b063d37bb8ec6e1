"""Neutron's objects as the controller spells them.

Every function takes a dict as a plugin returns it and gives the object in canonical form: exactly what the controller
answers when asked for it, so that both sides have the same hash. What has its default value is left out.
"""

import hashlib
import ipaddress
import json

from neutron_lib.api.definitions import portbindings
from neutron_lib import constants
from oslo_log import log

LOG = log.getLogger(__name__)

TUNNELS = ('vxlan', 'gre', 'geneve')
#: Ports that the controller knows as part of a router or as a floating IP.
NOT_PORTS = frozenset(constants.ROUTER_INTERFACE_OWNERS) | {
    constants.DEVICE_OWNER_ROUTER_GW, constants.DEVICE_OWNER_FLOATINGIP, constants.DEVICE_OWNER_ROUTER_SNAT}
NOT_BOUND = ('', portbindings.VIF_TYPE_UNBOUND, portbindings.VIF_TYPE_BINDING_FAILED)


def digest(spec):
    """The hash of a canonical object."""
    text = json.dumps(spec, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def network(net):
    """None if it has no segment that the controller could carry."""
    segment = _segment(net)
    if segment is None:
        return None
    spec = {'id': net['id'], 'segment': segment}
    if 576 <= (net.get('mtu') or 0) <= 9216:
        spec['mtu'] = net['mtu']
    return spec


def _segment(net):
    segments = net.get('segments') or [net]
    if len(segments) > 1:
        LOG.warning('network %s has %d segments: only the first is carried', net['id'], len(segments))
    kind = segments[0].get('provider:network_type')
    number = segments[0].get('provider:segmentation_id')
    physical = segments[0].get('provider:physical_network')
    if kind in TUNNELS and number:
        return {'type': kind, 'id': number}
    if kind == 'vlan' and number and physical:
        return {'type': 'vlan', 'physical_network': physical, 'id': number}
    if kind == 'flat' and physical:
        return {'type': 'flat', 'physical_network': physical}
    LOG.warning('network %s is of type %s, which Dragonflow does not carry', net['id'], kind)
    return None


def subnet(sub):
    cidr = ipaddress.ip_network(sub['cidr'], strict=False)
    spec = {'id': sub['id'], 'network': sub['network_id'], 'cidr': str(cidr), 'dhcp': _dhcp(sub)}
    gateway = sub.get('gateway_ip')
    # Gateways beyond the subnet are for the hosts' eyes only: no router of ours has such an address.
    if gateway and ipaddress.ip_address(gateway) in cidr:
        spec['gateway_ip'] = _ip(gateway)
    return spec


def _dhcp(sub):
    spec = {}
    if not sub.get('enable_dhcp', True):
        spec['enabled'] = False
    if sub.get('dns_nameservers'):
        spec['dns_servers'] = [_ip(ip) for ip in sub['dns_nameservers']]
    routes = [{'destination': _block(route['destination']), 'next_hop': _ip(route['nexthop'])}
              for route in sub.get('host_routes') or ()]
    if routes:
        spec['host_routes'] = sorted(routes, key=lambda route: (route['destination'], route['next_hop']))
    for mode in ('ipv6_ra_mode', 'ipv6_address_mode'):
        if sub.get(mode):
            spec[mode] = sub[mode]
    return spec


def port(port):
    """None if the controller knows it as part of something else."""
    if port['device_owner'] in NOT_PORTS:
        return None
    spec = {'id': port['id'], 'network': port['network_id'], 'mac': port['mac_address'].lower()}
    fixed = _fixed_ips(port)
    if fixed:
        spec['fixed_ips'] = fixed
    bound = port.get(portbindings.VIF_TYPE, '') not in NOT_BOUND
    if bound and port.get(portbindings.HOST_ID) and port['admin_state_up']:
        spec['chassis'] = port[portbindings.HOST_ID]
    pairs = [_pair(pair, spec['mac']) for pair in port.get('allowed_address_pairs') or ()]
    if pairs:
        spec['allowed_address_pairs'] = sorted(pairs, key=lambda pair: (pair['ip'], pair.get('mac', '')))
    if not port.get('port_security_enabled', True):
        spec['port_security'] = False
    if port.get('security_groups'):
        spec['security_groups'] = sorted(port['security_groups'])
    options = [{'name': opt['opt_name'], 'value': opt['opt_value'], 'ip_version': opt['ip_version']}
               for opt in port.get('extra_dhcp_opts') or ()]
    if options:
        spec['dhcp_options'] = sorted(options, key=lambda opt: (opt['name'], opt['ip_version'], opt['value']))
    return spec


def _pair(pair, mac):
    block = ipaddress.ip_network(pair['ip_address'], strict=False)
    single = block.prefixlen == block.max_prefixlen
    spec = {'ip': _ip(block.network_address) if single else str(block)}
    theirs = (pair.get('mac_address') or mac).lower()
    if theirs != mac:
        spec['mac'] = theirs
    return spec


def router(router, ports):
    """`ports`: its interfaces. A router that is administratively down forwards nothing."""
    spec = {'id': router['id']}
    if not router['admin_state_up']:
        return spec
    interfaces = [{'subnet': fixed['subnet'], 'ip': fixed['ip'], 'mac': leg['mac_address'].lower()}
                  for leg in ports for fixed in _fixed_ips(leg)]
    if interfaces:
        spec['interfaces'] = sorted(interfaces, key=lambda leg: (leg['subnet'], leg['ip']))
    routes = _routes(router)
    if routes:
        spec['routes'] = routes
    gateway = _gateway(router)
    if gateway:
        spec['gateway'] = gateway
    return spec


def _routes(router):
    """Several next hops of one destination are one route of the controller."""
    by_destination = {}
    for route in router.get('routes') or ():
        by_destination.setdefault(_block(route['destination']), set()).add(_ip(route['nexthop']))
    return [{'destination': destination, 'next_hops': sorted(hops)}
            for destination, hops in sorted(by_destination.items())]


def _gateway(router):
    info = router.get('external_gateway_info')
    if not info or not info.get('network_id'):
        return None
    spec = {'network': info['network_id']}
    fixed = [{'subnet': ip['subnet_id'], 'ip': _ip(ip['ip_address'])}
             for ip in info.get('external_fixed_ips') or ()]
    if fixed:
        spec['fixed_ips'] = sorted(fixed, key=lambda ip: (ip['subnet'], ip['ip']))
    if not info.get('enable_snat', True):
        spec['snat'] = False
    return spec


def floating_ip(fip):
    spec = {'id': fip['id'], 'network': fip['floating_network_id'], 'ip': _ip(fip['floating_ip_address'])}
    if fip.get('router_id'):
        spec['router'] = fip['router_id']
    if fip.get('port_id'):
        spec['port'] = fip['port_id']
    if fip.get('fixed_ip_address'):
        spec['fixed_ip'] = _ip(fip['fixed_ip_address'])
    return spec


def security_group(group):
    spec = {'id': group['id']}
    if not group.get('stateful', True):
        spec['stateful'] = False
    rules = [_rule(rule) for rule in group.get('security_group_rules') or ()]
    if rules:
        spec['rules'] = sorted(rules, key=lambda rule: json.dumps(rule, sort_keys=True))
    return spec


def _rule(rule):
    spec = {'direction': rule['direction'], 'ether_type': rule['ethertype'].lower()}
    fields = (('protocol', 'protocol'), ('port_min', 'port_range_min'), ('port_max', 'port_range_max'),
              ('remote_group', 'remote_group_id'), ('remote_address_group', 'remote_address_group_id'))
    for ours, theirs in fields:
        if rule.get(theirs) is not None:
            spec[ours] = rule[theirs]
    if rule.get('remote_ip_prefix'):
        spec['remote_prefix'] = _block(rule['remote_ip_prefix'])
    return spec


def address_group(group):
    spec = {'id': group['id']}
    if group.get('addresses'):
        spec['addresses'] = sorted(_block(block) for block in group['addresses'])
    return spec


def _fixed_ips(port):
    fixed = [{'subnet': ip['subnet_id'], 'ip': _ip(ip['ip_address'])} for ip in port.get('fixed_ips') or ()]
    return sorted(fixed, key=lambda ip: (ip['subnet'], ip['ip']))


def _ip(text):
    """As Rust writes it: RFC 5952, with the last 32 bits of mapped addresses in dots."""
    ip = ipaddress.ip_address(str(text))
    mapped = getattr(ip, 'ipv4_mapped', None)
    return f'::ffff:{mapped}' if mapped else str(ip)


def _block(text):
    return str(ipaddress.ip_network(str(text), strict=False))
