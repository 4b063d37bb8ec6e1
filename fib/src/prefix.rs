//! IP prefixes without host bits.

use alloc::string::String;
use core::net::IpAddr;
use core::{fmt, str::FromStr};
use ipnet::IpNet;

/// An IPv4 or IPv6 prefix whose host bits are zero. Orders by family, then address, then length: a prefix stands
/// before all that it contains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

/// Text or numbers that are no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The length exceeds the family's address.
    #[error("prefix length {len} of {addr} is out of range")]
    Length {
        /// The address given.
        addr: IpAddr,
        /// The length given.
        len: u8,
    },
    /// Bits are set behind the prefix.
    #[error("{0} has host bits set: want {1}")]
    HostBits(IpNet, IpNet),
    /// Not "address/length".
    #[error("\"{0}\" is no prefix: want address/length, as in 10.0.0.0/24")]
    Text(String),
}

impl Prefix {
    /// Checks length and host bits.
    ///
    /// # Errors
    /// [`PrefixError::Length`] or [`PrefixError::HostBits`].
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, PrefixError> {
        let net = IpNet::new(addr, len).map_err(|_| PrefixError::Length { addr, len })?;
        if net == net.trunc() { Ok(Self(net)) } else { Err(PrefixError::HostBits(net, net.trunc())) }
    }

    /// The prefix of one address: /32 or /128.
    pub fn host(addr: IpAddr) -> Self {
        Self(addr.into())
    }

    /// First address.
    pub fn addr(&self) -> IpAddr {
        self.0.addr()
    }

    /// Length in bits.
    #[expect(clippy::len_without_is_empty, reason = "a length in bits; /0 is not empty, it is everything")]
    pub fn len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// True if `addr` is of the family and within the prefix.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.contains(&addr)
    }

    /// The same as `ipnet` has it.
    pub const fn net(&self) -> IpNet {
        self.0
    }
}

/// Drops host bits.
impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        Self(net.trunc())
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Refuses host bits: in a configuration they are a mistake.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let net: IpNet = text.parse().map_err(|_| PrefixError::Text(text.into()))?;
        Self::new(net.addr(), net.prefix_len())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
