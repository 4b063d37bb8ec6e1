//! AF_XDP sockets: one for each queue of each port, over one memory, so that a frame goes from port to port uncopied.
//!
//! The only place that knows `xsk-rs`. Its calls are unsafe because descriptors are plain copies of addresses: here each is
//! inside a [`Frame`], which cannot be copied, and so is at one place only: the free list, a ring, or whoever was given it.
#![allow(unsafe_code, reason = "descriptors of frames are trusted by the kernel and by xsk-rs")]

use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use xsk_rs::config::{BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use crate::Error;
use crate::forward::Buffer;
use crate::worker::{BURST, Rings};

/// Entries of each ring.
const RING: u32 = 512;
/// Frames for each socket: those that wait for the kernel, and those on their way out.
const FRAMES: u32 = 2 * RING;
const FRAME_SIZE: u32 = 4096;
/// The kernel gets frames to receive into by so many.
const BURST_SIZE: u32 = 64;
/// The longest frame, as in `bpf/gate.bpf.c`: what the kernel takes back in one page, beside headroom and its own data. Longer
/// ones go by the switch.
pub const MAX_FRAME: usize = 3000;

/// A frame of the memory, wherever it is.
#[derive(Debug)]
pub struct Frame(FrameDesc);

/// How the kernel moves frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// The card writes into the memory itself.
    None,
    /// The kernel copies each frame.
    Each,
}

/// What the kernel counted for all sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Frames that found no room: the worker was too slow.
    pub no_room: u64,
    /// Descriptors that the kernel refused.
    pub refused: u64,
}

struct Socket {
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    done: CompQueue,
    /// Given to the kernel to send, not back yet.
    on_their_way: usize,
    /// Put into the ring since the kernel was told last.
    is_told: bool,
}

/// All sockets of a process, and their memory.
pub struct Sockets {
    // Before the memory that they use.
    sockets: Vec<Socket>,
    umem: Umem,
    free: Vec<FrameDesc>,
    scratch: Vec<FrameDesc>,
}

impl std::fmt::Debug for Sockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sockets").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

impl Sockets {
    /// Opens one for each name and queue. No program hands them anything yet. `copies` [`Copies::None`] asks for zero-copy.
    ///
    /// # Errors
    /// No memory, no such interface or queue, or zero-copy where there is none.
    pub fn open(queues: &[(String, u32)], copies: Copies) -> Result<Self, Error> {
        let count = u32::try_from(queues.len()).unwrap_or(u32::MAX).max(1).saturating_mul(FRAMES);
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let (umem, free) =
            Umem::new(umem_config()?, count, false).map_err(because("make memory for frames"))?;
        let mut sockets = Vec::new();
        for (name, queue) in queues {
            sockets.push(Socket::open(&umem, name, *queue, copies)?);
        }
        let scratch = vec![FrameDesc::default(); BURST];
        let mut all = Self { sockets, umem, free, scratch };
        for index in 0..all.sockets.len() {
            all.refill(index)?;
        }
        Ok(all)
    }

    /// The descriptors of the sockets, in the order that they were asked for: for the map that hands them frames.
    pub fn fds(&self) -> Vec<RawFd> {
        self.sockets.iter().map(|socket| socket.rx.fd().as_raw_fd()).collect()
    }

    /// What the kernel really does.
    ///
    /// # Errors
    /// It does not say.
    pub fn copies(&self) -> Result<Copies, Error> {
        let all = self.fds().into_iter().map(is_zero_copy).collect::<Result<Vec<_>, _>>()?;
        Ok(if !all.is_empty() && all.iter().all(|is| *is) { Copies::None } else { Copies::Each })
    }

    /// What was lost, and why.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn losses(&self) -> Result<Losses, Error> {
        let mut losses = Losses::default();
        for socket in &self.sockets {
            let found = socket.rx.fd().xdp_statistics().map_err(Error::io("read statistics of a socket"))?;
            losses.no_room += found.rx_dropped() + found.rx_ring_full() + found.rx_fill_ring_empty_descs();
            losses.refused += found.rx_invalid_descs() + found.tx_invalid_descs();
        }
        Ok(losses)
    }

    /// Gives free frames to the kernel to receive into.
    fn refill(&mut self, index: usize) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
        let room = socket.fill.nb_free(BURST_SIZE);
        if room < BURST_SIZE {
            return Ok(());
        }
        let keep = self.free.len().saturating_sub(usize::try_from(room).unwrap_or(0));
        let Some(given) = self.free.get(keep..).filter(|given| !given.is_empty()) else { return Ok(()) };
        // SAFETY: the frames are of this memory and were free: nobody else has them, and they leave the free list below.
        let taken = unsafe { socket.fill.produce(given) };
        // All or nothing.
        self.free.truncate(self.free.len() - taken);
        if socket.fill.needs_wakeup() {
            // In copy mode the kernel takes frames when it needs them, and nobody waits.
            let fd = socket.rx.fd_mut();
            socket.fill.wakeup(fd, 0).map_err(Error::io("wake the kernel to receive"))?;
        }
        Ok(())
    }

    /// Takes back what was sent.
    fn reap(&mut self, index: usize) {
        let Some(socket) = self.sockets.get_mut(index) else { return };
        while socket.on_their_way > 0 {
            // SAFETY: the queue writes descriptors of frames that this memory sent and that the kernel has done with.
            let count = unsafe { socket.done.consume(&mut self.scratch) };
            if count == 0 {
                return;
            }
            socket.on_their_way = socket.on_their_way.saturating_sub(count);
            self.free.extend(self.scratch.iter().take(count));
        }
    }
}

impl Socket {
    fn open(umem: &Umem, name: &str, queue: u32, copies: Copies) -> Result<Self, Error> {
        let what = || format!("open an AF_XDP socket on queue {queue} of {name}");
        let size = QueueSize::new(RING).map_err(because(what()))?;
        let copying = if copies == Copies::None { BindFlags::XDP_ZEROCOPY } else { BindFlags::XDP_COPY };
        let config = SocketConfig::builder()
            .rx_queue_size(size)
            .tx_queue_size(size)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP | copying)
            .build();
        let interface = CString::new(name).map(Interface::new).map_err(because(what()))?;
        // SAFETY: the flag is set that this call asks for where an interface's queue is bound twice.
        let (tx, rx, rest) =
            unsafe { xsk_rs::Socket::new(config, umem, &interface, queue) }.map_err(because(what()))?;
        let twice = || Error::Io { what: what(), source: io::ErrorKind::AddrInUse.into() };
        let (fill, done) = rest.ok_or_else(twice)?;
        Ok(Self { tx, rx, fill, done, on_their_way: 0, is_told: true })
    }
}

impl Rings for Sockets {
    type Frame = Frame;

    fn receive(&mut self, port: usize, burst: &mut Vec<Frame>) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(port) else { return Ok(()) };
        // SAFETY: the queue writes descriptors of frames of this memory, which the kernel has filled and given back.
        let count = unsafe { socket.rx.consume(&mut self.scratch) };
        burst.extend(self.scratch.iter().take(count).map(|desc| Frame(*desc)));
        // Also if nothing came: perhaps because there was no free frame when it was last asked for.
        self.refill(port)
    }

    type View<'a> = Data<'a>;

    fn view<'a>(&'a mut self, frame: &'a mut Frame) -> Data<'a> {
        // SAFETY: the frame is of this memory, and as it is here it is in no ring: nobody else looks at it.
        let (_, data) = unsafe { self.umem.frame_mut(&mut frame.0) };
        Data(data)
    }

    fn send(&mut self, port: usize, frame: Frame) -> Option<Frame> {
        let Some(socket) = self.sockets.get_mut(port) else { return Some(frame) };
        // SAFETY: the frame is of this memory and belongs to the kernel from here on, or, if there was no room, to the caller.
        let sent = unsafe { socket.tx.produce_one(&frame.0) };
        if sent == 0 {
            return Some(frame);
        }
        socket.on_their_way += 1;
        socket.is_told = false;
        None
    }

    fn free(&mut self, frame: Frame) {
        self.free.push(frame.0);
    }

    fn flush(&mut self, port: usize) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(port) else { return Ok(()) };
        if socket.on_their_way == 0 {
            return Ok(());
        }
        // A copying kernel sends 32 at most with one call.
        if socket.tx.needs_wakeup() || !socket.is_told {
            socket.tx.wakeup().map_err(Error::io("wake the kernel to send"))?;
            socket.is_told = true;
        }
        self.reap(port);
        Ok(())
    }

    fn on_their_way(&self) -> usize {
        self.sockets.iter().map(|socket| socket.on_their_way).sum()
    }

    fn wait(&mut self, limit: PollTimeout) -> Result<(), Error> {
        let fds = self.fds();
        let mut fds: Vec<PollFd<'_>> = fds
            .iter()
            // SAFETY: the sockets are open as long as `self` is.
            .map(|fd| PollFd::new(unsafe { BorrowedFd::borrow_raw(*fd) }, PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::Io { what: "wait for frames".into(), source: errno.into() }),
        }
    }
}

/// A frame of the memory as the decision sees it.
#[derive(Debug)]
pub struct Data<'a>(xsk_rs::umem::frame::DataMut<'a>);

impl Data<'_> {
    /// What is added is what was there before.
    fn set_len(&mut self, len: usize) {
        self.0.cursor().set_pos(len);
    }
}

impl Buffer for Data<'_> {
    fn bytes(&self) -> &[u8] {
        self.0.contents()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.contents_mut()
    }

    fn room(&self) -> usize {
        MAX_FRAME.saturating_sub(self.0.contents().len())
    }

    fn put_before(&mut self, bytes: &[u8]) {
        let len = self.0.contents().len();
        self.set_len(len + bytes.len());
        let all = self.0.contents_mut();
        all.copy_within(..len, bytes.len());
        all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn cut_before(&mut self, count: usize) {
        let all = self.0.contents_mut();
        let left = all.len().saturating_sub(count);
        all.copy_within(all.len() - left.., 0);
        self.set_len(left);
    }
}

fn umem_config() -> Result<UmemConfig, Error> {
    let what = "size the memory for frames";
    let size = QueueSize::new(RING).map_err(because(what))?;
    let frame = FrameSize::new(FRAME_SIZE).map_err(because(what))?;
    UmemConfig::builder()
        .frame_size(frame)
        .fill_queue_size(size)
        .comp_queue_size(size)
        .build()
        .map_err(because(what))
}

/// xsk-rs's errors carry an errno, or words.
fn because<E: std::error::Error + Send + Sync + 'static>(what: impl Into<String>) -> impl FnOnce(E) -> Error {
    let what = what.into();
    move |error| Error::Io { what, source: io::Error::other(crate::chain(&error)) }
}

/// struct xdp_options of <linux/if_xdp.h>.
fn is_zero_copy(fd: RawFd) -> Result<bool, Error> {
    const XDP_OPTIONS: libc::c_int = 8;
    let mut flags = 0_u32;
    // Of one u32.
    let mut len: libc::socklen_t = 4;
    let to = std::ptr::from_mut(&mut flags).cast();
    // SAFETY: `to` points at `len` bytes, which live through the call.
    let done = unsafe { libc::getsockopt(fd, libc::SOL_XDP, XDP_OPTIONS, to, &mut len) };
    if done < 0 {
        return Err(Error::io("ask for a socket's mode")(io::Error::last_os_error()));
    }
    Ok(flags & 1 != 0)
}
