//! The declarative file: everything an operator wants, in YAML (or JSON, which is YAML).
//!
//! ```yaml
//! networks:
//!   - id: web
//!     segment: { type: vxlan, id: 100 }
//! subnets:
//!   - { id: web-v4, network: web, cidr: 10.0.1.0/24, gateway_ip: 10.0.1.1 }
//! ```

use super::{
    AddressGroup, Chassis, FloatingIp, Kind, Model, Network, Object, Port, Router, SecurityGroup, Subnet,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{collections::BTreeSet, fmt, marker::PhantomData};

/// A list of objects of each kind. No id comes twice within a kind, and no field is unknown, if it was read by serde.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Hosts.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub chassis: Vec<Chassis>,
    /// Broadcast domains.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// Blocks of addresses.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Subnet>,
    /// Ports.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Routers.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<Router>,
    /// Floating IPs.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub floating_ips: Vec<FloatingIp>,
    /// Security groups.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<SecurityGroup>,
    /// Address groups.
    #[serde(deserialize_with = "unique", skip_serializing_if = "Vec::is_empty")]
    pub address_groups: Vec<AddressGroup>,
}

/// Text that is no topology.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Nothing in it; surely not what was meant, and with `--prune` it would delete everything.
    #[error("no objects: want at least one of the keys chassis, networks, subnets, ports, routers")]
    Empty,
    /// Not YAML, an unknown field, a bad value or an id that comes twice; the text has line and column.
    #[error(transparent)]
    Yaml(#[from] serde_yaml_ng::Error),
    /// The same in JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Topology {
    /// Reads YAML.
    ///
    /// # Errors
    /// [`TopologyError`] with line and column.
    pub fn from_yaml(text: &str) -> Result<Self, TopologyError> {
        Option::<Self>::deserialize(serde_yaml_ng::Deserializer::from_str(text))?.ok_or(TopologyError::Empty)
    }

    /// Reads JSON, faster than as YAML.
    ///
    /// # Errors
    /// [`TopologyError`] with line and column.
    pub fn from_json(text: &[u8]) -> Result<Self, TopologyError> {
        serde_json::from_slice::<Option<Self>>(text)?.ok_or(TopologyError::Empty)
    }

    /// As YAML, from which [`Topology::from_yaml`] reads the same.
    ///
    /// # Errors
    /// None in practice: every object can be written.
    pub fn to_yaml(&self) -> Result<String, TopologyError> {
        Ok(serde_yaml_ng::to_string(self)?)
    }

    /// All objects, in order of reference.
    pub fn objects(self) -> impl Iterator<Item = Object> {
        let chassis = self.chassis.into_iter().map(Object::Chassis);
        let networks = self.networks.into_iter().map(Object::Network);
        let subnets = self.subnets.into_iter().map(Object::Subnet);
        let ports = self.ports.into_iter().map(Object::Port);
        let routers = self.routers.into_iter().map(Object::Router);
        let floating_ips = self.floating_ips.into_iter().map(Object::FloatingIp);
        let security_groups = self.security_groups.into_iter().map(Object::SecurityGroup);
        let address_groups = self.address_groups.into_iter().map(Object::AddressGroup);
        let carried = floating_ips.chain(security_groups).chain(address_groups);
        chassis.chain(networks).chain(subnets).chain(ports).chain(routers).chain(carried)
    }

    /// What a model holds.
    pub fn of(model: &Model) -> Self {
        Kind::ALL.into_iter().flat_map(|kind| model.objects(kind)).map(|record| record.spec).collect()
    }
}

impl FromIterator<Object> for Topology {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        let mut topology = Self::default();
        for object in objects {
            match object {
                Object::Chassis(o) => topology.chassis.push(o),
                Object::Network(o) => topology.networks.push(o),
                Object::Subnet(o) => topology.subnets.push(o),
                Object::Port(o) => topology.ports.push(o),
                Object::Router(o) => topology.routers.push(o),
                Object::FloatingIp(o) => topology.floating_ips.push(o),
                Object::SecurityGroup(o) => topology.security_groups.push(o),
                Object::AddressGroup(o) => topology.address_groups.push(o),
            }
        }
        topology
    }
}

trait Named: for<'de> Deserialize<'de> {
    const KIND: Kind;
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($object:ident),*) => {$(
        impl Named for $object {
            const KIND: Kind = Kind::$object;
            fn name(&self) -> &str {
                self.id.as_str()
            }
        }
    )*};
}
named!(Chassis, Network, Subnet, Port, Router, FloatingIp, SecurityGroup, AddressGroup);

/// A list whose ids differ; nothing at all is the empty list.
fn unique<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(List(PhantomData))
}

struct List<T>(PhantomData<T>);

impl<'de, T: Named> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", T::KIND.plural())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
        while let Some(item) = seq.next_element_seed(Item { seen: &mut seen, of: PhantomData::<T> })? {
            list.push(item);
        }
        Ok(list)
    }
}

/// An object that is not in `seen`. Judged while its map is being read, so that the error has the position of it.
struct Item<'a, T> {
    seen: &'a mut BTreeSet<String>,
    of: PhantomData<T>,
}

impl<'de, T: Named> DeserializeSeed<'de> for Item<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Named> Visitor<'de> for Item<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} with its fields", T::KIND)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let item = T::deserialize(MapAccessDeserializer::new(map))?;
        if self.seen.insert(item.name().to_owned()) {
            return Ok(item);
        }
        Err(A::Error::custom(format!("{} {} is there twice", T::KIND, item.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::generate::Recipe;
    use std::collections::BTreeMap;

    #[test]
    fn errors_say_where() {
        let cases = [
            ("", "no objects: want at least one of the keys chassis, networks, subnets, ports, routers"),
            (
                "ports: []\nhosts: []\n",
                "unknown field `hosts`, expected one of `chassis`, `networks`, `subnets`, `ports`, `routers`, `floating_ips`, `security_groups`, `address_groups` at line 2 column 1",
            ),
            (
                "networks:\n  - id: a\n    segment: {type: vxlan, id: 1}\n    colour: red\n",
                "networks[0]: unknown field `colour`, expected one of `id`, `segment`, `mtu` at line 4 column 5",
            ),
            (
                "networks:\n  - id: a\n    segment: {type: vxlan, id: 1, vlan: 3}\n",
                "networks[0]: unknown field `vlan`, expected `id` at line 2 column 5",
            ),
            (
                "networks:\n  - id: a\n    segment: {type: vxlan, id: 16777216}\n",
                "networks[0]: VNI 16777216 is out of range: want 1 to 16777215 at line 2 column 5",
            ),
            (
                "networks:\n  - id: a\n    segment: {type: token-ring, id: 1}\n",
                "networks[0].segment.type: unknown variant `token-ring`, expected one of `vxlan`, `gre`, `geneve`, `vlan`, `flat` at line 3 column 21",
            ),
            (
                "routers:\n  - id: r\n\n  - id: q\n  - id: r\n    interfaces: []\n",
                "routers[2]: router r is there twice at line 5 column 5",
            ),
            (
                "routers:\n  - id: no good\n",
                "routers[0]: \"no good\" is no id: want 1 to 64 of the characters A-Z a-z 0-9 . _ - at line 2 column 5",
            ),
            (
                "ports:\n  - {id: p, network: n, mac: 02-00}\n",
                "ports[0]: \"02-00\" is no MAC address: want six hexadecimal octets, as in 02:00:00:00:00:01 at line 2 column 5",
            ),
            (
                "subnets:\n  - {id: p, network: n, cidr: 10.0.0.0}\n",
                "subnets[0].cidr: \"10.0.0.0\" is no block of addresses: want as in 10.0.1.0/24 or 2001:db8::/64 at line 2 column 31",
            ),
            (
                "routers: 7\n",
                "routers: invalid type: integer `7`, expected a list of routers at line 1 column 10",
            ),
            (
                "routers:\n  - 7\n",
                "routers[0]: invalid type: integer `7`, expected a router with its fields at line 2 column 5",
            ),
            ("routers:\n  - id: r\n    id: q\n", "routers[0]: duplicate field `id` at line 2 column 5"),
            (
                "routers: [\n",
                "did not find expected node content at line 2 column 1, while parsing a flow node",
            ),
        ];
        let told: Vec<_> = cases
            .iter()
            .map(|(text, _)| (*text, Topology::from_yaml(text).unwrap_err().to_string()))
            .collect();
        assert_eq!(told, cases.map(|(text, want)| (text, want.to_owned())));
    }

    #[test]
    fn nothing_under_a_key_is_an_empty_list() {
        assert_eq!(Topology::from_yaml("ports:\nrouters: []\n").unwrap(), Topology::default());
    }

    #[test]
    fn written_and_read_back_is_the_same() {
        bolero::check!().with_type::<Vec<Recipe>>().for_each(|recipes| {
            let objects: BTreeMap<_, _> = recipes.iter().map(|r| r.object()).map(|o| (o.id(), o)).collect();
            let topology: Topology = objects.into_values().collect();
            assert_eq!(Topology::from_yaml(&topology.to_yaml().unwrap()).unwrap(), topology);
            assert_eq!(Topology::from_json(&serde_json::to_vec(&topology).unwrap()).unwrap(), topology);
        });
    }

    #[test]
    fn arbitrary_text_never_panics() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = Topology::from_json(bytes);
            let _ = Topology::from_yaml(&String::from_utf8_lossy(bytes));
        });
    }

    /// Text made of what topologies are made of gets further than random bytes.
    #[test]
    fn arbitrary_words_never_panic() {
        const WORDS: [&str; 24] = [
            "ports",
            "routers",
            "networks",
            "id",
            "segment",
            "type",
            "vxlan",
            ":",
            ": ",
            "\n",
            "\n  - ",
            "\n    ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a",
            "*a",
            "<<",
            "|",
            "!!str",
            "10.0.0.0/8",
            "1",
        ];
        bolero::check!().with_type::<Vec<u8>>().for_each(|picks| {
            let text: String = picks.iter().map(|i| WORDS[usize::from(*i) % WORDS.len()]).collect();
            let _ = Topology::from_yaml(&text);
        });
    }

    #[test]
    fn bombs_are_refused() {
        let deep = format!("ports: {}", "[".repeat(10_000));
        assert!(Topology::from_yaml(&deep).is_err());
        let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..30 {
            aliases += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
        }
        assert!(Topology::from_yaml(&aliases).is_err());
        assert!(Topology::from_yaml(&format!("ports:\n  - &a {{id: p, network: {aliases}}}")).is_err());
    }
}
