//! Ethernet addresses (IEEE 802-2014, 8.1).

use alloc::string::String;
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 48-bit Ethernet address, in the order of the wire.
///
/// Reads and prints as six lower-case hexadecimal octets with colons; dashes are accepted on input.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

/// Text that is no Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no MAC address: want six hexadecimal octets, as in 02:00:00:00:00:01")]
pub struct MacParseError(pub String);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// 00:00:00:00:00:00, which no station may use.
    pub const ZERO: Self = Self([0; 6]);

    /// The individual/group bit: true for broadcast and multicast.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True if a station may send from this address: neither a group address nor zero.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The address as the low 48 bits of an integer, first octet highest.
    pub fn to_u64(self) -> u64 {
        self.0.iter().fold(0, |acc, octet| acc << 8 | u64::from(*octet))
    }

    /// The low 48 bits of `bits`, first octet highest; the upper 16 are ignored.
    pub const fn from_u64(bits: u64) -> Self {
        let [_, _, octets @ ..] = bits.to_be_bytes();
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = MacParseError;

    fn from_str(text: &str) -> Result<Self, MacParseError> {
        let err = || MacParseError(text.into());
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or_else(err)?;
            // `from_str_radix` alone would also take a sign.
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(err());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| err())?;
        }
        if parts.next().is_some() { Err(err()) } else { Ok(Self(octets)) }
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_round_trips() {
        bolero::check!().with_type::<[u8; 6]>().for_each(|octets| {
            let mac = MacAddr(*octets);
            assert_eq!(mac.to_string().parse(), Ok(mac));
            assert_eq!(MacAddr::from_u64(mac.to_u64()), mac);
        });
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "02:00:00:00:00:0g",
            "+2:00:00:00:00:01",
            "2:0:0:0:0:1",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(MacParseError(text.into())));
        }
    }
}
