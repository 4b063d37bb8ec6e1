//! AF_XDP mode: one thread takes frames from the ports of an image into user space, decides by `forward.rs`, sends them
//! out by their ports, and hands over to the kernel what it does not forward.
//!
//! Nothing is pinned: programs and sockets live as long as the process, and Open vSwitch gets every frame without them.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{JoinHandle, spawn};

use fib::Memory;
use nix::poll::PollTimeout;
use packet::IfIndex;

use crate::Error;
use crate::attach::Mode;
use crate::gate::{Gate, Kernel, Pulse};
use crate::host::{Ready, Settings};
use crate::reason::Reason;
use crate::router::Probe;
use crate::selftest::{self, Report};
use crate::worker::{Counters, Rings as _, Worker};
use crate::xsk::{Copies, Losses, Sockets};

/// Turns without a frame before an adaptive worker sleeps.
const IDLE_TURNS: u32 = 1000;
/// A sleeping worker looks for a new image this often.
const NAP_MS: u8 = 10;
/// Turns that a worker has at its end for what is still on its way.
const LAST_TURNS: u32 = 1000;
const QUIET_TURNS: u32 = 50;

/// What the worker tells while it runs.
#[derive(Debug, Default)]
struct Shared {
    reasons: [AtomicU64; Reason::ALL.len()],
    lost: AtomicU64,
    refused: AtomicU64,
    no_room: AtomicU64,
}

enum Order {
    Image(Memory),
    Stop,
}

/// A port that the worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Port {
    index: IfIndex,
    name: String,
    queues: u32,
}

/// What came of an interface: its line in the status.
#[derive(Debug)]
struct Line {
    report: Report,
    served: bool,
}

/// A worker and the gates of its ports.
#[derive(Debug)]
pub struct AfXdp {
    settings: Settings,
    adaptive: bool,
    wanted: Vec<IfIndex>,
    lines: Vec<Line>,
    copies: Copies,
    unknown: usize,
    gates: Vec<Gate>,
    orders: Sender<Order>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl AfXdp {
    /// Takes an image from a file and starts on its ports. `adaptive`: a worker without work sleeps, instead of asking all
    /// the time.
    ///
    /// # Errors
    /// The image is not there or not usable, or the kernel refuses.
    pub fn start(settings: Settings, adaptive: bool) -> Result<Self, Error> {
        let ready = Ready::read(&settings)?;
        let lines = look(&ready.interfaces, &settings)?;
        let served = lines.iter().filter(|line| line.served);
        let ports: Vec<Port> = served.map(Port::of).collect();
        // Only if all can: the memory is one.
        let all_zero = lines.iter().filter(|line| line.served).all(|line| line.report.zero_copy);
        let ask = if all_zero && !ports.is_empty() { Copies::None } else { Copies::Each };
        let (orders, inbox) = channel();
        let (tell, opened) = channel();
        let shared = Arc::new(Shared::default());
        let pulse = Arc::new(Pulse::new()?);
        let job = Job {
            ports: ports.clone(),
            underlay: ready.underlay,
            ask,
            adaptive,
            image: Memory::copy_of(&ready.bytes),
            shared: shared.clone(),
            pulse: pulse.clone(),
        };
        let thread = spawn(move || job.run(&inbox, &tell));
        let ended = || Error::Io {
            what: "start the worker".into(),
            source: std::io::ErrorKind::UnexpectedEof.into(),
        };
        let (fds, copies) = opened.recv().map_err(|_| ended())??;
        let wanted = ready.interfaces;
        let unknown = ready.unknown;
        let mut new = Self {
            settings,
            adaptive,
            wanted,
            lines,
            copies,
            unknown,
            gates: Vec::new(),
            orders,
            shared,
            thread: Some(thread),
        };
        new.open_gates(&ports, ready.underlay, &fds, &pulse);
        Ok(new)
    }

    /// One that cannot be opened is left to the switch, and the line says so.
    fn open_gates(&mut self, ports: &[Port], underlay: Option<IfIndex>, fds: &[RawFd], pulse: &Pulse) {
        let mut rest = fds;
        for port in ports {
            let (own, others) = rest.split_at(rest.len().min(usize::try_from(port.queues).unwrap_or(0)));
            rest = others;
            let error = match Gate::open(port.index, underlay == Some(port.index), own, pulse) {
                Ok(gate) => {
                    self.gates.push(gate);
                    continue;
                }
                Err(error) => crate::chain(&error),
            };
            for line in self.lines.iter_mut().filter(|line| line.report.index == port.index) {
                line.served = false;
                line.report.refusal = Some(error.clone());
            }
        }
    }

    /// Takes the file's image again. If its ports are others, the worker starts anew; meanwhile Open vSwitch forwards.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn reload(&mut self) -> Result<(), Error> {
        let ready = Ready::read(&self.settings)?;
        if ready.interfaces != self.wanted {
            self.stop()?;
            *self = Self::start(self.settings.clone(), self.adaptive)?;
            return Ok(());
        }
        self.unknown = ready.unknown;
        // If it has ended, stop() says why.
        let _ = self.orders.send(Order::Image(Memory::copy_of(&ready.bytes)));
        Ok(())
    }

    /// Other chassis whose MAC address is not known yet: a reload may find it.
    pub const fn unknown_ways(&self) -> usize {
        self.unknown
    }

    /// True if the worker has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends without loss: Open vSwitch gets what comes from now on, and what came before is forwarded.
    ///
    /// # Errors
    /// What ended the worker before.
    pub fn stop(&mut self) -> Result<(), Error> {
        // A worker that has ended took its sockets with it, and they are gone from there already.
        for gate in &mut self.gates {
            let _ = gate.close();
        }
        let _ = self.orders.send(Order::Stop);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let done = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.gates.clear();
        done
    }
}

/// The state of all, as `status` prints it.
impl fmt::Display for AfXdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies = if self.copies == Copies::None { "zero-copy" } else { "copy mode" };
        for Line { report, served } in &self.lines {
            let what = if *served { copies } else { "not served" };
            writeln!(f, "{report}; AF_XDP: {what}")?;
        }
        for (reason, count) in Reason::ALL.iter().zip(&self.shared.reasons) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let way = if reason.is_done() { "sent on" } else { "handed to the switch" };
                writeln!(f, "{:18} {count:12} {way}", reason.name().to_lowercase())?;
            }
        }
        let rest = [
            ("no_room_out", &self.shared.lost, "lost: a port's ring was full"),
            ("no_room_in", &self.shared.no_room, "lost: the worker was too slow"),
            ("refused", &self.shared.refused, "lost: the kernel did not take them back"),
        ];
        for (name, count, what) in rest {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                writeln!(f, "{name:18} {count:12} {what}")?;
            }
        }
        Ok(())
    }
}

impl Port {
    fn of(line: &Line) -> Self {
        let Report { index, name, queues, .. } = &line.report;
        Self { index: *index, name: name.clone(), queues: queues.0 }
    }
}

/// Makes ports fit and judges them, as for XDP. Frames of several buffers the gate leaves to the switch.
fn look(interfaces: &[IfIndex], settings: &Settings) -> Result<Vec<Line>, Error> {
    let probe = Probe::load()?;
    let mut lines = Vec::new();
    for index in interfaces {
        let found = selftest::prepare(*index, settings.cures)
            .and_then(|(interface, checksums)| Ok((probe.state(*index)?, interface, checksums)));
        let (state, interface, checksums) = match found {
            Ok(found) => found,
            Err(error) => {
                eprintln!("interface {index} is left to the switch: {}", crate::chain(&error));
                continue;
            }
        };
        let mut report = selftest::judge(*index, &interface, checksums, state, settings.cures);
        if state.mode != Mode::None {
            report.refusal = Some("it has a program already (dragonflow-datapath detach --all)".into());
        }
        let served = report.refusal.is_none();
        lines.push(Line { report, served });
    }
    Ok(lines)
}

/// What the thread is given.
struct Job {
    ports: Vec<Port>,
    underlay: Option<IfIndex>,
    ask: Copies,
    adaptive: bool,
    image: Memory,
    shared: Arc<Shared>,
    pulse: Arc<Pulse>,
}

type Opened = Result<(Vec<RawFd>, Copies), Error>;

impl Job {
    fn run(self, inbox: &Receiver<Order>, tell: &Sender<Opened>) -> Result<(), Error> {
        let queues = self.queues();
        let names: Vec<(String, u32)> =
            queues.iter().map(|(_, name, queue)| (name.clone(), *queue)).collect();
        let opened = Sockets::open(&names, self.ask).and_then(|sockets| {
            let told = (sockets.fds(), sockets.copies()?);
            Ok((sockets, Kernel::load()?, told))
        });
        let (sockets, kernel) = match opened {
            Ok((sockets, kernel, told)) => {
                // Who started this waits for it.
                let _ = tell.send(Ok(told));
                (sockets, kernel)
            }
            Err(error) => {
                let _ = tell.send(Err(error));
                return Ok(());
            }
        };
        let ports = queues.iter().map(|(index, ..)| *index).collect();
        let mut worker = Worker::new(sockets, kernel, ports, self.underlay, self.image);
        let done = serve(&mut worker, inbox, self.adaptive, &self.shared, &self.pulse)
            .and_then(|()| finish(&mut worker));
        self.shared.tell(worker.counters(), worker.slow_path().refused, worker.rings().losses()?);
        done
    }

    fn queues(&self) -> Vec<(IfIndex, String, u32)> {
        let each = |port: &Port| {
            let (index, name) = (port.index, port.name.clone());
            (0..port.queues).map(move |queue| (index, name.clone(), queue)).collect::<Vec<_>>()
        };
        self.ports.iter().flat_map(each).collect()
    }
}

/// Until it is told to stop.
fn serve(
    worker: &mut Worker<Sockets, Kernel>,
    inbox: &Receiver<Order>,
    adaptive: bool,
    shared: &Shared,
    pulse: &Pulse,
) -> Result<(), Error> {
    let mut idle = 0_u32;
    for turn in 0_u64.. {
        match inbox.try_recv() {
            Ok(Order::Image(image)) => worker.replace(image),
            Ok(Order::Stop) | Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {}
        }
        pulse.beat();
        let busy = worker.turn()? > 0 || worker.rings().on_their_way() > 0;
        idle = if busy { 0 } else { idle.saturating_add(1) };
        if turn % 4096 == 0 || idle == IDLE_TURNS {
            shared.tell(worker.counters(), worker.slow_path().refused, worker.rings().losses()?);
        }
        if idle >= IDLE_TURNS && adaptive {
            worker.rings_mut().wait(PollTimeout::from(NAP_MS))?;
        }
    }
    Ok(())
}

/// Forwards what came before the gates were closed.
fn finish(worker: &mut Worker<Sockets, Kernel>) -> Result<(), Error> {
    let mut quiet = 0;
    for _ in 0..LAST_TURNS {
        let busy = worker.turn()? > 0 || worker.rings().on_their_way() > 0;
        quiet = if busy { 0 } else { quiet + 1 };
        if quiet == QUIET_TURNS {
            break;
        }
    }
    Ok(())
}

impl Shared {
    fn tell(&self, counters: &Counters, refused: u64, losses: Losses) {
        for (reason, shown) in Reason::ALL.iter().zip(&self.reasons) {
            shown.store(counters.of(*reason), Ordering::Relaxed);
        }
        self.lost.store(counters.lost, Ordering::Relaxed);
        self.refused.store(refused + losses.refused, Ordering::Relaxed);
        self.no_room.store(losses.no_room, Ordering::Relaxed);
    }
}
