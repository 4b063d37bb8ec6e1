//! Numbers of the protocol as types that keep what they do not know, so that what was read is written back.

/// An enum over a number with named values and `Other` for the rest.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident($int:ty) { $($(#[$vdoc:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A value without a name here; make it by `from`, never by hand, so that equal values stay equal.
            Other($int),
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                match value {
                    $($value => Self::$variant,)+
                    other => Self::Other(other),
                }
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $value,)+
                    $name::Other(other) => other,
                }
            }
        }
    };
}

/// A set of named bits; unknown bits are kept.
macro_rules! bit_set {
    ($(#[$doc:meta])* $name:ident($int:ty) { $($(#[$vdoc:meta])* $bit:ident = $value:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub $int);

        impl $name {
            /// No bit.
            pub const NONE: Self = Self(0);
            $($(#[$vdoc])* pub const $bit: Self = Self($value);)*

            /// True if all bits of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl core::ops::BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

pub(crate) use {bit_set, open_enum};
