//! The same frames through `forward.rs` and the XDP program: equal bytes and ways, equal reasons, equal entries.
//!
//! `EQUIVALENCE_FRAMES=100000000 cargo test -p datapath --release --test equivalence` is the long run.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that panics has failed; numbers are small"
)]

mod common;
#[path = "common/world.rs"]
mod world;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use common::{Chance, option};
use datapath::forward::{Forwarder, Outcome, Way};
use datapath::maps::ImageMap;
use datapath::reason::Reason;
use datapath::router::Router;
use libbpf_rs::libbpf_sys::{XDP_PASS, XDP_REDIRECT, XDP_TX};
use packet::IfIndex;
use world::{CLOSED, UNDERLAY, World};

/// Frames whose reasons are compared at once: to read counters takes longer than to run a program.
const BATCH: usize = 256;

struct Both {
    world: World,
    router: Router,
}

impl Both {
    fn new() -> Result<Self> {
        let mut world = world::world(world::interfaces()?)?;
        let map = ImageMap::create(world.image.bytes().len())?;
        map.write(world.image.bytes())?;
        let mut router = Router::load(&map)?;
        router.set_underlay(world.ports[UNDERLAY as usize - 1])?;
        for (key, index) in (1..).zip(&world.ports) {
            if key != CLOSED {
                router.open_port(*index)?;
            }
        }
        Ok(Self { world, router })
    }

    fn index(&self, key: u32) -> IfIndex {
        self.world.ports[key as usize - 1]
    }

    fn in_rust(&self, key: u32, frame: &mut Vec<u8>) -> Outcome {
        let closed = self.index(CLOSED);
        let forwarder = Forwarder {
            image: self.world.image.image(),
            open: |index| index != closed,
            underlay: Some(self.index(UNDERLAY)),
        };
        forwarder.forward(self.index(key), frame)
    }

    /// Runs one frame through both; the outcome in Rust.
    fn compare(&self, key: u32, frame: &[u8]) -> Result<Outcome> {
        let mut after = frame.to_vec();
        let outcome = self.in_rust(key, &mut after);
        let run = self.router.test(self.index(key), frame)?;
        let action = match outcome.way {
            Way::Pass => XDP_PASS,
            Way::Back => XDP_TX,
            Way::Out(_) => XDP_REDIRECT,
        };
        ensure!(
            run.action == action && run.frame == after,
            "port {key}: Rust says {outcome:?}, action {action}, XDP action {}\nframe {frame:02x?}\nRust  {after:02x?}\nXDP   {:02x?}",
            run.action,
            run.frame
        );
        Ok(outcome)
    }

    fn counts(&mut self) -> Result<BTreeMap<Reason, u64>> {
        Ok(self.router.counters()?.into_iter().collect())
    }

    fn entries(&mut self) -> Result<Vec<u64>> {
        (0..32).map(|id| Ok(self.router.entry(id)?.frames)).collect()
    }

    /// Runs a batch through both and compares what the counters say of it.
    fn batch(&mut self, frames: &[(u32, Vec<u8>)]) -> Result<Vec<Outcome>> {
        let (before, entries) = (self.counts()?, self.entries()?);
        let outcomes =
            frames.iter().map(|(key, frame)| self.compare(*key, frame)).collect::<Result<Vec<_>>>()?;
        let (mut expected, mut sent) = (before, entries);
        for outcome in &outcomes {
            *expected.entry(outcome.reason).or_default() += 1;
            if let Some(entry) = outcome.entry {
                sent[entry as usize] += 1;
            }
        }
        let (after, now) = (self.counts()?, self.entries()?);
        if after == expected && now == sent {
            return Ok(outcomes);
        }
        if frames.len() > 1 {
            // Which of them? Alone, the one shows itself.
            for one in frames {
                self.batch(std::slice::from_ref(one))?;
            }
        }
        let wrong = after.iter().filter(|(reason, count)| expected.get(reason) != Some(count));
        let wrong: Vec<_> = wrong.map(|(reason, _)| *reason).collect();
        bail!(
            "Rust says {:?}, XDP counts {wrong:?}, entries {now:?} for {sent:?}: {:02x?}",
            outcomes.first(),
            frames.first()
        );
    }
}

#[test]
fn xdp_does_what_rust_does() -> Result<()> {
    let (total, seed) = (option("EQUIVALENCE_FRAMES", 1_000_000), option("SEED", 1));
    let mut both = Both::new()?;
    let mut chance = Chance(seed);
    let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
    for _ in 0..total.div_ceil(BATCH as u64) {
        let frames: Vec<_> = (0..BATCH).map(|_| world::frame(&mut chance)).collect();
        for outcome in both.batch(&frames).with_context(|| format!("seed {seed}"))? {
            *reasons.entry(outcome.reason).or_default() += 1;
        }
    }
    println!("{reasons:?}");
    // Every way through the program was taken, or the comparison would prove less than it says.
    let rare = [Reason::NoImage, Reason::NotAPort, Reason::NoRoom];
    for reason in Reason::ALL.iter().filter(|reason| !rare.contains(reason)) {
        ensure!(reasons.contains_key(reason), "no frame ended as {}: {reasons:?}", reason.name());
    }
    Ok(())
}

/// The comparison sees a single bit.
#[test]
fn a_difference_is_seen() -> Result<()> {
    let both = Both::new()?;
    let mut chance = Chance(5);
    let routed = loop {
        let (key, frame) = world::frame(&mut chance);
        if both.compare(key, &frame)?.reason == Reason::Routed {
            break (key, frame);
        }
    };
    let (key, frame) = routed;
    let run = both.router.test(both.index(key), &frame)?;
    let mut after = frame.clone();
    both.in_rust(key, &mut after);
    after[22] ^= 1;
    ensure!(run.frame != after && run.frame != frame);
    Ok(())
}
