//! A controller that starts beside empty switches with the whole model in its store.

use crate::{
    Options,
    rig::{OPENFLOW_SOCKET, Rig, ms},
};
use anyhow::{Context as _, Result, ensure};
use benches::{
    cloud::{Cloud, Spread},
    process::cpu_time,
    report::{Report, Section},
    samples::Samples,
    wire::Wire,
};
use lab::Hypervisor;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const DAY: Duration = Duration::from_secs(86_400);
/// How often a switch is asked for its number of flows.
const INTERVAL: Duration = Duration::from_millis(2);
/// Without a change for so long the last one was the last.
const QUIET: Duration = Duration::from_millis(400);

struct Case {
    name: &'static str,
    cloud: Cloud,
    real: u32,
    /// The promise, in seconds.
    limit: f64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("start", options.quick);
    let rounds = options.pick(7, 2);
    let case = |name, cloud, real, limit| Case { name, cloud, real, limit };
    let hundred = Cloud::new(100, 10_000);
    let cases = [
        case("1,000 ports on 2 hosts", Cloud::new(2, 1_000), 2, 0.2),
        case("10,000 ports on 2 hosts", Cloud::new(2, 10_000), 2, 2.0),
        case(
            "100 hosts of 100 ports, 1 local, tenants on few hosts",
            Cloud { spread: Spread::Packed, ..hundred },
            1,
            0.2,
        ),
        case("100 hosts of 100 ports, 1 local, every tenant on every host", hundred, 1, 0.2),
    ];
    for Case { name, cloud, real, limit } in cases {
        let found = measure(cloud, real, rounds).with_context(|| name.to_owned())?;
        let mut section = Section::new(
            name,
            "ms",
            format!(
                "{rounds} starts of the controller process beside switches without flows, their ports plugged in. \
                 Connected: the switch's own log. Last flow: the number of flows in the switch, asked for every 2 ms. \
                 {} flows in all. CPU: of the controller from its start to the last flow.",
                found.flows
            ),
        );
        let median = found.connect_to_last.median();
        section.row("first connection to last flow", found.connect_to_last);
        section.row("process start to last flow", found.start_to_last);
        section.row("controller CPU", found.cpu);
        report.section(section);
        report.bar(format!("{name}: connected to last flow"), median / 1e3, limit, "s");
    }
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

#[derive(Default)]
struct Found {
    flows: u64,
    connect_to_last: Samples,
    start_to_last: Samples,
    cpu: Samples,
}

fn measure(cloud: Cloud, real: u32, rounds: usize) -> Result<Found> {
    let mut rig = Rig::new("bstart", cloud, real, &[])?;
    let mut found = Found::default();
    // In the first round the tunnel port is made, and the flows that need its number come a little later: not counted.
    for round in 0..=rounds {
        rig.forget()?;
        let mut watches: Vec<Watch> = rig.hosts.iter().map(Watch::new).collect::<Result<_>>()?;
        let start = time_of_day();
        rig.start_controller()?;
        let end = last_flow(&rig.hosts, &mut watches)?;
        let cpu = ms(cpu_time(rig.pid()?)?);
        rig.wait_healthy()?;
        if round == 0 {
            rig.kill_controller()?;
            continue;
        }
        let flows = watches.iter().map(|watch| watch.count).sum();
        ensure!(found.flows == 0 || found.flows == flows, "{} flows, then {flows}", found.flows);
        found.flows = flows;
        found.cpu.push(cpu);
        let connected: Vec<Duration> = rig.hosts.iter().map(connected_at).collect::<Result<_>>()?;
        let first = connected.iter().map(|at| between(start, *at)).min().context("no host")?;
        let total = between(start, end);
        found.start_to_last.push(ms(total));
        found.connect_to_last.push(ms(total.saturating_sub(first)));
        rig.kill_controller()?;
    }
    rig.done();
    Ok(found)
}

/// The number of flows of a switch, and since when it is so.
struct Watch {
    wire: Wire,
    count: u64,
    since: Duration,
}

impl Watch {
    fn new(host: &Hypervisor) -> Result<Self> {
        Ok(Self { wire: Wire::open(host)?, count: 0, since: Duration::ZERO })
    }

    fn look(&mut self, host: &Hypervisor) -> Result<()> {
        let count = match self.wire.flow_count() {
            Ok(count) => count,
            // A switch that gets its controller once closes all sessions at its management socket, and that too.
            Err(_) => match Wire::open(host) {
                Ok(wire) => {
                    self.wire = wire;
                    return Ok(());
                }
                Err(_) => return Ok(()),
            },
        };
        if count != self.count {
            (self.count, self.since) = (count, time_of_day());
        }
        Ok(())
    }
}

/// When the last of the switches got its last flow.
fn last_flow(hosts: &[Hypervisor], watches: &mut [Watch]) -> Result<Duration> {
    let mut changed = Instant::now();
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let before: u64 = watches.iter().map(|watch| watch.count).sum();
        for (watch, host) in watches.iter_mut().zip(hosts) {
            watch.look(host)?;
        }
        let now: u64 = watches.iter().map(|watch| watch.count).sum();
        if now != before {
            changed = Instant::now();
        }
        if watches.iter().all(|watch| watch.count > 0) && changed.elapsed() > QUIET {
            return watches.iter().map(|watch| watch.since).max().context("no host");
        }
        ensure!(Instant::now() < limit, "no flows after 120 s");
        sleep(INTERVAL);
    }
}

/// When the switch connected to its controller last, by its log: `2025-01-31T12:00:00.123Z|...: connected`.
fn connected_at(host: &Hypervisor) -> Result<Duration> {
    let log = fs::read_to_string(host.rundir().join("ovs-vswitchd.log")).context("the switch's log")?;
    let end = format!("{OPENFLOW_SOCKET}: connected");
    let line = log.lines().rfind(|line| line.contains("|rconn|") && line.ends_with(&end));
    let time = line.and_then(|line| line.split_once('T')?.1.split_once('Z')).context("never connected")?.0;
    let [hours, minutes, seconds] = time.split(':').collect::<Vec<_>>()[..] else {
        anyhow::bail!("time \"{time}\" in the switch's log");
    };
    let whole = hours.parse::<u64>()? * 3600 + minutes.parse::<u64>()? * 60;
    Ok(Duration::from_secs(whole) + Duration::from_secs_f64(seconds.parse()?))
}

/// Of UTC.
fn time_of_day() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now - Duration::from_secs(now.as_secs() / DAY.as_secs() * DAY.as_secs())
}

/// From one time of day to the next other.
fn between(from: Duration, to: Duration) -> Duration {
    if to >= from { to - from } else { to + DAY - from }
}
