//! Bounds-checked reading and length-patching writing of big-endian bytes.

use crate::field::Field;

/// How deep actions may stand within actions (`clone`), and bundle-adds within bundle-adds. Open vSwitch itself nests far deeper; a decoder that
/// recurses must not follow it.
pub const MAX_NESTING: usize = 16;

/// Bytes that are no message, or not the one they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the part needs.
    #[error("{what} needs {want} bytes, {have} are left")]
    Truncated {
        /// The part that was read.
        what: &'static str,
        /// How many bytes it needs.
        want: usize,
        /// How many there are.
        have: usize,
    },
    /// A length field that cannot be: below the size of its own header, not a multiple of 8, beyond its container.
    #[error("{what} has length {len}")]
    BadLength {
        /// The part with the length field.
        what: &'static str,
        /// Its value.
        len: usize,
    },
    /// A version other than 1.3, which after the hello every message must have.
    #[error("openflow version {0:#04x} is not 1.3 (0x04)")]
    BadVersion(u8),
    /// A field whose value has no meaning.
    #[error("{what} has value {value:#x}")]
    BadValue {
        /// The field.
        what: &'static str,
        /// What stood there.
        value: u64,
    },
    /// A match that says something of one field twice.
    #[error("match has field {0:?} twice")]
    DuplicateField(Field),
    /// Actions or bundle-adds nested deeper than [`MAX_NESTING`].
    #[error("nested more than {MAX_NESTING} deep")]
    TooDeep,
    /// A multipart reply that outgrows the limit of the connection.
    #[error("multipart reply has more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes of the wire.
        limit: usize,
    },
    /// A part of a multipart reply that is of another kind than the part before.
    #[error("multipart reply changes its kind between parts")]
    MixedParts,
}

/// Something that has no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than its field, or than its 16-bit length field can say.
    #[error("{what} does not fit with {len} bytes")]
    TooLong {
        /// The part with the length field.
        what: &'static str,
        /// How many bytes it takes.
        len: usize,
    },
    /// A value that does not fit its field.
    #[error("{what} cannot have value {value:#x}")]
    BadValue {
        /// The field.
        what: &'static str,
        /// The value.
        value: u128,
    },
    /// Raw bytes whose own length field is wrong.
    #[error("raw {what} of {len} bytes does not carry its own length")]
    BadRaw {
        /// What kind of part.
        what: &'static str,
        /// How many bytes were given.
        len: usize,
    },
}

/// Reads from the front of a slice; never past its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// All that is left, as a reader; nothing is left after it.
    pub(crate) fn take_rest(&mut self) -> Self {
        let rest = *self;
        self.rest = &[];
        rest
    }

    /// A text of `width` bytes, cut at its first zero.
    pub(crate) fn text(&mut self, what: &'static str, width: usize) -> Result<String, DecodeError> {
        let bytes = self.take(what, width)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// The next `want` bytes.
    pub(crate) fn take(&mut self, what: &'static str, want: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(want).ok_or(DecodeError::Truncated {
            what,
            want,
            have: self.len(),
        })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated {
            what,
            want: N,
            have: self.len(),
        })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array(what).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// Steps over padding.
    pub(crate) fn skip(&mut self, what: &'static str, count: usize) -> Result<(), DecodeError> {
        self.take(what, count).map(|_| ())
    }

    /// The next element of a list whose elements carry their own 16-bit length `at` bytes from their start: at
    /// least `min` bytes, a multiple of `align`, within the list. A length of zero therefore never loops.
    pub(crate) fn element(
        &mut self,
        what: &'static str,
        at: usize,
        min: usize,
        align: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let mut peek = *self;
        peek.skip(what, at)?;
        let len = usize::from(peek.u16(what)?);
        if len < min.max(at + 2) || len % align != 0 || len > self.len() {
            return Err(DecodeError::BadLength { what, len });
        }
        self.take(what, len)
    }
}

/// Appends big-endian bytes to a `Vec`.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_bytes(&mut self, value: &[u8]);
    fn put_zeros(&mut self, count: usize);
    /// A text in `width` bytes, zeros behind it.
    fn put_text(&mut self, what: &'static str, text: &str, width: usize) -> Result<(), EncodeError>;
    /// Zeros up to a multiple of 8 bytes after `start`.
    fn pad8(&mut self, start: usize);
    /// Writes the number of bytes since `start` into the two bytes at `start + at`.
    fn patch_len(&mut self, what: &'static str, start: usize, at: usize) -> Result<(), EncodeError>;
    /// Writes a length into the two bytes at `at`.
    fn set_u16(&mut self, what: &'static str, at: usize, len: usize) -> Result<(), EncodeError>;
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }

    fn put_zeros(&mut self, count: usize) {
        self.resize(self.len() + count, 0);
    }

    fn put_text(&mut self, what: &'static str, text: &str, width: usize) -> Result<(), EncodeError> {
        let rest = width.checked_sub(text.len()).ok_or(EncodeError::TooLong { what, len: text.len() })?;
        self.put_bytes(text.as_bytes());
        self.put_zeros(rest);
        Ok(())
    }

    fn pad8(&mut self, start: usize) {
        let len = self.len() - start;
        self.put_zeros(len.next_multiple_of(8) - len);
    }

    fn patch_len(&mut self, what: &'static str, start: usize, at: usize) -> Result<(), EncodeError> {
        self.set_u16(what, start + at, self.len() - start)
    }

    fn set_u16(&mut self, what: &'static str, at: usize, len: usize) -> Result<(), EncodeError> {
        let bytes = u16::try_from(len).map_err(|_| EncodeError::TooLong { what, len })?.to_be_bytes();
        if let Some(slot) = self.get_mut(at..at + 2) {
            slot.copy_from_slice(&bytes);
        }
        Ok(())
    }
}
