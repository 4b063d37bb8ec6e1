//! Groups and their buckets: OpenFlow 1.3.5, 7.3.4.3.

use super::action::{put_actions, read_actions};
use crate::{
    flow::{Bucket, GroupId, GroupType},
    message::Watch,
    wire::{DecodeError, EncodeError, Put, Reader},
};
use packet::OfPort;

/// OFPG_ANY.
const GROUP_ANY: u32 = 0xffff_ffff;

pub(crate) const fn put_kind(kind: GroupType) -> u8 {
    match kind {
        GroupType::All => 0,
        GroupType::Select => 1,
        GroupType::Indirect => 2,
        GroupType::FastFailover => 3,
    }
}

pub(crate) const fn read_kind(value: u8) -> Result<GroupType, DecodeError> {
    Ok(match value {
        0 => GroupType::All,
        1 => GroupType::Select,
        2 => GroupType::Indirect,
        3 => GroupType::FastFailover,
        _ => return Err(DecodeError::BadValue { what: "group type", value: value as u64 }),
    })
}

/// A group as OpenFlow 1.3 writes an optional one.
pub(crate) fn put_optional(group: Option<GroupId>, out: &mut Vec<u8>) {
    out.put_u32(group.map_or(GROUP_ANY, |group| group.0));
}

pub(crate) fn read_optional(r: &mut Reader<'_>) -> Result<Option<GroupId>, DecodeError> {
    let group = r.u32("group")?;
    Ok((group != GROUP_ANY).then_some(GroupId(group)))
}

/// Appends buckets; `watch` has what each watches, or is empty.
pub(crate) fn put_buckets(buckets: &[Bucket], watch: &[Watch], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if !watch.is_empty() && watch.len() != buckets.len() {
        return Err(EncodeError::BadValue { what: "number of watches", value: watch.len() as u128 });
    }
    let mut watches = watch.iter();
    for bucket in buckets {
        let watch = watches.next().copied().unwrap_or(Watch::NOTHING);
        let start = out.len();
        out.put_u16(0);
        out.put_u16(bucket.weight);
        out.put_u32(watch.port.0);
        put_optional(watch.group, out);
        out.put_zeros(4);
        put_actions(&bucket.actions, out)?;
        out.patch_len("bucket", start, 0)?;
    }
    Ok(())
}

/// Reads buckets to the end of the reader, and what they watch; empty if none watches anything.
pub(crate) fn read_buckets(r: &mut Reader<'_>) -> Result<(Vec<Bucket>, Vec<Watch>), DecodeError> {
    let (mut buckets, mut watches) = (Vec::new(), Vec::new());
    while !r.is_empty() {
        let mut bucket = Reader::new(r.element("bucket", 0, 16, 8)?);
        bucket.skip("bucket", 2)?;
        let weight = bucket.u16("bucket")?;
        watches.push(Watch { port: OfPort(bucket.u32("bucket")?), group: read_optional(&mut bucket)? });
        bucket.skip("bucket", 4)?;
        buckets.push(Bucket { weight, actions: read_actions(bucket)? });
    }
    if watches.iter().all(|watch| *watch == Watch::NOTHING) {
        watches.clear();
    }
    Ok((buckets, watches))
}
