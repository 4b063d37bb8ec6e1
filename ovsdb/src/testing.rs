//! Shared by the property tests.

/// `sample` with some bytes overwritten: more telling than random bytes, of which hardly any are JSON.
pub(crate) fn damage(sample: &str, edits: &[(u8, u8)]) -> Vec<u8> {
    /// Mostly bytes that mean something to a reader of JSON.
    const BYTES: &[u8] = b"{}[]\",:0123456789.-+eE\\/untrfalse \x00\x7f\xff";
    let mut bytes = sample.as_bytes().to_vec();
    for (at, byte) in edits.iter().take(8) {
        let at = usize::from(*at) * bytes.len() / 256;
        bytes[at] = BYTES[usize::from(*byte) % BYTES.len()];
    }
    bytes
}
