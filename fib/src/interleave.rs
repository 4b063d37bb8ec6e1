//! Every interleaving of a lookup with a change: its answer is the one before or after, never a third. With two changes,
//! it is the answer of some moment, or of the other order of the two: hosts are looked for before prefixes.
//!
//! The writer's stores are recorded one by one. A reader then runs with every load answered from a moment of that record
//! not before the moment of the load before: as a machine does that keeps the order of stores and of loads, which is
//! what release and acquire ask of all machines here. All ways to choose the moments that make a difference are tried.

mod weak;

use std::cell::RefCell;
use std::vec::Vec;

/// Where, and what.
type Store = (usize, Vec<u8>);

std::thread_local! {
    static RECORD: RefCell<Option<Vec<Store>>> = const { RefCell::new(None) };
    static REPLAY: RefCell<Option<Replay>> = const { RefCell::new(None) };
}

/// Called by every store.
pub(crate) fn stored(at: usize, bytes: &[u8]) {
    RECORD.with_borrow_mut(|record| {
        if let Some(record) = record {
            record.push((at, bytes.to_vec()));
        }
    });
}

/// Called by every load; `None`: take it from memory.
pub(crate) fn load(at: usize, size: usize) -> Option<u64> {
    if let Some(value) = weak::load(at, size) {
        return Some(value);
    }
    REPLAY.with_borrow_mut(|replay| replay.as_mut().map(|replay| replay.load(at, size)))
}

/// A reader's run.
struct Replay {
    /// The memory at each moment: before the first store, after the first, and so on.
    moments: Vec<Vec<u8>>,
    now: usize,
    /// What was chosen at each load where there was a choice, and of how many.
    choices: Vec<(usize, usize)>,
    next: usize,
}

impl Replay {
    fn load(&mut self, at: usize, size: usize) -> u64 {
        let value = |moment: &Vec<u8>| {
            let bytes = moment.get(at..at + size).unwrap_or_default();
            bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        // The first moment of each run of equal values: later ones allow less.
        let mut options: Vec<usize> = Vec::new();
        let mut last = None;
        for (moment, memory) in self.moments.iter().enumerate().skip(self.now) {
            if last.replace(value(memory)) != Some(value(memory)) {
                options.push(moment);
            }
        }
        if options.len() > 1 {
            if self.next == self.choices.len() {
                self.choices.push((0, options.len()));
            }
            self.now = options[self.choices[self.next].0];
            self.next += 1;
        }
        value(&self.moments[self.now])
    }

    /// The next way to choose; false after the last.
    fn advance(&mut self) -> bool {
        (self.now, self.next) = (0, 0);
        while let Some((chosen, of)) = self.choices.pop() {
            if chosen + 1 < of {
                self.choices.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

mod tests {
    use super::*;
    use crate::naive::Model;
    use crate::{
        Adjacency, AdjacencyId, Container as _, Egress, Memory, NetworkKey, NextHop, Options, PortKey,
        Prefix, Route, Tables, VrfId, Writer,
    };
    use bolero::TypeGenerator;
    use packet::MacAddr;
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    #[derive(Debug, Clone, Copy, TypeGenerator)]
    struct Change {
        insert: bool,
        v6: bool,
        bits: u8,
        len: u8,
        next: u8,
    }

    impl Change {
        fn route(self) -> Route {
            let low = self.bits & 0x0f;
            let (addr, bits): (IpAddr, u8) = if self.v6 {
                ([0xfd00, 0, 0, low.into(), 0, 0, 0, low.into()].into(), 128)
            } else {
                ([10, 0, 0, low].into(), 32)
            };
            let len = match self.len % 4 {
                0 | 1 => bits,
                2 => bits - self.len / 4 % 5,
                _ => self.len / 4 % (bits + 1),
            };
            let prefix = Prefix::from(ipnet::IpNet::new(addr, len).unwrap());
            let next = NextHop::Adjacency(AdjacencyId(u32::from(self.next % 7)));
            Route { vrf: VrfId::MIN, prefix, next }
        }
    }

    pub(super) fn tables() -> Tables {
        let adjacency = |id: u8| Adjacency {
            dst_mac: MacAddr([2, 0, 0, 0, 0, id]),
            src_mac: MacAddr([2, 0, 0, 0, 1, id]),
            egress: Egress::Local { port: PortKey(1) },
            mtu: 1500,
            network: NetworkKey(1),
        };
        let adjacencies = (0..7).map(|id| (AdjacencyId(id.into()), adjacency(id))).collect();
        Tables { adjacencies, ..Tables::default() }
    }

    fn snapshot(memory: &Memory) -> Vec<u8> {
        let view = crate::memory::View::new(memory.units());
        (0..view.len() / 8).flat_map(|word| view.u64(word * 8).to_le_bytes()).collect()
    }

    /// Applies changes to a writer and the model, and gives the moments of the memory and the model after each.
    fn changed(before: &[Change], changes: &[Change], early: bool) -> (Memory, Vec<Vec<u8>>, Vec<Model>) {
        let memory = Memory::new(300);
        // One VRF, few buckets nearly full: hosts at home, elsewhere, and in the tree.
        let options = Options { load: 95, spare: 0, ..Options::default() };
        let mut model = Model::default();
        // So that the VRF is there from the start.
        model.insert(Route {
            vrf: VrfId::MIN,
            prefix: "0.0.0.0/0".parse().unwrap(),
            next: NextHop::Unreachable,
        });
        before.iter().for_each(|change| _ = model.insert(change.route()));
        let mut writer = Writer::new(&memory, model.routes(), &tables(), options).unwrap();
        let mut moments = std::vec![snapshot(&memory)];
        let mut models = std::vec![model.clone()];
        RECORD.set(Some(Vec::new()));
        for change in changes {
            let Route { vrf, prefix, .. } = change.route();
            if change.insert {
                model.insert(change.route());
                writer.insert(change.route()).unwrap();
            } else {
                model.remove(vrf, prefix);
                writer.remove(vrf, prefix).unwrap();
            }
            models.push(model.clone());
            if early {
                writer.quiesced(writer.epoch());
            }
        }
        for (at, bytes) in RECORD.take().unwrap() {
            let mut moment = moments.last().unwrap().clone();
            moment[at..at + bytes.len()].copy_from_slice(&bytes);
            moments.push(moment);
        }
        moments.dedup();
        (memory, moments, models)
    }

    /// All answers that readers of an address can have.
    fn answers(memory: &Memory, moments: &[Vec<u8>], addr: IpAddr) -> BTreeSet<u32> {
        let replay = Replay { moments: moments.to_vec(), now: 0, choices: Vec::new(), next: 0 };
        REPLAY.set(Some(replay));
        let mut answers = BTreeSet::new();
        for _ in 0..100_000 {
            let image = memory.image();
            let domain = image.domain(VrfId::MIN);
            answers.insert(domain.map_or(0, |domain| image.lookup_word(domain, addr)));
            if !REPLAY.with_borrow_mut(|replay| replay.as_mut().is_some_and(Replay::advance)) {
                REPLAY.set(None);
                return answers;
            }
        }
        panic!("too many ways to read {addr}");
    }

    /// Answers that no moment has.
    fn third(before: &[Change], changes: &[Change], early: bool) -> Vec<IpAddr> {
        let (memory, moments, models) = changed(before, changes, early);
        let places = before.iter().chain(changes).map(|change| change.route().prefix);
        let addrs: BTreeSet<IpAddr> =
            places.flat_map(|prefix| [prefix.net().network(), prefix.net().broadcast()]).collect();
        // Hosts are looked for first: with several changes, prefixes may be those of a later moment.
        let of_moments = |addr: IpAddr| -> Vec<Option<Route>> {
            let mut answers: Vec<Option<Route>> =
                models.iter().map(|model| model.lookup(VrfId::MIN, addr)).collect();
            for (earlier, model) in models.iter().enumerate() {
                if model.lookup(VrfId::MIN, addr).is_some_and(|route| route.prefix == Prefix::host(addr)) {
                    continue;
                }
                answers.extend(models.iter().skip(earlier + 1).map(|later| {
                    let mut later = later.clone();
                    later.remove(VrfId::MIN, Prefix::host(addr));
                    later.lookup(VrfId::MIN, addr)
                }));
            }
            answers
        };
        let image = memory.image();
        let wrong = addrs.into_iter().filter(|addr| {
            let expected = of_moments(*addr);
            answers(&memory, &moments, *addr).into_iter().any(|word| {
                let found = image.route_of_word(VrfId::MIN, *addr, word);
                !expected.iter().any(|route| route.map(|it| it.next) == found.map(|it| it.next))
            })
        });
        wrong.collect()
    }

    #[test]
    fn lookups_during_a_change_have_the_answer_before_or_after() {
        type Case = (Vec<Change>, [Change; 1]);
        bolero::check!().with_type::<Case>().for_each(|(before, changes)| {
            let before = &before[..before.len().min(30)];
            assert_eq!(third(before, changes, false), Vec::<IpAddr>::new());
        });
    }

    #[test]
    fn lookups_during_two_changes_have_an_answer_of_one_of_their_orders() {
        type Case = (Vec<Change>, [Change; 2]);
        bolero::check!().with_type::<Case>().for_each(|(before, changes)| {
            let before = &before[..before.len().min(30)];
            assert_eq!(third(before, changes, false), Vec::<IpAddr>::new());
        });
    }

    /// Without a grace period there would be third answers: the test is able to see them.
    #[test]
    fn slots_that_are_used_again_too_early_are_noticed() {
        let host = |insert, bits, next| Change { insert, v6: false, bits, len: 0, next };
        let full: Vec<Change> = (0..12).map(|bits| host(true, bits, 1)).collect();
        let noticed = (0..12).any(|gone| {
            let changes = [host(false, gone, 0), host(true, 12 + gone % 4, 2)];
            assert_eq!(third(&full, &changes, false), Vec::<IpAddr>::new());
            !third(&full, &changes, true).is_empty()
        });
        assert!(noticed);
    }
}
