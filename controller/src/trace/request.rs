//! From a question to the frame that a VM would send.

use crate::{
    compile::{Compiler, View},
    model::{ChassisId, NetworkId, Port, PortId, Record, SubnetId},
};
use packet::{
    Ends, MacAddr,
    addr::multicast_mac,
    build::{self, EchoKind, Ip, Link},
    checksum::Sum,
    header::{IcmpHeader, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader, protocol},
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use zerocopy::IntoBytes;

/// Source port of a packet for which none is named: the first of the dynamic ones (RFC 6335, 6).
const SOURCE_PORT: u16 = 49_152;
/// Destination port of a packet for which none is named.
const DESTINATION_PORT: u16 = 80;
/// TTL of a packet for which none is named.
const TTL: u8 = 64;
/// Octets of data where no size is named, as `ping` sends.
const DATA: usize = 56;

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// An echo request, ICMP or ICMPv6 as the addresses are.
    #[default]
    Icmp,
    /// A TCP SYN.
    Tcp,
    /// UDP.
    Udp,
    /// An ARP request or a neighbour solicitation for the destination.
    Arp,
}

/// A packet: what a VM behind a port would send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// The port it enters by.
    pub from: PortId,
    /// Where to.
    pub to: IpAddr,
    /// From which address; without one the first of the port of the same family.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// From which MAC; without one the port's.
    #[serde(default)]
    pub source_mac: Option<MacAddr>,
    /// To which MAC; without one what the VM would resolve: the destination's, or its gateway's.
    #[serde(default)]
    pub mac: Option<MacAddr>,
    /// What it carries.
    #[serde(default)]
    pub protocol: Protocol,
    /// TCP or UDP source port.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// TCP or UDP destination port.
    #[serde(default)]
    pub destination_port: Option<u16>,
    /// TTL or hop limit; 64 without one.
    #[serde(default)]
    pub ttl: Option<u8>,
    /// Octets of the IP packet; without one, headers and 56 octets of data. Not less than the headers.
    #[serde(default)]
    pub size: Option<u16>,
}

/// Why there is no such packet. Every text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The port is not in the model.
    #[error("port {0} is not in the model: apply it first, or choose one of `dragonflow get ports`")]
    NoPort(PortId),
    /// The port is bound nowhere.
    #[error("port {0} is bound to no chassis: give it a chassis, or trace from a bound port")]
    NotBound(PortId),
    /// Another controller serves the chassis.
    #[error(
        "port {port} is bound to chassis {chassis}, which this controller does not serve: ask the one that does"
    )]
    NotServed {
        /// The port.
        port: PortId,
        /// Where it is bound.
        chassis: ChassisId,
    },
    /// The interface is not there.
    #[error(
        "port {port} is not plugged in: set external_ids:iface-id={port} on its interface of br-int on chassis {chassis}"
    )]
    NotPlugged {
        /// The port.
        port: PortId,
        /// Where it is bound.
        chassis: ChassisId,
    },
    /// No address to send from.
    #[error("port {port} has no {family} address to reach {to} from: name a source address")]
    NoSource {
        /// The port.
        port: PortId,
        /// "IPv4" or "IPv6".
        family: &'static str,
        /// The destination.
        to: IpAddr,
    },
    /// Source and destination are of different families.
    #[error("{source_ip} cannot send to {to}: name a source address of its family")]
    Family {
        /// The source.
        source_ip: IpAddr,
        /// The destination.
        to: IpAddr,
    },
    /// The destination is on the link, and nobody has it.
    #[error(
        "nobody on network {network} has {to}: name a destination MAC, or trace the question by protocol arp"
    )]
    NoNeighbour {
        /// The network.
        network: NetworkId,
        /// The destination.
        to: IpAddr,
    },
    /// The destination is elsewhere, and there is no way out.
    #[error("subnet {subnet} has no router to reach {to}: attach one, or name a destination MAC")]
    NoGateway {
        /// The subnet.
        subnet: SubnetId,
        /// The destination.
        to: IpAddr,
    },
    /// The source is of no subnet, so that the VM's routes are unknown.
    #[error("no subnet of network {network} has {source_ip}: name a destination MAC")]
    NoSubnet {
        /// The network.
        network: NetworkId,
        /// The source.
        source_ip: IpAddr,
    },
    /// A flow that cannot be simulated.
    #[error("the tables of this controller cannot be traced: report this")]
    BadFlow(#[from] super::switch::BadFlow),
}

impl TraceRequest {
    /// An echo request.
    pub const fn echo(from: PortId, to: IpAddr) -> Self {
        Self {
            from,
            to,
            source: None,
            source_mac: None,
            mac: None,
            protocol: Protocol::Icmp,
            source_port: None,
            destination_port: None,
            ttl: None,
            size: None,
        }
    }

    /// The frame that the VM would send.
    ///
    /// # Errors
    /// If the port cannot send, or the VM would not know where to.
    pub fn frame(&self, compiler: &Compiler) -> Result<Vec<u8>, TraceError> {
        let view = compiler.view();
        let port = self.plugged_port(compiler)?;
        let source_mac = self.source_mac.unwrap_or(port.spec.mac);
        let source = self.source_address(&port.spec)?;
        let ends = Ends::new(source, self.to).ok_or(TraceError::Family { source_ip: source, to: self.to })?;
        if self.protocol == Protocol::Arp {
            return Ok(match ends {
                Ends::V4 { src, dst } => build::arp_request(source_mac, src, dst),
                Ends::V6 { src, dst } => build::nd_solicit(source_mac, src, dst),
            });
        }
        let mac = self.mac.map_or_else(|| self.resolve(view, port, source), Ok)?;
        let net = Ip { ends, hop_limit: self.ttl.unwrap_or(TTL), tos: 0 };
        Ok(self.ip_frame(&Link::untagged(source_mac, mac), &net))
    }

    fn plugged_port<'a>(&self, compiler: &'a Compiler) -> Result<&'a Record<Port>, TraceError> {
        let id = &self.from;
        let port = compiler.view().model().ports.get(id).ok_or_else(|| TraceError::NoPort(id.clone()))?;
        let chassis = port.spec.chassis.clone().ok_or_else(|| TraceError::NotBound(id.clone()))?;
        match compiler.local(&chassis) {
            None => Err(TraceError::NotServed { port: id.clone(), chassis }),
            Some(local) if !local.ports.contains_key(id) => {
                Err(TraceError::NotPlugged { port: id.clone(), chassis })
            }
            Some(_) => Ok(port),
        }
    }

    fn source_address(&self, port: &Port) -> Result<IpAddr, TraceError> {
        if let Some(source) = self.source {
            return Ok(source);
        }
        // To the link a host sends from its link-local address (RFC 6724, 5, rule 2).
        if matches!(self.to, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Ok(crate::pipeline::ls_in::link_local(port.mac).into());
        }
        let own = port.fixed_ips.iter().map(|fixed| fixed.ip).find(|ip| ip.is_ipv4() == self.to.is_ipv4());
        own.ok_or_else(|| TraceError::NoSource {
            port: port.id.clone(),
            family: if self.to.is_ipv4() { "IPv4" } else { "IPv6" },
            to: self.to,
        })
    }

    /// The MAC that the VM would send to.
    fn resolve(&self, view: &View, port: &Record<Port>, source: IpAddr) -> Result<MacAddr, TraceError> {
        let network = &port.spec.network;
        match self.to {
            IpAddr::V4(ip) if ip.is_broadcast() => return Ok(MacAddr::BROADCAST),
            IpAddr::V4(ip) if ip.is_multicast() => return Ok(multicast_mac_v4(ip.octets())),
            IpAddr::V6(ip) if ip.is_multicast() => return Ok(multicast_mac(ip)),
            IpAddr::V6(ip) if ip.is_unicast_link_local() => return self.neighbour(view, network, self.to),
            _ => {}
        }
        let subnet = view.subnets_on(network).find(|subnet| subnet.spec.cidr.contains(&source));
        let subnet =
            subnet.ok_or_else(|| TraceError::NoSubnet { network: network.clone(), source_ip: source })?;
        if subnet.spec.cidr.contains(&self.to) {
            // The last address of an IPv4 block is its broadcast (RFC 922, 7), but for blocks of one or two.
            let is_broadcast = self.to.is_ipv4() && self.to == subnet.spec.cidr.broadcast();
            if is_broadcast && subnet.spec.cidr.prefix_len() < 31 {
                return Ok(MacAddr::BROADCAST);
            }
            return self.neighbour(view, network, self.to);
        }
        let no_gateway = || TraceError::NoGateway { subnet: subnet.spec.id.clone(), to: self.to };
        let of_router = || {
            let routers = view.routers_on_subnet(&subnet.spec.id);
            routers
                .flat_map(|router| view.legs(router))
                .find(|leg| leg.cidr == subnet.spec.cidr)
                .map(|leg| leg.ip)
        };
        let gateway = subnet.spec.gateway_ip.or_else(of_router).ok_or_else(no_gateway)?;
        self.neighbour(view, network, gateway).map_err(|_| no_gateway())
    }

    fn neighbour(&self, view: &View, network: &NetworkId, ip: IpAddr) -> Result<MacAddr, TraceError> {
        if let Some(station) = view.station(network, ip) {
            return Ok(station.mac);
        }
        let link_local = |mac: MacAddr| IpAddr::from(crate::pipeline::ls_in::link_local(mac));
        let legs = view.routers_on(network).flat_map(|router| view.legs(router));
        let mut legs = legs.filter(|leg| leg.network.spec.id == *network);
        let router = legs.find(|leg| leg.ip == ip || link_local(leg.mac) == ip).map(|leg| leg.mac);
        let mut ports = view.ports_on(network).map(|port| port.spec.mac);
        router
            .or_else(|| ports.find(|mac| link_local(*mac) == ip))
            .ok_or_else(|| TraceError::NoNeighbour { network: network.clone(), to: ip })
    }

    fn ip_frame(&self, link: &Link, net: &Ip) -> Vec<u8> {
        let ip_header = match net.ends {
            Ends::V4 { .. } => Ipv4Header::LEN,
            Ends::V6 { .. } => Ipv6Header::LEN,
        };
        let header = match self.protocol {
            Protocol::Tcp => TcpHeader::LEN,
            Protocol::Udp => UdpHeader::LEN,
            Protocol::Icmp | Protocol::Arp => IcmpHeader::LEN,
        };
        let data = self.size.map_or(DATA, |size| usize::from(size).saturating_sub(ip_header + header));
        let data = vec![0; data];
        let source = self.source_port.unwrap_or(SOURCE_PORT);
        let destination = self.destination_port.unwrap_or(DESTINATION_PORT);
        match self.protocol {
            Protocol::Tcp => tcp_syn(link, net, source, destination, &data),
            Protocol::Udp => build::udp(link, net, source, destination, &data),
            Protocol::Icmp | Protocol::Arp => build::echo(link, net, EchoKind::Request, 1, 1, &data),
        }
    }
}

/// A SYN with data behind it, which no host sends but a trace of a given size may need.
fn tcp_syn(link: &Link, net: &Ip, source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
    const SYN: u16 = 5 << 12 | 1 << 1;
    let mut header = TcpHeader {
        src_port: source.into(),
        dst_port: destination.into(),
        seq: 0.into(),
        ack: 0.into(),
        offset_flags: SYN.into(),
        window: u16::MAX.into(),
        checksum: 0.into(),
        urgent: 0.into(),
    };
    let len = u16::try_from(TcpHeader::LEN + data.len()).unwrap_or(u16::MAX);
    let sum = match net.ends {
        Ends::V4 { src, dst } => Sum::new().pseudo_v4(src, dst, protocol::TCP, len),
        Ends::V6 { src, dst } => Sum::new().pseudo_v6(src, dst, protocol::TCP, len),
    };
    header.checksum = sum.bytes(header.as_bytes()).bytes(data).finish().into();
    build::ip(link, net, protocol::TCP, &[header.as_bytes(), data].concat())
}

/// The Ethernet group of an IPv4 one: its low 23 bits (RFC 1112, 6.4).
const fn multicast_mac_v4([_, b, c, d]: [u8; 4]) -> MacAddr {
    MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}
