//! The fast path of one host: from an image to programs on its interfaces, and from the next image on.

use std::path::{Path, PathBuf};

use fib::layout::{PortRecord, flag, section};
use fib::{FibImage, Memory};
use packet::IfIndex;

use crate::maps::ImageMap;
use crate::pins::Pins;
use crate::router::Router;
use crate::selftest::{self, Checksums, Cures, Report};
use crate::{Error, image_file};

/// The fast path of a host.
#[derive(Debug)]
pub struct Host {
    pins: Pins,
    cures: Cures,
    image: PathBuf,
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
    pub fn start(image: &Path, pins: Pins, cures: Cures) -> Result<Self, Error> {
        let bytes = image_file::read(image)?;
        let map = ImageMap::create(image_file::room_for(bytes.len()))?;
        map.write(&bytes)?;
        let router = Router::load(&map)?;
        let image = image.to_owned();
        let mut host = Self { pins, cures, image, router, size: map.size(), attached: Vec::new() };
        host.attach_all(&interfaces(&bytes, &host.image)?)?;
        host.router.pin(host.pins.folder())?;
        Ok(host)
    }

    /// Takes the file's image again: by a swap where it fits, else by a new start.
    ///
    /// # Errors
    /// As [`Self::start`]; then all goes on as it was.
    pub fn reload(&mut self) -> Result<(), Error> {
        let bytes = image_file::read(&self.image)?;
        if bytes.len() > usize::try_from(self.size).unwrap_or(0) {
            *self = Self::start(&self.image, self.pins.clone(), self.cures)?;
            return Ok(());
        }
        let wanted = interfaces(&bytes, &self.image)?;
        let map = ImageMap::create(usize::try_from(self.size).unwrap_or(0))?;
        map.write(&bytes)?;
        self.router.publish(&map)?;
        self.attach_all(&wanted)
    }

    /// What is true of each interface.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn reports(&self) -> Result<Vec<Report>, Error> {
        let report = |(index, checksums): &(IfIndex, Checksums)| self.report(*index, *checksums);
        self.attached.iter().map(report).collect()
    }

    fn report(&self, index: IfIndex, checksums: Checksums) -> Result<Report, Error> {
        let (interface, _) = selftest::prepare(index, Cures::default())?;
        Ok(selftest::judge(index, &interface, checksums, self.router.state(index)?, self.cures))
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
        let (interface, checksums) = selftest::prepare(index, self.cures)?;
        let before = selftest::judge(index, &interface, checksums, self.router.state(index)?, self.cures);
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

/// The interfaces of an image's ports.
fn interfaces(bytes: &[u8], path: &Path) -> Result<Vec<IfIndex>, Error> {
    // A copy, aligned as an image has to be.
    let memory = Memory::copy_of(bytes);
    let image = FibImage::open(&memory).map_err(|error| Error::BadImage { path: path.to_owned(), error })?;
    let ports = (1..).map_while(|index| image.record_at::<PortRecord>(section::PORTS, index));
    let fast = ports.filter(|port| port.flags.get() & flag::SLOW == 0);
    let mut all: Vec<IfIndex> =
        fast.map(|port| IfIndex(port.ifindex.get())).filter(|index| index.0 != 0).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
