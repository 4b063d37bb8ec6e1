//! Frames from port to port, run to completion: a burst is received, decided and sent before the next. Pure; the sockets
//! are behind [`Rings`], whose other kind lives in memory.

use std::collections::HashMap;

use fib::Memory;
use nix::poll::PollTimeout;
use packet::IfIndex;

use crate::Error;
use crate::forward::{Buffer, Forwarder, Way};
use crate::reason::Reason;

/// The most frames that are received at once.
pub const BURST: usize = 64;

/// Ports with rings, by number. Every frame is in one place: with them, or with whoever got it from here.
pub trait Rings {
    /// A frame.
    type Frame;

    /// Its bytes.
    type View<'a>: Buffer
    where
        Self: 'a;

    /// Adds at most [`BURST`] frames that came in.
    ///
    /// # Errors
    /// The kernel refuses.
    fn receive(&mut self, port: usize, burst: &mut Vec<Self::Frame>) -> Result<(), Error>;

    /// Looks at a frame.
    fn view<'a>(&'a mut self, frame: &'a mut Self::Frame) -> Self::View<'a>;

    /// Sends a frame; gives it back if there is no room.
    fn send(&mut self, port: usize, frame: Self::Frame) -> Option<Self::Frame>;

    /// A frame is not needed any more.
    fn free(&mut self, frame: Self::Frame);

    /// Tells the kernel what was sent, and takes back what it has done with.
    ///
    /// # Errors
    /// The kernel refuses.
    fn flush(&mut self, port: usize) -> Result<(), Error>;

    /// Frames that were sent and have not come back.
    fn on_their_way(&self) -> usize;

    /// Sleeps until a frame comes in.
    ///
    /// # Errors
    /// The kernel refuses.
    fn wait(&mut self, limit: PollTimeout) -> Result<(), Error>;
}

/// The kernel and Open vSwitch behind a port.
pub trait SlowPath {
    /// Gives them a frame as if it had just come in by a port.
    ///
    /// # Errors
    /// The kernel refuses.
    fn hand_over(&mut self, port: IfIndex, frame: &[u8]) -> Result<(), Error>;
}

/// What became of frames, by number of the reason; and how many found no room on their way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    reasons: [u64; 48],
    /// Of those sent on.
    pub lost: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { reasons: [0; 48], lost: 0 }
    }
}

impl Counters {
    /// Frames that ended for a reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.reasons.get(reason as usize).copied().unwrap_or(0)
    }

    fn count(&mut self, reason: Reason) {
        if let Some(count) = self.reasons.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

/// One thread's work.
#[derive(Debug)]
pub struct Worker<R: Rings, S> {
    rings: R,
    slow_path: S,
    /// Interface of each port, in the order of the rings.
    ports: Vec<IfIndex>,
    /// Which port sends to an interface.
    exits: HashMap<IfIndex, usize>,
    underlay: Option<IfIndex>,
    image: Memory,
    burst: Vec<R::Frame>,
    counters: Counters,
}

impl<R: Rings, S: SlowPath> Worker<R, S> {
    /// A worker on ports with these interfaces; several have one if it has several queues, and the first of them sends.
    pub fn new(
        rings: R,
        slow_path: S,
        ports: Vec<IfIndex>,
        underlay: Option<IfIndex>,
        image: Memory,
    ) -> Self {
        let exits = ports.iter().enumerate().rev().map(|(port, index)| (*index, port)).collect();
        let burst = Vec::with_capacity(BURST);
        Self { rings, slow_path, ports, exits, underlay, image, burst, counters: Counters::default() }
    }

    /// Decides by another image from the next burst on.
    pub fn replace(&mut self, image: Memory) {
        self.image = image;
    }

    /// What became of all frames so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The rings.
    pub const fn rings(&self) -> &R {
        &self.rings
    }

    /// The rings, to wait for.
    pub const fn rings_mut(&mut self) -> &mut R {
        &mut self.rings
    }

    /// What stands behind the ports.
    pub const fn slow_path(&self) -> &S {
        &self.slow_path
    }

    /// One burst of each port; the number of frames there were.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn turn(&mut self) -> Result<usize, Error> {
        let mut count = 0;
        for port in 0..self.ports.len() {
            self.rings.receive(port, &mut self.burst)?;
            count += self.burst.len();
            let mut burst = std::mem::take(&mut self.burst);
            let done = burst.drain(..).try_for_each(|frame| self.one(port, frame));
            self.burst = burst;
            done?;
        }
        for port in 0..self.ports.len() {
            self.rings.flush(port)?;
        }
        Ok(count)
    }

    fn one(&mut self, port: usize, mut frame: R::Frame) -> Result<(), Error> {
        let Some(index) = self.ports.get(port).copied() else { return Ok(()) };
        let forwarder = Forwarder {
            image: self.image.image(),
            open: |index: IfIndex| self.exits.contains_key(&index),
            underlay: self.underlay,
        };
        let outcome = forwarder.forward(index, &mut self.rings.view(&mut frame));
        self.counters.count(outcome.reason);
        let exit = match outcome.way {
            Way::Back => Some(port),
            Way::Out(to) => self.exits.get(&to).copied(),
            Way::Pass => {
                self.slow_path.hand_over(index, self.rings.view(&mut frame).bytes())?;
                None
            }
        };
        match exit {
            Some(exit) => self.send(exit, frame),
            None => {
                self.rings.free(frame);
                Ok(())
            }
        }
    }

    fn send(&mut self, exit: usize, frame: R::Frame) -> Result<(), Error> {
        let Some(frame) = self.rings.send(exit, frame) else { return Ok(()) };
        // Full: once more, when the kernel has taken what is there.
        self.rings.flush(exit)?;
        if let Some(frame) = self.rings.send(exit, frame) {
            self.counters.lost += 1;
            self.rings.free(frame);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
