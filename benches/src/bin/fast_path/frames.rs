//! Frames through veths, made and counted in the kernel: generator, router and sink in one chain on one processor.
//!
//! The peers: a redirect without any table (the limit), a router that asks the kernel's table from XDP, and the kernel's
//! own forwarding. What the generator and the sink take alone is measured too, and subtracted.

use anyhow::{Context as _, Result, ensure};
use benches::report::{Report, Section};
use benches::samples::Samples;
use datapath::generator::{Generator, Peer};
use datapath::maps::ImageMap;
use datapath::router::Router;
use packet::IfIndex;

use crate::Options;
use crate::rig::{FIRST, FIRST_HOST, Family, HOSTS, Rig};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// To the sink at once.
    Nothing,
    Rewrite,
    /// With so many destinations in the image.
    Ours(u32),
    KernelTable,
    Kernel,
}

struct Row {
    name: &'static str,
    way: Way,
    family: Family,
    times: Samples,
}

const LIMIT: &str = "redirect without a table";
const ONE: &str = "our XDP router, 1 destination";
const MANY: &str = "our XDP router, 100 k destinations";
const TABLE: &str = "bpf_fib_lookup, 100 k routes";
const KERNEL: &str = "kernel forwarding, 100 k routes";
const SWITCHED: &str = "our XDP router: same network";
const ALONE: &str = "generator and sink alone";

pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let rig = Rig::new()?;
    let frames = options.pick(1_500_000, 400_000);
    let many = Family::Routed(FIRST, HOSTS);
    let thousand = Family::Routed(FIRST, 1000);
    let hosts = Family::Routed(FIRST_HOST, HOSTS);
    let row = |name, way, family| Row { name, way, family, times: Samples::default() };
    let mut routed = [
        row(ALONE, Way::Nothing, many),
        row(LIMIT, Way::Rewrite, many),
        row(ONE, Way::Ours(1), Family::Routed(FIRST, 1)),
        row("our XDP router, 1 k destinations", Way::Ours(1000), thousand),
        row(MANY, Way::Ours(HOSTS), many),
        row("bpf_fib_lookup, 1 route", Way::KernelTable, many),
        row(TABLE, Way::KernelTable, hosts),
        row("kernel forwarding, 1 route", Way::Kernel, many),
        row(KERNEL, Way::Kernel, hosts),
    ];
    // ARP's question and VXLAN's frame come from generators of their own.
    let mut families = [
        row(SWITCHED, Way::Ours(1000), Family::Switched),
        row("our XDP router: to another network", Way::Ours(1000), Family::Routed(FIRST, 1)),
        row("our XDP router: out by VXLAN", Way::Ours(1000), Family::Packed),
        row("generator and sink, VXLAN", Way::Nothing, Family::Unpacked),
        row("our XDP router: in by VXLAN", Way::Ours(1000), Family::Unpacked),
        row("generator and sink, ARP", Way::Nothing, Family::Arp),
        row("our XDP router: ARP answered", Way::Ours(1000), Family::Arp),
    ];
    for _ in 0..options.pick(7, 3) {
        for row in routed.iter_mut().chain(&mut families) {
            let time = measure(&rig, row.way, row.family, frames).with_context(|| row.name)?;
            row.times.push(time);
        }
    }
    sections(report, routed, families);
    Ok(())
}

fn sections(
    report: &mut Report,
    routed: impl IntoIterator<Item = Row>,
    families: impl IntoIterator<Item = Row>,
) {
    let note =
        "Generator, router and sink in one softirq chain on one processor; the medians hold all three.";
    let mut whole = Section::new("Frames of 60 bytes to another network, through veths", "ns a frame", note)
        .compared_with(LIMIT);
    routed.into_iter().for_each(|row| whole.row(row.name, row.times));
    let note = "As above, by what a frame needs. Packing and unpacking: 50 bytes of headers.";
    let mut each = Section::new("Frames by family", "ns a frame", note);
    families.into_iter().for_each(|row| each.row(row.name, row.times));
    let net = |name: &str| whole.median(name) - whole.median(ALONE);
    report.bar(
        "XDP, 100 k destinations: time of a plain redirect",
        whole.median(MANY) / whole.median(LIMIT),
        1.0 / 0.80,
        "x",
    );
    report.bar("the same, generator and sink subtracted", net(MANY) / net(LIMIT), 1.0 / 0.80, "x");
    report.bar("share of the time of bpf_fib_lookup, subtracted", net(MANY) / net(TABLE), 1.0 / 1.2, "x");
    report.bar("share of the time of kernel forwarding, subtracted", net(MANY) / net(KERNEL), 1.0 / 3.0, "x");
    report.bar("100 k destinations: time of 1", whole.median(MANY) / whole.median(ONE), 1.0 / 0.85, "x");
    let tax = each.median("our XDP router: to another network") / each.median(SWITCHED);
    report.bar("routed: time of switched", tax, 1.05, "x");
    report.section(whole);
    report.section(each);
}

/// Nanoseconds a frame, generator included.
fn measure(rig: &Rig, way: Way, family: Family, frames: u32) -> Result<f64> {
    let mut generator = Generator::load(&rig.stream(family))?;
    generator.wire(IfIndex(0), rig.in1)?;
    generator.wire(rig.in0, rig.out0)?;
    generator.wire(rig.out0, rig.out0)?;
    let sink = match (way, family) {
        (Way::Nothing, _) => rig.in0,
        (_, Family::Arp) => rig.in1,
        _ => rig.out1,
    };
    let sink = generator.attach(Peer::Absorb, sink)?;
    let (mut ours, mut links) = (None, Vec::new());
    match way {
        Way::Nothing | Way::Kernel => {}
        Way::Rewrite => links.push(generator.attach(Peer::Rewrite, rig.in0)?),
        Way::KernelTable => links.push(generator.attach(Peer::KernelTable, rig.in0)?),
        Way::Ours(destinations) => {
            let mut router = load(rig, destinations)?;
            if family == Family::Unpacked {
                router.set_underlay(rig.in0)?;
            }
            links.push(router.attach(rig.in0)?);
            ours = Some(router);
        }
    }
    // The first frames warm caches and pools.
    generator.send(frames / 10)?;
    let (elapsed, arrived) = generator.send(frames)?;
    let reasons = ours.as_mut().map_or_else(|| Ok(String::new()), reasons)?;
    // A few may still be on their way when the generator is done.
    ensure!(arrived + 1024 >= frames.into(), "{arrived} of {frames} frames arrived{reasons}");
    drop((links, sink, ours));
    Ok(elapsed.as_nanos() as f64 / f64::from(frames))
}

fn load(rig: &Rig, destinations: u32) -> Result<Router> {
    let mut image = rig.image(destinations)?;
    let map = ImageMap::create(image.bytes().len())?;
    map.write(image.bytes())?;
    let mut router = Router::load(&map)?;
    router.open_port(rig.out0)?;
    Ok(router)
}

/// How many frames ended how, for whoever wonders where they are.
fn reasons(router: &mut Router) -> Result<String> {
    let counters = router.counters()?.into_iter().filter(|(_, count)| *count > 0);
    Ok(counters.map(|(reason, count)| format!(", {count} {}", reason.name())).collect())
}
