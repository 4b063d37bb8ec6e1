//! `run --mode afxdp`: follows the image, ends without loss when told to, and answers who asks for its state.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use datapath::afxdp::AfXdp;
use datapath::host::Settings;
use datapath::pins::Pins;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::RETRY_MS;
use crate::command::changes::Changes;

/// In the abstract namespace of unix sockets, of which each network namespace has its own: it goes with the process, and
/// keeps a second one from starting.
const NAME: &str = "dragonflow-datapath";
/// Nobody may hold up the process for longer.
const PATIENCE: Duration = Duration::from_millis(200);

pub(crate) fn run(settings: Settings, pins: &Path, adaptive: bool) -> Result<()> {
    // Before the worker starts: its thread inherits this.
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    ends.thread_block().context("take signals")?;
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC).context("take signals")?;
    let listener = UnixListener::bind_addr(&address()?).context("listen for questions: does another run?")?;
    let changes = Changes::of(&settings.image)?;
    while !settings.image.exists() {
        let mut fds = [
            PollFd::new(changes.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds, RETRY_MS).context("wait for an image")?;
        if ready(&fds, 1) {
            return Ok(());
        }
    }
    // The other mode's programs have the ports.
    if let Some(pins) = Pins::open(pins) {
        pins.clear()?;
    }
    let mut path = AfXdp::start(settings, adaptive)?;
    print!("{path}");
    loop {
        let mut fds = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(changes.as_fd(), PollFlags::POLLIN),
        ];
        let count = poll(&mut fds, RETRY_MS).context("wait for a change")?;
        if ready(&fds, 0) || path.has_ended() {
            return Ok(path.stop()?);
        }
        if ready(&fds, 1) {
            answer(&listener, &path);
        }
        let is_new = ready(&fds, 2) && changes.is_change()?;
        // Nobody tells when the kernel learns of a neighbour: ask now and then, as long as one is missing.
        if is_new || (count == 0 && path.unknown_ways() > 0) {
            match path.reload() {
                Ok(()) => print!("{path}"),
                Err(error) => eprintln!("the image is left as it was: {}", datapath::chain(&error)),
            }
        }
    }
}

fn ready(fds: &[PollFd<'_>], index: usize) -> bool {
    fds.get(index).and_then(PollFd::revents).is_some_and(|events| !events.is_empty())
}

/// Who asks and goes away again gets nothing, and that is all.
fn answer(listener: &UnixListener, path: &AfXdp) {
    if let Ok((mut stream, _)) = listener.accept() {
        let _ = stream.set_write_timeout(Some(PATIENCE));
        let _ = stream.write_all(path.to_string().as_bytes());
    }
}

/// The state of the process in this network namespace, if there is one.
pub(crate) fn status() -> Result<Option<String>> {
    match UnixStream::connect_addr(&address()?) {
        Ok(mut stream) => {
            let mut text = String::new();
            stream.read_to_string(&mut text).context("ask the process for its state")?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error).context("ask the process for its state"),
    }
}

fn address() -> Result<SocketAddr> {
    SocketAddr::from_abstract_name(NAME).context("name a socket")
}
