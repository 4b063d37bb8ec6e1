//! Programs on interfaces, and what the interfaces can do.

use std::os::fd::AsFd as _;

use libbpf_rs::{Link, ProgramMut, Xdp, XdpFlags, libbpf_sys};
use packet::IfIndex;

use crate::Error;

/// NETDEV_XDP_ACT_* of the kernel's netdev family (Documentation/netlink/specs/netdev.yaml): what a driver says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// Runs programs in the driver.
    pub const fn basic(self) -> bool {
        self.0 & 1 != 0
    }

    /// Takes frames that a program redirects to it. A veth does only while its peer polls (NAPI): while the peer has a
    /// program or generic receive offload. Otherwise it drops them without a word.
    pub const fn receives_redirects(self) -> bool {
        self.0 & 4 != 0
    }

    /// AF_XDP without copying.
    pub const fn zero_copy(self) -> bool {
        self.0 & 8 != 0
    }

    /// Frames of several buffers: jumbo frames.
    pub const fn frags(self) -> bool {
        self.0 & 32 != 0
    }
}

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nowhere.
    None,
    /// In the driver.
    Driver,
    /// Behind the driver, on copies: too slow to be of use.
    Generic,
    /// In the card, or several at once.
    Other,
}

/// What runs on an interface, and what it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Where a program runs.
    pub mode: Mode,
    /// The kernel's number of the program; 0 for none.
    pub program: u32,
    /// What the driver can do.
    pub features: Features,
}

/// Attaches a program to an interface, in its driver.
///
/// # Errors
/// The kernel refuses; or it took the program, but not in the driver: then it is detached again.
pub fn attach(program: &ProgramMut<'_>, index: IfIndex) -> Result<Link, Error> {
    let link =
        program.attach_xdp(number(index)?).map_err(Error::bpf(format!("attach to interface {index}")))?;
    if state(program, index)?.mode == Mode::Generic {
        return Err(Error::NoDriverMode { index });
    }
    Ok(link)
}

/// Asks the kernel about an interface; any loaded program serves to ask.
///
/// # Errors
/// There is no such interface.
pub fn state(program: &ProgramMut<'_>, index: IfIndex) -> Result<State, Error> {
    let answer = Xdp::new(program.as_fd()).query(number(index)?, XdpFlags::NONE);
    let answer = answer.map_err(Error::bpf(format!("query interface {index}")))?;
    let mode = match u32::from(answer.attach_mode) {
        libbpf_sys::XDP_ATTACHED_NONE => Mode::None,
        libbpf_sys::XDP_ATTACHED_DRV => Mode::Driver,
        libbpf_sys::XDP_ATTACHED_SKB => Mode::Generic,
        _ => Mode::Other,
    };
    Ok(State { mode, program: answer.prog_id, features: Features(answer.feature_flags) })
}

fn number(index: IfIndex) -> Result<i32, Error> {
    i32::try_from(index.0).map_err(|_| Error::Io {
        what: format!("use interface {index}"),
        source: std::io::ErrorKind::InvalidInput.into(),
    })
}
