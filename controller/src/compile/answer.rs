//! The ICMP error for a packet that a router of a chassis refused.

use super::{Compiler, Leg, View};
use crate::{
    model::{ChassisId, Network, ObjectKey, Port, Record, Router},
    pipeline::punt::{IcmpReason, Punt},
};
use packet::{
    MacAddr, OfPort, checksum,
    header::{EthernetHeader, Ipv4Header, Ipv6Header, ethertype},
    icmp_error::{AnswerTag, IcmpError, Reason, Suppressed},
};
use std::net::IpAddr;
use zerocopy::FromBytes;

/// Why a punted packet gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The flow that punted it is older than the model.
    #[error("{what} {key} is not known any more")]
    Stale {
        /// What it named.
        what: &'static str,
        /// By which number.
        key: u32,
    },
    /// The router has no address of the packet's family on the network it came from.
    #[error("router {router} has no {family} address on network {network}")]
    NoAddress {
        /// The router.
        router: String,
        /// "IPv4" or "IPv6".
        family: &'static str,
        /// The network.
        network: String,
    },
    /// The RFCs forbid one.
    #[error("no error may be sent")]
    Suppressed(#[from] Suppressed),
}

impl Compiler {
    /// The frame that tells the sender why, and the port to send it out of.
    ///
    /// # Errors
    /// [`NoAnswer`] if none can or may be sent.
    pub fn icmp_answer(
        &self,
        chassis: &ChassisId,
        punt: &Punt,
        frame: &[u8],
    ) -> Result<(OfPort, Vec<u8>), NoAnswer> {
        let view = self.view();
        let stale = |what, key| NoAnswer::Stale { what, key };
        let in_port = OfPort(punt.in_port);
        let port = self.port_at(chassis, in_port).ok_or_else(|| stale("port", punt.in_port))?;
        let router = view.router_named(ObjectKey(punt.vrf)).ok_or_else(|| stale("router", punt.vrf))?;
        let net_in =
            view.network_named(ObjectKey(punt.net_in)).ok_or_else(|| stale("network", punt.net_in))?;

        let mut frame = frame.to_vec();
        let door = door_of(view, router, &port.spec);
        restore(&mut frame, port.spec.mac, door, punt.reason);
        let error = IcmpError {
            reason: reason(view, punt),
            router_ip: source(view, router, net_in, &frame)?,
            router_mac: door,
            tag: AnswerTag::Strip,
        };
        Ok((in_port, error.answer(&frame)?))
    }
}

fn reason(view: &View, punt: &Punt) -> Reason {
    match punt.reason {
        IcmpReason::TtlExceeded => Reason::TtlExceeded,
        IcmpReason::NoRoute => Reason::NetUnreachable,
        IcmpReason::NoHost => Reason::HostUnreachable,
        IcmpReason::NoPort => Reason::PortUnreachable,
        IcmpReason::TooBig => {
            let network = view.network_named(ObjectKey(punt.net_out));
            Reason::FragmentationNeeded { mtu: network.map_or(0, |network| network.spec.mtu()) }
        }
    }
}

/// The MAC by which packets of a port enter the routers: of this router if it is on the port's network, else of the
/// router that led here.
fn door_of(view: &View, router: &Record<Router>, port: &Port) -> MacAddr {
    let on_network = |router| view.legs(router).find(|leg: &Leg<'_>| leg.network.spec.id == port.network);
    let door = on_network(router).or_else(|| view.routers_on(&port.network).find_map(on_network));
    door.map_or(MacAddr::ZERO, |leg| leg.mac)
}

/// The router's address on the side the packet came from (RFC 1812, 4.3.2.4), of the sender's subnet if it can be.
fn source(
    view: &View,
    router: &Record<Router>,
    net_in: &Record<Network>,
    frame: &[u8],
) -> Result<IpAddr, NoAnswer> {
    let is_v4 = ethertype_of(frame) == Some(ethertype::IPV4);
    let sender = sender_of(frame);
    let legs: Vec<Leg<'_>> = view.legs(router).filter(|leg| leg.network.key == net_in.key).collect();
    let of_family = |leg: &&Leg<'_>| leg.ip.is_ipv4() == is_v4;
    let nearest = legs.iter().find(|leg| sender.is_some_and(|sender| leg.cidr.contains(&sender)));
    nearest.or_else(|| legs.iter().find(of_family)).map(|leg| leg.ip).ok_or_else(|| NoAnswer::NoAddress {
        router: router.spec.id.to_string(),
        family: if is_v4 { "IPv4" } else { "IPv6" },
        network: net_in.spec.id.to_string(),
    })
}

fn ethertype_of(frame: &[u8]) -> Option<u16> {
    let (ethernet, _) = EthernetHeader::ref_from_prefix(frame).ok()?;
    Some(ethernet.ethertype.get())
}

fn sender_of(frame: &[u8]) -> Option<IpAddr> {
    let (ethernet, ip) = EthernetHeader::ref_from_prefix(frame).ok()?;
    match ethernet.ethertype.get() {
        ethertype::IPV4 => Some(Ipv4Header::ref_from_prefix(ip).ok()?.0.src.into()),
        ethertype::IPV6 => Some(Ipv6Header::ref_from_prefix(ip).ok()?.0.src.into()),
        _ => None,
    }
}

/// Undoes what routing did to the packet before it was refused, since the answer goes back the way it came and
/// quotes it as it arrived at the router that refuses it (RFC 1812, 4.3.2.3).
fn restore(frame: &mut [u8], sender: MacAddr, door: MacAddr, reason: IcmpReason) {
    let Ok((ethernet, ip)) = EthernetHeader::mut_from_prefix(frame) else { return };
    (ethernet.src, ethernet.dst) = (sender, door);
    // Only the length is looked at after the TTL was decremented.
    if reason != IcmpReason::TooBig {
        return;
    }
    match ethernet.ethertype.get() {
        ethertype::IPV4 => {
            let Ok((header, _)) = Ipv4Header::mut_from_prefix(ip) else { return };
            let word = |ttl: u8, protocol: u8| u16::from_be_bytes([ttl, protocol]);
            let old = word(header.ttl, header.protocol);
            header.ttl = header.ttl.saturating_add(1);
            let new = word(header.ttl, header.protocol);
            header.checksum.set(checksum::update(header.checksum.get(), old, new));
        }
        ethertype::IPV6 => {
            let Ok((header, _)) = Ipv6Header::mut_from_prefix(ip) else { return };
            header.hop_limit = header.hop_limit.saturating_add(1);
        }
        _ => {}
    }
}
