//! Actions as text.

use super::{
    Named, TableNames,
    value::{Bytes, Hex, Port, ipv4, ipv6, mac},
    write_list, write_table,
};
use crate::{
    action::{Action, ControllerAction, SubField},
    field::Field,
    flow::TableId,
    matching::FieldMatch,
};
use packet::OfPort;
use std::fmt;

/// Actions with commas between them; none is `drop`.
pub(super) fn write_actions(
    actions: &[Action],
    names: TableNames<'_>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if actions.is_empty() { f.write_str("drop") } else { write_list(actions, names, f) }
}

impl Named for Action {
    fn write(&self, names: TableNames<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { port: OfPort::CONTROLLER, max_len } => write!(f, "CONTROLLER:{max_len}"),
            Self::Output { port, .. } if *port < OfPort::MAX => write!(f, "output:{}", port.0),
            Self::Output { port, .. } => write!(f, "{}", Port(*port)),
            Self::OutputReg { src, .. } => write!(f, "output:{src}"),
            Self::Group(group) => write!(f, "group:{}", group.0),
            Self::SetField(entry) => write!(f, "set_field:{}->{}", Value(entry), field_name(entry.field)),
            Self::RegLoad { dst, value } => write!(f, "load:{}->{dst}", Hex((*value).into())),
            Self::Move { src, dst } => write!(f, "move:{src}->{dst}"),
            Self::PushVlan(ethertype) => write!(f, "push_vlan:{ethertype:#x}"),
            Self::PopVlan => f.write_str("pop_vlan"),
            Self::DecTtl => f.write_str("dec_ttl"),
            Self::SetTtl(ttl) => write!(f, "mod_nw_ttl:{ttl}"),
            Self::SetQueue(queue) => write!(f, "set_queue:{queue}"),
            Self::Resubmit { in_port, table } => write_resubmit(*in_port, *table, names, f),
            Self::CheckPktLarger { len, dst } => write!(f, "check_pkt_larger({len})->{dst}"),
            Self::Controller(controller) => write!(f, "{controller}"),
            Self::Clone(actions) => {
                f.write_str("clone(")?;
                write_actions(actions, names, f)?;
                f.write_str(")")
            }
            Self::StackPush(field) => write!(f, "push:{field}"),
            Self::StackPop(field) => write!(f, "pop:{field}"),
            Self::Unknown(bytes) => write!(f, "unknown_action({})", Bytes(bytes)),
        }
    }
}

fn write_resubmit(
    in_port: Option<u16>,
    table: TableId,
    names: TableNames<'_>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    // Ports of 16 bits: the reserved ones are the low halves of OpenFlow 1.3's.
    let port =
        |number: u16| OfPort(if number >= 0xff00 { 0xffff_0000 | u32::from(number) } else { number.into() });
    match (in_port, table) {
        (Some(number), TableId(255)) => write!(f, "resubmit:{}", Port(port(number))),
        (in_port, table) => {
            f.write_str("resubmit(")?;
            if let Some(number) = in_port {
                write!(f, "{}", Port(port(number)))?;
            }
            f.write_str(",")?;
            if table != TableId(255) {
                write_table(table, names, f)?;
            }
            f.write_str(")")
        }
    }
}

/// As in `controller(userdata=01.02,meter_id=7)`.
impl fmt::Display for ControllerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_len, controller_id, reason, userdata, pause, meter } = self;
        let mut parts = Vec::new();
        match reason {
            0 => parts.push("reason=no_match".to_owned()),
            1 => {}
            2 => parts.push("reason=invalid_ttl".to_owned()),
            other => parts.push(format!("reason={other}")),
        }
        let plain =
            parts.is_empty() && *controller_id == 0 && userdata.is_empty() && !pause && meter.is_none();
        if plain {
            return write!(f, "CONTROLLER:{max_len}");
        }
        if *max_len != 0xffff {
            parts.push(format!("max_len={max_len}"));
        }
        if *controller_id != 0 {
            parts.push(format!("id={controller_id}"));
        }
        if !userdata.is_empty() {
            let octets: Vec<_> = userdata.iter().map(|octet| format!("{octet:02x}")).collect();
            parts.push(format!("userdata={}", octets.join(".")));
        }
        if *pause {
            parts.push("pause".to_owned());
        }
        if let Some(meter) = meter {
            parts.push(format!("meter_id={meter}"));
        }
        write!(f, "controller({})", parts.join(","))
    }
}

/// As in `NXM_NX_REG0[4..7]`.
impl fmt::Display for SubField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, offset, bits } = *self;
        write!(f, "{}", header_name(field))?;
        match bits {
            _ if *self == Self::whole(field) => f.write_str("[]"),
            1 => write!(f, "[{offset}]"),
            _ => write!(f, "[{offset}..{}]", u32::from(offset) + u32::from(bits) - 1),
        }
    }
}

/// Value and mask in the notation of the field's kind, as set_field writes them.
struct Value<'a>(&'a FieldMatch);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldMatch { field, value, mask } = *self.0;
        match field {
            Field::EthSrc | Field::EthDst | Field::ArpSha | Field::ArpTha | Field::NdSll | Field::NdTll => {
                write!(f, "{}", mac(value))?;
                mask.map_or(Ok(()), |mask| write!(f, "/{}", mac(mask)))
            }
            Field::Ipv4Src
            | Field::Ipv4Dst
            | Field::TunSrc
            | Field::TunDst
            | Field::ArpSpa
            | Field::ArpTpa => {
                write!(f, "{}", ipv4(value))?;
                mask.map_or(Ok(()), |mask| write!(f, "/{}", ipv4(mask)))
            }
            Field::Ipv6Src | Field::Ipv6Dst | Field::TunIpv6Src | Field::TunIpv6Dst | Field::NdTarget => {
                write!(f, "{}", ipv6(value))?;
                mask.map_or(Ok(()), |mask| write!(f, "/{}", ipv6(mask)))
            }
            Field::TunId | Field::Metadata | Field::Reg(_) | Field::XReg(_) | Field::XxReg(_) => {
                write!(f, "{}", Hex(value))?;
                mask.map_or(Ok(()), |mask| write!(f, "/{}", Hex(mask)))
            }
            _ => {
                write!(f, "{value}")?;
                mask.map_or(Ok(()), |mask| write!(f, "/{mask:#x}"))
            }
        }
    }
}

/// The name of a field in set_field: that of `ovs-fields(7)`.
fn field_name(field: Field) -> String {
    match field {
        Field::Reg(n) => format!("reg{n}"),
        Field::XReg(n) => format!("xreg{n}"),
        Field::XxReg(n) => format!("xxreg{n}"),
        Field::Unknown(header) => format!("field({header:#010x})"),
        field => names(field).0.to_owned(),
    }
}

/// The name of a field in Nicira actions: that of its header.
fn header_name(field: Field) -> String {
    match field {
        Field::Reg(n) => format!("NXM_NX_REG{n}"),
        Field::XReg(n) => format!("OXM_OF_PKT_REG{n}"),
        Field::XxReg(n) => format!("NXM_NX_XXREG{n}"),
        Field::Unknown(header) => format!("field({header:#010x})"),
        field => names(field).1.to_owned(),
    }
}

/// Both names of a field without a number.
const fn names(field: Field) -> (&'static str, &'static str) {
    match field {
        Field::InPort => ("in_port_oxm", "OXM_OF_IN_PORT"),
        Field::EthSrc => ("eth_src", "NXM_OF_ETH_SRC"),
        Field::EthDst => ("eth_dst", "NXM_OF_ETH_DST"),
        Field::EthType => ("eth_type", "NXM_OF_ETH_TYPE"),
        Field::VlanVid => ("vlan_vid", "OXM_OF_VLAN_VID"),
        Field::VlanPcp => ("vlan_pcp", "OXM_OF_VLAN_PCP"),
        Field::Ipv4Src => ("ip_src", "NXM_OF_IP_SRC"),
        Field::Ipv4Dst => ("ip_dst", "NXM_OF_IP_DST"),
        Field::Ipv6Src => ("ipv6_src", "NXM_NX_IPV6_SRC"),
        Field::Ipv6Dst => ("ipv6_dst", "NXM_NX_IPV6_DST"),
        Field::IpFrag => ("ip_frag", "NXM_NX_IP_FRAG"),
        Field::IpDscp => ("ip_dscp", "OXM_OF_IP_DSCP"),
        Field::IpEcn => ("nw_ecn", "NXM_NX_IP_ECN"),
        Field::IpTtl => ("nw_ttl", "NXM_NX_IP_TTL"),
        Field::IpProto => ("nw_proto", "NXM_OF_IP_PROTO"),
        Field::TcpSrc => ("tcp_src", "NXM_OF_TCP_SRC"),
        Field::TcpDst => ("tcp_dst", "NXM_OF_TCP_DST"),
        Field::UdpSrc => ("udp_src", "NXM_OF_UDP_SRC"),
        Field::UdpDst => ("udp_dst", "NXM_OF_UDP_DST"),
        Field::Icmpv4Type => ("icmp_type", "NXM_OF_ICMP_TYPE"),
        Field::Icmpv4Code => ("icmp_code", "NXM_OF_ICMP_CODE"),
        Field::Icmpv6Type => ("icmpv6_type", "NXM_NX_ICMPV6_TYPE"),
        Field::Icmpv6Code => ("icmpv6_code", "NXM_NX_ICMPV6_CODE"),
        Field::NdReserved => ("nd_reserved", "ERICOXM_OF_ICMPV6_ND_RESERVED"),
        Field::NdTarget => ("nd_target", "NXM_NX_ND_TARGET"),
        Field::NdOptionsType => ("nd_options_type", "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"),
        Field::NdSll => ("nd_sll", "NXM_NX_ND_SLL"),
        Field::NdTll => ("nd_tll", "NXM_NX_ND_TLL"),
        Field::ArpOp => ("arp_op", "NXM_OF_ARP_OP"),
        Field::ArpSpa => ("arp_spa", "NXM_OF_ARP_SPA"),
        Field::ArpTpa => ("arp_tpa", "NXM_OF_ARP_TPA"),
        Field::ArpSha => ("arp_sha", "NXM_NX_ARP_SHA"),
        Field::ArpTha => ("arp_tha", "NXM_NX_ARP_THA"),
        Field::TunId => ("tun_id", "NXM_NX_TUN_ID"),
        Field::TunSrc => ("tun_src", "NXM_NX_TUN_IPV4_SRC"),
        Field::TunDst => ("tun_dst", "NXM_NX_TUN_IPV4_DST"),
        Field::TunIpv6Src => ("tun_ipv6_src", "NXM_NX_TUN_IPV6_SRC"),
        Field::TunIpv6Dst => ("tun_ipv6_dst", "NXM_NX_TUN_IPV6_DST"),
        Field::Metadata => ("metadata", "OXM_OF_METADATA"),
        Field::Reg(_) | Field::XReg(_) | Field::XxReg(_) | Field::Unknown(_) => ("", ""),
    }
}
