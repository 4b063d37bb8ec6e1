//! `bpf/router.bpf.c`, loaded: its image, its ports, its counters.

use std::path::Path;

use libbpf_rs::{Link, MapCore as _, MapFlags, Object, ProgramInput};
use packet::IfIndex;
use zerocopy::{FromBytes, IntoBytes};

use crate::maps::ImageMap;
use crate::reason::Reason;
use crate::{Error, attach, object};

/// Maps that are pinned.
pub(crate) const PINNED: [&str; 4] = ["images", "ports", "counters", "entries"];

/// What a program of one frame gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// XDP_PASS, XDP_TX or XDP_REDIRECT.
    pub action: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// Frames and bytes of one adjacency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes)]
#[repr(C)]
pub struct EntryCounter {
    /// Frames sent.
    pub frames: u64,
    /// Bytes of them, Ethernet header included.
    pub bytes: u64,
}

/// The loaded router.
#[derive(Debug)]
pub struct Router {
    object: Object,
}

impl Router {
    /// Loads the program over an image, which it shows from the first frame on.
    ///
    /// # Errors
    /// Not root, or the kernel refuses.
    pub fn load(image: &ImageMap) -> Result<Self, Error> {
        let mut object = object::open("router", object::router())?;
        object::use_image(&mut object, image)?;
        let object = object.load().map_err(Error::bpf("load router.bpf.o"))?;
        let mut router = Self { object };
        router.publish(image)?;
        Ok(router)
    }

    /// How many instructions the verifier looked at.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn verified_instructions(&self) -> Result<u64, Error> {
        object::verified_instructions(&object::program(&self.object, "router")?)
    }

    /// The interface that tunnels go by.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_underlay(&mut self, index: IfIndex) -> Result<(), Error> {
        // The program's only variable.
        let mut all = self.object.maps_mut();
        let bss = all.find(|map| map.name().to_string_lossy().ends_with(".bss"));
        bss.ok_or(Error::NoPart { kind: "variable", name: "underlay" })?
            .update(&0_u32.to_ne_bytes(), &index.0.to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("set the underlay"))
    }

    /// Swaps the image. Every frame sees the old one or the new one; on return nothing uses the old one any more.
    ///
    /// # Errors
    /// The new one is in a map of another size.
    pub fn publish(&mut self, image: &ImageMap) -> Result<(), Error> {
        image.publish(&object::map(&mut self.object, "images")?)
    }

    /// Frames may be redirected to an interface from now on.
    ///
    /// # Errors
    /// There is no such interface, or there are too many.
    pub fn open_port(&mut self, index: IfIndex) -> Result<(), Error> {
        let value = object::devmap_value(index);
        object::map(&mut self.object, "ports")?
            .update(&index.0.to_ne_bytes(), &value, MapFlags::ANY)
            .map_err(Error::bpf(format!("open port {index}")))
    }

    /// Frames are redirected to an interface no more; Open vSwitch delivers them.
    ///
    /// # Errors
    /// It was not open.
    pub fn close_port(&mut self, index: IfIndex) -> Result<(), Error> {
        object::map(&mut self.object, "ports")?
            .delete(&index.0.to_ne_bytes())
            .map_err(Error::bpf(format!("close port {index}")))
    }

    /// Attaches to an interface, in its driver.
    ///
    /// # Errors
    /// As [`attach::attach`].
    pub fn attach(&self, index: IfIndex) -> Result<Link, Error> {
        attach::attach(&object::program(&self.object, "router")?, index)
    }

    /// Puts this program in the place of the one that runs by a link, without a gap.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn take_over(&self, link: &mut Link) -> Result<(), Error> {
        link.update_prog(&*object::program(&self.object, "router")?)
            .map_err(Error::bpf("replace the program"))
    }

    /// What runs on an interface, and what it can do.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn state(&self, index: IfIndex) -> Result<attach::State, Error> {
        attach::state(&object::program(&self.object, "router")?, index)
    }

    /// Pins the maps in a folder of a bpffs, in place of those that are there.
    ///
    /// # Errors
    /// The folder is on no bpffs.
    pub fn pin(&mut self, folder: &Path) -> Result<(), Error> {
        for name in PINNED {
            let path = folder.join(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format!("unpin {}", path.display()))(error));
                }
                _ => {}
            }
            let mut map = object::map(&mut self.object, name)?;
            map.pin(&path).map_err(Error::bpf(format!("pin {}", path.display())))?;
        }
        Ok(())
    }

    /// How many frames ended with each reason, on all CPUs.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn counters(&mut self) -> Result<Vec<(Reason, u64)>, Error> {
        counters(&object::map(&mut self.object, "counters")?)
    }

    /// What an adjacency sent, by its id.
    ///
    /// # Errors
    /// The id is not counted: it is too great.
    pub fn entry(&mut self, id: u32) -> Result<EntryCounter, Error> {
        let map = object::map(&mut self.object, "entries")?;
        let values = map.lookup_percpu(&id.to_ne_bytes(), MapFlags::ANY);
        let values = values.map_err(Error::bpf(format!("read the counter of adjacency {id}")))?;
        let parts = values.iter().flatten().filter_map(|value| EntryCounter::read_from_bytes(value).ok());
        Ok(parts.fold(EntryCounter::default(), |sum, part| EntryCounter {
            frames: sum.frames + part.frames,
            bytes: sum.bytes + part.bytes,
        }))
    }

    /// Runs the program on a frame as if it came in by an interface, and sends it nowhere.
    ///
    /// # Errors
    /// There is no such interface in this namespace, or the frame is no frame: less than 14 bytes, or too long.
    pub fn test(&self, index: IfIndex, frame: &[u8]) -> Result<Run, Error> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let mut context = [0, len, 0, index.0, 0, 0];
        let mut out = vec![0; frame.len() + 256];
        let input = ProgramInput {
            context_in: Some(context.as_mut_bytes()),
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..Default::default()
        };
        let program = object::program(&self.object, "router")?;
        let output = program.test_run(input).map_err(Error::bpf("run the router on a frame"))?;
        let (action, len) = (output.return_value, output.data.map_or(0, |data| data.len()));
        out.truncate(len);
        Ok(Run { action, frame: out })
    }
}

/// A program that is attached nowhere: to ask the kernel about interfaces.
#[derive(Debug)]
pub struct Probe {
    object: Object,
}

impl Probe {
    /// Loads it.
    ///
    /// # Errors
    /// Not root.
    pub fn load() -> Result<Self, Error> {
        let object = object::open("plain", object::plain())?;
        Ok(Self { object: object.load().map_err(Error::bpf("load plain.bpf.o"))? })
    }

    /// What runs on an interface, and what it can do.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn state(&self, index: IfIndex) -> Result<attach::State, Error> {
        attach::state(&object::program(&self.object, "sink")?, index)
    }
}

/// Reads a map of counters by reason.
///
/// # Errors
/// It is another map.
pub fn counters(map: &impl libbpf_rs::MapCore) -> Result<Vec<(Reason, u64)>, Error> {
    let count = |reason: Reason| {
        let values = map.lookup_percpu(&(reason as u32).to_ne_bytes(), MapFlags::ANY);
        let values = values.map_err(Error::bpf(format!("read the counter {}", reason.name())))?;
        let parts = values.into_iter().flatten().filter_map(|value| value.try_into().ok());
        Ok((reason, parts.map(u64::from_ne_bytes).sum()))
    };
    Reason::ALL.iter().copied().map(count).collect()
}
