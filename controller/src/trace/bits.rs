//! Bit ranges of values of up to 128 bits.

use openflow::SubField;

/// Integers that are the low bits of a wider one.
pub(super) trait Low {
    fn of(value: u128) -> Self;
}

macro_rules! low {
    ($($int:ty),+) => { $(
        impl Low for $int {
            #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is asked for")]
            fn of(value: u128) -> Self {
                value as Self
            }
        }
    )+ };
}

low!(u8, u16, u32, u64);

/// The low bits of a value.
pub(super) fn low<T: Low>(value: u128) -> T {
    T::of(value)
}

/// `count` ones, right-aligned.
pub(super) const fn ones(count: u16) -> u128 {
    match count {
        0 => 0,
        1..=127 => (1 << count) - 1,
        _ => u128::MAX,
    }
}

/// The bits of `range` in `value`, right-aligned.
pub(super) fn cut(value: u128, range: SubField) -> u128 {
    value.checked_shr(range.offset.into()).unwrap_or(0) & ones(range.bits)
}

/// `value` with the bits of `range` replaced by the low bits of `new`.
pub(super) fn paste(value: u128, range: SubField, new: u128) -> u128 {
    let shift = |bits: u128| bits.checked_shl(range.offset.into()).unwrap_or(0);
    let mask = ones(range.bits);
    value & !shift(mask) | shift(new & mask)
}
