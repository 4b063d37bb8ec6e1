//! Matches as text, in the order and with the abbreviations of `ovs-ofctl`.

use super::value::{Bytes, Hex, Port, ipv4, ipv6, mac, prefix_len};
use crate::{
    field::Field,
    matching::{FieldMatch, Match},
};
use packet::OfPort;
use std::fmt;

/// Ethernet types and IP protocols that have a name together.
const PROTOCOLS: [(u128, Option<u128>, &str); 12] = [
    (0x0800, Some(1), "icmp"),
    (0x0800, Some(6), "tcp"),
    (0x0800, Some(17), "udp"),
    (0x0800, Some(132), "sctp"),
    (0x0800, None, "ip"),
    (0x86dd, Some(58), "icmp6"),
    (0x86dd, Some(6), "tcp6"),
    (0x86dd, Some(17), "udp6"),
    (0x86dd, Some(132), "sctp6"),
    (0x86dd, None, "ipv6"),
    (0x0806, None, "arp"),
    (0x8035, None, "rarp"),
];

/// Fields in the order of printing; protocol and registers come before, VLAN after the input port.
const ORDER: [(Field, &str); 34] = [
    (Field::TunId, "tun_id"),
    (Field::TunSrc, "tun_src"),
    (Field::TunDst, "tun_dst"),
    (Field::TunIpv6Src, "tun_ipv6_src"),
    (Field::TunIpv6Dst, "tun_ipv6_dst"),
    (Field::Metadata, "metadata"),
    (Field::InPort, "in_port"),
    (Field::VlanVid, "dl_vlan"),
    (Field::EthSrc, "dl_src"),
    (Field::EthDst, "dl_dst"),
    (Field::Ipv6Src, "ipv6_src"),
    (Field::Ipv6Dst, "ipv6_dst"),
    (Field::ArpSpa, "arp_spa"),
    (Field::ArpTpa, "arp_tpa"),
    (Field::Ipv4Src, "nw_src"),
    (Field::Ipv4Dst, "nw_dst"),
    (Field::ArpOp, "arp_op"),
    (Field::ArpSha, "arp_sha"),
    (Field::ArpTha, "arp_tha"),
    (Field::IpDscp, "nw_tos"),
    (Field::IpEcn, "nw_ecn"),
    (Field::IpTtl, "nw_ttl"),
    (Field::IpFrag, "nw_frag"),
    (Field::TcpSrc, "tp_src"),
    (Field::TcpDst, "tp_dst"),
    (Field::UdpSrc, "tp_src"),
    (Field::UdpDst, "tp_dst"),
    (Field::Icmpv4Type, "icmp_type"),
    (Field::Icmpv4Code, "icmp_code"),
    (Field::Icmpv6Type, "icmp_type"),
    (Field::Icmpv6Code, "icmp_code"),
    (Field::NdTarget, "nd_target"),
    (Field::NdSll, "nd_sll"),
    (Field::NdTll, "nd_tll"),
];

/// As in `tcp,in_port=1,nw_dst=10.0.0.0/8,tp_dst=80`; a match of everything is empty.
impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = List { f, first: true };
        let leftover = self.write_protocol(&mut list)?;
        for n in 0..16 {
            if let Some(entry) = self.get(Field::Reg(n)) {
                list.item(format_args!("reg{n}={}", Value(entry)))?;
            }
        }
        for (field, name) in ORDER {
            match (field, self.get(field)) {
                (Field::VlanVid, _) => self.write_vlan(&mut list)?,
                (_, Some(entry)) => list.item(format_args!("{name}={}", Value(entry)))?,
                (_, None) => {}
            }
            // What no abbreviation said stands where `ovs-ofctl` has it.
            match (field, leftover) {
                (Field::EthDst, Leftover { ethertype: Some(value), .. }) => {
                    list.item(format_args!("dl_type={value:#06x}"))?;
                }
                (Field::Ipv4Dst, Leftover { protocol: Some(value), .. }) => {
                    list.item(format_args!("nw_proto={value}"))?;
                }
                _ => {}
            }
        }
        for (field, name) in [(Field::NdReserved, "nd_reserved"), (Field::NdOptionsType, "nd_options_type")] {
            if let Some(entry) = self.get(field) {
                list.item(format_args!("{name}={}", Value(entry)))?;
            }
        }
        for entry in self.fields() {
            if let Field::Unknown(header) = entry.field {
                list.item(format_args!("field({header:#010x})={}", Value(entry)))?;
            }
        }
        for bytes in self.opaque() {
            list.item(format_args!("unknown_field({})", Bytes(bytes)))?;
        }
        Ok(())
    }
}

/// Ethernet type and IP protocol that no abbreviation says.
#[derive(Debug, Clone, Copy, Default)]
struct Leftover {
    ethertype: Option<u128>,
    protocol: Option<u128>,
}

impl Match {
    fn write_protocol(&self, list: &mut List<'_, '_>) -> Result<Leftover, fmt::Error> {
        let exact = |field| self.get(field).filter(|entry| entry.mask.is_none()).map(|entry| entry.value);
        let (ethertype, protocol) = (exact(Field::EthType), exact(Field::IpProto));
        let named = |protocol| PROTOCOLS.iter().find(|(e, p, _)| Some(*e) == ethertype && *p == protocol);
        let both = protocol.and_then(|_| named(protocol));
        match both.or_else(|| named(None)) {
            Some((.., name)) => {
                list.item(format_args!("{name}"))?;
                Ok(Leftover { ethertype: None, protocol: if both.is_some() { None } else { protocol } })
            }
            None => Ok(Leftover { ethertype, protocol }),
        }
    }

    /// The tag as `dl_vlan` and `dl_vlan_pcp` where that says it all, else as bits of the whole tag.
    fn write_vlan(&self, list: &mut List<'_, '_>) -> fmt::Result {
        let (vid, pcp) = (self.get(Field::VlanVid), self.get(Field::VlanPcp));
        let Some(vid) = vid else { return Ok(()) };
        let mask = vid.mask.unwrap_or_else(|| Field::VlanVid.full_mask()) | pcp.map_or(0, |_| 0xe000);
        let tci = vid.value | pcp.map_or(0, |pcp| pcp.value << 13);
        let present = tci & mask & 0x1000 != 0;
        let whole_vid = matches!(mask & 0xfff, 0 | 0xfff);
        if present && whole_vid && mask & 0xefff != 0 {
            if mask & 0xfff != 0 {
                list.item(format_args!("dl_vlan={}", tci & 0xfff))?;
            }
            if let Some(pcp) = pcp {
                list.item(format_args!("dl_vlan_pcp={}", pcp.value))?;
            }
            return Ok(());
        }
        if mask == 0xffff {
            list.item(format_args!("vlan_tci={tci:#06x}"))
        } else {
            list.item(format_args!("vlan_tci={tci:#06x}/{mask:#06x}"))
        }
    }
}

/// Items with commas between them.
struct List<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl List<'_, '_> {
    fn item(&mut self, item: fmt::Arguments<'_>) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.f.write_str(",")?;
        }
        self.f.write_fmt(item)
    }
}

/// Value and mask in the notation of the field's kind.
struct Value<'a>(&'a FieldMatch);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldMatch { field, value, mask } = *self.0;
        match field {
            #[expect(clippy::cast_possible_truncation, reason = "the field has 32 bits")]
            Field::InPort => write!(f, "{}", Port(OfPort(value as u32))),
            Field::IpDscp => write!(f, "{}", value << 2),
            Field::IpFrag => f.write_str(fragment(value, mask)),
            Field::Ipv4Src
            | Field::Ipv4Dst
            | Field::TunSrc
            | Field::TunDst
            | Field::ArpSpa
            | Field::ArpTpa => {
                write!(f, "{}", ipv4(value))?;
                match mask.map(|mask| (mask, prefix_len(mask, 32))) {
                    None => Ok(()),
                    Some((_, Some(len))) => write!(f, "/{len}"),
                    Some((mask, None)) => write!(f, "/{}", ipv4(mask)),
                }
            }
            Field::Ipv6Src | Field::Ipv6Dst | Field::TunIpv6Src | Field::TunIpv6Dst | Field::NdTarget => {
                write!(f, "{}", ipv6(value))?;
                match mask.map(|mask| (mask, prefix_len(mask, 128))) {
                    None => Ok(()),
                    Some((_, Some(len))) => write!(f, "/{len}"),
                    Some((mask, None)) => write!(f, "/{}", ipv6(mask)),
                }
            }
            Field::EthSrc | Field::EthDst | Field::ArpSha | Field::ArpTha | Field::NdSll | Field::NdTll => {
                write!(f, "{}", mac(value))?;
                mask.map_or(Ok(()), |mask| write!(f, "/{}", mac(mask)))
            }
            Field::Reg(_) | Field::TunId | Field::Metadata | Field::Unknown(_) => match mask {
                None => write!(f, "{}", Hex(value)),
                Some(mask) => write!(f, "{}/{}", Hex(value), Hex(mask)),
            },
            _ => match mask {
                None => write!(f, "{value}"),
                Some(mask) => write!(f, "{value:#x}/{mask:#x}"),
            },
        }
    }
}

const fn fragment(value: u128, mask: Option<u128>) -> &'static str {
    match (value, mask) {
        (0, None) | (0, Some(1)) => "no",
        (1, None) => "first",
        (3, None) | (2, Some(_)) => "later",
        (1, Some(_)) => "yes",
        (0, Some(_)) => "not_later",
        _ => "<error>",
    }
}
