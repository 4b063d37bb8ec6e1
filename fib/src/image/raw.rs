//! Words and records as they stand, for those who decide about packets: `dragonflow-datapath`.

use super::FibImage;
use crate::hash;
use crate::layout::MemberRecord;
use crate::walk;
use packet::FiveTuple;
use zerocopy::{FromBytes, Immutable};

impl FibImage<'_> {
    /// The word of a key in a section of buckets (see [`crate::layout::section`]); 0 if it has none.
    pub fn exact(&self, section: usize, key: u64) -> u32 {
        walk::exact(self.view, section, key)
    }

    /// A record of a section, by its index; `None` beyond the last.
    pub fn record_at<T: FromBytes + Immutable>(&self, section: usize, index: u32) -> Option<T> {
        self.record(section, index)
    }

    /// The index of the adjacency that a flow takes, of the group at an index; `None` if there is no such group.
    pub fn member(&self, group: u32, flow: &FiveTuple) -> Option<u32> {
        let (_, at, count) = self.group_at(group)?;
        let flow_hash = hash::flow_hash(flow, self.hash_seed());
        let members = (0..count as usize).map(|member| at + member * size_of::<MemberRecord>());
        let chosen = hash::choose(flow_hash, members.map(|at| self.view.u32(at)))?;
        Some(self.view.u32(at + chosen * size_of::<MemberRecord>() + 4))
    }
}
