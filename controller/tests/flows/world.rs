//! Valid models out of random bytes: several chassis, every type of segment, both families, routers that are next hops
//! of each other. Small, so that things are often equal that may be: addresses of different tenants, blocks, MACs of
//! different networks.

use controller::model::{
    AddressPair, Chassis, ChassisId, FixedIp, Network, NetworkId, Object, Port, PortId, Router,
    RouterInterface, Segment, StaticRoute, Subnet, SubnetId,
};
use ipnet::IpNet;
use packet::{MacAddr, VlanId, Vni};
use std::{collections::BTreeMap, net::IpAddr};

/// Bytes that are decisions. When they are used up, more are made of them, so that a short input, too, makes a whole
/// world; no input at all makes the least one.
#[derive(Debug, Clone)]
pub struct Choices<'a> {
    bytes: &'a [u8],
    more: u64,
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        // FNV-1a.
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let more = if bytes.is_empty() { 0 } else { bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash) };
        Self { bytes, more }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let byte = match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => {
                // Marsaglia's xorshift64: 0 stays 0.
                self.more ^= self.more << 13;
                self.more ^= self.more >> 7;
                self.more ^= self.more << 17;
                self.more.to_be_bytes()[0]
            }
        };
        usize::from(byte) % n.max(1)
    }

    /// True in `of` of 8 cases.
    pub fn often(&mut self, of: usize) -> bool {
        self.below(8) < of
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(from.len());
        from.get(at).cloned()
    }
}

/// A model in the making.
#[derive(Debug, Default)]
pub struct World {
    pub chassis: Vec<Chassis>,
    pub networks: Vec<Network>,
    pub subnets: Vec<Subnet>,
    pub ports: Vec<Port>,
    pub routers: Vec<Router>,
}

impl World {
    pub fn new(choices: &mut Choices<'_>) -> Self {
        let mut world = Self::default();
        world.make_chassis(choices);
        world.make_networks(choices);
        world.make_ports(choices);
        world.make_routers(choices);
        world.make_routes(choices);
        world
    }

    pub fn objects(&self) -> Vec<Object> {
        let chassis = self.chassis.iter().cloned().map(Object::Chassis);
        let networks = self.networks.iter().cloned().map(Object::Network);
        let subnets = self.subnets.iter().cloned().map(Object::Subnet);
        let ports = self.ports.iter().cloned().map(Object::Port);
        let routers = self.routers.iter().cloned().map(Object::Router);
        chassis.chain(networks).chain(subnets).chain(ports).chain(routers).collect()
    }

    fn make_chassis(&mut self, choices: &mut Choices<'_>) {
        for n in 1..=2 + choices.below(3) {
            let (v4, v6) = (ip(&format!("192.0.2.{n}")), ip(&format!("2001:db8:ff::{n}")));
            let encap_ips = match choices.below(8) {
                0..=4 => vec![v4],
                5 => vec![v4, v6],
                6 => vec![v6, v4],
                _ => vec![v6],
            };
            let mut bridge_mappings = BTreeMap::new();
            for physical in ["physnet1", "physnet2"].into_iter().filter(|_| choices.often(6)) {
                bridge_mappings.insert(physical.parse().unwrap(), format!("br-{physical}"));
            }
            self.chassis.push(Chassis { id: name("hv", n), encap_ips, bridge_mappings });
        }
    }

    fn make_networks(&mut self, choices: &mut Choices<'_>) {
        let mut flat = false;
        for n in 1..=1 + choices.below(5) {
            let vni = Vni::new(5000 + n as u64).unwrap();
            let segment = match choices.below(6) {
                1 => Segment::Gre { id: vni },
                2 => Segment::Geneve { id: vni },
                3 => Segment::Vlan {
                    physical_network: "physnet1".parse().unwrap(),
                    id: VlanId::new(100 + n as u64).unwrap(),
                },
                4 if !std::mem::replace(&mut flat, true) => {
                    Segment::Flat { physical_network: "physnet2".parse().unwrap() }
                }
                _ => Segment::Vxlan { id: vni },
            };
            let mtu = if choices.often(1) { Some(1300) } else { None };
            let network: NetworkId = name("net", n);
            self.make_subnets(choices, &network, n);
            self.networks.push(Network { id: network, segment, mtu });
        }
    }

    /// At most two blocks of IPv4 and one of IPv6, which other networks may have as well.
    fn make_subnets(&mut self, choices: &mut Choices<'_>, network: &NetworkId, n: usize) {
        let mut blocks = vec![format!("10.0.{}", choices.below(3))];
        if choices.often(2) {
            blocks.push(format!("10.1.{n}"));
        }
        for (at, block) in blocks.into_iter().enumerate() {
            let gateway_ip = choices.often(7).then(|| ip(&format!("{block}.1")));
            let cidr = net(&format!("{block}.0/24"));
            self.subnets.push(Subnet {
                id: name(&format!("v4-{n}-"), at),
                network: network.clone(),
                cidr,
                gateway_ip,
                dhcp: None,
            });
        }
        if choices.often(4) {
            let block = choices.below(3);
            let gateway_ip = Some(ip(&format!("2001:db8:{block}::1")));
            let cidr = net(&format!("2001:db8:{block}::/64"));
            self.subnets.push(Subnet {
                id: name("v6-", n),
                network: network.clone(),
                cidr,
                gateway_ip,
                dhcp: None,
            });
        }
    }

    fn make_ports(&mut self, choices: &mut Choices<'_>) {
        for n in 1..=2 + choices.below(9) {
            let Some(network) = choices.pick(&self.networks) else { return };
            let subnets: Vec<Subnet> =
                self.subnets.iter().filter(|subnet| subnet.network == network.id).cloned().collect();
            let fixed_ips = subnets
                .iter()
                .filter(|_| choices.often(7))
                .map(|subnet| FixedIp { subnet: subnet.id.clone(), ip: host(&subnet.cidr, 10 + n as u128) });
            let fixed_ips: Vec<FixedIp> = fixed_ips.collect();
            let mut pairs = Vec::new();
            if let Some(subnet) = choices.pick(&subnets).filter(|_| choices.often(2)) {
                // Shared by two ports now and then.
                let mac = match choices.below(4) {
                    0 => Some(MacAddr([2, 0, 0, 0, 9, n as u8])),
                    1 => Some(MacAddr([0, 0, 0x5e, 0, 1, (n / 2) as u8])),
                    _ => None,
                };
                let ip = host(&subnet.cidr, 200 + (n / 2) as u128).into();
                pairs.push(AddressPair { ip, mac });
                if mac.is_some() && choices.often(4) {
                    pairs.push(AddressPair { ip, mac: None });
                }
            }
            let chassis = choices.pick(&self.chassis).filter(|_| choices.often(7)).map(|chassis| chassis.id);
            self.ports.push(Port {
                id: name("port", n),
                network: network.id,
                mac: MacAddr([2, 0, 0, 0, 0, n as u8]),
                fixed_ips,
                chassis,
                allowed_address_pairs: pairs,
                port_security: choices.often(7),
                security_groups: Vec::new(),
                dhcp_options: Vec::new(),
            });
        }
    }

    fn make_routers(&mut self, choices: &mut Choices<'_>) {
        let mut at_gateway: Vec<SubnetId> = Vec::new();
        for n in 1..=choices.below(4) {
            let mut interfaces = Vec::new();
            let mut blocks: Vec<IpNet> = Vec::new();
            for subnet in &self.subnets {
                let overlaps =
                    blocks.iter().any(|other| other.contains(&subnet.cidr) || subnet.cidr.contains(other));
                if overlaps || !choices.often(5) {
                    continue;
                }
                blocks.push(subnet.cidr);
                let takes_gateway = subnet.gateway_ip.is_some() && !at_gateway.contains(&subnet.id);
                if takes_gateway {
                    at_gateway.push(subnet.id.clone());
                }
                let own = (!takes_gateway).then(|| host(&subnet.cidr, 250 + n as u128));
                let mac = choices.often(1).then_some(MacAddr([2, 0, 0, 0, 8, n as u8]));
                interfaces.push(RouterInterface { subnet: subnet.id.clone(), ip: own, mac });
            }
            self.routers.push(Router { id: name("r", n), interfaces, routes: Vec::new(), gateway: None });
        }
    }

    fn make_routes(&mut self, choices: &mut Choices<'_>) {
        for n in 0..self.routers.len() {
            let destinations =
                ["0.0.0.0/0", "10.9.0.0/16", "10.0.0.0/25", "10.0.1.0/28", "::/0", "2001:db8:9::/48"];
            for destination in destinations {
                if !choices.often(3) {
                    continue;
                }
                let destination = net(destination);
                let candidates = self.next_hops(n, destination.addr().is_ipv4());
                let mut next_hops: Vec<IpAddr> = Vec::new();
                for _ in 0..=choices.below(3) {
                    next_hops.extend(choices.pick(&candidates).filter(|hop| !next_hops.contains(hop)));
                }
                if !next_hops.is_empty() {
                    self.routers[n].routes.push(StaticRoute { destination, next_hops });
                }
            }
        }
    }

    /// Addresses on the router's subnets that are not its own: of ports, of other routers, and of nobody.
    fn next_hops(&self, router: usize, is_v4: bool) -> Vec<IpAddr> {
        let router = &self.routers[router];
        let mut hops = Vec::new();
        for interface in &router.interfaces {
            let subnet = self.subnet(&interface.subnet);
            if subnet.cidr.addr().is_ipv4() != is_v4 {
                continue;
            }
            hops.push(host(&subnet.cidr, 77));
            let ports = self.ports.iter().filter(|port| port.network == subnet.network);
            hops.extend(ports.flat_map(|port| &port.fixed_ips).map(|fixed| fixed.ip));
            let others = self.routers.iter().filter(|other| other.id != router.id);
            hops.extend(others.flat_map(|other| &other.interfaces).filter_map(|other| {
                let on_it = self.subnet(&other.subnet);
                let ip = other.ip.or(on_it.gateway_ip)?;
                (on_it.network == subnet.network).then_some(ip)
            }));
        }
        let own: Vec<IpAddr> = router.interfaces.iter().filter_map(|leg| self.address(leg)).collect();
        let on_link = |ip: &IpAddr| {
            router.interfaces.iter().any(|leg| self.subnet(&leg.subnet).cidr.contains(ip))
                && !own.contains(ip)
        };
        hops.retain(|hop| hop.is_ipv4() == is_v4 && on_link(hop));
        hops
    }

    pub fn subnet(&self, id: &SubnetId) -> &Subnet {
        self.subnets.iter().find(|subnet| subnet.id == *id).unwrap()
    }

    pub fn network(&self, id: &NetworkId) -> &Network {
        self.networks.iter().find(|network| network.id == *id).unwrap()
    }

    pub fn chassis(&self, id: &ChassisId) -> &Chassis {
        self.chassis.iter().find(|chassis| chassis.id == *id).unwrap()
    }

    pub fn port(&self, id: &PortId) -> &Port {
        self.ports.iter().find(|port| port.id == *id).unwrap()
    }

    /// The address of a router's interface.
    pub fn address(&self, interface: &RouterInterface) -> Option<IpAddr> {
        interface.ip.or(self.subnet(&interface.subnet).gateway_ip)
    }
}

/// An object with one thing changed, as operators change it.
pub fn tweak(object: Object, chassis: &[Chassis], choices: &mut Choices<'_>) -> Object {
    match object {
        // Flows know nothing of them.
        Object::FloatingIp(_) | Object::SecurityGroup(_) | Object::AddressGroup(_) => object,
        Object::Chassis(mut chassis) => {
            match choices.below(3) {
                0 => drop(chassis.encap_ips.pop()),
                1 => chassis.encap_ips.reverse(),
                _ => drop(chassis.bridge_mappings.pop_first()),
            }
            Object::Chassis(chassis)
        }
        Object::Network(mut network) => {
            match (choices.below(3), network.segment.vni()) {
                (0, Some(id)) => network.segment = Segment::Geneve { id },
                (1, Some(id)) => network.segment = Segment::Gre { id },
                _ => network.mtu = Some(1200 + u16::try_from(choices.below(9)).unwrap() * 50),
            }
            Object::Network(network)
        }
        Object::Subnet(mut subnet) => {
            subnet.gateway_ip = choices.often(6).then(|| host(&subnet.cidr, 1 + choices.below(2) as u128));
            Object::Subnet(subnet)
        }
        Object::Port(port) => Object::Port(tweak_port(port, chassis, choices)),
        Object::Router(mut router) => {
            match choices.below(4) {
                0 => drop(router.interfaces.pop()),
                1 => drop(router.routes.pop()),
                2 => router.routes.iter_mut().for_each(|route| route.next_hops.truncate(1)),
                _ => router.interfaces.iter_mut().for_each(|leg| leg.mac = Some(MacAddr([2, 0, 0, 0, 7, 1]))),
            }
            Object::Router(router)
        }
    }
}

fn tweak_port(mut port: Port, chassis: &[Chassis], choices: &mut Choices<'_>) -> Port {
    match choices.below(8) {
        0 | 1 => port.chassis = choices.pick(chassis).map(|chassis| chassis.id),
        2 | 3 => port.chassis = None,
        4 => port.mac = MacAddr([2, 0, 0, 0, 6, u8::try_from(choices.below(200)).unwrap()]),
        5 => port.port_security = !port.port_security,
        6 => drop(port.fixed_ips.pop()),
        _ => {
            // Takes over an address that was, or is, another's.
            let ip = port.fixed_ips.first().map(|fixed| fixed.ip);
            let shift =
                |ip: IpAddr| IpNet::new(ip, 24).map(|net| host(&net.trunc(), 10 + choices.below(12) as u128));
            if let Some(Ok(ip)) = ip.map(shift) {
                port.allowed_address_pairs = vec![AddressPair { ip: ip.into(), mac: None }];
            }
        }
    }
    port
}

/// The `n`th address of a block.
pub fn host(block: &IpNet, n: u128) -> IpAddr {
    match block.network() {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() + u32::try_from(n).unwrap()).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() + n).into()),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(prefix: &str, n: usize) -> T {
    format!("{prefix}{n}").parse().unwrap()
}
