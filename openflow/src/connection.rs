//! One OpenFlow session without its socket and without a clock.
//!
//! The owner feeds bytes and time in ([`Connection::handle_input`], [`Connection::handle_timeout`]) and takes
//! bytes and events out ([`Connection::take_output`], [`Connection::poll_event`]). Time is a `Duration` since any
//! fixed moment, the same one for the life of the connection.

use crate::{
    message::{
        ErrorMessage, Features, HEADER_LEN, Header, Hello, Message, MultipartReply, VERSION, Xid, frame_len,
    },
    wire::{DecodeError, EncodeError},
};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// Times and limits of a [`Connection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Silence of the peer after which it is probed by an echo request.
    pub echo_idle: Duration,
    /// How long the probe may stay unanswered.
    pub echo_timeout: Duration,
    /// How long hello and features may take together.
    pub handshake_timeout: Duration,
    /// Greatest size of one multipart reply, in octets of the wire.
    pub max_multipart: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            echo_idle: Duration::from_secs(5),
            echo_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            max_multipart: 512 << 20,
        }
    }
}

/// What the owner of a connection should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The handshake is done; the session can be used.
    Ready {
        /// What the switch said of itself.
        features: Features,
    },
    /// The answer to a request, by xid; a multipart reply comes once, with all its parts joined.
    Reply {
        /// Xid of the request.
        xid: Xid,
        /// The reply.
        message: Message,
    },
    /// The switch refused the request with this xid.
    Error {
        /// Xid of the request.
        xid: Xid,
        /// Why.
        error: ErrorMessage,
    },
    /// Said by the switch unasked: packet-in, flow-removed, port-status, role-status, flow monitor (which the switch
    /// sends under xid 0), unknown. Also parts of a multipart reply that [`Connection::send`] did not ask for.
    Message {
        /// The xid it carried, mostly 0.
        xid: Xid,
        /// What it said.
        message: Message,
    },
    /// A message that could not be read, or a multipart reply that outgrew its limit. The session goes on; who waits
    /// for this xid waits in vain.
    Malformed {
        /// Its xid.
        xid: Xid,
        /// OFPT_* of its header.
        kind: u8,
        /// What is wrong with it.
        error: DecodeError,
        /// The message; empty if no single message is to blame.
        frame: Vec<u8>,
    },
    /// The session is over: write what output is left, then close the socket. The last event.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer does not speak OpenFlow 1.3.
    #[error("peer speaks openflow versions {offered:#x} (bitmap), not 1.3")]
    Version {
        /// Bitmap of what it speaks, bit n = version n.
        offered: u32,
    },
    /// The peer refused our hello.
    #[error("peer refused the hello: {0}")]
    HelloFailed(String),
    /// Something else than a hello came first, or no features followed.
    #[error("handshake: {0}")]
    Handshake(String),
    /// Hello or features did not come in time.
    #[error("handshake not done after {0:?}")]
    HandshakeTimeout(Duration),
    /// No answer to the echo request.
    #[error("no answer to an echo request for {0:?}")]
    EchoTimeout(Duration),
    /// A header with an impossible length: where the next message begins cannot be known.
    #[error("message header says length {0}")]
    Framing(usize),
}

/// The state of one session.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    state: State,
    /// Received, but not yet a whole message.
    input: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Event>,
    last_xid: u32,
    started: Duration,
    last_heard: Duration,
    /// Since when an echo request waits for a sign of life.
    probe: Option<Duration>,
    /// Xid of the last one.
    probe_xid: Xid,
    /// Multipart requests on their way, with what came back so far.
    multiparts: HashMap<Xid, Partial>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for the peer's hello.
    Hello,
    /// Waits for the answer to the features request with this xid.
    Features(Xid),
    Ready,
    Closed,
}

/// The parts of a multipart reply so far.
#[derive(Debug, Default)]
struct Partial {
    body: Option<MultipartReply>,
    /// Octets of the wire.
    size: usize,
}

impl Connection {
    /// A session that begins now; its hello stands in the output at once.
    pub fn new(config: Config, now: Duration) -> Self {
        let mut connection = Self {
            config,
            state: State::Hello,
            input: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            last_xid: 0,
            started: now,
            last_heard: now,
            probe: None,
            probe_xid: Xid(0),
            multiparts: HashMap::new(),
        };
        connection.put(&Message::Hello(Hello { version: VERSION, bitmap: Some(1 << VERSION) }));
        connection
    }

    /// Takes bytes from the socket, in any cut.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        self.heard(now);
        let mut buffer = std::mem::take(&mut self.input);
        if buffer.is_empty() {
            let used = self.handle_frames(bytes);
            self.input = bytes.get(used..).unwrap_or_default().to_vec();
        } else {
            buffer.extend_from_slice(bytes);
            let used = self.handle_frames(&buffer);
            buffer.drain(..used);
            self.input = buffer;
        }
    }

    /// The peer lives: something came from it. For an owner that keeps some messages to itself.
    pub fn heard(&mut self, now: Duration) {
        self.last_heard = now;
        self.probe = None;
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match (self.state, self.probe) {
            (State::Hello | State::Features(_), _) => {
                self.close(CloseReason::HandshakeTimeout(self.config.handshake_timeout));
            }
            (State::Ready, None) => {
                self.probe_xid = self.put(&Message::EchoRequest(Vec::new()));
                self.probe = Some(now);
            }
            (State::Ready, Some(since)) => {
                self.close(CloseReason::EchoTimeout(now.saturating_sub(since)));
            }
            (State::Closed, _) => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest; `None` once closed. Ask again after
    /// every other call.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match (self.state, self.probe) {
            (State::Hello | State::Features(_), _) => Some(self.started + self.config.handshake_timeout),
            (State::Ready, None) => Some(self.last_heard + self.config.echo_idle),
            (State::Ready, Some(since)) => Some(since + self.config.echo_timeout),
            (State::Closed, _) => None,
        }
    }

    /// The bytes to write to the socket, in order; empty when there is nothing to write.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Queues a message under a new xid. Before [`Event::Ready`] and after [`Event::Closed`] it goes nowhere.
    ///
    /// # Errors
    /// [`EncodeError`] if the message has no encoding; nothing is queued then.
    pub fn send(&mut self, message: &Message) -> Result<Xid, EncodeError> {
        let xid = self.next_xid();
        let start = self.output.len();
        message.encode(xid, &mut self.output)?;
        if self.state != State::Ready {
            self.output.truncate(start);
        } else if let Message::MultipartRequest(_) = message {
            self.multiparts.insert(xid, Partial::default());
        }
        Ok(xid)
    }

    /// A new xid; never 0, which the switch uses for what it says unasked.
    pub fn next_xid(&mut self) -> Xid {
        self.last_xid = self.last_xid.wrapping_add(1).max(1);
        Xid(self.last_xid)
    }

    /// Where messages are queued that their sender encodes itself.
    pub(crate) const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Queues a message of the session itself, all of which have an encoding.
    fn put(&mut self, message: &Message) -> Xid {
        let xid = self.next_xid();
        self.put_with(xid, message);
        xid
    }

    fn put_with(&mut self, xid: Xid, message: &Message) {
        let encoded = message.encode(xid, &mut self.output);
        debug_assert_eq!(encoded, Ok(()));
    }

    fn close(&mut self, reason: CloseReason) {
        self.state = State::Closed;
        self.events.push_back(Event::Closed { reason });
    }

    /// Handles the whole messages at the front of a stream; returns how many octets they took.
    fn handle_frames(&mut self, stream: &[u8]) -> usize {
        let mut rest = stream;
        while self.state != State::Closed {
            match frame_len(rest) {
                None => break,
                Some(len) if len < HEADER_LEN => {
                    self.close(CloseReason::Framing(len));
                    break;
                }
                Some(len) => {
                    let Some((frame, tail)) = rest.split_at_checked(len) else { break };
                    rest = tail;
                    self.handle_frame(frame);
                }
            }
        }
        // Nothing matters after the end.
        if self.state == State::Closed { stream.len() } else { stream.len() - rest.len() }
    }

    fn handle_frame(&mut self, frame: &[u8]) {
        match Message::decode(frame) {
            Ok((xid, message)) => match self.state {
                State::Hello => self.handle_hello(xid, message),
                State::Features(request) => self.handle_features(request, xid, message, frame.len()),
                State::Ready | State::Closed => self.route(xid, message, frame.len()),
            },
            Err(error) => self.handle_malformed(frame, error),
        }
    }

    fn handle_malformed(&mut self, frame: &[u8], error: DecodeError) {
        let Ok(Header { kind, xid, .. }) = Header::decode(frame) else { return };
        match self.state {
            State::Hello => return self.close(CloseReason::Handshake(format!("no hello: {error}"))),
            State::Features(request) if request == xid => {
                return self.close(CloseReason::Handshake(format!("no features: {error}")));
            }
            _ => {}
        }
        self.multiparts.remove(&xid);
        self.events.push_back(Event::Malformed { xid, kind, error, frame: frame.to_vec() });
    }

    /// The first message decides on the version: OpenFlow 1.3.5, 6.3.1.
    fn handle_hello(&mut self, xid: Xid, message: Message) {
        match message {
            Message::Hello(hello) if hello.versions() & 1 << VERSION != 0 => {
                let request = self.put(&Message::FeaturesRequest);
                self.state = State::Features(request);
            }
            Message::Hello(hello) => {
                let refusal = ErrorMessage::incompatible("only openflow 1.3 is spoken here");
                self.put_with(xid, &Message::Error(refusal));
                self.close(CloseReason::Version { offered: hello.versions() });
            }
            Message::Error(error) => self.close(CloseReason::HelloFailed(error.to_string())),
            _ => self.close(CloseReason::Handshake("first message is no hello".into())),
        }
    }

    fn handle_features(&mut self, request: Xid, xid: Xid, message: Message, size: usize) {
        match message {
            Message::FeaturesReply(features) if xid == request => {
                self.state = State::Ready;
                self.events.push_back(Event::Ready { features });
            }
            Message::Error(error) if error.is_hello_failed() => {
                self.close(CloseReason::HelloFailed(error.to_string()));
            }
            Message::Error(error) if xid == request => {
                self.close(CloseReason::Handshake(format!("features request: {error}")));
            }
            other => self.route(xid, other, size),
        }
    }

    fn route(&mut self, xid: Xid, message: Message, size: usize) {
        let event = match message {
            Message::EchoRequest(data) => return self.put_with(xid, &Message::EchoReply(data)),
            // That it came is all there was to know.
            Message::EchoReply(_) if xid == self.probe_xid => return,
            Message::Error(error) => {
                self.multiparts.remove(&xid);
                Event::Error { xid, error }
            }
            Message::MultipartReply { more, body } => return self.handle_part(xid, more, body, size),
            Message::EchoReply(_)
            | Message::FeaturesReply(_)
            | Message::GetConfigReply(_)
            | Message::BarrierReply
            | Message::RoleReply(_)
            | Message::GetAsyncReply(_)
            | Message::BundleControl(_) => Event::Reply { xid, message },
            _ => Event::Message { xid, message },
        };
        self.events.push_back(event);
    }

    /// Joins a part to its predecessors: OpenFlow 1.3.5, 7.3.5.
    fn handle_part(&mut self, xid: Xid, more: bool, body: MultipartReply, size: usize) {
        let Some(partial) = self.multiparts.get_mut(&xid) else {
            self.events.push_back(Event::Message { xid, message: Message::MultipartReply { more, body } });
            return;
        };
        partial.size += size;
        let joined = match &mut partial.body {
            _ if partial.size > self.config.max_multipart => {
                Err(DecodeError::TooLarge { limit: self.config.max_multipart })
            }
            Some(all) => all.append(body),
            none => {
                *none = Some(body);
                Ok(())
            }
        };
        let event = match joined {
            Ok(()) if more => return,
            Ok(()) => {
                let Some(body) = self.multiparts.remove(&xid).and_then(|partial| partial.body) else {
                    return;
                };
                Event::Reply { xid, message: Message::MultipartReply { more: false, body } }
            }
            Err(error) => {
                self.multiparts.remove(&xid);
                Event::Malformed {
                    xid,
                    kind: crate::message::kind::MULTIPART_REPLY,
                    error,
                    frame: Vec::new(),
                }
            }
        };
        self.events.push_back(event);
    }
}
