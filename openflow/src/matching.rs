//! What a flow matches: a set of fields, each exact or under a mask.

use crate::field::Field;
use packet::{MacAddr, OfPort};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One field of a match. `value & !mask` is zero; a full mask is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldMatch {
    /// Which field.
    pub field: Field,
    /// Its value, right-aligned, host order.
    pub value: u128,
    /// Which bits count; `None` is all of them.
    pub mask: Option<u128>,
}

/// A match: at most one entry a field, kept in the order of [`Field`], so that equal matches are equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Match {
    fields: Vec<FieldMatch>,
}

/// A value that a field can be compared with, right-aligned in 128 bits.
pub trait FieldValue {
    /// The value as an integer in host order.
    fn to_bits(self) -> u128;
}

macro_rules! field_value {
    ($($ty:ty: |$v:ident| $bits:expr),+ $(,)?) => { $(
        impl FieldValue for $ty {
            fn to_bits(self) -> u128 {
                let $v = self;
                $bits
            }
        }
    )+ };
}

field_value! {
    u8: |v| v.into(),
    u16: |v| v.into(),
    u32: |v| v.into(),
    u64: |v| v.into(),
    u128: |v| v,
    MacAddr: |v| v.to_u64().into(),
    OfPort: |v| v.0.into(),
    Ipv4Addr: |v| v.to_bits().into(),
    Ipv6Addr: |v| v.to_bits(),
    IpAddr: |v| match v {
        IpAddr::V4(v4) => FieldValue::to_bits(v4),
        IpAddr::V6(v6) => FieldValue::to_bits(v6),
    },
}

impl Match {
    /// Matches every packet.
    pub const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// Adds an exact comparison; replaces what was said of the field before.
    #[must_use]
    pub fn with(self, field: Field, value: impl FieldValue) -> Self {
        self.insert(FieldMatch { field, value: value.to_bits(), mask: None })
    }

    /// Adds a comparison under a mask; bits of `value` outside it are dropped. A zero mask adds nothing.
    #[must_use]
    pub fn with_masked(self, field: Field, value: impl FieldValue, mask: impl FieldValue) -> Self {
        let (value, mask) = (value.to_bits(), mask.to_bits());
        if mask == 0 {
            return self;
        }
        let full = field.full_mask();
        self.insert(FieldMatch { field, value: value & mask, mask: (mask & full != full).then_some(mask) })
    }

    fn insert(mut self, entry: FieldMatch) -> Self {
        match self.fields.binary_search_by_key(&entry.field, |f| f.field) {
            Ok(at) => {
                if let Some(slot) = self.fields.get_mut(at) {
                    *slot = entry;
                }
            }
            Err(at) => self.fields.insert(at, entry),
        }
        self
    }

    /// The fields in canonical order.
    pub fn fields(&self) -> &[FieldMatch] {
        &self.fields
    }

    /// What is said of one field.
    pub fn get(&self, field: Field) -> Option<&FieldMatch> {
        self.fields.iter().find(|f| f.field == field)
    }
}
