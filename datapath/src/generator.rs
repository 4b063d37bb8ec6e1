//! `bpf/generator.bpf.c`: frames for measurements, made, routed by others and counted in the kernel.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use libbpf_rs::{Link, MapCore as _, MapFlags, Object, ProgramInput};
use packet::IfIndex;

use crate::{Error, attach, object};

/// Bytes of every frame that are written anew each time; the rest stays as it went out first.
const RESTORED: usize = 60;

/// What is sent: one frame, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// At least 60 bytes.
    pub frame: Vec<u8>,
    /// Of an IPv4 packet without options: the first of several destinations, and their number, which take turns. With 0,
    /// the frame's own.
    pub destinations: (Ipv4Addr, u32),
}

/// Programs that ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Takes every frame, counts and drops it.
    Absorb,
    /// Swaps MAC addresses, takes one from the TTL and redirects, without a table.
    Rewrite,
    /// Asks the kernel's routing table.
    KernelTable,
}

impl Peer {
    const fn program(self) -> &'static str {
        match self {
            Self::Absorb => "absorb",
            Self::Rewrite => "rewrite",
            Self::KernelTable => "kernel_table",
        }
    }
}

/// The loaded programs.
#[derive(Debug)]
pub struct Generator {
    object: Object,
    frame: Vec<u8>,
}

impl Generator {
    /// Loads them for a stream.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load(stream: &Stream) -> Result<Self, Error> {
        let mut object = object::open("generator", object::generator())?;
        let missing = || Error::NoPart { kind: "variable", name: "frames" };
        let mut map = object.maps_mut().find(|map| map.name().to_string_lossy().ends_with(".rodata"));
        let rodata: &mut [u8; 72] =
            map.as_mut().and_then(|map| map.initial_value_mut()?.try_into().ok()).ok_or_else(missing)?;
        // struct frames of generator.bpf.c.
        let (bytes, numbers) = rodata.split_at_mut(64);
        let short = || Error::Io {
            what: format!("send frames of {} bytes", stream.frame.len()),
            source: std::io::ErrorKind::InvalidInput.into(),
        };
        let start = stream.frame.get(..RESTORED).ok_or_else(short)?;
        bytes.iter_mut().zip(start).for_each(|(to, from)| *to = *from);
        let (first, count) = stream.destinations;
        let values = [first.to_bits().to_ne_bytes(), count.to_ne_bytes()].concat();
        numbers.iter_mut().zip(values).for_each(|(to, from)| *to = from);
        let object = object.load().map_err(Error::bpf("load generator.bpf.o"))?;
        Ok(Self { object, frame: stream.frame.clone() })
    }

    /// Where frames go that came in by an interface; by 0, those that are made.
    ///
    /// # Errors
    /// There is no interface `to`.
    pub fn wire(&mut self, from: IfIndex, to: IfIndex) -> Result<(), Error> {
        object::map(&mut self.object, "wires")?
            .update(&from.0.to_ne_bytes(), &object::devmap_value(to), MapFlags::ANY)
            .map_err(Error::bpf(format!("wire interface {from} to {to}")))
    }

    /// Attaches one of the peers to an interface, until the link is dropped.
    ///
    /// # Errors
    /// As [`attach::attach`].
    pub fn attach(&self, peer: Peer, index: IfIndex) -> Result<Link, Error> {
        attach::attach(&object::program(&self.object, peer.program())?, index)
    }

    /// Sends frames by the way of 0 and returns when all were sent; gives the time that it took, and how many arrived.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn send(&mut self, frames: u32) -> Result<(Duration, u64), Error> {
        /// BPF_F_TEST_XDP_LIVE_FRAMES of <linux/bpf.h>: frames are sent, not only judged.
        const LIVE: u32 = 1 << 1;
        let before = self.arrived()?;
        let program = object::program(&self.object, "generate")?;
        let start = Instant::now();
        let input =
            ProgramInput { data_in: Some(&self.frame), repeat: frames, flags: LIVE, ..Default::default() };
        program.test_run(input).map_err(Error::bpf("send live frames"))?;
        let elapsed = start.elapsed();
        Ok((elapsed, self.arrived()? - before))
    }

    /// Frames that a peer took so far.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn arrived(&mut self) -> Result<u64, Error> {
        let map = object::map(&mut self.object, "counts")?;
        let values = map.lookup_percpu(&1_u32.to_ne_bytes(), MapFlags::ANY).map_err(Error::bpf("count"))?;
        let parts = values.into_iter().flatten().filter_map(|value| value.try_into().ok());
        Ok(parts.map(u64::from_ne_bytes).sum())
    }
}
