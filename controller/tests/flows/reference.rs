//! Who reaches whom, worked out from the model alone: no tables, no indexes, a page of the plainest code that says
//! what a network of these routers would do.

use crate::world::World;
use controller::{
    model::{
        ChassisId, Network, NetworkId, ObjectKey, Port, PortId, Router, RouterId, RouterInterface, Segment,
    },
    pipeline::{ls_in::link_local, macs, punt::IcmpReason},
};
use ipnet::IpNet;
use packet::MacAddr;
use std::{collections::BTreeSet, net::IpAddr};

/// What may become of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It arrives.
    Arrives { port: PortId, ttl: u8, src_mac: MacAddr },
    /// It is carried to everybody, for a MAC that several ports have; these are among those who get it.
    Carried { to: BTreeSet<PortId>, mac: MacAddr, ttl: u8 },
    /// A router answers the echo request, and the answer comes back.
    Echoed { ttl: u8 },
    /// A router refuses it.
    Refused(IcmpReason),
    /// It is lost on the way: there is no tunnel, or no physical network, to where the port is.
    Lost,
}

/// The packet on its way, and where it may end: more than one place where routes have several next hops.
pub struct Reference<'a> {
    world: &'a World,
    from: &'a Port,
    chassis: &'a ChassisId,
    source: IpAddr,
    to: IpAddr,
    outcomes: Vec<Outcome>,
    /// Routers that had the packet, each with what was left of its time: routes in circles meet them again and again.
    seen: BTreeSet<(RouterId, u8, usize)>,
}

/// A next hop.
enum Next<'a> {
    Port(&'a Port),
    Router(&'a Router),
}

/// A router's leg with everything known.
struct Leg<'a> {
    cidr: IpNet,
    network: &'a Network,
    ip: IpAddr,
    mac: MacAddr,
}

impl<'a> Reference<'a> {
    /// Every outcome of a packet from a port that resolves the destination, or its gateway, as a host does; `None` if
    /// the host finds nobody to send to.
    pub fn outcomes(
        world: &'a World,
        from: &'a Port,
        source: IpAddr,
        to: IpAddr,
        ttl: u8,
    ) -> Option<Vec<Outcome>> {
        let chassis = from.chassis.as_ref().unwrap();
        let mut this = Self { world, from, chassis, source, to, outcomes: Vec::new(), seen: BTreeSet::new() };
        let subnet = world
            .subnets
            .iter()
            .find(|subnet| subnet.network == from.network && subnet.cidr.contains(&source))?;
        let next = if subnet.cidr.contains(&to) {
            to
        } else {
            let first_router = || {
                let legs = world.routers.iter().flat_map(|router| this.legs(router));
                legs.into_iter()
                    .find(|leg| leg.network.id == from.network && leg.cidr == subnet.cidr)
                    .map(|leg| leg.ip)
            };
            subnet.gateway_ip.or_else(first_router)?
        };
        if let Some(port) = this.owner(&from.network, next) {
            this.over_link(&from.network, port, ttl, from.mac);
            return Some(this.outcomes);
        }
        if let Some(mac) = this.shared_mac(&from.network, next) {
            this.carry(&from.network, next, mac, ttl);
            return Some(this.outcomes);
        }
        let router = this.router_at(&from.network, next)?;
        this.route(router, ttl, 0);
        Some(this.outcomes)
    }

    /// A router has the packet.
    fn route(&mut self, router: &Router, ttl: u8, depth: usize) {
        if !self.seen.insert((router.id.clone(), ttl, depth)) {
            return;
        }
        let legs = self.legs(router);
        let is_own = |leg: &Leg<'_>| leg.ip == self.to || leg.ip.is_ipv6() && self.to == link_local(leg.mac);
        if legs.iter().any(is_own) {
            return self.echo(router, depth);
        }
        if ttl <= 1 {
            return self.refuse(IcmpReason::TtlExceeded, depth);
        }
        let attached = legs.iter().find(|leg| leg.cidr.contains(&self.to));
        let mut routes: Vec<_> =
            router.routes.iter().filter(|route| route.destination.contains(&self.to)).collect();
        routes.sort_by_key(|route| route.destination.prefix_len());
        let best = routes.last().filter(|route| {
            attached.is_none_or(|leg| route.destination.prefix_len() > leg.cidr.prefix_len())
        });
        match (best, attached) {
            (Some(route), _) => self.take(router, &legs, &route.next_hops, ttl, depth),
            (None, Some(leg)) => {
                let network = &leg.network.id;
                let owner = self.owner(network, self.to).filter(|port| port.chassis.is_some());
                let is_bound = self.sharers(network, self.to).iter().any(|(port, _)| port.chassis.is_some());
                match (owner, self.shared_mac(network, self.to).filter(|_| is_bound)) {
                    (Some(port), _) => self.over_link(network, port, ttl - 1, leg.mac),
                    (None, Some(mac)) if depth < 64 => self.carry(network, self.to, mac, ttl - 1),
                    (None, _) => self.refuse(IcmpReason::NoHost, depth),
                }
            }
            (None, None) => self.refuse(IcmpReason::NoRoute, depth),
        }
    }

    /// To choose the meter of an error is a step deeper, too.
    fn refuse(&mut self, reason: IcmpReason, depth: usize) {
        self.outcomes.push(if depth < 64 { Outcome::Refused(reason) } else { Outcome::Lost });
    }

    /// The first router answers straight away, one behind it by its routes.
    fn echo(&mut self, router: &Router, depth: usize) {
        if depth == 0 {
            return self.outcomes.push(Outcome::Echoed { ttl: 64 });
        }
        let (source, to) = (self.to, self.source);
        let mut back = Self { source, to, outcomes: Vec::new(), seen: BTreeSet::new(), ..*self };
        back.route(router, 65, depth);
        self.outcomes.extend(back.outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Arrives { port, ttl, .. } if port == self.from.id => Outcome::Echoed { ttl },
            other => other,
        }));
    }

    /// Any of the next hops that is there.
    fn take(&mut self, router: &Router, legs: &[Leg<'_>], hops: &[IpAddr], ttl: u8, depth: usize) {
        let alive: Vec<(&Leg<'_>, Next<'_>)> = hops
            .iter()
            .filter_map(|hop| {
                let leg = legs.iter().find(|leg| leg.cidr.contains(hop))?;
                Some((leg, self.next(router, &leg.network.id, *hop)?))
            })
            .collect();
        if alive.is_empty() {
            return self.refuse(IcmpReason::NoHost, depth);
        }
        // To choose takes Open vSwitch one step further into itself, and so does another router; it gives up on a packet
        // that would go deeper than 64 steps.
        let several = alive.len() > 1;
        let depth = depth + usize::from(several);
        for (leg, next) in alive {
            match next {
                Next::Port(port) if !several || depth < 64 => {
                    self.over_link(&leg.network.id, port, ttl - 1, leg.mac)
                }
                Next::Router(next) if depth < 64 => self.route(next, ttl - 1, depth + 1),
                Next::Port(_) | Next::Router(_) => self.outcomes.push(Outcome::Lost),
            }
        }
    }

    /// Who has the address of a next hop.
    fn next(&self, router: &Router, network: &NetworkId, hop: IpAddr) -> Option<Next<'a>> {
        match self.owner(network, hop) {
            Some(port) => port.chassis.is_some().then_some(Next::Port(port)),
            None => self.router_at(network, hop).filter(|next| next.id != router.id).map(Next::Router),
        }
    }

    /// The packet is on a network, for a port.
    fn over_link(&mut self, network: &NetworkId, port: &Port, ttl: u8, src_mac: MacAddr) {
        let there = port.chassis.as_ref();
        let Some(there) = there.filter(|there| *there == self.chassis || self.is_linked(network, there))
        else {
            return self.outcomes.push(Outcome::Lost);
        };
        let is_physical = self.world.network(network).segment.physical_network().is_some();
        let routed =
            src_mac != self.world.ports.iter().find(|p| p.mac == src_mac).map_or(MacAddr::ZERO, |p| p.mac);
        // Between chassis on a physical network a router's MAC is replaced, and put back if there is only one.
        let src_mac = if is_physical && there != self.chassis && routed && !self.has_one_router_mac(network) {
            let at = self.world.chassis.iter().position(|chassis| chassis.id == *self.chassis).unwrap();
            macs::chassis(ObjectKey(u32::try_from(at + 1).unwrap()))
        } else {
            src_mac
        };
        self.outcomes.push(Outcome::Arrives { port: port.id.clone(), ttl, src_mac });
    }

    /// Whether frames of a network get from here to another chassis.
    fn is_linked(&self, network: &NetworkId, there: &ChassisId) -> bool {
        let (here, there) = (self.world.chassis(self.chassis), self.world.chassis(there));
        match &self.world.network(network).segment {
            Segment::Vlan { physical_network, .. } | Segment::Flat { physical_network } => {
                [here, there].iter().all(|chassis| chassis.bridge_mappings.contains_key(physical_network))
            }
            Segment::Vxlan { .. } | Segment::Gre { .. } | Segment::Geneve { .. } => here
                .encap_ips
                .iter()
                .any(|ours| there.encap_ips.iter().any(|theirs| ours.is_ipv4() == theirs.is_ipv4())),
        }
    }

    /// Whose address it is: the port that has it, or the only one that may send from it.
    fn owner(&self, network: &NetworkId, ip: IpAddr) -> Option<&'a Port> {
        let mut ports = self.world.ports.iter().filter(|port| port.network == *network);
        let own = ports.clone().find(|port| port.fixed_ips.iter().any(|fixed| fixed.ip == ip));
        let mut by_pair = ports
            .by_ref()
            .filter(|port| port.allowed_address_pairs.iter().any(|pair| pair.ip == IpNet::from(ip)));
        own.or_else(|| by_pair.next().filter(|_| by_pair.next().is_none()))
    }

    /// The ports that have an address as an address pair.
    fn sharers(&self, network: &NetworkId, ip: IpAddr) -> Vec<(&'a Port, Option<MacAddr>)> {
        let ports = self.world.ports.iter().filter(|port| port.network == *network);
        let pair = |port: &'a Port| {
            let pair = port.allowed_address_pairs.iter().find(|pair| pair.ip == IpNet::from(ip))?;
            Some((port, pair.mac))
        };
        ports.filter_map(pair).collect()
    }

    /// The MAC of an address that is nobody's own and that several ports have with this MAC.
    fn shared_mac(&self, network: &NetworkId, ip: IpAddr) -> Option<MacAddr> {
        let sharers = self.sharers(network, ip);
        let mac = sharers.first()?.1?;
        let is_common = sharers.iter().all(|(_, other)| *other == Some(mac));
        (is_common && self.owner(network, ip).is_none()).then_some(mac)
    }

    /// The packet is on a network, for whichever of several ports listens to a MAC.
    fn carry(&mut self, network: &NetworkId, ip: IpAddr, mac: MacAddr, ttl: u8) {
        let gets_it = |port: &Port| {
            let there = port.chassis.as_ref()?;
            (there == self.chassis || self.is_linked(network, there)).then(|| port.id.clone())
        };
        let sharers = self.sharers(network, ip);
        let to: BTreeSet<PortId> = sharers.into_iter().filter_map(|(port, _)| gets_it(port)).collect();
        self.outcomes.push(if to.is_empty() { Outcome::Lost } else { Outcome::Carried { to, mac, ttl } });
    }

    /// The router with an address on a network.
    fn router_at(&self, network: &NetworkId, ip: IpAddr) -> Option<&'a Router> {
        let has =
            |router: &&Router| self.legs(router).iter().any(|leg| leg.network.id == *network && leg.ip == ip);
        self.world.routers.iter().find(has)
    }

    fn has_one_router_mac(&self, network: &NetworkId) -> bool {
        let legs = self.world.routers.iter().flat_map(|router| self.legs(router));
        let mut macs: Vec<MacAddr> =
            legs.filter(|leg| leg.network.id == *network).map(|leg| leg.mac).collect();
        macs.sort();
        macs.dedup();
        macs.len() == 1
    }

    fn legs(&self, router: &Router) -> Vec<Leg<'a>> {
        let key = self.world.routers.iter().position(|other| other.id == router.id).unwrap() + 1;
        let default = macs::router(ObjectKey(u32::try_from(key).unwrap()));
        let leg = |interface: &RouterInterface| {
            let subnet = self.world.subnet(&interface.subnet);
            Some(Leg {
                cidr: subnet.cidr,
                network: self.world.network(&subnet.network),
                ip: self.world.address(interface)?,
                mac: interface.mac.unwrap_or(default),
            })
        };
        router.interfaces.iter().filter_map(leg).collect()
    }
}
