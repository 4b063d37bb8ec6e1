//! Packets that need the controller: those that are due an ICMP error. Nothing that is forwarded comes here.

use super::register;
use openflow::{Field, Match};

/// Why a router cannot pass a packet on; travels in [`register::ICMP_REASON`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IcmpReason {
    /// Time exceeded in transit (RFC 792; RFC 4443, 3.3).
    TtlExceeded = 1,
    /// Fragmentation needed, or packet too big (RFC 1191; RFC 4443, 3.2).
    TooBig = 2,
    /// The router has no route (net unreachable; RFC 4443, 3.1, code 0).
    NoRoute = 3,
    /// The network is attached, the address belongs to nobody (host unreachable; code 3).
    NoHost = 4,
    /// For the router itself, which listens to nothing (port unreachable; code 4).
    NoPort = 5,
}

/// The first octet of the userdata of every packet-in of ours.
pub const USERDATA: u8 = 0xdf;
/// How many meters share the packet-ins of a chassis; a port is assigned to one by the low bits of its number.
pub const METERS: u32 = 1 << register::METER_BUCKET.at.bits;
/// Packets a second that one meter lets through to the controller.
pub const METER_RATE: u32 = 100;
/// Packets that one meter lets through at once.
pub const METER_BURST: u32 = 50;

/// What the switch says of a packet that is due an ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Punt {
    /// Why.
    pub reason: IcmpReason,
    /// The OpenFlow port that it came in by; the answer leaves there.
    pub in_port: u32,
    /// Key of the network that it came in on.
    pub net_in: u32,
    /// Key of the network that it would have left by; 0 if that was not decided.
    pub net_out: u32,
    /// VRF of the router that refused it.
    pub vrf: u32,
}

impl IcmpReason {
    /// The reason of a number in [`register::ICMP_REASON`].
    pub const fn from_bits(bits: u32) -> Option<Self> {
        Some(match bits {
            1 => Self::TtlExceeded,
            2 => Self::TooBig,
            3 => Self::NoRoute,
            4 => Self::NoHost,
            5 => Self::NoPort,
            _ => return None,
        })
    }
}

impl Punt {
    /// Reads the registers of a packet-in; `None` if it is none of ours.
    pub fn decode(userdata: &[u8], fields: &Match) -> Option<Self> {
        if userdata.first() != Some(&USERDATA) {
            return None;
        }
        let read = |field: register::RegField| read_register(fields, field);
        Some(Self {
            reason: IcmpReason::from_bits(read(register::ICMP_REASON))?,
            in_port: read(register::IN_PORT),
            net_in: read(register::NET_IN),
            net_out: read(register::NET),
            vrf: read(register::VRF),
        })
    }
}

/// The bits of a register in the metadata of a packet-in, which has it as a register, as half of a register pair or
/// as a quarter of a quad, as the switch likes; absent is zero.
fn read_register(fields: &Match, field: register::RegField) -> u32 {
    let Field::Reg(reg) = field.at.field else { return 0 };
    let part = |whole: Field, shift: u8| fields.get(whole).map(|f| f.value >> shift);
    let word = part(Field::Reg(reg), 0)
        .or_else(|| part(Field::XReg(reg / 2), 32 * (1 - reg % 2)))
        .or_else(|| part(Field::XxReg(reg / 4), 32 * (3 - reg % 4)))
        .unwrap_or(0);
    let mask = (1_u128 << field.at.bits) - 1;
    u32::try_from((word >> field.at.offset) & mask).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_found_in_whichever_width_they_come() {
        let words = [0x0000_0201_u32, 7, 0x00_1234, 0x00_5678];
        let quad = words.iter().fold(0_u128, |acc, w| acc << 32 | u128::from(*w));
        let vrf = Match::new().with(Field::XReg(2), 9_u64 << 32);
        let want = Punt { reason: IcmpReason::TooBig, in_port: 7, net_in: 0x1234, net_out: 0x5678, vrf: 9 };

        let single = vrf.clone().with(Field::Reg(0), words[0]).with(Field::Reg(1), words[1]);
        let single = single.with(Field::Reg(2), words[2]).with(Field::Reg(3), words[3]);
        assert_eq!(Punt::decode(&[USERDATA], &single), Some(want));
        assert_eq!(Punt::decode(&[USERDATA], &vrf.with(Field::XxReg(0), quad)), Some(want));
        assert_eq!(Punt::decode(&[0], &single), None);
    }
}
