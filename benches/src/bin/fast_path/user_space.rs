//! AF_XDP between the same veths: our worker beside a loop that only swaps MAC addresses. The generator has one processor,
//! the worker the other; what counts is how many frames arrive.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context as _, Result};
use benches::report::{Report, Section};
use benches::samples::Samples;
use datapath::forward::Buffer as _;
use datapath::gate::{Gate, Kernel, Pulse};
use datapath::generator::{Generator, Peer};
use datapath::worker::{Rings as _, Worker};
use datapath::xsk::{Copies, Sockets};
use fib::Memory;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use packet::IfIndex;

use crate::Options;
use crate::rig::{FIRST, Family, HOSTS, Rig};

const SWAP: &str = "MAC swap, nothing else";
const ONE: &str = "our worker, 1 destination";
const MANY: &str = "our worker, 100 k destinations";

/// What stands between the ports.
enum Between {
    Swap,
    Worker(Memory),
}

pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let rig = Rig::new()?;
    let frames = options.pick(1_500_000, 300_000);
    let mut rates = [const { Samples::new() }; 3];
    for _ in 0..options.pick(7, 3) {
        for (count, rates) in [0, 1, HOSTS].into_iter().zip(&mut rates) {
            let between = if count == 0 { Between::Swap } else { Between::Worker(rig.image(count)?) };
            rates.push(measure(&rig, between, Family::Routed(FIRST, count.max(1)), frames)?);
        }
    }
    let note = "Copy mode, one memory for both ports, one worker; sent as fast as the generator can.";
    let mut section =
        Section::new("AF_XDP: frames of 60 bytes to another network, through veths", "Mpps", note)
            .compared_with(SWAP);
    [SWAP, ONE, MANY].into_iter().zip(rates).for_each(|(name, rates)| section.row(name, rates));
    let share = |name| section.median(SWAP) / section.median(name);
    report.bar("AF_XDP: rate of a bare MAC swap against ours", share(MANY), 1.0 / 0.95, "x");
    report.section(section);
    Ok(())
}

/// Millions of frames a second that arrive.
fn measure(rig: &Rig, between: Between, family: Family, frames: u32) -> Result<f64> {
    let mut generator = Generator::load(&rig.stream(family))?;
    generator.wire(IfIndex(0), rig.in1)?;
    let sink = generator.attach(Peer::Absorb, rig.out1)?;
    let pulse = Arc::new(Pulse::new()?);
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, opened) = channel();
    let ports = vec![rig.in0, rig.out0];
    let worker = thread::spawn({
        let (pulse, stop) = (pulse.clone(), stop.clone());
        move || work(between, ports, &pulse, &stop, &tell)
    });
    let fd: Result<RawFd> = opened.recv().context("the worker did not start");
    let rate = fd.and_then(|fd| {
        let _gate = Gate::open(rig.in0, false, &[fd], &pulse)?;
        generator.send(frames / 10)?;
        let (elapsed, arrived) = generator.send(frames)?;
        Ok(arrived as f64 / elapsed.as_secs_f64() / 1e6)
    });
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    drop(sink);
    rate
}

fn work(
    between: Between,
    ports: Vec<IfIndex>,
    pulse: &Pulse,
    stop: &AtomicBool,
    tell: &Sender<RawFd>,
) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(1)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("this takes two processors")?;
    let mut sockets = Sockets::open(&[("in0".into(), 0), ("out0".into(), 0)], Copies::Each)?;
    tell.send(*sockets.fds().first().context("a socket")?)?;
    match between {
        Between::Worker(image) => {
            let mut worker = Worker::new(sockets, Kernel::load()?, ports, None, image);
            while !stop.load(Ordering::Relaxed) {
                pulse.beat();
                worker.turn()?;
            }
        }
        Between::Swap => {
            let mut burst = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                pulse.beat();
                swap(&mut sockets, &mut burst)?;
            }
        }
    }
    Ok(())
}

/// From the first port to the second.
fn swap(sockets: &mut Sockets, burst: &mut Vec<datapath::xsk::Frame>) -> Result<()> {
    sockets.receive(0, burst)?;
    for mut frame in burst.drain(..) {
        if let Some(macs) = sockets.view(&mut frame).bytes_mut().first_chunk_mut::<12>() {
            macs.rotate_left(6);
        }
        if let Some(frame) = sockets.send(1, frame) {
            sockets.flush(1)?;
            if let Some(frame) = sockets.send(1, frame) {
                sockets.free(frame);
            }
        }
    }
    sockets.flush(0)?;
    Ok(sockets.flush(1)?)
}
