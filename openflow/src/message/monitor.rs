//! The ONF flow monitor for OpenFlow 1.3 (extension 187, experimenter multipart 1870), as Open vSwitch speaks it.

use crate::{
    code::bit_set,
    flow::{Flow, TableId},
    matching::Match,
};
use packet::OfPort;

bit_set! {
    /// What to watch.
    MonitorFlags(u16) {
        /// Send the flows that exist now first.
        INITIAL = 0x1,
        /// Report new flows.
        ADD = 0x2,
        /// Report flows that go.
        DELETE = 0x4,
        /// Report flows that change.
        MODIFY = 0x8,
        /// With instructions.
        ACTIONS = 0x10,
        /// Changes by this very connection in full, not abbreviated.
        OWN = 0x20,
    }
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowMonitorRequest {
    /// Its number, unique on the connection.
    pub id: u32,
    /// What to report.
    pub flags: MonitorFlags,
    /// Only flows that send to this port; `OfPort::ANY` = all.
    pub out_port: OfPort,
    /// One table, or 255 = all.
    pub table: TableId,
    /// Only flows within this match.
    pub matching: Match,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlowUpdate {
    /// A flow that stands (when the monitor starts) or is new.
    Added(MonitoredFlow),
    /// A flow that went.
    Removed {
        /// The flow; without instructions unless asked.
        flow: MonitoredFlow,
        /// Why ([`FlowRemovedReason`](super::FlowRemovedReason)).
        reason: u16,
    },
    /// A flow with new instructions.
    Modified(MonitoredFlow),
    /// This connection's own flow-mod with this xid changed something.
    Abbreviated(u32),
    /// An event this crate does not interpret: its whole bytes, length included.
    Unknown(Vec<u8>),
}

/// A flow as a monitor reports it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MonitoredFlow {
    /// The flow.
    pub flow: Flow,
    /// Its idle timeout in seconds.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds.
    pub hard_timeout: u16,
}
