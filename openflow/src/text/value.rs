//! Values of fields as text.

use packet::{MacAddr, OfPort};
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// A number as C's `%#x` prints it: zero without the 0x.
pub(super) struct Hex(pub(super) u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// Octets as hexadecimal digits without anything between them.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A port by number or by its reserved name.
pub(super) struct Port(pub(super) OfPort);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            OfPort::IN_PORT => "IN_PORT",
            OfPort(0xffff_fff9) => "TABLE",
            OfPort::NORMAL => "NORMAL",
            OfPort(0xffff_fffb) => "FLOOD",
            OfPort(0xffff_fffc) => "ALL",
            OfPort::CONTROLLER => "CONTROLLER",
            OfPort::LOCAL => "LOCAL",
            OfPort::ANY => "ANY",
            OfPort(number) => return write!(f, "{number}"),
        };
        f.write_str(name)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a value has no more bits than its field")]
pub(super) const fn ipv4(value: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(value as u32)
}

pub(super) const fn ipv6(value: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(value)
}

#[expect(clippy::cast_possible_truncation, reason = "a value has no more bits than its field")]
pub(super) const fn mac(value: u128) -> MacAddr {
    MacAddr::from_u64(value as u64)
}

/// The length of a mask of `bits` bits whose ones come first.
pub(super) fn prefix_len(mask: u128, bits: u16) -> Option<u32> {
    let len = mask.count_ones();
    let full = if bits >= 128 { u128::MAX } else { (1 << bits) - 1 };
    let ones = full & !(full.checked_shr(len).unwrap_or(0));
    (mask == ones).then_some(len)
}
