//! `bpf/gate.bpf.c`: hands frames of a port to its sockets, and frames of the worker back to the kernel.

use std::os::fd::{AsFd as _, RawFd};
use std::sync::atomic::Ordering;

use libbpf_rs::{Link, MapCore as _, MapFlags, MapHandle, MapType, Object, ProgramInput, libbpf_sys};
use packet::IfIndex;
use zerocopy::IntoBytes as _;

use crate::maps::Words;
use crate::worker::SlowPath;
use crate::{Error, attach, object};

/// Tells gates that their worker lives. One for all ports: where one waits in vain, all do.
#[derive(Debug)]
pub struct Pulse {
    map: MapHandle,
    words: Words,
}

impl Pulse {
    /// Numbers of struct pulse in gate.bpf.c: `handed` and `taken` are the first.
    const COUNT: u32 = 4;

    /// Makes one.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new() -> Result<Self, Error> {
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            map_flags: libbpf_sys::BPF_F_MMAPABLE,
            ..Default::default()
        };
        let map = MapHandle::create(MapType::Array, Some("pulses"), 4, 8 * Self::COUNT, 1, &options)
            .map_err(Error::bpf("make a pulse"))?;
        let words = Words::of(&map, Self::COUNT)?;
        Ok(Self { map, words })
    }

    /// What was handed to sockets until now will be looked after: to be called before that is done.
    pub fn beat(&self) {
        if let (Some(handed), Some(taken)) = (self.words.word(0), self.words.word(1)) {
            let now = handed.load(Ordering::Relaxed);
            if taken.load(Ordering::Relaxed) != now {
                taken.store(now, Ordering::Relaxed);
            }
        }
    }
}

/// The program of one port, until it is dropped; then everything goes to Open vSwitch, as it does when the sockets are gone.
#[derive(Debug)]
pub struct Gate {
    object: Object,
    queues: u32,
    _link: Link,
}

impl Gate {
    /// Attaches to an interface and hands its frames to these sockets, by queue.
    ///
    /// # Errors
    /// As [`attach::attach`], or a socket is of another interface.
    pub fn open(index: IfIndex, is_underlay: bool, sockets: &[RawFd], pulse: &Pulse) -> Result<Self, Error> {
        let mut object = object::open("gate", object::gate())?;
        let pulses = object.maps_mut().find(|map| map.name() == "pulses");
        let mut pulses = pulses.ok_or(Error::NoPart { kind: "map", name: "pulses" })?;
        pulses.reuse_fd(pulse.map.as_fd()).map_err(Error::bpf("share a pulse"))?;
        let missing = Error::NoPart { kind: "variable", name: "is_underlay" };
        let mut rodata = object.maps_mut().find(|map| map.name().to_string_lossy().ends_with(".rodata"));
        let bytes: &mut [u8; 4] =
            rodata.as_mut().and_then(|map| map.initial_value_mut()?.try_into().ok()).ok_or(missing)?;
        *bytes = u32::from(is_underlay).to_ne_bytes();
        let mut object = object.load().map_err(Error::bpf("load gate.bpf.o"))?;
        let map = object::map(&mut object, "sockets")?;
        let mut queues = 0;
        for (queue, fd) in (0_u32..).zip(sockets) {
            queues = queue + 1;
            map.update(&queue.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)
                .map_err(Error::bpf(format!("hand queue {queue} of interface {index} to its socket")))?;
        }
        let link = attach::attach(&object::program(&object, "gate")?, index)?;
        Ok(Self { object, queues, _link: link })
    }

    /// Hands over nothing from now on. The program stays: a veth without one takes nothing back.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn close(&mut self) -> Result<(), Error> {
        let map = object::map(&mut self.object, "sockets")?;
        for queue in 0..self.queues {
            map.delete(&queue.to_ne_bytes()).map_err(Error::bpf("close a gate"))?;
        }
        Ok(())
    }
}

/// The way back: one frame, run through a program that passes it on, as if it had just come in by its port.
#[derive(Debug)]
pub struct Kernel {
    object: Object,
    /// Frames that the kernel did not take back.
    pub refused: u64,
}

impl Kernel {
    /// Loads the program.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load() -> Result<Self, Error> {
        let object = object::open("gate", object::gate())?;
        Ok(Self { object: object.load().map_err(Error::bpf("load gate.bpf.o"))?, refused: 0 })
    }
}

impl SlowPath for Kernel {
    /// A port that has just gone takes nothing: that is counted, and no reason to stop.
    fn hand_over(&mut self, port: IfIndex, frame: &[u8]) -> Result<(), Error> {
        /// BPF_F_TEST_XDP_LIVE_FRAMES of <linux/bpf.h>.
        const LIVE: u32 = 1 << 1;
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let mut context = [0, len, 0, port.0, 0, 0];
        let input = ProgramInput {
            context_in: Some(context.as_mut_bytes()),
            data_in: Some(frame),
            flags: LIVE,
            repeat: 1,
            ..Default::default()
        };
        if object::program(&self.object, "back")?.test_run(input).is_err() {
            self.refused += 1;
        }
        Ok(())
    }
}
