//! What must be true of an interface before frames go by it, found out before they do.
//!
//! Each of these has burnt somebody: a veth that drops redirected frames without a word, checksums left to hardware that
//! is not there (ping works, TCP does not), tags that stand beside the frame, emulated XDP taken for the real one.

use std::fmt;

use nix::net::if_::if_indextoname;
use packet::IfIndex;

use crate::attach::{Mode, State};
use crate::ethtool::{GRO, Interface, TX_CHECKSUM, TX_VLAN};
use crate::{Error, peer};

/// What is known of the checksums of frames that come in by an interface; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checksums {
    /// Complete: the other end computes them.
    Complete,
    /// They were left to hardware, and the other end computes them now.
    Cured,
    /// Nobody can say.
    Unknown,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: IfIndex,
    /// Its driver.
    pub driver: String,
    /// Where the program runs.
    pub mode: Mode,
    /// The kernel's number of the program; 0 for none.
    pub program: u32,
    /// Whether frames may be redirected to it.
    pub redirect: bool,
    /// Frames of several buffers.
    pub frags: bool,
    /// AF_XDP without copies.
    pub zero_copy: bool,
    /// Queues to receive and to send.
    pub queues: (u32, u32),
    /// Checksums of what comes in.
    pub checksums: Checksums,
    /// Why frames that come in by it are left to Open vSwitch, if they are.
    pub refusal: Option<String>,
}

/// What may be done to make an interface fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cures {
    /// Settings at the other end of a veth may be changed.
    pub change_peer: bool,
    /// Incoming checksums that nobody can vouch for are taken as complete.
    pub trust_checksums: bool,
}

/// Makes the other end of a veth fit, as far as allowed: polling, checksums and tags in software. Before the attach.
///
/// # Errors
/// There is no interface of this index.
pub fn prepare(index: IfIndex, cures: Cures) -> Result<(Interface, Checksums), Error> {
    let name = if_indextoname(index.0).ok().and_then(|name| name.into_string().ok()).ok_or_else(|| {
        Error::Io { what: format!("find interface {index}"), source: std::io::ErrorKind::NotFound.into() }
    })?;
    let interface = Interface::open(&name)?;
    let checksums = match interface.driver().as_deref() {
        Ok("veth") => {
            let all = peer::find(&interface)?;
            // The worst of them.
            all.iter().map(|peer| peer_checksums(peer, cures)).max().unwrap_or(Checksums::Unknown)
        }
        // What a VM leaves to its hardware, a tap hands on as it is.
        Ok("tun") | Err(_) => Checksums::Unknown,
        // What comes from a wire is whole; and virtio_net turns such offloads off before it runs a program.
        Ok(_) => Checksums::Complete,
    };
    Ok((interface, checksums))
}

fn peer_checksums(peer: &Interface, cures: Cures) -> Checksums {
    if cures.change_peer {
        // What cannot be set shows in the report: by the driver's own word that it takes redirected frames, or here.
        let _ = peer.turn(GRO, true);
        let _ = peer.turn(TX_VLAN, false);
    }
    match peer.is_on(TX_CHECKSUM) {
        Ok(false) => Checksums::Complete,
        Ok(true) if cures.change_peer && peer.turn(TX_CHECKSUM, false).is_ok() => Checksums::Cured,
        _ => Checksums::Unknown,
    }
}

/// Judges an interface.
pub fn judge(
    index: IfIndex,
    interface: &Interface,
    checksums: Checksums,
    state: State,
    cures: Cures,
) -> Report {
    let refusal = if !state.features.basic() {
        Some("its driver runs no XDP".to_owned())
    } else if checksums == Checksums::Unknown && !cures.trust_checksums {
        Some("nobody can say whether checksums of what comes in are complete (--trust-checksums)".to_owned())
    } else {
        None
    };
    Report {
        name: interface.name().to_owned(),
        index,
        driver: interface.driver().unwrap_or_else(|_| "unknown".into()),
        mode: state.mode,
        program: state.program,
        redirect: state.features.receives_redirects(),
        frags: state.features.frags(),
        zero_copy: state.features.zero_copy(),
        queues: interface.queues(),
        checksums,
        refusal,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let mode = match self.mode {
            Mode::None => "none",
            Mode::Driver => "driver",
            Mode::Generic => "generic",
            Mode::Other => "other",
        };
        let checksums = match self.checksums {
            Checksums::Complete => "complete",
            Checksums::Cured => "cured",
            Checksums::Unknown => "unknown",
        };
        let (rx, tx) = self.queues;
        write!(
            f,
            "{:15} index {} driver {} xdp {mode} redirect {} checksums {checksums} frags {} queues {rx}/{tx} zero-copy {}",
            self.name,
            self.index,
            self.driver,
            yes(self.redirect),
            yes(self.frags),
            yes(self.zero_copy)
        )?;
        if !self.redirect {
            write!(f, "; frames to it go by the switch: its other end does not poll")?;
        }
        match &self.refusal {
            Some(reason) => write!(f, "; frames from it go by the switch: {reason}"),
            None => Ok(()),
        }
    }
}
