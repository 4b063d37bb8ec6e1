//! Matches and their fields: OpenFlow 1.3.5, 7.2.2 and 7.2.3.

use crate::{
    field::{EXPERIMENTER, Field, OxmId},
    matching::{FieldMatch, Match},
    wire::{DecodeError, EncodeError, Put, Reader},
};

/// OFPMT_OXM, the only type of match.
const TYPE_OXM: u16 = 1;

/// The most octets of a value that fit [`FieldMatch`].
const MAX_VALUE: usize = 16;

/// Appends a match with its header and padding.
pub(crate) fn put_match(matching: &Match, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_u16(TYPE_OXM);
    out.put_u16(0);
    put_fields(matching, out)?;
    out.patch_len("match", start, 2)?;
    out.pad8(start);
    Ok(())
}

/// Appends the fields of a match without header and padding.
pub(crate) fn put_fields(matching: &Match, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    for entry in matching.fields() {
        put_field(entry, entry.field.oxm_id(), out)?;
    }
    for bytes in matching.opaque() {
        out.put_bytes(bytes);
    }
    Ok(())
}

/// Appends one field with its header, under the name given; an unknown field has its own.
pub(crate) fn put_field(entry: &FieldMatch, id: Option<OxmId>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let FieldMatch { field, value, mask } = *entry;
    let size = field.bytes();
    let full = field.full_mask();
    if value & !mask.unwrap_or(full) != 0 || mask.is_some_and(|mask| mask & !full != 0) {
        return Err(EncodeError::BadValue { what: "match field", value });
    }
    out.put_u32(header(field, id, mask.is_some(), size)?);
    put_uint(value, size, out);
    if let Some(mask) = mask {
        put_uint(mask, size, out);
    }
    Ok(())
}

fn header(field: Field, id: Option<OxmId>, masked: bool, size: usize) -> Result<u32, EncodeError> {
    let bad = |value: u32| EncodeError::BadValue { what: "field header", value: value.into() };
    match (field, id) {
        (Field::Unknown(header), _) => {
            let wants_mask = header & 0x100 != 0;
            let total = (header & 0xff) as usize;
            let fits = size <= MAX_VALUE && total == size << u32::from(masked);
            let named = OxmId::of_header(header).class != EXPERIMENTER;
            if fits && named && wants_mask == masked { Ok(header) } else { Err(bad(header)) }
        }
        (Field::Reg(n) | Field::XReg(n) | Field::XxReg(n), None) => Err(bad(n.into())),
        (_, None) => Err(bad(0)),
        #[expect(clippy::cast_possible_truncation, reason = "a known field has at most 16 octets")]
        (_, Some(id)) => Ok(id.header(masked, (size << u32::from(masked)) as u8)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a value has no more bits than its field")]
fn put_uint(value: u128, size: usize, out: &mut Vec<u8>) {
    // Copies of a fixed length are what makes encoding fast: these are the usual ones.
    match size {
        2 => out.put_u16(value as u16),
        4 => out.put_u32(value as u32),
        8 => out.put_u64(value as u64),
        _ => {
            let bytes = value.to_be_bytes();
            out.put_bytes(bytes.get(MAX_VALUE.saturating_sub(size)..).unwrap_or(&bytes));
        }
    }
}

/// Reads a match with its header and padding.
pub(crate) fn read_match(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
    let kind = r.u16("match")?;
    let len = usize::from(r.u16("match")?);
    if kind != TYPE_OXM {
        return Err(DecodeError::BadValue { what: "match type", value: kind.into() });
    }
    let body = len.checked_sub(4).ok_or(DecodeError::BadLength { what: "match", len })?;
    let fields = read_fields(r.take("match", body)?)?;
    r.skip("match padding", len.next_multiple_of(8) - len)?;
    Ok(fields)
}

/// Reads fields to the end of `bytes`.
pub(crate) fn read_fields(bytes: &[u8]) -> Result<Match, DecodeError> {
    let mut r = Reader::new(bytes);
    let mut matching = Match::new();
    while !r.is_empty() {
        let before = r.rest();
        match read_field(&mut r)? {
            Some(entry) if matching.get(entry.field).is_some() => {
                return Err(DecodeError::DuplicateField(entry.field));
            }
            Some(entry) => matching.insert(entry),
            None => {
                let read = before.len() - r.len();
                matching.insert_opaque(before.get(..read).unwrap_or(before).to_vec());
            }
        }
    }
    Ok(matching)
}

/// Reads one field; `None` = passed over one that [`FieldMatch`] cannot hold.
pub(crate) fn read_field(r: &mut Reader<'_>) -> Result<Option<FieldMatch>, DecodeError> {
    let header = r.u32("field header")?;
    let len = (header & 0xff) as usize;
    let masked = header & 0x100 != 0;
    let mut body = Reader::new(r.take("field", len)?);
    let id = OxmId::of_header(header);
    if id.class == EXPERIMENTER {
        return Ok(None);
    }
    let field = Field::from_id(id).unwrap_or(Field::Unknown(header));
    let size = field.bytes();
    if len != size << u32::from(masked) {
        // Half of an odd length cannot be a mask; only an unknown field may have its own idea of lengths.
        return match field {
            Field::Unknown(_) => Ok(None),
            _ => Err(DecodeError::BadLength { what: "field", len }),
        };
    }
    if size > MAX_VALUE {
        return Ok(None);
    }
    let value = uint(body.take("field value", size)?);
    let mask = if masked { Some(uint(body.take("field mask", size)?)) } else { None };
    if value & !mask.unwrap_or_else(|| field.full_mask()) != 0 {
        return match field {
            Field::Unknown(_) => Ok(None),
            #[expect(clippy::cast_possible_truncation, reason = "enough of it to name it")]
            _ => Err(DecodeError::BadValue { what: "field", value: value as u64 }),
        };
    }
    Ok(Some(FieldMatch { field, value, mask }))
}

fn uint(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |acc, byte| acc << 8 | u128::from(*byte))
}
