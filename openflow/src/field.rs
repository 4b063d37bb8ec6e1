//! The match fields of OXM (OpenFlow 1.3.5, 7.2.3) and NXM (Open vSwitch, `ovs-fields(7)`).

/// A field of a packet, of its tunnel or of the pipeline.
///
/// The order of the variants is the order in which a [`Match`](crate::Match) keeps its fields: prerequisites
/// first (OpenFlow 1.3.5, 7.2.3.8 wants them before what they allow).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// OpenFlow port the packet came in by; 32 bits.
    InPort,
    /// The pipeline's 64-bit scratch word of OpenFlow.
    Metadata,
    /// Tunnel key, 64 bits.
    TunId,
    /// Outer IPv4 source.
    TunSrc,
    /// Outer IPv4 destination.
    TunDst,
    /// Outer IPv6 source.
    TunIpv6Src,
    /// Outer IPv6 destination.
    TunIpv6Dst,
    /// 32-bit register 0 to 15 (`NXM_NX_REGn`).
    Reg(u8),
    /// 64-bit register pair 0 to 7 (`OXM_OF_PKT_REGn`): reg 2n is its upper half.
    XReg(u8),
    /// 128-bit register quad 0 to 3 (`NXM_NX_XXREGn`): reg 4n is its highest part.
    XxReg(u8),
    /// Ethernet destination.
    EthDst,
    /// Ethernet source.
    EthSrc,
    /// Ethernet type, after any VLAN tag.
    EthType,
    /// 13 bits: 0x1000 "tag present" and the VLAN id; 0 = untagged.
    VlanVid,
    /// VLAN priority, 3 bits.
    VlanPcp,
    /// IP DSCP, 6 bits.
    IpDscp,
    /// IP ECN, 2 bits.
    IpEcn,
    /// IP protocol or IPv6 next header.
    IpProto,
    /// TTL or hop limit (`NXM_NX_IP_TTL`).
    IpTtl,
    /// Fragment bits (`NXM_NX_IP_FRAG`): 1 = any fragment, 3 = later fragment.
    IpFrag,
    /// IPv4 source.
    Ipv4Src,
    /// IPv4 destination.
    Ipv4Dst,
    /// IPv6 source.
    Ipv6Src,
    /// IPv6 destination.
    Ipv6Dst,
    /// TCP source port.
    TcpSrc,
    /// TCP destination port.
    TcpDst,
    /// UDP source port.
    UdpSrc,
    /// UDP destination port.
    UdpDst,
    /// ICMP type.
    Icmpv4Type,
    /// ICMP code.
    Icmpv4Code,
    /// ICMPv6 type.
    Icmpv6Type,
    /// ICMPv6 code.
    Icmpv6Code,
    /// ARP opcode.
    ArpOp,
    /// ARP sender protocol address.
    ArpSpa,
    /// ARP target protocol address.
    ArpTpa,
    /// ARP sender hardware address.
    ArpSha,
    /// ARP target hardware address.
    ArpTha,
    /// Target of a neighbour solicitation or advertisement.
    NdTarget,
    /// Source link-layer option; all zero where absent.
    NdSll,
    /// Target link-layer option; all zero where absent.
    NdTll,
    /// Reserved field of ND (`OXM ERICOXM_OF_ICMPV6_ND_RESERVED`): router/solicited/override bits.
    NdReserved,
    /// ND option type (`ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE`).
    NdOptionsType,
    /// A header this crate has no name for: its 32 bits (class, field, has-mask, length), for an experimenter class
    /// without the experimenter id. Its value is kept as raw bytes.
    Unknown(u32),
}

impl Field {
    /// Width in bits.
    pub const fn bits(self) -> u16 {
        match self {
            Self::VlanPcp => 3,
            Self::IpEcn | Self::IpFrag => 2,
            Self::IpDscp => 6,
            Self::IpProto
            | Self::IpTtl
            | Self::Icmpv4Type
            | Self::Icmpv4Code
            | Self::Icmpv6Type
            | Self::Icmpv6Code
            | Self::NdOptionsType => 8,
            Self::VlanVid => 13,
            Self::EthType | Self::TcpSrc | Self::TcpDst | Self::UdpSrc | Self::UdpDst | Self::ArpOp => 16,
            Self::InPort
            | Self::TunSrc
            | Self::TunDst
            | Self::Reg(_)
            | Self::Ipv4Src
            | Self::Ipv4Dst
            | Self::ArpSpa
            | Self::ArpTpa
            | Self::NdReserved => 32,
            Self::EthDst | Self::EthSrc | Self::ArpSha | Self::ArpTha | Self::NdSll | Self::NdTll => 48,
            Self::Metadata | Self::TunId | Self::XReg(_) => 64,
            Self::TunIpv6Src
            | Self::TunIpv6Dst
            | Self::XxReg(_)
            | Self::Ipv6Src
            | Self::Ipv6Dst
            | Self::NdTarget => 128,
            // The length octet of the header counts octets, and twice as many where the mask bit is set.
            Self::Unknown(header) => {
                let octets = (header & 0xff) as u16;
                if header & 0x100 == 0 { octets * 8 } else { octets * 4 }
            }
        }
    }

    /// The mask that covers the whole field.
    pub const fn full_mask(self) -> u128 {
        match self.bits() {
            0 => 0,
            bits if bits >= 128 => u128::MAX,
            bits => (1 << bits) - 1,
        }
    }
}
