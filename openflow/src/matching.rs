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
///
/// Register pairs and quads are kept as their 32-bit registers, because that is how Open vSwitch reports them to
/// an OpenFlow 1.3 controller whatever it was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Match {
    fields: Vec<FieldMatch>,
    opaque: Vec<Vec<u8>>,
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
        Self { fields: Vec::new(), opaque: Vec::new() }
    }

    /// Adds an exact comparison; replaces what was said of the field before.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl FieldValue) -> Self {
        self.insert(FieldMatch { field, value: value.to_bits(), mask: None });
        self
    }

    /// Adds a comparison under a mask; bits of `value` outside it are dropped. A zero mask adds nothing.
    #[must_use]
    pub fn with_masked(mut self, field: Field, value: impl FieldValue, mask: impl FieldValue) -> Self {
        self.insert(FieldMatch { field, value: value.to_bits(), mask: Some(mask.to_bits()) });
        self
    }

    /// Adds a comparison in canonical form; replaces what was said of the field before.
    pub(crate) fn insert(&mut self, entry: FieldMatch) {
        match entry.field {
            Field::XReg(n @ 0..=7) => self.insert_registers(n * 2, 2, entry),
            Field::XxReg(n @ 0..=3) => self.insert_registers(n * 4, 4, entry),
            // The header of an unknown field says whether there is a mask: it stays as it is.
            Field::Unknown(_) => self.insert_canonical(entry),
            field => {
                let full = field.full_mask();
                let mask = entry.mask.map_or(full, |mask| mask & full);
                let value = if entry.mask.is_some() { entry.value & mask } else { entry.value };
                if mask != 0 {
                    self.insert_canonical(FieldMatch { field, value, mask: (mask != full).then_some(mask) });
                }
            }
        }
    }

    /// The same comparison with `count` registers, the first of which has the highest bits.
    fn insert_registers(&mut self, first: u8, count: u8, entry: FieldMatch) {
        for n in 0..count {
            let low = 32 * u32::from(count - 1 - n);
            let part = |bits: u128| bits >> low & 0xffff_ffff;
            self.insert(FieldMatch {
                field: Field::Reg(first + n),
                value: part(entry.value),
                mask: entry.mask.map(part),
            });
        }
    }

    fn insert_canonical(&mut self, entry: FieldMatch) {
        match self.fields.binary_search_by_key(&entry.field, |f| f.field) {
            Ok(at) => {
                if let Some(slot) = self.fields.get_mut(at) {
                    *slot = entry;
                }
            }
            Err(at) => self.fields.insert(at, entry),
        }
    }

    /// Adds a field as its bytes on the wire, header included.
    pub(crate) fn insert_opaque(&mut self, bytes: Vec<u8>) {
        let at = self.opaque.partition_point(|other| *other < bytes);
        self.opaque.insert(at, bytes);
    }

    /// True if it matches every packet.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.opaque.is_empty()
    }

    /// The fields in canonical order.
    pub fn fields(&self) -> &[FieldMatch] {
        &self.fields
    }

    /// Fields this crate cannot take apart, as read: whole bytes of the wire, header included, sorted.
    pub fn opaque(&self) -> &[Vec<u8>] {
        &self.opaque
    }

    /// What is said of one field; ask for registers one by one, not for pairs or quads.
    pub fn get(&self, field: Field) -> Option<&FieldMatch> {
        let at = self.fields.binary_search_by_key(&field, |f| f.field).ok()?;
        self.fields.get(at)
    }
}
