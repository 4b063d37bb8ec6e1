//! The fast path of one host: from an image to programs on its interfaces, and from the next image on.

use std::fs;
use std::path::PathBuf;

use fib::layout::{PortRecord, flag, section};
use fib::{FibImage, Memory};
use nix::net::if_::if_nametoindex;
use packet::IfIndex;

use crate::maps::ImageMap;
use crate::pins::Pins;
use crate::router::Router;
use crate::selftest::{self, Checksums, Cures, Report};
use crate::{Error, underlay};

/// What a host is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that the controller writes the image to.
    pub image: PathBuf,
    /// The interface that tunnels go by; `None` leaves them to the switch.
    pub underlay: Option<String>,
    /// What may be done to make interfaces fit.
    pub cures: Cures,
}

/// The fast path of a host.
#[derive(Debug)]
pub struct Host {
    pins: Pins,
    settings: Settings,
    unknown: usize,
    router: Router,
    size: u32,
    attached: Vec<(IfIndex, Checksums)>,
}

impl Host {
    /// Takes an image from a file and starts, or takes over from a process before: each interface goes from the old
    /// program and image to the new ones between two frames.
    ///
    /// # Errors
    /// The image is not there or not usable, or the kernel refuses.
    pub fn start(settings: Settings, pins: Pins) -> Result<Self, Error> {
        let ready = Ready::read(&settings)?;
        let map = ImageMap::create(room_for(ready.bytes.len()))?;
        map.write(&ready.bytes)?;
        let mut router = Router::load(&map)?;
        if let Some(index) = ready.underlay {
            router.set_underlay(index)?;
        }
        let (unknown, size) = (ready.unknown, map.size());
        let mut host = Self { pins, settings, unknown, router, size, attached: Vec::new() };
        host.attach_all(&ready.interfaces)?;
        host.router.pin(host.pins.folder())?;
        Ok(host)
    }

    /// Takes the file's image again: by a swap where it fits, else by a new start.
    ///
    /// # Errors
    /// As [`Self::start`]; then all goes on as it was.
    pub fn reload(&mut self) -> Result<(), Error> {
        let ready = Ready::read(&self.settings)?;
        let size = usize::try_from(self.size).unwrap_or(0);
        if ready.bytes.len() > size {
            *self = Self::start(self.settings.clone(), self.pins.clone())?;
            return Ok(());
        }
        let map = ImageMap::create(size)?;
        map.write(&ready.bytes)?;
        self.router.publish(&map)?;
        self.unknown = ready.unknown;
        self.attach_all(&ready.interfaces)
    }

    /// Other chassis whose MAC address is not known yet: a reload may find it.
    pub const fn unknown_ways(&self) -> usize {
        self.unknown
    }

    /// What is true of each interface; an error for one that is gone.
    pub fn reports(&self) -> impl Iterator<Item = Result<Report, Error>> {
        self.attached.iter().map(|(index, checksums)| self.report(*index, *checksums))
    }

    fn report(&self, index: IfIndex, checksums: Checksums) -> Result<Report, Error> {
        let (interface, _) = selftest::prepare(index, Cures::default())?;
        Ok(selftest::judge(index, &interface, checksums, self.router.state(index)?, self.settings.cures))
    }

    /// An interface that went away, or takes no program, must not keep the others from starting.
    fn attach_all(&mut self, wanted: &[IfIndex]) -> Result<(), Error> {
        for gone in self.pins.linked()?.into_iter().filter(|index| !wanted.contains(index)) {
            self.pins.detach(gone)?;
            // Not open if nothing was ever sent there.
            let _ = self.router.close_port(gone);
        }
        self.attached.retain(|(index, _)| wanted.contains(index));
        for index in wanted {
            let known = self.attached.iter().any(|(known, _)| known == index);
            if !known && let Err(error) = self.attach(*index) {
                eprintln!("interface {index} is left to the switch: {}", crate::chain(&error));
            }
        }
        Ok(())
    }

    fn attach(&mut self, index: IfIndex) -> Result<(), Error> {
        let (interface, checksums) = selftest::prepare(index, self.settings.cures)?;
        let before =
            selftest::judge(index, &interface, checksums, self.router.state(index)?, self.settings.cures);
        if before.refusal.is_none() {
            self.link(index)?;
        }
        // Asked again: at its own end too, a program changes what a veth takes.
        if self.router.state(index)?.features.receives_redirects() {
            self.router.open_port(index)?;
        }
        self.attached.push((index, checksums));
        Ok(())
    }

    fn link(&self, index: IfIndex) -> Result<(), Error> {
        if let Ok(Some(mut link)) = self.pins.take_link(index)
            && self.router.take_over(&mut link).is_ok()
        {
            return Ok(());
        }
        // None, or one of an interface that had this index before.
        self.pins.detach(index)?;
        let path = self.pins.link(index);
        let mut link = self.router.attach(index)?;
        link.pin(&path).map_err(Error::bpf(format!("pin {}", path.display())))
    }
}

/// An image, checked and completed.
pub(crate) struct Ready {
    pub(crate) bytes: Vec<u8>,
    pub(crate) interfaces: Vec<IfIndex>,
    pub(crate) underlay: Option<IfIndex>,
    /// Other chassis whose MAC address is not known.
    pub(crate) unknown: usize,
}

impl Ready {
    pub(crate) fn read(settings: &Settings) -> Result<Self, Error> {
        let path = &settings.image;
        let mut bytes = fs::read(path).map_err(Error::io(format!("read the image {}", path.display())))?;
        // A copy, aligned as an image has to be.
        let memory = Memory::copy_of(&bytes);
        let bad = |error| Error::BadImage { path: path.clone(), error };
        let mut interfaces = interfaces(&FibImage::open(&memory).map_err(bad)?);
        let mut unknown = 0;
        let underlay = settings.underlay.as_deref().map(index_of).transpose()?;
        if let Some(index) = underlay {
            unknown = underlay::complete(&mut bytes, index)?;
            interfaces.push(index);
        }
        Ok(Self { bytes, interfaces, underlay, unknown })
    }
}

fn index_of(name: &str) -> Result<IfIndex, Error> {
    let index = if_nametoindex(name);
    index
        .map(IfIndex)
        .map_err(|errno| Error::Io { what: format!("find interface {name}"), source: errno.into() })
}

/// The interfaces of an image's ports.
fn interfaces(image: &FibImage<'_>) -> Vec<IfIndex> {
    let ports = (1..).map_while(|index| image.record_at::<PortRecord>(section::PORTS, index));
    let fast = ports.filter(|port| port.flags.get() & flag::SLOW == 0);
    let mut all: Vec<IfIndex> = fast
        .map(|port| IfIndex(port.ifindex.get()))
        .filter(|index| index.0 != 0 && *index != underlay::INTERFACE)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Room for an image to grow: the program is loaded for a size, and a greater image needs a new program.
const fn room_for(len: usize) -> usize {
    let double = len.saturating_mul(2);
    if double < 1 << 20 { 1 << 20 } else { double }
}
