//! `bpf/plain.bpf.c`: frames from port to port without a table. The limit that measurements compare with.

use libbpf_rs::{Link, MapCore as _, MapFlags, Object};
use packet::IfIndex;

use crate::{Error, attach, object};

/// The loaded programs.
#[derive(Debug)]
pub struct Plain {
    object: Object,
}

impl Plain {
    /// Loads them.
    ///
    /// # Errors
    /// Not root, or the kernel refuses.
    pub fn load() -> Result<Self, Error> {
        let object = object::open("plain", object::plain())?;
        Ok(Self { object: object.load().map_err(Error::bpf("load plain.bpf.o"))? })
    }

    /// Sends what comes in by `from` out by `to`, from the next frame on.
    ///
    /// # Errors
    /// 64 ports are wired already, or there is no interface `to`.
    pub fn wire(&mut self, from: IfIndex, to: IfIndex) -> Result<(), Error> {
        object::map(&mut self.object, "wires")?
            .update(&from.0.to_ne_bytes(), &object::devmap_value(to), MapFlags::ANY)
            .map_err(Error::bpf(format!("wire interface {from} to {to}")))
    }

    /// Attaches the redirecting program to an interface, until the link is dropped.
    ///
    /// # Errors
    /// As [`attach::attach`].
    pub fn attach(&self, index: IfIndex) -> Result<Link, Error> {
        attach::attach(&object::program(&self.object, "wire")?, index)
    }

    /// What runs on an interface, and what it can do.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn state(&self, index: IfIndex) -> Result<attach::State, Error> {
        attach::state(&object::program(&self.object, "wire")?, index)
    }
}
