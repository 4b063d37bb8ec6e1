//! The plainest OpenFlow session there can be: octets to the switch's management socket, replies by xid.

use anyhow::{Context as _, Result, bail, ensure};
use lab::Hypervisor;
use openflow::{
    Message, Xid,
    message::{Hello, MultipartReply, MultipartRequest, frame_len},
};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

/// A session with `br-int` of a hypervisor.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    input: Vec<u8>,
    last_xid: u32,
}

impl Wire {
    /// Connects and says hello.
    ///
    /// # Errors
    /// There is no such switch, or it does not speak OpenFlow 1.3.
    pub fn open(hypervisor: &Hypervisor) -> Result<Self> {
        let stream =
            UnixStream::connect(hypervisor.rundir().join("br-int.mgmt")).context("connect to br-int")?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).context("set a time limit")?;
        let mut wire = Self { stream, input: Vec::new(), last_xid: 0xf000_0000 };
        wire.send(&Message::Hello(Hello { version: 4, bitmap: Some(1 << 4) }))?;
        while !matches!(wire.receive()?.1, Message::Hello(_)) {}
        Ok(wire)
    }

    /// Writes octets as they are.
    ///
    /// # Errors
    /// The switch closed the session.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("write to the switch")
    }

    /// Waits for the reply of this xid.
    ///
    /// # Errors
    /// The switch refused something meanwhile, or says nothing for a minute.
    pub fn reply(&mut self, xid: Xid) -> Result<Message> {
        loop {
            match self.receive()? {
                (_, Message::Error(error)) => bail!("the switch refused: {error}"),
                (echo, Message::EchoRequest(payload)) => {
                    let mut bytes = Vec::new();
                    Message::EchoReply(payload).encode(echo, &mut bytes)?;
                    self.write(&bytes)?;
                }
                (this, message) if this == xid => return Ok(message),
                _ => {}
            }
        }
    }

    /// How many flows the switch has. It keeps count, so asking costs it next to nothing.
    ///
    /// # Errors
    /// The switch does not answer.
    pub fn flow_count(&mut self) -> Result<u64> {
        let xid = self.send(&Message::MultipartRequest(MultipartRequest::Table))?;
        let mut count = 0;
        loop {
            let Message::MultipartReply { more, body: MultipartReply::Table(tables) } = self.reply(xid)?
            else {
                bail!("no table statistics from the switch");
            };
            count += tables.iter().map(|table| u64::from(table.active_count)).sum::<u64>();
            if !more {
                return Ok(count);
            }
        }
    }

    fn send(&mut self, message: &Message) -> Result<Xid> {
        self.last_xid += 1;
        let xid = Xid(self.last_xid);
        let mut bytes = Vec::new();
        message.encode(xid, &mut bytes)?;
        self.write(&bytes)?;
        Ok(xid)
    }

    fn receive(&mut self) -> Result<(Xid, Message)> {
        let mut buffer = [0; 65_536];
        loop {
            if let Some(frame) = frame_len(&self.input).and_then(|len| self.input.get(..len)) {
                let (length, message) = (frame.len(), Message::decode(frame)?);
                self.input.drain(..length);
                return Ok(message);
            }
            let length = self.stream.read(&mut buffer).context("read from the switch")?;
            ensure!(length > 0, "the switch closed the session");
            self.input.extend_from_slice(buffer.get(..length).unwrap_or_default());
        }
    }
}
