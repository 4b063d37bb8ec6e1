//! Flows and groups as a controller thinks of them, before they become messages.

use crate::{action::Action, matching::Match};

/// A flow table, 0 to 253 (254 is Open vSwitch's own, 255 means "all").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

/// A group, below 0xffffff00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// A meter, 1 to 0xffff0000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterId(pub u32);

/// One step of a flow (OpenFlow 1.3.5, 7.2.4), kept in the order in which a switch runs them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// Pass only as much as the meter allows.
    Meter(MeterId),
    /// Run actions now.
    Apply(Vec<Action>),
    /// Empty the action set.
    Clear,
    /// Merge into the action set.
    Write(Vec<Action>),
    /// Write bits of the metadata word.
    Metadata {
        /// The bits.
        value: u64,
        /// Which bits are written.
        mask: u64,
    },
    /// Continue in a later table.
    Goto(TableId),
    /// An instruction this crate does not interpret: its whole bytes, type and length included.
    Unknown(Vec<u8>),
}

/// A flow entry. Two flows of one table with equal priority and match are the same flow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Where it stands.
    pub table: TableId,
    /// Higher wins.
    pub priority: u16,
    /// Opaque to the switch; says whose flow it is.
    pub cookie: u64,
    /// What it matches.
    pub matching: Match,
    /// What it does; empty = drop.
    pub instructions: Vec<Instruction>,
}

impl Flow {
    /// Brings the instructions into the form in which Open vSwitch reports them, so that the flow equals what is read
    /// back: in the order in which they run, and without apply-actions and write-actions that hold nothing.
    pub fn normalize(&mut self) {
        self.instructions.retain(|instruction| {
            !matches!(instruction, Instruction::Apply(actions) | Instruction::Write(actions) if actions.is_empty())
        });
        self.instructions.sort_by_key(Instruction::rank);
    }
}

impl Instruction {
    /// When it runs: OpenFlow 1.3.5, 5.9.
    const fn rank(&self) -> u8 {
        match self {
            Self::Meter(_) => 0,
            Self::Apply(_) => 1,
            Self::Clear => 2,
            Self::Write(_) => 3,
            Self::Metadata { .. } => 4,
            Self::Goto(_) => 5,
            Self::Unknown(_) => 6,
        }
    }
}

/// How a group uses its buckets (OpenFlow 1.3.5, 5.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// Every bucket gets a copy.
    All,
    /// One bucket, by hash and weight.
    Select,
    /// The one bucket.
    Indirect,
    /// The first live bucket.
    FastFailover,
}

/// One choice of a group. In a fast-failover group it is alive while the first port or group that it sends to is; a
/// bucket of a foreign group that watches something else is read without that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Share of a `Select` group; 0 elsewhere.
    pub weight: u16,
    /// What to do.
    pub actions: Vec<Action>,
}

/// A group entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// How buckets are used.
    pub kind: GroupType,
    /// In order.
    pub buckets: Vec<Bucket>,
}
