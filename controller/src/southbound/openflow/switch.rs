//! A switch as the rest of the controller sees it: a handle to its session.

use super::session::{Outcome, Request};
use crate::reconcile::{Observed, Plan};
use bytes::Bytes;
use openflow::{
    EncodeError, Match, Message, MeterId, TableId,
    message::{
        AsyncConfig, ErrorMessage, Features, FlowFilter, FlowMonitorRequest, FlowUpdate, Meter, MeterFlags,
        MeterMod, MeterModCommand, MonitorFlags, MultipartReply, MultipartRequest, PacketIn, PacketInFormat,
        PacketOut, PortStatus, Role, RoleChange, SwitchConfig,
    },
    raw::{RawFlowPart, RawFlowStats},
};
use packet::OfPort;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Ops of one bundle. A switch applies 100,000 in under a second; more than this might not fit into its memory twice.
const MAX_BUNDLE: usize = 250_000;
/// Every table.
const ALL_TABLES: TableId = TableId(0xff);
/// OFPET_ROLE_REQUEST_FAILED and its code for a generation id that lies behind.
const ROLE_REQUEST_FAILED: u16 = 11;
const STALE: u16 = 0;
/// OFPET_METER_MOD_FAILED and its codes for a meter that is there already, or not there.
const METER_MOD_FAILED: u16 = 12;
const METER_EXISTS: u16 = 1;
const UNKNOWN_METER: u16 = 3;

/// An open session. Clones share it; it closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Switch {
    /// What the switch said of itself.
    pub features: Features,
    /// Who it is, for logs.
    pub peer: Arc<str>,
    pub(super) requests: mpsc::Sender<Request>,
}

/// Said by a switch unasked.
#[derive(Debug)]
pub enum SwitchEvent {
    /// A packet for us.
    PacketIn(PacketIn),
    /// Somebody else touched flows.
    Flows(Vec<FlowUpdate>),
    /// Events about flows were lost: only comparing everything can help.
    FlowsLost,
    /// A port came, went or changed.
    Port(PortStatus),
    /// Our role was changed: another controller became master.
    Role(Role),
}

/// Why a switch did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// The session ended before the answer.
    #[error("the session with the switch ended")]
    Closed,
    /// It refused.
    #[error("the switch refused {what}: {error}")]
    Refused {
        /// What it was asked.
        what: &'static str,
        /// What it said.
        error: ErrorMessage,
    },
    /// It answered something else.
    #[error("the switch did not answer {what}")]
    NoAnswer {
        /// What it was asked.
        what: &'static str,
    },
    /// An answer that cannot be read.
    #[error("cannot read the switch's answer to {what}: {why}")]
    Unreadable {
        /// What it was asked.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Why a plan was not applied. Flows and groups of the bundle that failed are as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The switch refused some steps; nothing of the bundle was applied.
    #[error("the switch refused {} of the changes", .0.len())]
    Refused(Vec<Refusal>),
    /// The switch refused the bundle as such.
    #[error("the switch refused the bundle: {0}")]
    Bundle(ErrorMessage),
    /// Another controller is master.
    #[error("another controller is master of the switch")]
    NotMaster,
    /// Something else went wrong.
    #[error(transparent)]
    Switch(#[from] SwitchError),
}

/// A step that the switch refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the list of steps.
    pub index: usize,
    /// What the switch said.
    pub why: RefusalReason,
}

/// Why a step was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// The switch said no.
    #[error("{0}")]
    Switch(ErrorMessage),
    /// It fits into no message, and was not sent.
    #[error("{0}")]
    Encode(EncodeError),
}

/// A meter that the switch refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMeter {
    /// Its number.
    pub meter: MeterId,
    /// What the switch said.
    pub error: ErrorMessage,
}

/// Everything a switch holds.
#[derive(Debug)]
pub struct Dump {
    /// Groups and meters.
    pub observed: Observed,
    parts: Vec<Bytes>,
}

impl Dump {
    /// Every flow.
    pub fn flows(&self) -> impl Iterator<Item = RawFlowStats<'_>> {
        // Parts that cannot be read were found by `check`.
        self.parts.iter().filter_map(|part| RawFlowPart::of(part)).flatten().filter_map(Result::ok)
    }

    fn check(&self) -> Result<(), SwitchError> {
        for part in &self.parts {
            if let Some(Err(why)) = RawFlowPart::of(part).into_iter().flatten().find(Result::is_err) {
                return Err(SwitchError::Unreadable { what: "for its flows", why: why.to_string() });
            }
        }
        Ok(())
    }
}

impl Switch {
    /// Becomes master and configures what the switch tells unasked. `generation` must not lie behind that of an
    /// earlier master; if it does, the switch says how far it is. Returns the generation that it took.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub async fn claim(&self, generation: u64) -> Result<u64, SwitchError> {
        let taken = match self.role(Role::Master, generation).await {
            Ok(_) => generation,
            Err(SwitchError::Refused { error, .. })
                if (error.kind, error.code) == (ROLE_REQUEST_FAILED, STALE) =>
            {
                // "A generation id lies behind if its distance as a signed number is negative" (1.3.5, 6.3.6).
                let newest = self.role(Role::NoChange, 0).await?;
                let next = newest.wrapping_add(1);
                self.role(Role::Master, next).await?;
                next
            }
            Err(err) => return Err(err),
        };
        // What the switch tells a master and, second, a slave.
        let listen =
            AsyncConfig { packet_in: [0b111, 0], port_status: [0b111, 0b111], flow_removed: [0b1111, 0] };
        let messages = vec![
            Message::SetAsync(listen),
            Message::SetPacketInFormat(PacketInFormat::Nxt2),
            Message::SetConfig(SwitchConfig { flags: 0, miss_send_len: 0xffff }),
        ];
        let what = "the session's configuration";
        for outcome in self.batch(messages).await? {
            outcome.done(what)?;
        }
        Ok(taken)
    }

    async fn role(&self, role: Role, generation_id: u64) -> Result<u64, SwitchError> {
        let what = "the role of master";
        match self.one(Message::RoleRequest(RoleChange { role, generation_id })).await?.reply(what)? {
            Message::RoleReply(now) => Ok(now.generation_id),
            _ => Err(SwitchError::NoAnswer { what }),
        }
    }

    /// Asks to be told of every change of a flow that is not our own doing.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub async fn monitor_flows(&self) -> Result<(), SwitchError> {
        let flags = MonitorFlags::ADD | MonitorFlags::DELETE | MonitorFlags::MODIFY | MonitorFlags::ACTIONS;
        let request = FlowMonitorRequest {
            id: 1,
            flags,
            out_port: OfPort::ANY,
            table: ALL_TABLES,
            matching: Match::new(),
        };
        let message = Message::MultipartRequest(MultipartRequest::FlowMonitor(vec![request]));
        self.one(message).await?.done("to report changes of flows")
    }

    /// Reads everything the switch holds, in one round trip.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub async fn dump(&self) -> Result<Dump, SwitchError> {
        let all = FlowFilter {
            table: ALL_TABLES,
            out_port: OfPort::ANY,
            out_group: None,
            cookie: 0,
            cookie_mask: 0,
            matching: Match::new(),
        };
        let ask =
            [MultipartRequest::MeterConfig(None), MultipartRequest::GroupDesc, MultipartRequest::Flow(all)];
        let mut answers =
            self.batch(ask.into_iter().map(Message::MultipartRequest).collect()).await?.into_iter();
        let mut next = |what| answers.next().ok_or(SwitchError::NoAnswer { what });
        let meters = match next("for its meters")? {
            Outcome::Reply(Message::MultipartReply { body: MultipartReply::MeterConfig(meters), .. }) => {
                meters
            }
            // A datapath without meters has none.
            Outcome::Refused(_) => Vec::new(),
            _ => return Err(SwitchError::NoAnswer { what: "for its meters" }),
        };
        let what = "for its groups";
        let groups = match next(what)?.reply(what)? {
            Message::MultipartReply { body: MultipartReply::GroupDesc(groups), .. } => groups,
            _ => return Err(SwitchError::NoAnswer { what }),
        };
        let what = "for its flows";
        let parts = match next(what)? {
            Outcome::Flows(parts) => parts,
            other => return Err(other.reply(what).err().unwrap_or(SwitchError::NoAnswer { what })),
        };
        let dump = Dump { observed: Observed { groups, meters }, parts };
        dump.check()?;
        Ok(dump)
    }

    /// Applies a plan: meters, then one atomic bundle (more only if it is huge), then deletions of meters. Meters that
    /// the switch refuses are no obstacle: flows that use them are refused by themselves.
    ///
    /// # Errors
    /// [`ApplyError`]; the indexes of [`ApplyError::Refused`] are those of [`Plan::ops`].
    pub async fn apply(&self, plan: &Arc<Plan>) -> Result<Vec<RefusedMeter>, ApplyError> {
        let mut refused = self.change_meters(&plan.put_meters).await?;
        self.apply_ops(plan).await?;
        let delete = |id: &MeterId| {
            let meter = Meter { id: *id, flags: MeterFlags::NONE, bands: Vec::new() };
            MeterMod { command: MeterModCommand::Delete, meter }
        };
        let deletions: Vec<_> = plan.delete_meters.iter().map(delete).collect();
        refused.extend(self.change_meters(&deletions).await?);
        Ok(refused)
    }

    /// Applies the flows and groups of a plan.
    ///
    /// # Errors
    /// As [`Switch::apply`].
    pub async fn apply_ops(&self, plan: &Arc<Plan>) -> Result<(), ApplyError> {
        for first in (0..plan.ops.len()).step_by(MAX_BUNDLE) {
            let range = first..plan.ops.len().min(first + MAX_BUNDLE);
            let (answer, verdict) = oneshot::channel();
            self.request(Request::Bundle { plan: Arc::clone(plan), range, answer }).await?;
            verdict.await.map_err(|_| SwitchError::Closed)??;
        }
        Ok(())
    }

    /// Adds, changes and deletes meters; returns those that were refused.
    async fn change_meters(&self, mods: &[MeterMod]) -> Result<Vec<RefusedMeter>, SwitchError> {
        if mods.is_empty() {
            return Ok(Vec::new());
        }
        let messages = mods.iter().cloned().map(Message::MeterMod).collect();
        let outcomes = self.batch(messages).await?;
        let refused = mods.iter().zip(outcomes).filter_map(|(meter_mod, outcome)| match outcome {
            // Somebody was faster; the next comparison sees whether it is right.
            Outcome::Refused(error)
                if error.kind == METER_MOD_FAILED && [METER_EXISTS, UNKNOWN_METER].contains(&error.code) =>
            {
                None
            }
            Outcome::Refused(error) => Some(RefusedMeter { meter: meter_mod.meter.id, error }),
            Outcome::Silent | Outcome::Reply(_) | Outcome::Flows(_) | Outcome::Unreadable(_) => None,
        });
        Ok(refused.collect())
    }

    /// Sends a packet out. Never waits: if the session is so busy that this would queue, the packet is dropped, as
    /// any packet may be, and `false` returned.
    pub fn packet_out(&self, packet: PacketOut) -> bool {
        self.requests.try_send(Request::Send(Message::PacketOut(packet))).is_ok()
    }

    /// True if both are the same session.
    pub fn is_same(&self, other: &Self) -> bool {
        self.requests.same_channel(&other.requests)
    }

    async fn one(&self, message: Message) -> Result<Outcome, SwitchError> {
        self.batch(vec![message]).await?.pop().ok_or(SwitchError::Closed)
    }

    /// Sends messages and a barrier, and waits for the barrier: what became of each.
    async fn batch(&self, messages: Vec<Message>) -> Result<Vec<Outcome>, SwitchError> {
        let (answer, outcomes) = oneshot::channel();
        self.request(Request::Batch { messages, answer }).await?;
        outcomes.await.map_err(|_| SwitchError::Closed)
    }

    async fn request(&self, request: Request) -> Result<(), SwitchError> {
        self.requests.send(request).await.map_err(|_| SwitchError::Closed)
    }
}

impl Outcome {
    /// The reply that was asked for.
    fn reply(self, what: &'static str) -> Result<Message, SwitchError> {
        match self {
            Self::Reply(message) => Ok(message),
            Self::Refused(error) => Err(SwitchError::Refused { what, error }),
            Self::Unreadable(why) => Err(SwitchError::Unreadable { what, why }),
            Self::Silent | Self::Flows(_) => Err(SwitchError::NoAnswer { what }),
        }
    }

    /// Anything but a refusal.
    fn done(self, what: &'static str) -> Result<(), SwitchError> {
        match self {
            Self::Refused(error) => Err(SwitchError::Refused { what, error }),
            Self::Silent | Self::Reply(_) | Self::Flows(_) | Self::Unreadable(_) => Ok(()),
        }
    }
}
