//! Header views: the fixed parts of the headers, laid over bytes without copying (`zerocopy`).
//!
//! Every type is unaligned and has the size of its header on the wire, so `Type::ref_from_prefix(bytes)` reads it and
//! `as_bytes()` writes it. Fields are in network byte order by type; accessors give host numbers.
#![expect(missing_debug_implementations, reason = "of the hidden types that zerocopy derives for each field")]

use crate::MacAddr;
use core::net::{Ipv4Addr, Ipv6Addr};
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// EtherTypes (IEEE 802 numbers, IANA).
pub mod ethertype {
    #![expect(missing_docs, reason = "the names are those of the registry")]
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const RARP: u16 = 0x8035;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const QINQ: u16 = 0x88a8;
    /// The least EtherType; smaller numbers are lengths (IEEE 802.3, 3.2.6).
    pub const MIN: u16 = 0x0600;
    /// What Open vSwitch matches for a frame that has no EtherType (OFP_DL_TYPE_NOT_ETH_TYPE, OpenFlow 1.0, 5.2.3).
    pub const NONE: u16 = 0x05ff;
}

/// IP protocol and extension header numbers (IANA protocol-numbers).
pub mod protocol {
    #![expect(missing_docs, reason = "the names are those of the registry")]
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
}

/// ICMP types (RFC 792) and ICMPv6 types (RFC 4443, RFC 4861), the latter with a `V6_` or `ND_` name.
pub mod icmp_type {
    #![expect(missing_docs, reason = "the names are those of the registry")]
    pub const ECHO_REPLY: u8 = 0;
    pub const UNREACHABLE: u8 = 3;
    pub const ECHO_REQUEST: u8 = 8;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;
    pub const V6_UNREACHABLE: u8 = 1;
    pub const V6_PACKET_TOO_BIG: u8 = 2;
    pub const V6_TIME_EXCEEDED: u8 = 3;
    pub const V6_PARAMETER_PROBLEM: u8 = 4;
    pub const V6_ECHO_REQUEST: u8 = 128;
    pub const V6_ECHO_REPLY: u8 = 129;
    pub const ND_SOLICIT: u8 = 135;
    pub const ND_ADVERT: u8 = 136;
    pub const ND_REDIRECT: u8 = 137;
}

macro_rules! header {
    ($(#[$doc:meta])* $name:ident, $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        const _: () = assert!(size_of::<$name>() == $size, "a header view has the size of its header");

        impl $name {
            /// The size of the header on the wire, in bytes.
            pub const LEN: usize = $size;
        }
    };
}

header! {
    /// The Ethernet II header (IEEE 802.3, 3.1.1), without tag.
    EthernetHeader, 14 {
        /// The station or group the frame is for.
        dst: MacAddr,
        /// The station that sent it.
        src: MacAddr,
        /// EtherType, or a length below [`ethertype::MIN`].
        ethertype: U16,
    }
}
header! {
    /// An 802.1Q tag as it follows the TPID (IEEE 802.1Q, 9.6): priority and id, then the next EtherType.
    VlanHeader, 4 {
        /// 3 bits priority, 1 bit drop eligible, 12 bits VLAN id.
        tci: U16,
        /// The type of what follows.
        ethertype: U16,
    }
}
header! {
    /// ARP for IPv4 over Ethernet (RFC 826).
    ArpHeader, 28 {
        /// 1 for Ethernet.
        hardware: U16,
        /// [`ethertype::IPV4`].
        protocol: U16,
        /// 6.
        hardware_len: u8,
        /// 4.
        protocol_len: u8,
        /// 1 request, 2 reply.
        op: U16,
        /// Sender's MAC address.
        sha: MacAddr,
        /// Sender's IPv4 address.
        spa: [u8; 4],
        /// Target's MAC address.
        tha: MacAddr,
        /// Target's IPv4 address.
        tpa: [u8; 4],
    }
}
header! {
    /// The fixed part of an IPv4 header (RFC 791, section 3.1).
    Ipv4Header, 20 {
        /// 4 bits version, 4 bits header length in 32-bit words.
        version_ihl: u8,
        /// Differentiated services and ECN.
        tos: u8,
        /// Header and payload, in bytes.
        total_len: U16,
        /// Of the datagram that fragments belong to.
        id: U16,
        /// 3 bits flags, 13 bits offset in units of 8 bytes.
        flags_offset: U16,
        /// Hops left.
        ttl: u8,
        /// Of the payload.
        protocol: u8,
        /// Over the header.
        checksum: U16,
        /// Source address.
        src: [u8; 4],
        /// Destination address.
        dst: [u8; 4],
    }
}
header! {
    /// The fixed IPv6 header (RFC 8200, section 3).
    Ipv6Header, 40 {
        /// 4 bits version, 8 bits traffic class, 20 bits flow label.
        version_class_label: U32,
        /// What follows this header, in bytes.
        payload_len: U16,
        /// Type of the header that follows.
        next_header: u8,
        /// Hops left.
        hop_limit: u8,
        /// Source address.
        src: [u8; 16],
        /// Destination address.
        dst: [u8; 16],
    }
}
header! {
    /// UDP (RFC 768).
    UdpHeader, 8 {
        /// Source port.
        src_port: U16,
        /// Destination port.
        dst_port: U16,
        /// Header and payload, in bytes.
        len: U16,
        /// Over pseudo-header, header and payload; 0 for none (IPv4 only).
        checksum: U16,
    }
}
header! {
    /// The fixed part of a TCP header (RFC 9293, section 3.1).
    TcpHeader, 20 {
        /// Source port.
        src_port: U16,
        /// Destination port.
        dst_port: U16,
        /// Of the first byte.
        seq: U32,
        /// Next byte expected.
        ack: U32,
        /// 4 bits header length in words, 12 bits flags.
        offset_flags: U16,
        /// Bytes the sender will accept.
        window: U16,
        /// Over pseudo-header, header and payload.
        checksum: U16,
        /// End of urgent data.
        urgent: U16,
    }
}
header! {
    /// ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code, checksum and the four bytes whose sense the type gives.
    IcmpHeader, 8 {
        /// One of [`icmp_type`].
        kind: u8,
        /// Sense given by the type.
        code: u8,
        /// Over the message; for ICMPv6 over the pseudo-header too.
        checksum: U16,
        /// Identifier and sequence, MTU, pointer, ND flags or unused.
        rest: [u8; 4],
    }
}
header! {
    /// A neighbour discovery option that holds an Ethernet address (RFC 4861, section 4.6.1; RFC 2464, section 6).
    NdLinkAddr, 8 {
        /// 1 source, 2 target link-layer address.
        kind: u8,
        /// In units of 8 bytes.
        len: u8,
        /// The address.
        mac: MacAddr,
    }
}
header! {
    /// The IPv6 fragment header (RFC 8200, section 4.5).
    FragmentHeader, 8 {
        /// Type of the header that follows.
        next_header: u8,
        /// Zero.
        reserved: u8,
        /// 13 bits offset in units of 8 bytes, 2 bits zero, 1 bit "more fragments".
        offset_flags: U16,
        /// Of the datagram that fragments belong to.
        id: U32,
    }
}

impl NdLinkAddr {
    /// Option type: source link-layer address.
    pub const SOURCE: u8 = 1;
    /// Option type: target link-layer address.
    pub const TARGET: u8 = 2;
}

impl ArpHeader {
    /// Opcode of a request.
    pub const REQUEST: u16 = 1;
    /// Opcode of a reply.
    pub const REPLY: u16 = 2;

    /// True if the lengths and types are those of IPv4 over Ethernet.
    pub fn is_ipv4_over_ethernet(&self) -> bool {
        self.hardware.get() == 1
            && self.protocol.get() == ethertype::IPV4
            && self.hardware_len == 6
            && self.protocol_len == 4
    }
}

impl Ipv4Header {
    /// The flag "don't fragment" in `flags_offset`.
    pub const DONT_FRAGMENT: u16 = 0x4000;
    /// The flag "more fragments" in `flags_offset`.
    pub const MORE_FRAGMENTS: u16 = 0x2000;
    /// The offset bits of `flags_offset`.
    pub const OFFSET_MASK: u16 = 0x1fff;

    /// 4 if this is IPv4.
    pub const fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// Length of the header with its options as it claims, in bytes: 0 to 60.
    pub const fn header_len(&self) -> usize {
        (self.version_ihl & 15) as usize * 4
    }

    /// Which part of a datagram this is.
    pub fn fragment(&self) -> Fragment {
        let bits = self.flags_offset.get();
        Fragment::of(bits & (Self::MORE_FRAGMENTS | Self::OFFSET_MASK) != 0, bits & Self::OFFSET_MASK != 0)
    }

    /// Source address.
    pub const fn source(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.src;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Destination address.
    pub const fn destination(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.dst;
        Ipv4Addr::new(a, b, c, d)
    }
}

impl Ipv6Header {
    /// 6 if this is IPv6.
    pub fn version(&self) -> u8 {
        let [first, ..] = self.version_class_label.to_bytes();
        first >> 4
    }

    /// Traffic class: differentiated services and ECN.
    pub fn traffic_class(&self) -> u8 {
        let [a, b, ..] = self.version_class_label.to_bytes();
        a << 4 | b >> 4
    }

    /// Flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        self.version_class_label.get() & 0xf_ffff
    }

    /// Source address.
    pub fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from(self.src)
    }

    /// Destination address.
    pub fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from(self.dst)
    }
}

impl TcpHeader {
    /// Length of the header with its options as it claims, in bytes: 0 to 60.
    pub fn header_len(&self) -> usize {
        usize::from(self.offset_flags.get() >> 12) * 4
    }
}

impl FragmentHeader {
    /// Which part of a datagram this is. Any set bit makes a fragment, the reserved two as well: as Open vSwitch
    /// judges. All zero is an atomic fragment, a whole datagram (RFC 6946).
    pub fn fragment(&self) -> Fragment {
        let bits = self.offset_flags.get();
        Fragment::of(bits != 0, bits & 0xfff8 != 0)
    }
}

/// Which part of an IP datagram a packet carries. The discriminants are Open vSwitch's `nw_frag` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Fragment {
    /// All of it.
    #[default]
    Whole = 0,
    /// The first fragment: offset 0, more to come.
    First = 1,
    /// A fragment with offset above 0, which has no transport header.
    Later = 3,
}

impl Fragment {
    const fn of(any: bool, later: bool) -> Self {
        match (any, later) {
            (_, true) => Self::Later,
            (true, false) => Self::First,
            (false, false) => Self::Whole,
        }
    }
}
