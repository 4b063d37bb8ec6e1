//! Addresses and blocks whose errors name the text that is neither.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use std::{fmt, net::IpAddr, str::FromStr};

/// What can be written as text, and how to say what was wanted.
pub(super) trait Text: FromStr {
    const WANT: &'static str;
}

impl Text for IpAddr {
    const WANT: &'static str = "no IP address: want as in 10.0.1.1 or 2001:db8::1";
}

impl Text for IpNet {
    const WANT: &'static str = "no block of addresses: want as in 10.0.1.0/24 or 2001:db8::/64";
}

struct Wrapped<T>(T);

impl<'de, T: Text> Deserialize<'de> for Wrapped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Visitor(std::marker::PhantomData)).map(Self)
    }
}

struct Visitor<T>(std::marker::PhantomData<T>);

impl<T: Text> serde::de::Visitor<'_> for Visitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::custom(format!("\"{text}\" is {}", T::WANT)))
    }
}

pub(super) fn one<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Wrapped::deserialize(deserializer).map(|wrapped| wrapped.0)
}

pub(super) fn maybe<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Wrapped<T>>::deserialize(deserializer).map(|wrapped| wrapped.map(|wrapped| wrapped.0))
}

pub(super) fn many<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::<Wrapped<T>>::deserialize(deserializer).map(|list| list.into_iter().map(|item| item.0).collect())
}

/// "192.0.2.1" for a single address, "192.0.2.0/24" for a block.
pub(super) mod address_or_block {
    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::net::IpAddr;

    pub(in crate::model) fn serialize<S: Serializer>(net: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
        if net.prefix_len() == net.max_prefix_len() {
            serializer.collect_str(&net.addr())
        } else {
            serializer.collect_str(net)
        }
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<IpNet, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse()).map_err(|_| {
            D::Error::custom(format!(
                "\"{text}\" is neither an address nor a block, as in 192.0.2.1 or 192.0.2.0/24"
            ))
        })
    }
}
