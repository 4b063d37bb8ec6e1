//! The match fields of OXM (OpenFlow 1.3.5, 7.2.3) and NXM (Open vSwitch, `ovs-fields(7)`).

/// A field of a packet, of its tunnel or of the pipeline.
///
/// The order of the variants is the order in which a [`Match`](crate::Match) keeps its fields. It is the order in
/// which Open vSwitch writes a match, so that what it reports is read and written back byte by byte; and it has
/// prerequisites first, as OpenFlow 1.3.5, 7.2.3.8 demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// OpenFlow port the packet came in by; 32 bits.
    InPort,
    /// Ethernet source.
    EthSrc,
    /// Ethernet destination.
    EthDst,
    /// Ethernet type, after any VLAN tag.
    EthType,
    /// 13 bits: 0x1000 "tag present" and the VLAN id; 0 = untagged.
    VlanVid,
    /// VLAN priority, 3 bits.
    VlanPcp,
    /// IPv4 source.
    Ipv4Src,
    /// IPv4 destination.
    Ipv4Dst,
    /// IPv6 source.
    Ipv6Src,
    /// IPv6 destination.
    Ipv6Dst,
    /// Fragment bits (`NXM_NX_IP_FRAG`): 1 = any fragment, 3 = later fragment.
    IpFrag,
    /// IP DSCP, 6 bits.
    IpDscp,
    /// IP ECN, 2 bits.
    IpEcn,
    /// TTL or hop limit (`NXM_NX_IP_TTL`).
    IpTtl,
    /// IP protocol or IPv6 next header.
    IpProto,
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
    /// Reserved field of ND (`ERICOXM_OF_ICMPV6_ND_RESERVED`): router/solicited/override bits.
    NdReserved,
    /// Target of a neighbour solicitation or advertisement.
    NdTarget,
    /// ND option type (`ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE`).
    NdOptionsType,
    /// Source link-layer option; all zero where absent.
    NdSll,
    /// Target link-layer option; all zero where absent.
    NdTll,
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
    /// The pipeline's 64-bit scratch word of OpenFlow.
    Metadata,
    /// A header this crate has no name for: its 32 bits (class, field, has-mask, length). Never of the experimenter
    /// class, and never with a value of more than 16 octets: such a part of a match is kept by
    /// [`Match::opaque`](crate::Match::opaque).
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

/// How a field is named in a header: OpenFlow 1.3.5, 7.2.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OxmId {
    pub(crate) class: u16,
    pub(crate) number: u8,
}

/// OXM_OF_*: OpenFlow's own fields.
const BASIC: u16 = 0x8000;
/// OXM_OF_PKT_REG*: OpenFlow 1.5's names for register pairs, which Open vSwitch takes in 1.3 too.
const PACKET_REGS: u16 = 0x8001;
/// NXM_OF_*: Nicira's older names for fields of OpenFlow 1.0.
const NXM_OF: u16 = 0x0000;
/// NXM_NX_*: Nicira's extensions.
const NXM_NX: u16 = 0x0001;
/// ERICOXM_OF_*: fields of neighbour discovery that OpenFlow left out.
const ERICSSON: u16 = 0x1000;
/// OFPXMC_EXPERIMENTER: an organisation's id follows the header.
pub(crate) const EXPERIMENTER: u16 = 0xffff;

const fn id(class: u16, number: u8) -> OxmId {
    OxmId { class, number }
}

impl OxmId {
    /// The name within the 32 bits of a header.
    pub(crate) const fn of_header(header: u32) -> Self {
        let [class_high, class_low, number, _] = header.to_be_bytes();
        Self { class: u16::from_be_bytes([class_high, class_low]), number: number >> 1 }
    }

    /// The 32 bits of a header: class, number, mask bit, octets that follow.
    pub(crate) const fn header(self, masked: bool, bytes: u8) -> u32 {
        (self.class as u32) << 16 | (self.number as u32) << 9 | (masked as u32) << 8 | bytes as u32
    }
}

impl Field {
    /// Octets of a value on the wire.
    pub const fn bytes(self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    /// The name in matches and set-field actions, as Open vSwitch writes it for OpenFlow 1.3; `None` for an
    /// unknown field or a register number out of range.
    pub(crate) const fn oxm_id(self) -> Option<OxmId> {
        Some(match self {
            Self::InPort => id(BASIC, 0),
            Self::Metadata => id(BASIC, 2),
            Self::EthDst => id(BASIC, 3),
            Self::EthSrc => id(BASIC, 4),
            Self::EthType => id(BASIC, 5),
            Self::VlanVid => id(BASIC, 6),
            Self::VlanPcp => id(BASIC, 7),
            Self::IpDscp => id(BASIC, 8),
            Self::IpEcn => id(BASIC, 9),
            Self::IpProto => id(BASIC, 10),
            Self::Ipv4Src => id(BASIC, 11),
            Self::Ipv4Dst => id(BASIC, 12),
            Self::TcpSrc => id(BASIC, 13),
            Self::TcpDst => id(BASIC, 14),
            Self::UdpSrc => id(BASIC, 15),
            Self::UdpDst => id(BASIC, 16),
            Self::Icmpv4Type => id(BASIC, 19),
            Self::Icmpv4Code => id(BASIC, 20),
            Self::ArpOp => id(BASIC, 21),
            Self::ArpSpa => id(BASIC, 22),
            Self::ArpTpa => id(BASIC, 23),
            Self::ArpSha => id(BASIC, 24),
            Self::ArpTha => id(BASIC, 25),
            Self::Ipv6Src => id(BASIC, 26),
            Self::Ipv6Dst => id(BASIC, 27),
            Self::Icmpv6Type => id(BASIC, 29),
            Self::Icmpv6Code => id(BASIC, 30),
            Self::NdTarget => id(BASIC, 31),
            Self::NdSll => id(BASIC, 32),
            Self::NdTll => id(BASIC, 33),
            Self::TunId => id(BASIC, 38),
            Self::XReg(n @ 0..=7) => id(PACKET_REGS, n),
            Self::Reg(n @ 0..=15) => id(NXM_NX, n),
            Self::IpFrag => id(NXM_NX, 26),
            Self::IpTtl => id(NXM_NX, 29),
            Self::TunSrc => id(NXM_NX, 31),
            Self::TunDst => id(NXM_NX, 32),
            Self::TunIpv6Src => id(NXM_NX, 109),
            Self::TunIpv6Dst => id(NXM_NX, 110),
            Self::XxReg(n @ 0..=3) => id(NXM_NX, 111 + n),
            Self::NdReserved => id(ERICSSON, 1),
            Self::NdOptionsType => id(ERICSSON, 2),
            Self::Reg(_) | Self::XReg(_) | Self::XxReg(_) | Self::Unknown(_) => return None,
        })
    }

    /// The name in Nicira actions, where Open vSwitch writes the older NXM name of a field that has one.
    pub(crate) const fn nxm_id(self) -> Option<OxmId> {
        Some(match self {
            Self::EthDst => id(NXM_OF, 1),
            Self::EthSrc => id(NXM_OF, 2),
            Self::EthType => id(NXM_OF, 3),
            Self::IpProto => id(NXM_OF, 6),
            Self::Ipv4Src => id(NXM_OF, 7),
            Self::Ipv4Dst => id(NXM_OF, 8),
            Self::TcpSrc => id(NXM_OF, 9),
            Self::TcpDst => id(NXM_OF, 10),
            Self::UdpSrc => id(NXM_OF, 11),
            Self::UdpDst => id(NXM_OF, 12),
            Self::Icmpv4Type => id(NXM_OF, 13),
            Self::Icmpv4Code => id(NXM_OF, 14),
            Self::ArpOp => id(NXM_OF, 15),
            Self::ArpSpa => id(NXM_OF, 16),
            Self::ArpTpa => id(NXM_OF, 17),
            Self::TunId => id(NXM_NX, 16),
            Self::ArpSha => id(NXM_NX, 17),
            Self::ArpTha => id(NXM_NX, 18),
            Self::Ipv6Src => id(NXM_NX, 19),
            Self::Ipv6Dst => id(NXM_NX, 20),
            Self::Icmpv6Type => id(NXM_NX, 21),
            Self::Icmpv6Code => id(NXM_NX, 22),
            Self::NdTarget => id(NXM_NX, 23),
            Self::NdSll => id(NXM_NX, 24),
            Self::NdTll => id(NXM_NX, 25),
            Self::IpEcn => id(NXM_NX, 28),
            other => return other.oxm_id(),
        })
    }

    /// The field of a name, old or new.
    pub(crate) const fn from_id(oxm: OxmId) -> Option<Self> {
        Some(match (oxm.class, oxm.number) {
            (BASIC, 0) => Self::InPort,
            (BASIC, 2) => Self::Metadata,
            (BASIC, 3) | (NXM_OF, 1) => Self::EthDst,
            (BASIC, 4) | (NXM_OF, 2) => Self::EthSrc,
            (BASIC, 5) | (NXM_OF, 3) => Self::EthType,
            (BASIC, 6) => Self::VlanVid,
            (BASIC, 7) => Self::VlanPcp,
            (BASIC, 8) => Self::IpDscp,
            (BASIC, 9) | (NXM_NX, 28) => Self::IpEcn,
            (BASIC, 10) | (NXM_OF, 6) => Self::IpProto,
            (BASIC, 11) | (NXM_OF, 7) => Self::Ipv4Src,
            (BASIC, 12) | (NXM_OF, 8) => Self::Ipv4Dst,
            (BASIC, 13) | (NXM_OF, 9) => Self::TcpSrc,
            (BASIC, 14) | (NXM_OF, 10) => Self::TcpDst,
            (BASIC, 15) | (NXM_OF, 11) => Self::UdpSrc,
            (BASIC, 16) | (NXM_OF, 12) => Self::UdpDst,
            (BASIC, 19) | (NXM_OF, 13) => Self::Icmpv4Type,
            (BASIC, 20) | (NXM_OF, 14) => Self::Icmpv4Code,
            (BASIC, 21) | (NXM_OF, 15) => Self::ArpOp,
            (BASIC, 22) | (NXM_OF, 16) => Self::ArpSpa,
            (BASIC, 23) | (NXM_OF, 17) => Self::ArpTpa,
            (BASIC, 24) | (NXM_NX, 17) => Self::ArpSha,
            (BASIC, 25) | (NXM_NX, 18) => Self::ArpTha,
            (BASIC, 26) | (NXM_NX, 19) => Self::Ipv6Src,
            (BASIC, 27) | (NXM_NX, 20) => Self::Ipv6Dst,
            (BASIC, 29) | (NXM_NX, 21) => Self::Icmpv6Type,
            (BASIC, 30) | (NXM_NX, 22) => Self::Icmpv6Code,
            (BASIC, 31) | (NXM_NX, 23) => Self::NdTarget,
            (BASIC, 32) | (NXM_NX, 24) => Self::NdSll,
            (BASIC, 33) | (NXM_NX, 25) => Self::NdTll,
            (BASIC, 38) | (NXM_NX, 16) => Self::TunId,
            (PACKET_REGS, n @ 0..=7) => Self::XReg(n),
            (NXM_NX, n @ 0..=15) => Self::Reg(n),
            (NXM_NX, 26) => Self::IpFrag,
            (NXM_NX, 29) => Self::IpTtl,
            (NXM_NX, 31) => Self::TunSrc,
            (NXM_NX, 32) => Self::TunDst,
            (NXM_NX, 109) => Self::TunIpv6Src,
            (NXM_NX, 110) => Self::TunIpv6Dst,
            (NXM_NX, n @ 111..=114) => Self::XxReg(n - 111),
            (ERICSSON, 1) => Self::NdReserved,
            (ERICSSON, 2) => Self::NdOptionsType,
            _ => return None,
        })
    }
}
