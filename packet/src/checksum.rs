//! The Internet checksum (RFC 1071), in full and by difference (RFC 1624).

use core::net::{Ipv4Addr, Ipv6Addr};

/// A one's-complement sum in progress. Order does not matter, except that only the last part may be odd in length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes as big-endian 16-bit words; an odd last byte is padded with zero (RFC 1071, section 1).
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        // 2^48 words of 16 bits fit a u64 without a carry out of it: no packet comes near.
        let sum = words.iter().fold(self.0, |sum, word| sum + u64::from(u16::from_be_bytes(*word)));
        Self(rest.iter().fold(sum, |sum, byte| sum + (u64::from(*byte) << 8)))
    }

    /// Adds one word.
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds the pseudo-header of an IPv4 payload of `len` bytes (RFC 9293, section 3.1).
    #[must_use]
    pub fn pseudo_v4(self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> Self {
        self.bytes(&src.octets()).bytes(&dst.octets()).word(protocol.into()).word(len)
    }

    /// Adds the pseudo-header of an IPv6 payload of `len` bytes (RFC 8200, section 8.1); jumbograms are not covered.
    #[must_use]
    pub fn pseudo_v6(self, src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, len: u16) -> Self {
        self.bytes(&src.octets()).bytes(&dst.octets()).word(protocol.into()).word(len)
    }

    /// The checksum: the complement of the folded sum. Over data that holds its checksum the result is 0.
    pub const fn finish(self) -> u16 {
        !fold(self.0)
    }
}

/// The checksum of `bytes`, whose own checksum field must be zero; or 0 if it is filled in and right.
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::new().bytes(bytes).finish()
}

/// The checksum of data in which one aligned word changed from `old` to `new`: RFC 1624, equation 3.
///
/// Equal to the full calculation unless the data became all zero, which no IP packet is.
#[must_use]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// As [`update`], for a field of several words: an address, or a word pair. `old` and `new` are of one even length and
/// stand at an even offset of the data.
#[must_use]
pub fn update_bytes(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    debug_assert_eq!(old.len(), new.len(), "a field keeps its length");
    let (old, new) = (old.as_chunks::<2>().0, new.as_chunks::<2>().0);
    old.iter()
        .zip(new)
        .fold(checksum, |sum, (old, new)| update(sum, u16::from_be_bytes(*old), u16::from_be_bytes(*new)))
}

/// As [`update_bytes`] for UDP over IPv4, where 0 says "no checksum" and a computed 0 is sent as 0xffff (RFC 768).
#[must_use]
pub fn update_udp(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    match checksum {
        0 => 0,
        _ => udp(update_bytes(checksum, old, new)),
    }
}

/// What UDP puts on the wire for a computed checksum: never 0 (RFC 768; RFC 8200, section 8.1).
#[must_use]
pub const fn udp(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    let folded = sum as u16;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_example_of_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet(&data), !0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: HC = DD2F, m = 5555, m' = 3285 gives 0000 by equation 3 (equation 2 gave FFFF).
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn incremental_equals_full() {
        type Case = (Vec<u8>, usize, [u8; 4]);
        bolero::check!().with_type::<Case>().for_each(|(data, at, new)| {
            let mut data = data.clone();
            data.resize(data.len().max(6), 1);
            data[0] |= 1; // as the version of an IP header, never all zero
            let at = 2 + at % (data.len() - 5) / 2 * 2;
            let before = internet(&data);
            let old: [u8; 4] = data[at..at + 4].try_into().unwrap();
            data[at..at + 4].copy_from_slice(new);
            assert_eq!(update_bytes(before, &old, new), internet(&data));
            let (old, new) = (u16::from_be_bytes([old[0], old[1]]), u16::from_be_bytes([new[0], new[1]]));
            data[at + 2..at + 4].copy_from_slice(&[0, 0]);
            let full = internet(&data);
            data[at..at + 2].copy_from_slice(&old.to_be_bytes());
            assert_eq!(update(internet(&data), old, new), full);
        });
    }

    #[test]
    fn data_with_its_checksum_sums_to_zero() {
        bolero::check!().with_type::<Vec<u8>>().for_each(|data| {
            let sum = internet(data);
            let even = Sum::new().bytes(data).word(sum);
            assert_eq!(even.finish(), 0);
        });
    }

    #[test]
    fn udp_zero_stays_zero_and_is_never_computed() {
        assert_eq!(update_udp(0, &[1, 2], &[3, 4]), 0);
        assert_eq!(update_udp(0xdd2f, &[0x55, 0x55], &[0x32, 0x85]), 0xffff);
    }
}
