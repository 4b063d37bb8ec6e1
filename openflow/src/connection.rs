//! One OpenFlow session without its socket and without a clock.
//!
//! The owner feeds bytes and time in ([`Connection::handle_input`], [`Connection::handle_timeout`]) and takes
//! bytes and events out ([`Connection::take_output`], [`Connection::poll_event`]). Time is a `Duration` since any
//! fixed moment, the same one for the life of the connection.

use crate::{
    message::{ErrorMessage, Features, Message, Xid},
    wire::{DecodeError, EncodeError},
};
use std::time::Duration;

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
    /// How many multipart replies may be in the making at once.
    pub max_open_multiparts: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            echo_idle: Duration::from_secs(5),
            echo_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            max_multipart: 512 << 20,
            max_open_multiparts: 64,
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
    /// Said by the switch unasked: packet-in, flow-removed, port-status, role-status, flow monitor, unknown.
    Message {
        /// The xid it carried, mostly 0.
        xid: Xid,
        /// What it said.
        message: Message,
    },
    /// A message that could not be read. The session goes on.
    Malformed {
        /// Its xid.
        xid: Xid,
        /// OFPT_* of its header.
        kind: u8,
        /// What is wrong with it.
        error: DecodeError,
        /// The message.
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
    Framing(u16),
}

/// The state of one session.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    output: Vec<u8>,
    last_xid: u32,
}

impl Connection {
    /// A session that begins now; its hello stands in the output at once.
    pub fn new(config: Config, now: Duration) -> Self {
        let _ = now;
        Self { config, output: Vec::new(), last_xid: 0 }
    }

    /// Takes bytes from the socket, in any cut.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        let _ = (bytes, now, &self.config);
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Duration) {
        let _ = now;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest; `None` once closed. Ask again after
    /// every other call.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// The bytes to write to the socket, in order; empty when there is nothing to write.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Queues a message under a new xid. Before [`Event::Ready`] and after [`Event::Closed`] it is an error of
    /// the caller and the bytes go nowhere.
    ///
    /// # Errors
    /// [`EncodeError`] if the message has no encoding; nothing is queued then.
    pub fn send(&mut self, message: &Message) -> Result<Xid, EncodeError> {
        let xid = self.next_xid();
        message.encode(xid, &mut self.output)?;
        Ok(xid)
    }

    /// A new xid; never 0, which the switch uses for what it says unasked.
    pub fn next_xid(&mut self) -> Xid {
        self.last_xid = self.last_xid.wrapping_add(1).max(1);
        Xid(self.last_xid)
    }
}
