//! Groups and their buckets: OpenFlow 1.3.5, 7.3.4.3.

use super::action::{put_actions, read_actions};
use crate::{
    action::Action,
    flow::{Bucket, Group, GroupId, GroupType},
    wire::{DecodeError, EncodeError, Put, Reader},
};
use packet::OfPort;

/// OFPG_ANY.
const GROUP_ANY: u32 = 0xffff_ffff;

/// A group as OpenFlow 1.3 writes an optional one.
pub(crate) fn put_optional(group: Option<GroupId>, out: &mut Vec<u8>) {
    out.put_u32(group.map_or(GROUP_ANY, |group| group.0));
}

pub(crate) fn read_optional(r: &mut Reader<'_>) -> Result<Option<GroupId>, DecodeError> {
    let group = r.u32("group")?;
    Ok((group != GROUP_ANY).then_some(GroupId(group)))
}

/// Appends type, id and buckets, as they stand in group-mod and group description.
pub(crate) fn put_group(group: &Group, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.put_u8(match group.kind {
        GroupType::All => 0,
        GroupType::Select => 1,
        GroupType::Indirect => 2,
        GroupType::FastFailover => 3,
    });
    out.put_zeros(1);
    out.put_u32(group.id.0);
    group.buckets.iter().try_for_each(|bucket| put_bucket(bucket, group.kind, out))
}

/// Reads type, id and buckets to the end of the reader.
pub(crate) fn read_group(r: &mut Reader<'_>) -> Result<Group, DecodeError> {
    let kind = match r.u8("group")? {
        0 => GroupType::All,
        1 => GroupType::Select,
        2 => GroupType::Indirect,
        3 => GroupType::FastFailover,
        other => return Err(DecodeError::BadValue { what: "group type", value: other.into() }),
    };
    r.skip("group", 1)?;
    let id = GroupId(r.u32("group")?);
    let mut buckets = Vec::new();
    while !r.is_empty() {
        let mut bucket = Reader::new(r.element("bucket", 0, 16, 8)?);
        bucket.skip("bucket", 2)?;
        let weight = bucket.u16("bucket")?;
        // What the bucket watches (it follows from the actions, see `watched`), and padding.
        bucket.skip("bucket", 12)?;
        buckets.push(Bucket { weight, actions: read_actions(bucket)? });
    }
    Ok(Group { id, kind, buckets })
}

fn put_bucket(bucket: &Bucket, kind: GroupType, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (port, group) =
        if kind == GroupType::FastFailover { watched(&bucket.actions) } else { (OfPort::ANY, None) };
    let start = out.len();
    out.put_u16(0);
    out.put_u16(bucket.weight);
    out.put_u32(port.0);
    put_optional(group, out);
    out.put_zeros(4);
    put_actions(&bucket.actions, out)?;
    out.patch_len("bucket", start, 0)
}

/// What must live for a bucket of a fast-failover group to be used: the first port or group it sends to.
fn watched(actions: &[Action]) -> (OfPort, Option<GroupId>) {
    let first = actions.iter().find_map(|action| match action {
        Action::Output { port, .. } => Some((*port, None)),
        Action::Group(group) => Some((OfPort::ANY, Some(*group))),
        _ => None,
    });
    first.unwrap_or((OfPort::ANY, None))
}
