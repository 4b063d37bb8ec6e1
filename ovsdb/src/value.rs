//! The notation of values (RFC 7047, 5.1): atoms, sets, maps.
//!
//! The notation writes a set of exactly one element as the bare element, so on the wire a scalar column and a set of
//! one look the same. [`Value`] keeps it that way: a scalar is a set of one, and equal values compare equal.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

use serde_json::{Value as Json, json};

use crate::Uuid;

/// One indivisible value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// 64-bit signed.
    Integer(i64),
    /// Double precision.
    Real(Real),
    /// True or false.
    Boolean(bool),
    /// Unicode without NUL.
    String(String),
    /// A reference to a row.
    Uuid(Uuid),
    /// A reference to a row that an `insert` of the same transaction names by its `uuid-name`.
    NamedUuid(String),
}

/// A real number that can be compared and sorted as bits are (IEEE 754, totalOrder).
#[derive(Debug, Clone, Copy)]
pub struct Real(pub f64);

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Real {}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A scalar (one element), an optional value (none or one) or a set.
    Set(Sorted<Atom>),
    /// A map, by its keys.
    Map(Sorted<(Atom, Atom)>),
}

/// Elements in ascending order, each (of pairs: each key) once.
///
/// A switch of thousands of ports has ten times as many values, nearly all of one element: a slice keeps nothing
/// beside them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sorted<T>(Box<[T]>);

impl<T> Deref for Sorted<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl FromIterator<Atom> for Sorted<Atom> {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Self {
        Self(atoms.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// Of pairs with the same key, the last one counts.
impl FromIterator<(Atom, Atom)> for Sorted<(Atom, Atom)> {
    fn from_iter<I: IntoIterator<Item = (Atom, Atom)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

impl<T> IntoIterator for Sorted<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Sorted<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// JSON that is no value of OVSDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no {expected}")]
pub struct ValueError {
    /// What was expected here.
    pub expected: &'static str,
    /// What stood there, shortened.
    pub found: String,
}

impl ValueError {
    pub(crate) fn new(expected: &'static str, found: &Json) -> Self {
        const SHOWN: usize = 80;
        let text = found.to_string();
        let cut = text.char_indices().nth(SHOWN).map(|(at, _)| at);
        Self {
            expected,
            found: cut.and_then(|at| text.get(..at)).map_or(text.clone(), |cut| format!("{cut}...")),
        }
    }
}

impl Atom {
    /// Reads an `<atom>`.
    ///
    /// # Errors
    /// [`ValueError`] with the text that is no atom, also for integers beyond 64 bits.
    pub fn from_json(json: &Json) -> Result<Self, ValueError> {
        let err = || ValueError::new("atom", json);
        match json {
            Json::Bool(value) => Ok(Self::Boolean(*value)),
            Json::String(text) => Ok(Self::String(text.clone())),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Ok(Self::Integer(integer)),
                (None, Some(real)) if number.is_f64() => Ok(Self::Real(Real(real))),
                _ => Err(err()),
            },
            Json::Array(pair) => match pair.as_slice() {
                [Json::String(tag), Json::String(text)] if tag == "uuid" => {
                    text.parse().map(Self::Uuid).map_err(|_| err())
                }
                [Json::String(tag), Json::String(name)] if tag == "named-uuid" => {
                    Ok(Self::NamedUuid(name.clone()))
                }
                _ => Err(err()),
            },
            Json::Null | Json::Object(_) => Err(err()),
        }
    }

    /// Writes an `<atom>`. Reals that JSON cannot carry (infinite, not a number) become null, which a server refuses.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Integer(value) => json!(value),
            Self::Real(value) => json!(value.0),
            Self::Boolean(value) => json!(value),
            Self::String(value) => json!(value),
            Self::Uuid(value) => json!(["uuid", value.to_string()]),
            Self::NamedUuid(value) => json!(["named-uuid", value]),
        }
    }
}

impl Value {
    /// The empty set, which is also how an optional column without value reads.
    pub fn empty() -> Self {
        Self::Set(Sorted(Box::default()))
    }

    /// A set of atoms.
    pub fn set<A: Into<Atom>>(atoms: impl IntoIterator<Item = A>) -> Self {
        Self::Set(atoms.into_iter().map(Into::into).collect())
    }

    /// A map from atoms to atoms.
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The element of a scalar, or of an optional column that holds one.
    pub fn scalar(&self) -> Option<&Atom> {
        match self {
            Self::Set(set) => match &**set {
                [atom] => Some(atom),
                _ => None,
            },
            Self::Map(_) => None,
        }
    }

    /// Reads a `<value>`.
    ///
    /// # Errors
    /// [`ValueError`] with the text that is no value; also for an element or key given twice.
    pub fn from_json(json: &Json) -> Result<Self, ValueError> {
        match json.as_array().map(Vec::as_slice) {
            Some([Json::String(tag), Json::Array(elements)]) if tag == "set" => {
                let set = elements.iter().map(Atom::from_json).collect::<Result<Sorted<_>, _>>()?;
                let unique = set.len() == elements.len();
                unique
                    .then_some(Self::Set(set))
                    .ok_or_else(|| ValueError::new("set (element given twice)", json))
            }
            Some([Json::String(tag), Json::Array(elements)]) if tag == "map" => {
                let map = elements.iter().map(pair_from_json).collect::<Result<Sorted<_>, _>>()?;
                let unique = map.len() == elements.len();
                unique.then_some(Self::Map(map)).ok_or_else(|| ValueError::new("map (key given twice)", json))
            }
            _ => Atom::from_json(json).map(Self::from),
        }
    }

    /// Writes a `<value>`.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Set(set) => match &**set {
                [atom] => atom.to_json(),
                set => json!(["set", set.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Self::Map(map) => {
                let pairs = map.iter().map(|(key, value)| json!([key.to_json(), value.to_json()]));
                json!(["map", pairs.collect::<Vec<_>>()])
            }
        }
    }
}

fn pair_from_json(json: &Json) -> Result<(Atom, Atom), ValueError> {
    match json.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((Atom::from_json(key)?, Atom::from_json(value)?)),
        _ => Err(ValueError::new("pair of a map", json)),
    }
}

macro_rules! atom_from {
    ($($from:ty => |$value:ident| $atom:expr;)*) => {$(
        impl From<$from> for Atom {
            fn from($value: $from) -> Self {
                $atom
            }
        }
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::from(Atom::from(value))
            }
        }
    )*};
}

atom_from! {
    i64 => |value| Atom::Integer(value);
    u32 => |value| Atom::Integer(value.into());
    bool => |value| Atom::Boolean(value);
    &str => |value| Atom::String(value.to_owned());
    String => |value| Atom::String(value);
    Uuid => |value| Atom::Uuid(value);
}

impl From<Atom> for Value {
    fn from(atom: Atom) -> Self {
        Self::Set(Sorted(Box::new([atom])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bolero::{TypeGenerator, check};

    #[derive(Debug, Clone, TypeGenerator)]
    enum AnyAtom {
        Integer(i64),
        Real(f64),
        Boolean(bool),
        String(String),
        Uuid(u128),
        NamedUuid(String),
    }

    impl From<AnyAtom> for Atom {
        fn from(any: AnyAtom) -> Self {
            match any {
                AnyAtom::Integer(n) => Self::Integer(n),
                // What JSON cannot carry is no value of OVSDB either.
                AnyAtom::Real(r) => Self::Real(Real(if r.is_finite() { r } else { 0.5 })),
                AnyAtom::Boolean(b) => Self::Boolean(b),
                AnyAtom::String(s) => Self::String(s),
                AnyAtom::Uuid(n) => Self::Uuid(Uuid(n)),
                AnyAtom::NamedUuid(s) => Self::NamedUuid(s),
            }
        }
    }

    #[test]
    fn values_round_trip_through_text() {
        check!().with_type::<(Vec<AnyAtom>, Vec<(AnyAtom, AnyAtom)>)>().for_each(|(set, map)| {
            for value in [Value::set(set.clone()), Value::map(map.clone())] {
                let text = value.to_json().to_string();
                let json = serde_json::from_str(&text).unwrap();
                assert_eq!(Value::from_json(&json), Ok(value), "{text}");
            }
        });
    }

    /// Whatever a few changed bytes make of a good value: it is refused, or written back with the same meaning.
    #[test]
    fn damaged_values_are_refused_or_stable() {
        let sample = r#"["set",[1,-2.5e3,true,"x\\u00e9",["uuid","550e8400-e29b-41d4-a716-446655440000"],["named-uuid","r"]]]"#;
        check!().with_type::<Vec<(u8, u8)>>().for_each(|edits| {
            if let Ok(json) = serde_json::from_slice::<Json>(&crate::testing::damage(sample, edits))
                && let Ok(value) = Value::from_json(&json)
            {
                assert_eq!(Value::from_json(&value.to_json()), Ok(value));
            }
        });
    }

    #[test]
    fn notation_of_the_rfc() {
        let uuid: Uuid = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
        for (value, json) in [
            (Value::from("br0"), json!("br0")),
            (Value::from(7_i64), json!(7)),
            (Value::from(Atom::Real(Real(1.5))), json!(1.5)),
            (Value::from(true), json!(true)),
            (Value::from(uuid), json!(["uuid", "550e8400-e29b-41d4-a716-446655440000"])),
            (Value::from(Atom::NamedUuid("row1".into())), json!(["named-uuid", "row1"])),
            (Value::empty(), json!(["set", []])),
            (Value::set([1_i64, 2]), json!(["set", [1, 2]])),
            (Value::map([("a", "b")]), json!(["map", [["a", "b"]]])),
        ] {
            assert_eq!(value.to_json(), json);
            assert_eq!(Value::from_json(&json), Ok(value));
        }
        // A set of one may also be written out.
        assert_eq!(Value::from_json(&json!(["set", ["x"]])), Ok(Value::from("x")));
    }

    #[test]
    fn refuses_what_is_no_value() {
        for json in [
            json!(null),
            json!({}),
            json!([]),
            json!(["uuid", "x"]),
            json!(["set"]),
            json!(["set", 1]),
            json!(["set", [["set", []]]]),
            json!(["set", [1, 1]]),
            json!(["map", [["k"]]]),
            json!(["map", [["k", 1], ["k", 2]]]),
            json!(u64::MAX),
        ] {
            Value::from_json(&json).unwrap_err();
        }
        let err = Value::from_json(&json!({"long": "é".repeat(200)})).unwrap_err().to_string();
        assert!(err.starts_with("{\"long\":\"é") && err.ends_with("... is no atom"), "{err}");
    }
}
