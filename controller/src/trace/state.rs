//! Everything a flow may look at: the packet, where it came from, and what travels with it.

use super::{bits, packet::Packet};
use ::packet::OfPort;
use openflow::{Field, FieldMatch, Match, SubField};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a packet comes into a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// By which port.
    pub port: OfPort,
    /// Through which tunnel, if the port is one.
    pub tunnel: TunnelFields,
    /// The packet without outer headers.
    pub packet: Packet,
}

/// The outer headers of a tunnel, as fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TunnelFields {
    /// Key or VNI.
    pub id: u64,
    /// Outer IPv4 source.
    pub src: u32,
    /// Outer IPv4 destination.
    pub dst: u32,
    /// Outer IPv6 source.
    pub src6: u128,
    /// Outer IPv6 destination.
    pub dst6: u128,
}

impl TunnelFields {
    /// Where the tunnel ends, if that was said.
    pub const fn destination(&self) -> Option<IpAddr> {
        match (self.dst, self.dst6) {
            (0, 0) => None,
            (0, dst6) => Some(IpAddr::V6(Ipv6Addr::from_bits(dst6))),
            (dst, _) => Some(IpAddr::V4(Ipv4Addr::from_bits(dst))),
        }
    }
}

/// A packet on its way through the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The packet.
    pub packet: Packet,
    /// The port it came in by, or what a flow wrote there.
    pub in_port: u32,
    /// Outer headers: of the tunnel it came by until a flow writes those of the one it leaves by.
    pub tunnel: TunnelFields,
    metadata: u64,
    registers: [u32; 16],
}

impl State {
    /// Registers and metadata of a packet that comes in are zero.
    pub fn new(ingress: Ingress) -> Self {
        let Ingress { port, tunnel, packet } = ingress;
        Self { packet, in_port: port.0, tunnel, metadata: 0, registers: [0; 16] }
    }

    /// A field's value, right-aligned.
    pub fn get(&self, field: Field) -> u128 {
        match field {
            Field::InPort => self.in_port.into(),
            Field::Metadata => self.metadata.into(),
            Field::TunId => self.tunnel.id.into(),
            Field::TunSrc => self.tunnel.src.into(),
            Field::TunDst => self.tunnel.dst.into(),
            Field::TunIpv6Src => self.tunnel.src6,
            Field::TunIpv6Dst => self.tunnel.dst6,
            Field::Reg(n) => self.words(n, 1),
            Field::XReg(n) => self.words(n.saturating_mul(2), 2),
            Field::XxReg(n) => self.words(n.saturating_mul(4), 4),
            field => self.packet.get(field),
        }
    }

    /// Writes a field, unless the packet does not have it.
    pub fn set(&mut self, field: Field, value: u128) {
        match field {
            Field::InPort => self.in_port = bits::low(value),
            Field::Metadata => self.metadata = bits::low(value),
            Field::TunId => self.tunnel.id = bits::low(value),
            Field::TunSrc => self.tunnel.src = bits::low(value),
            Field::TunDst => self.tunnel.dst = bits::low(value),
            Field::TunIpv6Src => self.tunnel.src6 = value,
            Field::TunIpv6Dst => self.tunnel.dst6 = value,
            Field::Reg(n) => self.set_words(n, 1, value),
            Field::XReg(n) => self.set_words(n.saturating_mul(2), 2, value),
            Field::XxReg(n) => self.set_words(n.saturating_mul(4), 4, value),
            field if self.packet.has(field) => self.packet.set(field, value),
            _ => {}
        }
    }

    /// Some bits of a field.
    pub fn read(&self, part: SubField) -> u128 {
        bits::cut(self.get(part.field), part)
    }

    /// Writes some bits of a field, unless the packet does not have it.
    pub fn write(&mut self, part: SubField, value: u128) {
        self.set(part.field, bits::paste(self.get(part.field), part, value));
    }

    /// Whether the packet has a field.
    pub fn has(&self, field: Field) -> bool {
        self.packet.has(field)
    }

    /// Whether every comparison of a match holds.
    pub fn matches(&self, matching: &Match) -> bool {
        let holds = |f: &FieldMatch| self.get(f.field) & f.mask.unwrap_or(f.field.full_mask()) == f.value;
        matching.opaque().is_empty() && matching.fields().iter().all(holds)
    }

    /// What a packet-in says beside the packet: the port and every register that is not zero.
    pub fn metadata(&self) -> Match {
        let registers = (0..16).map(Field::Reg).filter(|reg| self.get(*reg) != 0);
        let port = Match::new().with(Field::InPort, self.in_port);
        registers.fold(port, |matching, reg| matching.with(reg, self.get(reg)))
    }

    /// `count` registers as one number, the first highest.
    fn words(&self, first: u8, count: usize) -> u128 {
        let words = self.registers.iter().skip(first.into()).take(count);
        words.fold(0, |acc, word| acc << 32 | u128::from(*word))
    }

    fn set_words(&mut self, first: u8, count: usize, value: u128) {
        let words = self.registers.iter_mut().skip(first.into()).take(count);
        for (word, at) in words.zip((0..count).rev()) {
            *word = bits::low(value >> (32 * at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(Ingress {
            port: OfPort(3),
            tunnel: TunnelFields::default(),
            packet: Packet::new(&[0; 14]),
        })
    }

    /// `ovs-fields(7)`: xreg0 is reg0 and reg1, reg0 its upper half; xxreg0 is xreg0 and xreg1.
    #[test]
    fn registers_of_all_widths_are_the_same_storage() {
        bolero::check!().with_type::<[u32; 16]>().for_each(|words| {
            let mut state = state();
            for n in 0..16_u8 {
                state.set(Field::Reg(n), words[usize::from(n)].into());
            }
            for n in 0..8_u8 {
                let pair = state.get(Field::Reg(2 * n)) << 32 | state.get(Field::Reg(2 * n + 1));
                assert_eq!(state.get(Field::XReg(n)), pair);
            }
            for n in 0..4_u8 {
                let quad = state.get(Field::XReg(2 * n)) << 64 | state.get(Field::XReg(2 * n + 1));
                assert_eq!(state.get(Field::XxReg(n)), quad);
                let mut other = self::state();
                other.set(Field::XxReg(n), quad);
                assert!((4 * n..4 * n + 4).all(|at| other.get(Field::Reg(at)) == state.get(Field::Reg(at))));
            }
        });
    }

    #[test]
    fn a_range_of_bits_is_written_and_read_alone() {
        bolero::check!().with_type::<(u64, u64, u8, u8)>().for_each(|(before, value, offset, bits)| {
            let (offset, bits) = (u16::from(offset % 64), u16::from(bits % 64) + 1);
            let part = SubField::new(Field::XReg(1), offset, bits.min(64 - offset));
            let mut state = state();
            state.set(Field::XReg(1), (*before).into());
            state.write(part, (*value).into());
            let mask = bits::ones(part.bits);
            assert_eq!(state.read(part), u128::from(*value) & mask);
            let others = !(mask << offset);
            assert_eq!(state.get(Field::XReg(1)) & others, u128::from(*before) & others);
        });
    }

    #[test]
    fn a_field_that_the_packet_lacks_is_not_written() {
        let mut state = state();
        state.set(Field::Ipv4Src, 7);
        assert_eq!((state.get(Field::Ipv4Src), state.has(Field::Ipv4Src)), (0, false));
    }
}
