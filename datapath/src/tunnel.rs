//! What stands before a frame on the underlay: VXLAN (RFC 7348, 5) and GRE with a key (RFC 2890, 2), over IPv4.
//! `bpf/tunnel.h` in Rust.

use core::net::{Ipv4Addr, Ipv6Addr};

use fib::TunnelKind;
use fib::layout::EgressRecord;
use packet::MacAddr;
use packet::checksum::internet;
use packet::header::{EthernetHeader, Ipv4Header, UdpHeader, ethertype, protocol};
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::reason::Reason;

const VXLAN_PORT: u16 = 4789;
/// "There is a network identifier", and nothing else.
const VXLAN_FLAGS: u32 = 0x0800_0000;
const GRE: u8 = 47;
const GRE_KEY: u16 = 0x2000;
const GRE_ETHERNET: u16 = 0x6558;
const OUTER_TTL: u8 = 64;
/// Source ports, from a hash of the inner flow, so that the underlay spreads flows and keeps each in order.
const FIRST_SOURCE_PORT: u16 = 32_768;
const SOURCE_PORTS: u64 = 28_232;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Vxlan {
    udp: UdpHeader,
    flags: U32,
    /// Upper 24 bits.
    vni: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Gre {
    flags: U16,
    protocol: U16,
    key: U32,
}

/// A tunnel's frame that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Where the tunnel ends.
    pub(crate) end: Ipv4Addr,
    /// The encapsulation's number in the image.
    pub(crate) kind: u8,
    /// VNI or key.
    pub(crate) segment: u32,
    /// Bytes before the frame.
    pub(crate) outer_len: usize,
}

/// What goes before a frame of `len` bytes.
///
/// # Errors
/// The way is not wholly known, or of another kind; or the frame is too long.
pub(crate) fn outer(way: &EgressRecord, segment: u32, hash: u32, len: usize) -> Result<Vec<u8>, Reason> {
    let vxlan = way.tunnel == TunnelKind::Vxlan as u8;
    let (local, remote) = (mapped4(way.local), mapped4(way.remote));
    let known = MacAddr(way.outer_dst) != MacAddr::ZERO;
    let (Some(local), Some(remote), true) =
        (local, remote, known && (vxlan || way.tunnel == TunnelKind::Gre as u8))
    else {
        return Err(Reason::NoEgress);
    };
    let head = if vxlan { size_of::<Vxlan>() } else { size_of::<Gre>() };
    let len = u16::try_from(Ipv4Header::LEN + head + len).map_err(|_| Reason::NoRoom)?;
    let eth = EthernetHeader {
        dst: MacAddr(way.outer_dst),
        src: MacAddr(way.outer_src),
        ethertype: ethertype::IPV4.into(),
    };
    let mut ip = Ipv4Header {
        version_ihl: 0x45,
        tos: 0,
        total_len: len.into(),
        id: 0.into(),
        flags_offset: Ipv4Header::DONT_FRAGMENT.into(),
        ttl: OUTER_TTL,
        protocol: if vxlan { protocol::UDP } else { GRE },
        checksum: 0.into(),
        src: local.octets(),
        dst: remote.octets(),
    };
    ip.checksum = internet(ip.as_bytes()).into();
    let mut bytes = [eth.as_bytes(), ip.as_bytes()].concat();
    if vxlan {
        let spread = u16::try_from((u64::from(hash) * SOURCE_PORTS) >> 32).unwrap_or_default();
        let udp = UdpHeader {
            src_port: (FIRST_SOURCE_PORT + spread).into(),
            dst_port: way.udp_port.get().into(),
            len: (len - 20).into(),
            checksum: 0.into(),
        };
        let head = Vxlan { udp, flags: VXLAN_FLAGS.into(), vni: (segment << 8).into() };
        bytes.extend_from_slice(head.as_bytes());
    } else {
        let head = Gre { flags: GRE_KEY.into(), protocol: GRE_ETHERNET.into(), key: segment.into() };
        bytes.extend_from_slice(head.as_bytes());
    }
    Ok(bytes)
}

/// Reads what stands before a frame; `None` if it is anything but what [`outer`] writes for some way.
pub(crate) fn parse(frame: &[u8]) -> Option<Arrival> {
    let (eth, rest) = EthernetHeader::ref_from_prefix(frame).ok()?;
    let (ip, body) = Ipv4Header::ref_from_prefix(rest).ok()?;
    // As much as GRE has must be there, whatever it is.
    let (gre, _) = Gre::ref_from_prefix(body).ok()?;
    let fragment = ip.flags_offset.get() & (Ipv4Header::MORE_FRAGMENTS | Ipv4Header::OFFSET_MASK) != 0;
    let whole = usize::from(ip.total_len.get()) == rest.len();
    if eth.ethertype.get() != ethertype::IPV4
        || ip.version_ihl != 0x45
        || fragment
        || internet(ip.as_bytes()) != 0
        || !whole
    {
        return None;
    }
    let before = EthernetHeader::LEN + Ipv4Header::LEN;
    let (kind, segment, head) = match (ip.protocol, Vxlan::ref_from_prefix(body)) {
        (protocol::UDP, Ok((vxlan, _))) => {
            let udp = &vxlan.udp;
            let usual = udp.dst_port.get() == VXLAN_PORT
                && udp.checksum.get() == 0
                && usize::from(udp.len.get()) == body.len()
                && vxlan.flags.get() == VXLAN_FLAGS
                && vxlan.vni.get() & 0xff == 0;
            usual.then_some((TunnelKind::Vxlan, vxlan.vni.get() >> 8, size_of::<Vxlan>()))?
        }
        (GRE, _) => {
            let usual =
                gre.flags.get() == GRE_KEY && gre.protocol.get() == GRE_ETHERNET && gre.key.get() >> 24 == 0;
            usual.then_some((TunnelKind::Gre, gre.key.get(), size_of::<Gre>()))?
        }
        _ => return None,
    };
    Some(Arrival { end: ip.destination(), kind: kind as u8, segment, outer_len: before + head })
}

/// An IPv4-mapped address but for 0.0.0.0.
fn mapped4(address: [u8; 16]) -> Option<Ipv4Addr> {
    Ipv6Addr::from(address).to_ipv4_mapped().filter(|address| !address.is_unspecified())
}
