//! `bpf/generator.bpf.c`: frames for measurements, made, routed by others and counted in the kernel.

use std::time::{Duration, Instant};

use libbpf_rs::{Link, MapCore as _, MapFlags, Object, ProgramInput};
use packet::{IfIndex, MacAddr};

use crate::{Error, attach, object};

/// What is sent: IPv4 to so many destinations in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Source MAC address.
    pub src: MacAddr,
    /// Destination MAC address: the router's.
    pub dst: MacAddr,
    /// First destination, as a number.
    pub first: u32,
    /// Number of destinations.
    pub destinations: u32,
}

/// Programs that ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Takes every frame, counts and drops it.
    Absorb,
    /// Rewrites and redirects without a table.
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
        let rodata: &mut [u8; 20] =
            map.as_mut().and_then(|map| map.initial_value_mut()?.try_into().ok()).ok_or_else(missing)?;
        let parts = [
            &stream.src.0[..],
            &stream.dst.0[..],
            &stream.first.to_ne_bytes()[..],
            &stream.destinations.to_ne_bytes()[..],
        ];
        for (to, from) in rodata.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        Ok(Self { object: object.load().map_err(Error::bpf("load generator.bpf.o"))? })
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
        let mut frame = [0; 60];
        // Ethernet, IPv4 without options, UDP.
        frame[12] = 8;
        frame[14] = 0x45;
        frame[17] = 46;
        frame[23] = 17;
        frame[26..30].copy_from_slice(&[198, 18, 0, 1]);
        let before = self.arrived()?;
        let program = object::program(&self.object, "generate")?;
        let start = Instant::now();
        let input = ProgramInput { data_in: Some(&frame), repeat: frames, flags: LIVE, ..Default::default() };
        program.test_run(input).map_err(Error::bpf("send live frames"))?;
        let elapsed = start.elapsed();
        Ok((elapsed, self.arrived()? - before))
    }

    fn arrived(&mut self) -> Result<u64, Error> {
        let map = object::map(&mut self.object, "counts")?;
        let values = map.lookup_percpu(&1_u32.to_ne_bytes(), MapFlags::ANY).map_err(Error::bpf("count"))?;
        let parts = values.into_iter().flatten().filter_map(|value| value.try_into().ok());
        Ok(parts.map(u64::from_ne_bytes).sum())
    }
}
