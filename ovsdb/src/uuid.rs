//! Row identifiers (RFC 7047, 3.1, `<id>` of a row; the text form is RFC 4122's).

use std::{fmt, str::FromStr};

/// The identifier of a row; prints as RFC 4122 has it, 8-4-4-4-12 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub u128);

/// Text that is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no uuid: want 8-4-4-4-12 hexadecimal digits")]
pub struct UuidError(pub String);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        let part = |shift: u32, mask: u128| (n >> shift) & mask;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 0xffff_ffff),
            part(80, 0xffff),
            part(64, 0xffff),
            part(48, 0xffff),
            part(0, 0xffff_ffff_ffff)
        )
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let err = || UuidError(text.chars().take(64).collect());
        let mut value = 0;
        let mut parts = text.split('-');
        for digits in [8, 4, 4, 4, 12] {
            let part = parts.next().ok_or_else(err)?;
            // `from_str_radix` alone would also take a sign.
            if part.len() != digits || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(err());
            }
            value = (value << (4 * digits)) | u128::from_str_radix(part, 16).map_err(|_| err())?;
        }
        if parts.next().is_some() { Err(err()) } else { Ok(Self(value)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        bolero::check!()
            .with_type::<u128>()
            .for_each(|&n| assert_eq!(Uuid(n).to_string().parse(), Ok(Uuid(n))));
    }

    #[test]
    fn refuses_what_is_no_uuid() {
        for text in [
            "",
            "550e8400e29b41d4a716446655440000",
            "550e8400-e29b-41d4-a716-44665544000",
            "550e8400-e29b-41d4-a716-446655440000-",
            "+50e8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-41d4-a716-44665544000g",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(UuidError(text.into())));
        }
    }
}
