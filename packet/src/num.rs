//! Numbers that must not be mixed up: one type each, checked where the range is smaller than the integer.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A number outside the range of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value} is out of range: want {min} to {max}")]
pub struct NumError {
    /// What the number was meant to be, as in "VNI".
    pub kind: &'static str,
    /// The number given.
    pub value: u64,
    /// The least legal number.
    pub min: u64,
    /// The greatest legal number.
    pub max: u64,
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident($int:ty), $kind:literal, $min:literal ..= $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($int);

        impl $name {
            /// The least legal value.
            pub const MIN: Self = Self($min);
            /// The greatest legal value.
            pub const MAX: Self = Self($max);

            /// Checks the range.
            ///
            /// # Errors
            /// [`NumError`] with the value and the legal range.
            pub const fn new(value: u64) -> Result<Self, NumError> {
                if value < $min || value > $max {
                    return Err(NumError { kind: $kind, value, min: $min, max: $max });
                }
                #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
                Ok(Self(value as $int))
            }

            /// The number itself.
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = NumError;
            fn try_from(value: u64) -> Result<Self, NumError> {
                Self::new(value)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> Self {
                value.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

ranged! {
    /// The id of an overlay segment: VXLAN's VNI (RFC 7348, section 5), Geneve's VNI (RFC 8926, 3.4) or the upper
    /// 24 bits of GRE's key, which Open vSwitch calls `tun_id`. Zero is legal on the wire but kept for "none".
    Vni(u32), "VNI", 1 ..= 0xff_ffff
}
ranged! {
    /// An IEEE 802.1Q VLAN id; 0 (priority tag) and 4095 (reserved) are not ids of a segment.
    VlanId(u16), "VLAN id", 1 ..= 4094
}
ranged! {
    /// The routing context of a lookup: one for each logical router. 0 is "no router".
    VrfId(u32), "VRF id", 1 ..= 0xff_ffff
}

macro_rules! plain {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

plain! {
    /// A port number of an OpenFlow switch, also the reserved ones (OpenFlow 1.3.5, 7.2.1).
    OfPort(u32)
}
plain! {
    /// The kernel's index of an interface.
    IfIndex(u32)
}

impl OfPort {
    /// The greatest number of a port proper (OFPP_MAX).
    pub const MAX: Self = Self(0xffff_ff00);
    /// Back where the packet came from (OFPP_IN_PORT).
    pub const IN_PORT: Self = Self(0xffff_fff8);
    /// The switch's own MAC learning (OFPP_NORMAL).
    pub const NORMAL: Self = Self(0xffff_fffa);
    /// The controller (OFPP_CONTROLLER).
    pub const CONTROLLER: Self = Self(0xffff_fffd);
    /// The bridge's own interface (OFPP_LOCAL).
    pub const LOCAL: Self = Self(0xffff_fffe);
    /// No port (OFPP_ANY), also "any" in requests.
    pub const ANY: Self = Self(0xffff_ffff);
}

/// The 64-bit id of an OpenFlow switch; prints as Open vSwitch does, 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatapathId(pub u64);

impl fmt::Display for DatapathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for DatapathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatapathId({self})")
    }
}

/// Text that is no datapath id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no datapath id: want 1 to 16 hexadecimal digits")]
pub struct DatapathIdError(pub String);

impl core::str::FromStr for DatapathId {
    type Err = DatapathIdError;

    fn from_str(text: &str) -> Result<Self, DatapathIdError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = if digits { u64::from_str_radix(text, 16).ok() } else { None };
        value.map(Self).ok_or_else(|| DatapathIdError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold() {
        bolero::check!().with_type::<u64>().for_each(|&n| {
            assert_eq!(Vni::new(n).is_ok(), (1..1 << 24).contains(&n));
            assert_eq!(VlanId::new(n).is_ok(), (1..4095).contains(&n));
            if let Ok(vni) = Vni::new(n) {
                assert_eq!(u64::from(vni), n);
            }
        });
    }

    #[test]
    fn the_error_names_kind_value_and_range() {
        let err = VlanId::new(4095).unwrap_err();
        assert_eq!(alloc::format!("{err}"), "VLAN id 4095 is out of range: want 1 to 4094");
    }
}
