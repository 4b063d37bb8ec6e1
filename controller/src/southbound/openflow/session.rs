//! The task of one session: a socket, a clock, and who waits for which answer.

use super::{
    bundle::BundleRun,
    endpoint::Stream,
    switch::{ApplyError, Switch, SwitchEvent},
};
use crate::reconcile::Plan;
use bytes::{Buf, Bytes, BytesMut};
use openflow::{
    Config, Connection, Event, Message, Xid,
    message::{ErrorMessage, Features, Header, MultipartReply, MultipartRequest},
    raw::RawFlowPart,
};
use std::{
    collections::{HashMap, VecDeque},
    io,
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Encoded bytes that wait for the socket: a bundle is encoded no further ahead than this.
const OUTPUT_HIGH: usize = 1 << 18;
/// What one read may bring.
const READ_SIZE: usize = 1 << 18;
/// Requests that wait for the session task.
const REQUESTS: usize = 256;
/// Events that wait for the owner of the session.
const EVENTS: usize = 1024;
/// OFPT_MULTIPART_REPLY.
const MULTIPART_REPLY: u8 = 19;

/// To whom the end of a bundle is told.
type Verdict = oneshot::Sender<Result<(), ApplyError>>;

/// What the session is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    /// Send these, then a barrier; answer when the barrier is answered.
    Batch { messages: Vec<Message>, answer: oneshot::Sender<Vec<Outcome>> },
    /// Apply these ops of the plan as one bundle.
    Bundle { plan: Arc<Plan>, range: Range<usize>, answer: Verdict },
    /// Send this and forget it.
    Send(Message),
}

/// What became of one message of a batch by the time of its barrier.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing was said, which for most messages means that all is well.
    Silent,
    /// Its answer.
    Reply(Message),
    /// The answer to a request for flows: parts that hold entries as bytes.
    Flows(Vec<Bytes>),
    /// An error.
    Refused(ErrorMessage),
    /// An answer that could not be read.
    Unreadable(String),
}

/// Why a session ended, as an operator should read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionEnd {
    /// The peer closed the connection.
    #[error("the switch closed the connection")]
    Peer,
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(String),
    /// The protocol gave up.
    #[error(transparent)]
    Protocol(#[from] openflow::CloseReason),
    /// Nobody holds the session any more.
    #[error("closed by this controller")]
    Dropped,
}

/// A session that passed its handshake.
#[derive(Debug)]
pub struct Session {
    /// The handle for requests.
    pub switch: Switch,
    /// What the switch says unasked; ends with the session.
    pub events: mpsc::Receiver<SwitchEvent>,
    /// Why the session ended, once it has.
    pub ended: oneshot::Receiver<SessionEnd>,
}

/// Speaks OpenFlow on a stream: returns when the handshake is done, and leaves a task behind that ends with the stream
/// or with the last [`Switch`] of the session.
///
/// # Errors
/// [`SessionEnd`] if there is no session.
pub async fn open(stream: Box<dyn Stream>, peer: &str, config: Config) -> Result<Session, SessionEnd> {
    let mut driver = Driver::new(stream, config);
    let features = driver.handshake().await?;
    let (requests, requests_rx) = mpsc::channel(REQUESTS);
    let (events_tx, events) = mpsc::channel(EVENTS);
    let (ended_tx, ended) = oneshot::channel();
    tokio::spawn(async move {
        let end = driver.run(requests_rx, &events_tx).await;
        tracing::debug!(%end, "session ended");
        // The reason first, so that it is there for who sees the events end.
        let _ = ended_tx.send(end);
        drop(events_tx);
    });
    Ok(Session { switch: Switch { features, peer: peer.into(), requests }, events, ended })
}

struct Driver {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    input: BytesMut,
    output: Output,
    connection: Connection,
    started: Instant,
    batches: Batches,
    bundle: Option<(BundleRun, Verdict)>,
    next_bundles: VecDeque<(Arc<Plan>, Range<usize>, Verdict)>,
    last_bundle: u32,
    flows_lost: bool,
}

/// Bytes for the socket.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// A stream may keep bytes until it is flushed (TLS does).
    unflushed: bool,
}

impl Driver {
    fn new(stream: Box<dyn Stream>, config: Config) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            input: BytesMut::new(),
            output: Output::default(),
            connection: Connection::new(config, Duration::ZERO),
            started: Instant::now(),
            batches: Batches::default(),
            bundle: None,
            next_bundles: VecDeque::new(),
            last_bundle: 0,
            flows_lost: false,
        }
    }

    async fn handshake(&mut self) -> Result<Features, SessionEnd> {
        loop {
            self.pull_output();
            while let Some(event) = self.connection.poll_event() {
                match event {
                    Event::Ready { features } => return Ok(features),
                    Event::Closed { reason } => return Err(self.say_goodbye(reason).await),
                    Event::Reply { .. }
                    | Event::Error { .. }
                    | Event::Message { .. }
                    | Event::Malformed { .. } => {}
                }
            }
            self.pull_output();
            self.exchange().await?;
        }
    }

    /// Until the session ends.
    async fn run(
        &mut self,
        mut requests: mpsc::Receiver<Request>,
        events: &mpsc::Sender<SwitchEvent>,
    ) -> SessionEnd {
        loop {
            while let Some(event) = self.connection.poll_event() {
                if let Event::Closed { reason } = event {
                    return self.say_goodbye(reason).await;
                }
                self.dispatch(event, events);
            }
            self.pull_output();
            self.fill_bundle();
            let has_room = self.output.bytes.len() < OUTPUT_HIGH;
            tokio::select! {
                biased;
                // Requests first: they are what somebody waits for, and a full output stops them.
                request = requests.recv(), if has_room => match request {
                    Some(request) => self.begin(request),
                    None => return SessionEnd::Dropped,
                },
                exchanged = self.exchange() => {
                    if let Err(end) = exchanged {
                        return end;
                    }
                }
            }
        }
    }

    /// Waits for the socket or the clock, whichever has something first. Cancel safe.
    async fn exchange(&mut self) -> Result<(), SessionEnd> {
        let due = self.connection.poll_timeout().map(|at| self.started + at);
        // A dump keeps its parts in this buffer: use it up before there is a new one.
        if self.input.capacity() - self.input.len() < READ_SIZE / 4 {
            self.input.reserve(READ_SIZE);
        }
        tokio::select! {
            read = self.reader.read_buf(&mut self.input) => match read {
                Ok(0) => return Err(SessionEnd::Peer),
                Ok(_) => self.take_frames(),
                Err(err) => return Err(failed(&err)),
            },
            wrote = self.output.write(&mut self.writer), if self.output.is_pending() => {
                wrote.map_err(|err| failed(&err))?;
            }
            () = sleep_until(due) => self.connection.handle_timeout(self.started.elapsed()),
        }
        Ok(())
    }

    /// Cuts what was read into messages. Parts of dumps of flows stay bytes; everything else is for the connection.
    fn take_frames(&mut self) {
        let now = self.started.elapsed();
        while let Ok(header) = Header::decode(&self.input) {
            let len = usize::from(header.len);
            if len < openflow::message::HEADER_LEN {
                // Where the next message begins cannot be known: the connection says so and closes.
                let rest = self.input.split();
                return self.connection.handle_input(&rest, now);
            }
            if self.input.len() < len {
                return;
            }
            let frame = self.input.split_to(len);
            let is_wanted = header.kind == MULTIPART_REPLY && self.batches.wants_parts(header.xid);
            match RawFlowPart::of(&frame).filter(|_| is_wanted).map(|part| part.more) {
                Some(more) => {
                    self.connection.heard(now);
                    self.batches.part(header.xid, frame.freeze(), more);
                }
                None => self.connection.handle_input(&frame, now),
            }
        }
    }

    fn begin(&mut self, request: Request) {
        match request {
            Request::Send(message) => {
                if let Err(err) = self.connection.send(&message) {
                    tracing::debug!(%err, "message not sent");
                }
            }
            Request::Batch { messages, answer } => {
                self.batches.begin(&mut self.connection, &mut self.output.bytes, &messages, answer);
            }
            Request::Bundle { plan, range, answer } => {
                self.next_bundles.push_back((plan, range, answer));
                self.start_bundle();
            }
        }
        self.pull_output();
    }

    /// One bundle at a time: they are applied in the order in which they were asked for.
    fn start_bundle(&mut self) {
        if self.bundle.is_some() {
            return;
        }
        if let Some((plan, range, answer)) = self.next_bundles.pop_front() {
            self.pull_output();
            self.last_bundle = self.last_bundle.wrapping_add(1);
            let out = &mut self.output.bytes;
            let run = BundleRun::start(&mut self.connection, self.last_bundle, plan, range, out);
            self.bundle = Some((run, answer));
        }
    }

    fn fill_bundle(&mut self) {
        if let Some((run, _)) = &mut self.bundle {
            run.fill(&mut self.connection, OUTPUT_HIGH, &mut self.output.bytes);
        }
    }

    fn dispatch(&mut self, event: Event, events: &mpsc::Sender<SwitchEvent>) {
        match event {
            Event::Message { message, .. } => self.forward(message, events),
            Event::Reply { xid, message } => {
                // A flow monitor answers for ever, under the xid of its request.
                if let Message::MultipartReply { body: MultipartReply::FlowMonitor(_), .. } = &message {
                    self.forward(message.clone(), events);
                }
                self.answer(Event::Reply { xid, message });
            }
            Event::Error { .. } => self.answer(event),
            Event::Malformed { xid, kind, error, .. } => {
                tracing::warn!(kind, %error, "message from the switch cannot be read");
                self.batches.outcome(xid, Outcome::Unreadable(error.to_string()));
            }
            Event::Ready { .. } | Event::Closed { .. } => {}
        }
    }

    fn answer(&mut self, event: Event) {
        let (Event::Reply { xid, .. } | Event::Error { xid, .. }) = &event else { return };
        let xid = *xid;
        if let Some((run, answer)) = self.bundle.take_if(|(run, _)| run.owns(xid)) {
            return self.bundle_event(run, answer, &event);
        }
        match event {
            Event::Reply { message, .. } => self.batches.outcome(xid, Outcome::Reply(message)),
            Event::Error { error, .. } => {
                if !self.batches.knows(xid) {
                    tracing::debug!(%error, "error for a message that nobody waits for");
                }
                self.batches.outcome(xid, Outcome::Refused(error));
            }
            Event::Ready { .. } | Event::Message { .. } | Event::Malformed { .. } | Event::Closed { .. } => {}
        }
    }

    fn bundle_event(&mut self, mut run: BundleRun, answer: Verdict, event: &Event) {
        self.pull_output();
        match run.handle_event(&mut self.connection, event, &mut self.output.bytes) {
            None => self.bundle = Some((run, answer)),
            Some(verdict) => {
                // Nobody waits for a bundle whose chassis went.
                let _ = answer.send(verdict);
                self.start_bundle();
            }
        }
    }

    /// Tells the owner what the switch said unasked. An owner that is too slow loses packets; of lost news about flows
    /// it is told.
    fn forward(&mut self, message: Message, events: &mpsc::Sender<SwitchEvent>) {
        let event = match message {
            Message::PacketIn(packet) => SwitchEvent::PacketIn(packet),
            Message::PortStatus(port) => SwitchEvent::Port(port),
            Message::RoleStatus(status) => SwitchEvent::Role(status.role),
            Message::MultipartReply { body: MultipartReply::FlowMonitor(updates), .. } => {
                SwitchEvent::Flows(updates)
            }
            Message::FlowMonitorResumed => SwitchEvent::FlowsLost,
            other => {
                tracing::debug!(?other, "message from the switch");
                return;
            }
        };
        if self.flows_lost && events.try_send(SwitchEvent::FlowsLost).is_ok() {
            self.flows_lost = false;
        }
        if let Err(mpsc::error::TrySendError::Full(SwitchEvent::Flows(_) | SwitchEvent::FlowsLost)) =
            events.try_send(event)
        {
            self.flows_lost = true;
        }
    }

    /// Appends what the connection has to say. Everything that appends to the output by itself calls this before, so
    /// that messages keep their order.
    fn pull_output(&mut self) {
        self.output.bytes.append(&mut self.connection.take_output());
    }

    /// Writes what can be written at once, as the error that explains a refused hello, and gives the reason back.
    async fn say_goodbye(&mut self, reason: openflow::CloseReason) -> SessionEnd {
        const PATIENCE: Duration = Duration::from_secs(1);
        self.pull_output();
        let last_words = async {
            while self.output.is_pending() {
                self.output.write(&mut self.writer).await?;
            }
            self.writer.shutdown().await
        };
        if tokio::time::timeout(PATIENCE, last_words).await.is_err() {
            tracing::debug!("the peer did not take the last bytes");
        }
        reason.into()
    }
}

impl Output {
    fn is_pending(&self) -> bool {
        !self.bytes.is_empty() || self.unflushed
    }

    /// Writes some of it. Cancel safe.
    async fn write(&mut self, writer: &mut WriteHalf<Box<dyn Stream>>) -> io::Result<()> {
        let mut rest = self.bytes.get(self.written..).unwrap_or_default();
        if rest.has_remaining() {
            let wrote = writer.write(rest).await?;
            if wrote == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest.advance(wrote);
            self.written += wrote;
            self.unflushed = true;
            if rest.is_empty() {
                self.bytes.clear();
                self.written = 0;
            }
        }
        if self.bytes.is_empty() {
            writer.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }
}

fn failed(err: &io::Error) -> SessionEnd {
    SessionEnd::Io(err.to_string())
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Batches whose barrier is not answered yet.
#[derive(Default)]
struct Batches {
    /// The batch and the place in it of a message, by xid.
    places: HashMap<Xid, Place>,
    open: HashMap<Xid, Batch>,
}

#[derive(Clone, Copy)]
struct Place {
    /// Xid of the batch's barrier.
    barrier: Xid,
    index: usize,
    is_dump: bool,
}

struct Batch {
    xids: Vec<Xid>,
    outcomes: Vec<Outcome>,
    answer: oneshot::Sender<Vec<Outcome>>,
}

impl Batches {
    fn begin(
        &mut self,
        connection: &mut Connection,
        output: &mut Vec<u8>,
        messages: &[Message],
        answer: oneshot::Sender<Vec<Outcome>>,
    ) {
        let mut places = Vec::new();
        let mut batch = Batch { xids: Vec::new(), outcomes: Vec::new(), answer };
        for (index, message) in messages.iter().enumerate() {
            let is_dump = matches!(message, Message::MultipartRequest(MultipartRequest::Flow(_)));
            let sent = if is_dump {
                // The connection would wait for the parts, which it does not get to see.
                output.append(&mut connection.take_output());
                let xid = connection.next_xid();
                message.encode(xid, output).map(|()| xid)
            } else {
                connection.send(message)
            };
            match sent {
                Ok(xid) => {
                    places.push((xid, index, is_dump));
                    batch.xids.push(xid);
                    batch.outcomes.push(Outcome::Silent);
                }
                Err(err) => batch.outcomes.push(Outcome::Unreadable(err.to_string())),
            }
        }
        // Without a barrier the answer is dropped, and who waits for it sees that.
        let Ok(barrier) = connection.send(&Message::BarrierRequest) else { return };
        let places = places.into_iter().map(|(xid, index, is_dump)| (xid, Place { barrier, index, is_dump }));
        self.places.extend(places);
        self.open.insert(barrier, batch);
    }

    fn knows(&self, xid: Xid) -> bool {
        self.places.contains_key(&xid) || self.open.contains_key(&xid)
    }

    fn wants_parts(&self, xid: Xid) -> bool {
        self.places.get(&xid).is_some_and(|place| place.is_dump)
    }

    fn slot(&mut self, xid: Xid) -> Option<&mut Outcome> {
        let place = self.places.get(&xid)?;
        self.open.get_mut(&place.barrier)?.outcomes.get_mut(place.index)
    }

    /// One part of a dump.
    fn part(&mut self, xid: Xid, frame: Bytes, more: bool) {
        if let Some(slot) = self.slot(xid) {
            match slot {
                Outcome::Flows(parts) => parts.push(frame),
                Outcome::Silent => *slot = Outcome::Flows(vec![frame]),
                Outcome::Reply(_) | Outcome::Refused(_) | Outcome::Unreadable(_) => {}
            }
        }
        if !more {
            // A part after the last one would be for nobody.
            if let Some(place) = self.places.get_mut(&xid) {
                place.is_dump = false;
            }
        }
    }

    /// The answer to a message; that to a barrier ends its batch.
    fn outcome(&mut self, xid: Xid, outcome: Outcome) {
        if let Some(batch) = self.open.remove(&xid) {
            for xid in &batch.xids {
                self.places.remove(xid);
            }
            // Nobody waits for a batch whose chassis went.
            let _ = batch.answer.send(batch.outcomes);
        } else if let Some(slot @ Outcome::Silent) = self.slot(xid) {
            *slot = outcome;
        }
    }
}
