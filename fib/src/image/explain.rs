//! How a lookup came to its answer, step by step, and what an image is made of.

use super::FibImage;
use crate::layout::{UNIT, section, word as w};
use crate::memory::Portable;
use crate::walk::{
    Cursor, Key, MAX_STEPS, OVERFLOW_AT, OVERFLOW6_AT, homes, host4_key, host6_tag, roots, slot, slot6,
};
use crate::word::{Step, Target, decode, kind};
use crate::{DomainNumber, Route, hash};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt;
use core::net::IpAddr;
use packet::VrfId;

/// A lookup's steps, each a sentence with the place in the image; and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// In order.
    pub steps: Vec<String>,
    /// The route, if there is one.
    pub route: Option<Route>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>3}. {step}", index + 1)?;
        }
        Ok(())
    }
}

/// What an image is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of it, free room included.
    pub bytes: usize,
    /// Generation.
    pub epoch: u64,
    /// VRFs.
    pub vrfs: usize,
    /// Hosts in buckets: IPv4, IPv6.
    pub hosts: [usize; 2],
    /// Slots for hosts: IPv4, IPv6.
    pub slots: [usize; 2],
    /// Hosts that are not in their home bucket: IPv4, IPv6.
    pub displaced: [usize; 2],
    /// Units of trees and wide tables, and of groups.
    pub pool: usize,
    /// Adjacencies.
    pub adjacencies: usize,
    /// Groups.
    pub groups: usize,
    /// Egresses.
    pub egresses: usize,
}

impl FibImage<'_> {
    /// Looks an address up, and tells how.
    pub fn explain(&self, vrf: VrfId, addr: IpAddr) -> Explanation {
        let Some(domain) = self.domain(vrf) else {
            return Explanation {
                steps: vec![format!("vrf {vrf} is not in the image: no route")],
                route: None,
            };
        };
        let mut steps = vec![format!("vrf {vrf} is domain {}", crate::word::argument(domain.0))];
        let key = Key::new(addr);
        let word = match self.explain_host(domain, key, &mut steps) {
            0 => self.explain_prefixes(domain, key, &mut steps),
            word => word,
        };
        let route = self.decode_route(vrf, addr, word);
        self.explain_end(word, route, &mut steps);
        Explanation { steps, route }
    }

    fn explain_host(&self, domain: DomainNumber, key: Key, steps: &mut Vec<String>) -> u32 {
        if domain.0 & crate::layout::PREFIXES_ONLY != 0 {
            steps.push("the domain has no hosts in buckets".into());
            return 0;
        }
        let (view, seed) = (self.view, self.view.table_seed());
        let (tag, key4) = (host6_tag(domain.0), host4_key(domain.0, key.hi));
        let (index, hash, overflow_at) = if key.v6 {
            (section::HOSTS6, hash::of_host6(tag, key.hi, key.lo, seed), OVERFLOW6_AT)
        } else {
            (section::HOSTS4, hash::of_key(key4, seed), OVERFLOW_AT)
        };
        let (home, other) = homes(view.part(index), hash);
        let find = |bucket| if key.v6 { slot6(view, bucket, tag, key) } else { slot(view, bucket, key4) };
        if let Some(slot) = find(home) {
            steps.push(format!("home bucket at byte {home}: slot {slot} is this host"));
            return crate::walk::host::<0>(view, domain.0, key);
        }
        let overflow = view.u32(home + overflow_at);
        steps.push(format!("home bucket at byte {home}: not there, {overflow} of its hosts are elsewhere"));
        if overflow == 0 {
            return 0;
        }
        match find(other) {
            Some(slot) => {
                steps.push(format!("other bucket at byte {other}: slot {slot} is this host"));
                crate::walk::host::<0>(view, domain.0, key)
            }
            None => {
                steps.push(format!("other bucket at byte {other}: not there"));
                0
            }
        }
    }

    fn explain_prefixes(&self, domain: DomainNumber, key: Key, steps: &mut Vec<String>) -> u32 {
        let Some(root) = roots::<0>(self.view, domain.0, key.v6) else {
            steps.push("the domain does not exist".into());
            return 0;
        };
        let mut cursor = Cursor::new(key);
        let word = self.view.u32(root);
        steps.push(format!("root at byte {root}: {}", sense(word)));
        let mut end = cursor.follow::<0>(self.view, word);
        for _ in 0..MAX_STEPS {
            if end.is_some() {
                break;
            }
            steps.push(format!("{} at byte {}", cursor.what(), cursor.at));
            end = cursor.step::<Portable, 0>(self.view);
        }
        match end.unwrap_or_default() {
            0 => {
                let default = self.view.u32(root + 4);
                steps.push(format!("no prefix; default route at byte {}: {}", root + 4, sense(default)));
                default
            }
            word => word,
        }
    }

    fn explain_end(&self, word: u32, route: Option<Route>, steps: &mut Vec<String>) {
        let Some(route) = route else { return steps.push("no route".into()) };
        steps.push(format!("{}: {}", route.prefix, sense(word)));
        if let Step::End { to: Target::Adjacency(index), .. } = decode(word)
            && let Some((id, it)) = self.adjacency_at(index)
        {
            let (to, from, way) = (it.dst_mac, it.src_mac, it.egress);
            steps.push(format!("adjacency {}: to {to} from {from} by {way:?}, mtu {}", id.0, it.mtu));
        }
        if let Step::End { to: Target::Group(index), .. } = decode(word)
            && let Some((id, _, members)) = self.group_at(index)
        {
            steps.push(format!("group {}: one of {members} members, by the flow", id.0));
        }
    }

    /// Counts.
    pub fn stats(&self) -> Stats {
        let part = |index| self.view.part(index).count as usize;
        let mut stats = Stats {
            bytes: self.view.len(),
            epoch: self.epoch(),
            vrfs: self.vrfs().len(),
            slots: [part(section::HOSTS4) * 5, part(section::HOSTS6) * 2],
            pool: part(section::POOL),
            adjacencies: self.tables().adjacencies.len(),
            groups: self.tables().groups.len(),
            egresses: part(section::EGRESSES),
            ..Stats::default()
        };
        let seed = self.view.table_seed();
        for (domain, key, _) in super::hosts_in(self.view) {
            let [v4, v6] = &mut stats.hosts;
            *(if key.v6 { v6 } else { v4 }) += 1;
            let at_home = if key.v6 {
                let tag = host6_tag(domain);
                let hash = hash::of_host6(tag, key.hi, key.lo, seed);
                slot6(self.view, homes(self.view.part(section::HOSTS6), hash).0, tag, key)
            } else {
                let key = host4_key(domain, key.hi);
                slot(self.view, homes(self.view.part(section::HOSTS4), hash::of_key(key, seed)).0, key)
            };
            let [v4, v6] = &mut stats.displaced;
            *(if key.v6 { v6 } else { v4 }) += usize::from(at_home.is_none());
        }
        stats
    }

    /// How many different cache lines a lookup reads, its adjacency's included. The header's lines and section words
    /// do not count: every lookup reads them.
    pub fn lines(&self, domain: DomainNumber, addr: IpAddr) -> usize {
        let (key, view) = (Key::new(addr), self.view);
        let (mut word, mut buckets) = (0, Vec::new());
        if domain.0 & crate::layout::PREFIXES_ONLY == 0 {
            // A step for each bucket.
            word = self.explain_host(domain, key, &mut buckets);
        }
        let mut touched = buckets.len();
        if word == 0
            && let Some(root) = roots::<0>(view, domain.0, key.v6)
        {
            touched += 1;
            let mut cursor = Cursor::new(key);
            let mut end = cursor.follow::<0>(view, view.u32(root));
            touched += usize::from(kind(view.u32(root)) == w::WIDE);
            let mut last = usize::MAX;
            while end.is_none() && touched < UNIT {
                touched += usize::from(cursor.at / UNIT != last);
                last = cursor.at / UNIT;
                end = cursor.step::<Portable, 0>(view);
            }
            word = end.filter(|word| *word != 0).unwrap_or_else(|| view.u32(root + 4));
        }
        touched + usize::from(kind(word) == w::ADJACENCY)
    }
}

/// A word in words.
fn sense(word: u32) -> String {
    match decode(word) {
        Step::None => "nothing".into(),
        Step::Tree { levels, offset } => format!("tree of {levels} levels at unit {offset}"),
        Step::Wide { offset } => format!("wide table at unit {offset}"),
        Step::Chunk { offset } => format!("chunk at unit {offset}"),
        Step::End { to, .. } => match to {
            Target::Adjacency(index) => format!("adjacency at index {index}"),
            Target::Group(index) => format!("group at index {index}"),
            Target::Other(index) => format!("look up again in domain {index}"),
            Target::Router(index) => format!("the router itself, port at index {index}"),
            Target::Special(w::BLACKHOLE) => "drop".into(),
            Target::Special(w::UNREACHABLE) => "drop, and tell the sender".into(),
            Target::Special(w::ALLOW) => "accepted".into(),
            Target::Special(other) => format!("special {other}"),
        },
    }
}
