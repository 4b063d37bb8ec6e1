//! What ethtool(8) does, for the few settings that decide whether XDP works: one ioctl.
#![allow(unsafe_code, reason = "the ioctl SIOCETHTOOL takes a pointer")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::Error;

/// A setting that is on or off: the numbers of <linux/ethtool.h> to read and to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    name: &'static str,
    get: u32,
    set: u32,
    /// The bit, where one number holds several.
    bit: u32,
}

/// Checksums of what it sends are left to hardware.
pub const TX_CHECKSUM: Setting = Setting { name: "tx-checksumming", get: 0x16, set: 0x17, bit: 1 };
/// VLAN tags of what it sends are left to hardware: beside the frame, where XDP does not see them.
pub const TX_VLAN: Setting = Setting { name: "tx-vlan-offload", get: 0x25, set: 0x26, bit: 1 << 7 };
/// Generic receive offload: what makes a veth poll.
pub const GRO: Setting = Setting { name: "generic-receive-offload", get: 0x2b, set: 0x2c, bit: 1 };

/// An interface of the namespace that the thread was in when it was opened.
#[derive(Debug)]
pub struct Interface {
    socket: OwnedFd,
    name: String,
}

#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// struct ethtool_drvinfo.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// struct ethtool_stats with room for more than any driver here has.
#[repr(C)]
struct Statistics {
    command: u32,
    count: u32,
    values: [u64; 4096],
}

/// struct ethtool_channels.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

impl Interface {
    /// Opens an interface by name.
    ///
    /// # Errors
    /// No socket can be had. That there is no such interface is seen later.
    pub fn open(name: &str) -> Result<Self, Error> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
        let socket =
            socket.map_err(|errno| Error::Io { what: "open a socket".into(), source: errno.into() })?;
        Ok(Self { socket, name: name.to_owned() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its driver.
    ///
    /// # Errors
    /// There is no such interface, or it has no driver to ask.
    pub fn driver(&self) -> Result<String, Error> {
        let mut info = DriverInfo { command: 3, driver: [0; 32], rest: [0; 160] };
        self.ask(&mut info, "name the driver")?;
        let name = info.driver.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// The index of a veth's other end, in the namespace that it is in: its first statistic.
    ///
    /// # Errors
    /// It is no veth, or has no peer.
    pub fn veth_peer(&self) -> Result<u32, Error> {
        let mut statistics = Box::new(Statistics { command: 0x1d, count: 0, values: [0; 4096] });
        self.ask(&mut *statistics, "read statistics")?;
        let [first, ..] = statistics.values;
        u32::try_from(first)
            .ok()
            .filter(|index| *index != 0 && statistics.count > 0)
            .ok_or_else(|| self.error("find the peer", io::ErrorKind::NotFound.into()))
    }

    /// Numbers of queues, to receive and to send; 1 where the driver does not say.
    pub fn queues(&self) -> (u32, u32) {
        let mut channels = Channels { command: 0x3c, ..Default::default() };
        match self.ask(&mut channels, "count queues") {
            Ok(()) => ((channels.rx + channels.combined).max(1), (channels.tx + channels.combined).max(1)),
            Err(_) => (1, 1),
        }
    }

    /// Whether a setting is on.
    ///
    /// # Errors
    /// The driver does not know it.
    pub fn is_on(&self, setting: Setting) -> Result<bool, Error> {
        Ok(self.word(setting)? & setting.bit != 0)
    }

    /// Turns a setting on or off.
    ///
    /// # Errors
    /// The driver does not know it, or does not allow it.
    pub fn turn(&self, setting: Setting, on: bool) -> Result<(), Error> {
        let word = self.word(setting)?;
        let data = if on { word | setting.bit } else { word & !setting.bit };
        self.ask(&mut Value { command: setting.set, data }, setting.name)
    }

    /// A request about this interface.
    fn request(&self) -> libc::ifreq {
        // SAFETY: all zero is a value of this structure of numbers and pointers.
        let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
        // The last byte stays 0.
        for (to, from) in ifreq.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(self.name.bytes()) {
            *to = from.cast_signed();
        }
        ifreq
    }

    fn word(&self, setting: Setting) -> Result<u32, Error> {
        let mut value = Value { command: setting.get, data: 0 };
        self.ask(&mut value, setting.name)?;
        Ok(value.data)
    }

    /// `T` is one of the structures above, each with the layout that its command asks for.
    fn ask<T>(&self, request: &mut T, what: &str) -> Result<(), Error> {
        const SIOCETHTOOL: libc::Ioctl = 0x8946;
        let mut ifreq = self.request();
        ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(request).cast();
        // SAFETY: the kernel writes what the command says, which is no longer than the structure of the command; both
        // live through the call.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &mut ifreq) };
        if done < 0 { Err(self.error(what, io::Error::last_os_error())) } else { Ok(()) }
    }

    fn error(&self, what: &str, source: io::Error) -> Error {
        Error::Io { what: format!("{what} of interface {}", self.name), source }
    }
}

/// Runs `work` on a thread inside another network namespace. Sockets that it opens stay there.
///
/// # Errors
/// No namespace, or no right to enter it.
pub fn within<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| Error::Io { what: "enter a namespace".into(), source: errno.into() })?;
            Ok(work())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
