//! Raw Ethernet frames on an interface of a namespace.

use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send, setsockopt,
    socket, sockopt,
};

use crate::netns::Netns;
use crate::show::{describe, dump};

/// PACKET_OUTGOING of packet(7): a frame that this host sends.
const PACKET_OUTGOING: u8 = 4;

/// Which frames of an interface are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Those that arrive at the interface.
    In,
    /// Those that the host sends by the interface (not by the same socket).
    Out,
}

/// A received frame without its check sequence.
#[derive(Clone, PartialEq, Eq)]
pub struct Captured {
    /// The octets from the destination address on.
    pub bytes: Vec<u8>,
}

/// A packet socket on one interface.
#[derive(Debug)]
pub struct Nic {
    fd: OwnedFd,
    name: String,
    ifindex: usize,
    direction: Direction,
}

impl Nic {
    /// Opens interface `name` in `netns`. Sees frames from now on.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses the socket.
    pub fn open(netns: &Netns, name: &str, direction: Direction) -> Result<Self> {
        netns.within(|| {
            let link = link_addr(name)?;
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
                .context("open a packet socket")?;
            // A flood test must not lose frames in this socket before it reads them.
            setsockopt(&fd, sockopt::RcvBufForce, &(8 << 20)).context("enlarge the receive buffer")?;
            bind(fd.as_raw_fd(), &link).with_context(|| format!("bind a packet socket to {name}"))?;
            Ok(Self { fd, name: format!("{name} of {}", netns.name()), ifindex: link.ifindex(), direction })
        })
    }

    /// Sends one frame, from its destination address to the end of its payload; the kernel does not pad.
    ///
    /// # Errors
    /// The interface is down, or the frame is longer than its MTU allows.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.fd.as_raw_fd(), frame, MsgFlags::empty())
            .with_context(|| format!("send {} octets by {}", frame.len(), self.name))?;
        ensure!(sent == frame.len(), "{} took {sent} of {} octets", self.name, frame.len());
        Ok(())
    }

    /// The next frame, or `None` after `timeout`.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn recv(&self, timeout: Duration) -> Result<Option<Captured>> {
        let end = Instant::now() + timeout;
        let mut buffer = vec![0; 65_536];
        loop {
            match recvfrom::<LinkAddr>(self.fd.as_raw_fd(), &mut buffer) {
                Ok((length, Some(from))) if self.wants(&from) => {
                    buffer.truncate(length);
                    return Ok(Some(Captured { bytes: buffer }));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    self.wait(left)?;
                }
                Err(error) => return Err(error).with_context(|| format!("receive from {}", self.name)),
            }
        }
    }

    /// The first frame for which `wanted` says yes, or `None` after `timeout`; others are thrown away.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn recv_where(&self, timeout: Duration, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Captured>> {
        let end = Instant::now() + timeout;
        while let Some(frame) = self.recv(end.saturating_duration_since(Instant::now()))? {
            if wanted(&frame.bytes) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Every frame that comes until `timeout` has passed.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn recv_all(&self, timeout: Duration) -> Result<Vec<Captured>> {
        let end = Instant::now() + timeout;
        let mut frames = Vec::new();
        while let Some(frame) = self.recv(end.saturating_duration_since(Instant::now()))? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Watches for `time` and fails if a frame comes for which `heard` says yes.
    ///
    /// # Errors
    /// Such a frame came: the error shows it.
    pub fn expect_silence(&self, time: Duration, heard: impl Fn(&[u8]) -> bool) -> Result<()> {
        if let Some(frame) = self.recv_where(time, heard)? {
            bail!("unexpected frame at {}:\n{frame:?}", self.name);
        }
        Ok(())
    }

    /// A bound socket still holds what came between its opening and its binding from other interfaces.
    fn wants(&self, from: &LinkAddr) -> bool {
        let outgoing = from.pkttype() == PACKET_OUTGOING;
        from.ifindex() == self.ifindex && outgoing == (self.direction == Direction::Out)
    }

    fn wait(&self, time: Duration) -> Result<()> {
        // Rounded up: poll(2) counts milliseconds, and 0 would spin.
        let millis = u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("wait for {}", self.name)),
        }
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", describe(&self.bytes), dump(&self.bytes))
    }
}

/// The link-level address of an interface of this thread's namespace.
fn link_addr(name: &str) -> Result<LinkAddr> {
    let all = getifaddrs().context("list interfaces")?;
    all.filter(|one| one.interface_name == name)
        .find_map(|one| one.address?.as_link_addr().copied())
        .with_context(|| format!("no interface {name} in this namespace"))
}
