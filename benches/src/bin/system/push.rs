//! How long a switch takes to get many flows, by who sends them.

use crate::Options;
use anyhow::{Context as _, Result, ensure};
use benches::{
    cloud::{Cloud, chassis_id},
    process::{cpu_time, settle},
    report::{Report, Section},
    samples::Samples,
    wire::Wire,
};
use controller::{
    compile::{Desired, EncodedFlow},
    reconcile::{Observed, Op, Plan, diff},
    southbound::openflow::{DialAddr, Session, open},
};
use lab::{Daemon, Hypervisor, Lab};
use openflow::{
    Config, Message, Xid,
    message::{BundleControl, BundleControlKind, BundleFlags, FlowModCommand},
};
use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const FLAGS: BundleFlags = BundleFlags(BundleFlags::ATOMIC.0 | BundleFlags::ORDERED.0);
/// The xid of what the raw senders wait for.
const LAST: Xid = Xid(0xffff_0000);

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Driver,
    RawBundle,
    RawFlows,
    Ofctl,
}

const SENDERS: [Sender; 4] = [Sender::Driver, Sender::RawBundle, Sender::RawFlows, Sender::Ofctl];

impl Sender {
    const fn name(self) -> &'static str {
        match self {
            Self::Driver => "our driver, one bundle",
            Self::RawBundle => "pre-encoded octets, one bundle",
            Self::RawFlows => "pre-encoded octets, no bundle",
            Self::Ofctl => "ovs-ofctl --bundle add-flows",
        }
    }
}

/// The same flows in the form that each sender wants.
struct Load {
    count: u64,
    /// Groups and meters that the flows use: put there before the clock starts.
    before: Arc<Plan>,
    plan: Arc<Plan>,
    bundle: Vec<u8>,
    flows: Vec<u8>,
    file: PathBuf,
}

struct Rig {
    lab: Lab,
    hypervisor: Hypervisor,
    runtime: Runtime,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("push", options.quick);
    let lab = Lab::new("bpush")?;
    let rig = Rig { hypervisor: lab.hypervisor("hv1")?, lab, runtime: Runtime::new()? };
    for (count, rounds) in [(10_000, options.pick(15, 3)), (100_000, options.pick(7, 2))] {
        let load = rig.load(count)?;
        let (times, cpu) = rig.rounds(&load, rounds)?;
        let ratio = times.median(Sender::Driver.name()) / times.median(Sender::RawBundle.name());
        report.section(times);
        report.section(cpu);
        report.bar(format!("{count} flows: our driver against the same octets"), ratio, 1.25, "x");
    }
    rig.lab.quiet();
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

impl Rig {
    /// The first flows of a host that has a few more.
    fn load(&self, count: usize) -> Result<Load> {
        // Each local port makes 7 flows or more.
        let compiler = Cloud::new(2, u32::try_from(count)? / 3).compiler(1);
        let desired = compiler.desired(&chassis_id(0)).context("the host is served")?;
        let mut flows: Vec<EncodedFlow> = desired.flows().cloned().collect();
        ensure!(flows.len() >= count, "the cloud makes {} of {count} flows", flows.len());
        // Not in the order of a hash table, so that every run sends the same.
        flows.sort_by_cached_key(|flow| {
            (flow.cookie(), flow.table(), flow.priority(), flow.match_bytes().to_vec())
        });
        flows.truncate(count);
        let mut text = String::new();
        for flow in &flows {
            writeln!(text, "{}", flow.raw().decode()?)?;
        }
        let file = self.lab.dir().join(format!("{count}.flows"));
        fs::write(&file, text).context("write flows as text")?;
        Ok(Load {
            count: count as u64,
            before: Arc::new(groups_and_meters(desired)),
            bundle: raw_bundle(&flows)?,
            flows: raw_flows(&flows)?,
            plan: Arc::new(Plan { ops: flows.into_iter().map(Op::PutFlow).collect(), ..Plan::default() }),
            file,
        })
    }

    /// Every sender in turn, beginning with another one each time: seconds, and CPU milliseconds of the sender.
    fn rounds(&self, load: &Load, rounds: usize) -> Result<(Section, Section)> {
        let mut times = vec![Samples::default(); SENDERS.len()];
        let mut cpu = vec![Samples::default(); SENDERS.len()];
        for round in 0..rounds {
            for nth in 0..SENDERS.len() {
                let at = (round + nth) % SENDERS.len();
                let (Some(sender), Some(times), Some(cpu)) =
                    (SENDERS.get(at), times.get_mut(at), cpu.get_mut(at))
                else {
                    continue;
                };
                let (time, spent) = self.once(load, *sender)?;
                times.push(time.as_secs_f64() * 1e3);
                cpu.push(spent.as_secs_f64() * 1e3);
            }
        }
        let octets = load.flows.len() as f64 / load.count as f64;
        let note = format!(
            "{rounds} interleaved rounds, each into a new and empty bridge. {} flows as a host of {octets:.0} octets \
             each on average as flow-mods; until the switch acknowledged the commit (or, without a bundle, the \
             barrier). Connecting is not counted, but for ovs-ofctl, which is measured from start to end of the program.",
            load.count
        );
        let reference = Sender::RawBundle.name();
        let mut time_section =
            Section::new(format!("{} flows: time", load.count), "ms", note).compared_with(reference);
        let mut cpu_section = Section::new(
            format!("{} flows: CPU of the sender", load.count),
            "ms",
            "User and system time of the sending process (not measured for ovs-ofctl).",
        );
        for ((sender, times), cpu) in SENDERS.iter().zip(times).zip(cpu) {
            time_section.row(sender.name(), times);
            if *sender != Sender::Ofctl {
                cpu_section.row(sender.name(), cpu);
            }
        }
        Ok((time_section, cpu_section))
    }

    fn once(&self, load: &Load, sender: Sender) -> Result<(Duration, Duration)> {
        self.new_bridge()?;
        let session = self.runtime.block_on(self.connect())?;
        let refused = self.runtime.block_on(session.switch.apply(&load.before))?;
        ensure!(refused.is_empty(), "the switch refused meters: {refused:?}");
        let mut wire = Wire::open(&self.hypervisor)?;
        ensure!(wire.flow_count()? == 0, "the new bridge has flows");
        let own = i32::try_from(std::process::id())?;
        let (before, start) = (cpu_time(own)?, Instant::now());
        match sender {
            Sender::Driver => self.runtime.block_on(session.switch.apply_ops(&load.plan))?,
            Sender::RawBundle => raw(&mut wire, &load.bundle)?,
            Sender::RawFlows => raw(&mut wire, &load.flows)?,
            Sender::Ofctl => {
                let file = load.file.display().to_string();
                self.hypervisor.ovs_ofctl(&["--bundle", "add-flows", "br-int", &file])?;
            }
        }
        let (time, spent) = (start.elapsed(), cpu_time(own)?.saturating_sub(before));
        let count = wire.flow_count()?;
        ensure!(count == load.count, "{} left {count} of {} flows in the switch", sender.name(), load.count);
        Ok((time, spent))
    }

    /// An empty bridge, and a switch that has done with the last one.
    fn new_bridge(&self) -> Result<()> {
        self.hypervisor.ovs_vsctl(&["--if-exists", "del-br", "br-int"])?;
        self.hypervisor.ensure_br_int()?;
        settle(self.hypervisor.pid(Daemon::Vswitchd)?, Duration::from_secs(10))
    }

    async fn connect(&self) -> Result<Session> {
        let addr = DialAddr::Unix(self.hypervisor.rundir().join("br-int.mgmt"));
        Ok(open(addr.connect().await?, "br-int", Config::default()).await?)
    }
}

/// Writes everything at once and waits for the last reply.
fn raw(wire: &mut Wire, bytes: &[u8]) -> Result<()> {
    wire.write(bytes)?;
    wire.reply(LAST)?;
    Ok(())
}

fn groups_and_meters(desired: &Desired) -> Plan {
    diff([], desired.groups(), &desired.meters, [], &Observed::default())
}

/// Xids from 1 on.
fn numbered(flows: &[EncodedFlow]) -> impl Iterator<Item = (Xid, &EncodedFlow)> {
    (1..).map(Xid).zip(flows)
}

fn raw_bundle(flows: &[EncodedFlow]) -> Result<Vec<u8>> {
    let control = |kind| Message::BundleControl(BundleControl { id: 1, kind, flags: FLAGS });
    let mut out = Vec::new();
    control(BundleControlKind::OpenRequest).encode(Xid(0x7fff_ffff), &mut out)?;
    for (xid, flow) in numbered(flows) {
        flow.raw().encode_bundle_add(xid, 1, FLAGS, FlowModCommand::Add, &mut out)?;
    }
    Message::BarrierRequest.encode(Xid(0x7fff_fffe), &mut out)?;
    control(BundleControlKind::CommitRequest).encode(LAST, &mut out)?;
    Ok(out)
}

fn raw_flows(flows: &[EncodedFlow]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (xid, flow) in numbered(flows) {
        flow.raw().encode_flow_mod(xid, FlowModCommand::Add, &mut out)?;
    }
    Message::BarrierRequest.encode(LAST, &mut out)?;
    Ok(out)
}
