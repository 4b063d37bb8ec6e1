//! The bits that travel with a packet from table to table.
//!
//! A register is written where the column says and read after; a packet from the wire starts with zeros.

use openflow::{Action, Field, Match, SubField};

/// Bits of a register with one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegField {
    /// Its name in dumps and in `docs/pipeline.md`.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
    /// Where it is.
    pub at: SubField,
}

impl RegField {
    const fn new(name: &'static str, purpose: &'static str, reg: u8, offset: u16, bits: u16) -> Self {
        Self { name, purpose, at: SubField::new(Field::Reg(reg), offset, bits) }
    }

    /// Writes a value; bits of it that do not fit are dropped.
    pub const fn load(self, value: u32) -> Action {
        Action::RegLoad { dst: self.at, value: (value & self.low_bits()) as u64 }
    }

    const fn low_bits(self) -> u32 {
        u32::MAX >> (32 - self.at.bits)
    }

    /// Adds a comparison with `value` to a match, beside what the match says of other bits of the register.
    #[must_use]
    pub fn is(self, matching: Match, value: u32) -> Match {
        let mask = u128::from(self.low_bits()) << self.at.offset;
        let bits = u128::from(value & self.low_bits()) << self.at.offset;
        let (old, old_mask) =
            matching.get(self.at.field).map_or((0, 0), |f| (f.value, f.mask.unwrap_or(f.field.full_mask())));
        matching.with_masked(self.at.field, (old & !mask) | bits, old_mask | mask)
    }
}

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Source {
    /// A port of this chassis.
    Local = 1,
    /// Another chassis.
    Tunnel = 2,
    /// A physical network.
    Provider = 3,
}

macro_rules! registers {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal, $reg:literal, $offset:literal, $bits:literal;)+) => {
        $(
            $(#[doc = $doc])+
            pub const $field: RegField = RegField::new($name, concat!($($doc),+), $reg, $offset, $bits);
        )+

        /// Every named field but the swap rooms and the view [`METER_BUCKET`].
        pub const ALL: &[RegField] = &[$($field),+];
    };
}

registers! {
    /// Where the packet came from: 1 a local port, 2 a tunnel, 3 a physical network. Set at admission.
    SOURCE = "source", 0, 0, 2;
    /// 1 once the packet entered a router. Its output may be the port it came in by.
    ROUTED = "routed", 0, 2, 1;
    /// 1 if the packet is too big for where it goes.
    TOO_BIG = "too_big", 0, 3, 1;
    /// 1 if the address asked for is a router's (the R flag of RFC 4861, 4.4).
    ND_ROUTER = "nd_router", 0, 4, 1;
    /// 1 once a router passed the packet on to another.
    VIA_ROUTER = "via_router", 0, 5, 1;
    /// Why an ICMP error is due, a number of `pipeline::punt::IcmpReason`.
    ICMP_REASON = "icmp_reason", 0, 8, 8;
    /// The OpenFlow port that a local packet came in by; its low bits choose a meter.
    IN_PORT = "in_port", 1, 0, 32;
    /// Key of the network that the packet came in on.
    NET_IN = "net_in", 2, 0, 24;
    /// Key of the network that the packet is on now.
    NET = "net", 3, 0, 24;
    /// VRF of the router that the packet is in, which is the router's key.
    VRF = "vrf", 4, 0, 24;
    /// The OpenFlow port to leave by.
    OUT_PORT = "out_port", 5, 0, 32;
    /// Which slice of the ports of a network gets a copy; bit 16 is set for slices of tunnels.
    SLICE = "slice", 6, 0, 17;
}

/// A MAC on its way from a table of answers to the table that sends them: registers 8 and 9 as one.
pub const ANSWER_MAC: SubField = SubField::new(Field::XReg(4), 0, 48);
/// Room to swap two addresses of 32 bits: register 10.
pub const SWAP: SubField = SubField::new(Field::Reg(10), 0, 32);
/// Room to swap two IPv6 addresses: registers 12 to 15.
pub const SWAP6: SubField = SubField::new(Field::XxReg(3), 0, 128);
/// Room to swap two MACs: registers 8 and 9, free when no answer is under way.
pub const SWAP_MAC: SubField = ANSWER_MAC;

/// The low bits of [`IN_PORT`] that choose the meter of ICMP errors.
pub const METER_BUCKET: RegField = RegField::new("meter_bucket", "Which meter counts.", 1, 0, 6);

// No two fields share a bit.
const _: () = {
    let mut used = [0_u32; 16];
    let mut at = 0;
    #[expect(clippy::indexing_slicing, reason = "a wrong register number must fail the build")]
    while at < ALL.len() {
        let field = ALL[at];
        let Field::Reg(reg) = field.at.field else { panic!("a register field is in a register") };
        let mask = field.low_bits() << field.at.offset;
        assert!(used[reg as usize] & mask == 0, "two register fields share a bit");
        used[reg as usize] |= mask;
        assert!(reg < 8, "registers 8 to 15 are rooms for swaps");
        at += 1;
    }
};
