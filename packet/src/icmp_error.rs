//! ICMP errors: from the packet that cannot go on to the frame that tells its sender, or why none may be sent.
//!
//! Pure: no clock and no counters. Rate limits (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4 (f)) are the
//! business of the switch's meters. Reversing a source route (RFC 1812, section 4.3.2.6) is left out: routers that
//! care drop such packets (RFC 7126, section 4.3).

use crate::MacAddr;
use crate::addr::{Ends, is_group_v4, is_host_v4, is_host_v6};
use crate::build::{self, Ip, Link};
use crate::frame::{Frame, Ipv4Packet, Ipv6Packet, Malformed};
use crate::header::{Fragment, IcmpHeader, Ipv4Header, Ipv6Header, ethertype, icmp_type, protocol};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest IPv4 error, IP header included, in bytes (RFC 1812, section 4.3.2.3).
pub const MAX_V4: usize = 576;
/// Longest IPv6 error, IP header included, in bytes: the minimum link MTU (RFC 4443, section 2.4 (c)).
pub const MAX_V6: usize = 1280;
/// TTL and hop limit of an error: the recommended default (RFC 1700, "IP time to live parameter").
pub const HOP_LIMIT: u8 = 64;

/// Why a packet cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// TTL or hop limit used up in transit.
    TtlExceeded,
    /// Longer than the next link takes, which takes `mtu` bytes of IP packet. The caller decides whether an IPv4
    /// packet without "don't fragment" gets this: a switch that cannot fragment has no better answer.
    FragmentationNeeded {
        /// The MTU of the next link (RFC 1191, section 4; RFC 8201, section 4).
        mtu: u16,
    },
    /// No route to the destination.
    NetUnreachable,
    /// A route, but no such neighbour on the last link.
    HostUnreachable,
    /// An address of the router itself, which has no such transport protocol.
    ProtocolUnreachable,
    /// An address of the router itself, which does not listen on the port.
    PortUnreachable,
    /// Forbidden by configuration (RFC 1812, section 5.2.7.1; RFC 4443, section 3.1).
    AdminProhibited,
    /// An option that demands a report when it is not known, at this offset of the IP packet. The offset is cut to 8
    /// bits for IPv4.
    UnknownOption {
        /// Offset of the option's type.
        pointer: u16,
    },
}

/// Why no error may be sent. The caller drops the packet, and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Suppressed {
    /// Not IP.
    #[error("ethertype {0:#06x} is not ip")]
    NotIp(u16),
    /// Headers fail the tests of RFC 1812, section 5.2.2, or do not fit into the frame.
    #[error("malformed packet")]
    Malformed(#[from] Malformed),
    /// The router's address is of the other family.
    #[error("router address {0} is not of the packet's family")]
    Family(IpAddr),
    /// The packet is an ICMP error, a redirect, or of an ICMP type that may be one.
    #[error("icmp type {0} may be an error")]
    IcmpError(u8),
    /// Only the first fragment may be answered.
    #[error("fragment other than the first")]
    LaterFragment,
    /// Sent to more than one host, or to a group of stations.
    #[error("packet to the group {ip}, {mac}")]
    Group {
        /// The IP destination.
        ip: IpAddr,
        /// The frame's destination.
        mac: MacAddr,
    },
    /// The source does not name a single host, or is the router.
    #[error("source {ip}, {mac} is no single other host")]
    Source {
        /// The IP source.
        ip: IpAddr,
        /// The frame's source.
        mac: MacAddr,
    },
}

/// The tag of the answer, if the offending frame was tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerTag {
    /// As the offending frame.
    #[default]
    Keep,
    /// None.
    Strip,
}

/// An error to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Why.
    pub reason: Reason,
    /// Source address of the answer: the router's, on the side the packet came from (RFC 1812, section 4.3.2.4).
    pub router_ip: IpAddr,
    /// Source MAC address of the answer.
    pub router_mac: MacAddr,
    /// Whether the answer has the offending frame's tag.
    pub tag: AnswerTag,
}

impl IcmpError {
    /// The frame that answers the offending `frame` (without FCS), which must be as it arrived: its TTL not yet
    /// decremented, since the answer quotes it.
    ///
    /// # Errors
    /// [`Suppressed`] if the RFCs forbid an answer.
    pub fn answer(&self, frame: &[u8]) -> Result<Vec<u8>, Suppressed> {
        let frame = Frame::parse(frame)?;
        match (frame.ethertype, self.router_ip) {
            (ethertype::IPV4, IpAddr::V4(router)) => self.answer_v4(&frame, router),
            (ethertype::IPV6, IpAddr::V6(router)) => self.answer_v6(&frame, router),
            (ethertype::IPV4 | ethertype::IPV6, router) => Err(Suppressed::Family(router)),
            (other, _) => Err(Suppressed::NotIp(other)),
        }
    }

    fn answer_v4(&self, frame: &Frame<'_>, router: Ipv4Addr) -> Result<Vec<u8>, Suppressed> {
        let packet = Ipv4Packet::parse(frame.payload)?;
        packet.validate()?;
        let (src, dst) = (packet.header.source(), packet.header.destination());
        // RFC 1122, section 3.2.2, and RFC 1812, section 4.3.2.7: the cases in which no error may be sent.
        if is_group_v4(dst) || frame.dst.is_multicast() {
            return Err(Suppressed::Group { ip: dst.into(), mac: frame.dst });
        }
        if !is_host_v4(src) || src == router || !frame.src.is_unicast() {
            return Err(Suppressed::Source { ip: src.into(), mac: frame.src });
        }
        if packet.header.fragment() == Fragment::Later {
            return Err(Suppressed::LaterFragment);
        }
        if packet.header.protocol == protocol::ICMP {
            judge_icmp(packet.payload, is_query_v4)?;
        }
        let net = Ip {
            ends: Ends::V4 { src: router, dst: src },
            hop_limit: HOP_LIMIT,
            // RFC 1812, section 4.3.2.5: precedence 6, the TOS bits of the packet; but not its ECN bits, since the
            // answer is no ECN-capable transport (RFC 3168, section 5).
            tos: 0xc0 | packet.header.tos & 0x1c,
        };
        let (kind, code, rest) = self.reason.v4();
        Ok(self.frame(frame, &net, (kind, code, rest), packet.bytes, MAX_V4 - Ipv4Header::LEN))
    }

    fn answer_v6(&self, frame: &Frame<'_>, router: Ipv6Addr) -> Result<Vec<u8>, Suppressed> {
        let packet = Ipv6Packet::parse(frame.payload)?;
        if packet.header.version() != 6 {
            return Err(Malformed::Version { layer: "ipv6", version: packet.header.version() }.into());
        }
        let (src, dst) = (packet.header.source(), packet.header.destination());
        // RFC 4443, section 2.4 (e.3) to (e.5): groups are answered in two cases, for path MTU discovery and options.
        let group_allowed =
            matches!(self.reason, Reason::FragmentationNeeded { .. } | Reason::UnknownOption { .. });
        if (dst.is_multicast() || frame.dst.is_multicast()) && !group_allowed {
            return Err(Suppressed::Group { ip: dst.into(), mac: frame.dst });
        }
        if !is_host_v6(src) || src == router || !frame.src.is_unicast() {
            return Err(Suppressed::Source { ip: src.into(), mac: frame.src });
        }
        // Headers that do not fit, or a later fragment: nobody can tell that this is no ICMPv6 error (e.1).
        let upper = packet.upper_layer()?;
        if upper.fragment == Fragment::Later {
            return Err(Suppressed::LaterFragment);
        }
        if upper.protocol == protocol::ICMPV6 {
            // (e.1) and (e.2): below 128 are errors (section 2.1), and redirects are answered as little.
            judge_icmp(upper.payload, |kind| kind >= 128 && kind != icmp_type::ND_REDIRECT)?;
        }
        let net = Ip { ends: Ends::V6 { src: router, dst: src }, hop_limit: HOP_LIMIT, tos: 0 };
        let message = self.reason.v6(upper.named_at);
        Ok(self.frame(frame, &net, message, packet.bytes, MAX_V6 - Ipv6Header::LEN))
    }

    /// `room` is what an answer may have behind its IP header.
    fn frame(
        &self,
        offending: &Frame<'_>,
        net: &Ip,
        (kind, code, rest): (u8, u8, [u8; 4]),
        packet: &[u8],
        room: usize,
    ) -> Vec<u8> {
        let tag = match self.tag {
            AnswerTag::Keep => offending.tag,
            AnswerTag::Strip => None,
        };
        let link = Link { dst: offending.src, src: self.router_mac, tag };
        let quote = packet.get(..room - IcmpHeader::LEN).unwrap_or(packet);
        build::icmp(&link, net, kind, code, rest, quote)
    }
}

impl Reason {
    /// Type, code and the word behind the checksum: RFC 792; RFC 1191, section 4; RFC 1812, section 5.2.7.1.
    fn v4(self) -> (u8, u8, [u8; 4]) {
        match self {
            Self::TtlExceeded => (icmp_type::TIME_EXCEEDED, 0, [0; 4]),
            Self::NetUnreachable => (icmp_type::UNREACHABLE, 0, [0; 4]),
            Self::HostUnreachable => (icmp_type::UNREACHABLE, 1, [0; 4]),
            Self::ProtocolUnreachable => (icmp_type::UNREACHABLE, 2, [0; 4]),
            Self::PortUnreachable => (icmp_type::UNREACHABLE, 3, [0; 4]),
            Self::FragmentationNeeded { mtu } => {
                let [high, low] = mtu.to_be_bytes();
                (icmp_type::UNREACHABLE, 4, [0, 0, high, low])
            }
            Self::AdminProhibited => (icmp_type::UNREACHABLE, 13, [0; 4]),
            Self::UnknownOption { pointer } => {
                let [_, pointer] = pointer.to_be_bytes();
                (icmp_type::PARAMETER_PROBLEM, 0, [pointer, 0, 0, 0])
            }
        }
    }

    /// Type, code and the word behind the checksum: RFC 4443, section 3. `protocol_at` is where the packet names its
    /// transport protocol, which ICMPv6 points at instead of having "protocol unreachable".
    fn v6(self, protocol_at: usize) -> (u8, u8, [u8; 4]) {
        match self {
            Self::TtlExceeded => (icmp_type::V6_TIME_EXCEEDED, 0, [0; 4]),
            Self::NetUnreachable => (icmp_type::V6_UNREACHABLE, 0, [0; 4]),
            Self::AdminProhibited => (icmp_type::V6_UNREACHABLE, 1, [0; 4]),
            Self::HostUnreachable => (icmp_type::V6_UNREACHABLE, 3, [0; 4]),
            Self::PortUnreachable => (icmp_type::V6_UNREACHABLE, 4, [0; 4]),
            Self::FragmentationNeeded { mtu } => {
                (icmp_type::V6_PACKET_TOO_BIG, 0, u32::from(mtu).to_be_bytes())
            }
            Self::ProtocolUnreachable => {
                let pointer = u32::try_from(protocol_at).unwrap_or(u32::MAX);
                (icmp_type::V6_PARAMETER_PROBLEM, 1, pointer.to_be_bytes())
            }
            Self::UnknownOption { pointer } => {
                (icmp_type::V6_PARAMETER_PROBLEM, 2, u32::from(pointer).to_be_bytes())
            }
        }
    }
}

/// Refuses ICMP messages that are not known to be queries, and those too short to tell.
fn judge_icmp(message: &[u8], is_query: impl Fn(u8) -> bool) -> Result<(), Suppressed> {
    match message {
        [kind, ..] if is_query(*kind) => Ok(()),
        [kind, ..] => Err(Suppressed::IcmpError(*kind)),
        [] => Err(Malformed::CutOff { layer: "icmp", have: 0 }.into()),
    }
}

/// The ICMP types that are queries (RFC 1122, section 3.2.2; RFC 1256; RFC 8335). All others are errors or unknown,
/// and an unknown type may be an error.
fn is_query_v4(kind: u8) -> bool {
    matches!(kind, 0 | 8 | 9 | 10 | 13..=18 | 42 | 43)
}
