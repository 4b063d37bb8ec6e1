//! The ONF flow monitor for OpenFlow 1.3 (extension 187, experimenter multipart 1870), as Open vSwitch speaks it.

use crate::{
    code::bit_set,
    codec::{
        instruction::{put_instructions, read_instructions},
        oxm::{put_match, read_match},
    },
    flow::{Flow, TableId},
    matching::Match,
    wire::{DecodeError, EncodeError, Put, Reader},
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

/// Octets of a match before its padding; it was just appended at `start`, header first.
fn match_len(out: &[u8], start: usize) -> [u8; 2] {
    let mut r = Reader::new(out.get(start + 2..).unwrap_or_default());
    r.array("match").unwrap_or_default()
}

impl FlowMonitorRequest {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u32(self.id);
        out.put_u16(self.flags.0);
        let len_at = out.len();
        out.put_zeros(2);
        out.put_u32(self.out_port.0);
        out.put_u8(self.table.0);
        out.put_zeros(3);
        let start = out.len();
        put_match(&self.matching, out)?;
        let len = match_len(out, start);
        out.set_u16("match", len_at, u16::from_be_bytes(len).into())
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow monitor";
        let id = r.u32(WHAT)?;
        let flags = MonitorFlags(r.u16(WHAT)?);
        r.skip(WHAT, 2)?;
        let out_port = OfPort(r.u32(WHAT)?);
        let table = TableId(r.u8(WHAT)?);
        r.skip(WHAT, 3)?;
        Ok(Self { id, flags, out_port, table, matching: read_match(r)? })
    }
}

// NXFME_*: Open vSwitch numbers the events of OpenFlow 1.3 as those of its own extension.
const ADDED: u16 = 0;
const DELETED: u16 = 1;
const MODIFIED: u16 = 2;
const ABBREV: u16 = 3;

impl FlowUpdate {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Added(flow) => flow.put(ADDED, 0, out),
            Self::Modified(flow) => flow.put(MODIFIED, 0, out),
            Self::Removed { flow, reason } => flow.put(DELETED, *reason, out),
            Self::Abbreviated(xid) => {
                out.put_u16(8);
                out.put_u16(ABBREV);
                out.put_u32(*xid);
                Ok(())
            }
            Self::Unknown(bytes) => {
                let fits = matches!(Reader::new(bytes).element("flow update", 0, 8, 8), Ok(e) if e.len() == bytes.len());
                if !fits {
                    return Err(EncodeError::BadRaw { what: "flow update", len: bytes.len() });
                }
                out.put_bytes(bytes);
                Ok(())
            }
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow update";
        let bytes = r.element(WHAT, 0, 8, 8)?;
        let mut r = Reader::new(bytes);
        r.skip(WHAT, 2)?;
        let event = r.u16(WHAT)?;
        match event {
            ABBREV if bytes.len() == 8 => r.u32(WHAT).map(Self::Abbreviated),
            ADDED | DELETED | MODIFIED => {
                let (flow, reason) = MonitoredFlow::read(r)?;
                Ok(match event {
                    ADDED => Self::Added(flow),
                    DELETED => Self::Removed { flow, reason },
                    _ => Self::Modified(flow),
                })
            }
            _ => Ok(Self::Unknown(bytes.to_vec())),
        }
    }
}

impl MonitoredFlow {
    fn put(&self, event: u16, reason: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.put_u16(0);
        out.put_u16(event);
        out.put_u16(reason);
        out.put_u16(self.flow.priority);
        out.put_u16(self.idle_timeout);
        out.put_u16(self.hard_timeout);
        out.put_zeros(2);
        out.put_u8(self.flow.table.0);
        out.put_zeros(1);
        out.put_u64(self.flow.cookie);
        let match_start = out.len();
        put_match(&self.flow.matching, out)?;
        let len = match_len(out, match_start);
        out.set_u16("match", start + 12, u16::from_be_bytes(len).into())?;
        put_instructions(&self.flow.instructions, out)?;
        out.patch_len("flow update", start, 0)
    }

    /// Reads what follows the event: the flow, and why it went.
    fn read(mut r: Reader<'_>) -> Result<(Self, u16), DecodeError> {
        const WHAT: &str = "flow update";
        let reason = r.u16(WHAT)?;
        let [priority, idle_timeout, hard_timeout] = [r.u16(WHAT)?, r.u16(WHAT)?, r.u16(WHAT)?];
        r.skip(WHAT, 2)?;
        let table = TableId(r.u8(WHAT)?);
        r.skip(WHAT, 1)?;
        let cookie = r.u64(WHAT)?;
        let matching = read_match(&mut r)?;
        let instructions = read_instructions(r)?;
        let flow = Flow { table, priority, cookie, matching, instructions };
        Ok((Self { flow, idle_timeout, hard_timeout }, reason))
    }
}
