//! Every execution of a lookup beside changes that the memory model of the language allows, on machines that keep no
//! order of stores or loads but the one asked for: by loom. The writer's stores are recorded, and made again on loom's
//! atomic numbers; the real lookup, and the real grace periods, run against these.

use super::{RECORD, Store, tests::tables};
use crate::grace::{self, IDLE, Place};
use crate::{Container as _, FibImage, Memory, NextHop, Options, Prefix, Route, VrfId, Writer};
use loom::sync::atomic::{AtomicU64, Ordering};
use std::boxed::Box;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::vec::Vec;

std::thread_local! {
    // loom runs its threads one after the other on this one.
    static CELLS: RefCell<Option<Arc<Cells>>> = const { RefCell::new(None) };
}

/// Called by every load; `None` where nobody stores.
pub(super) fn load(at: usize, size: usize) -> Option<u64> {
    let cells = CELLS.with_borrow(Clone::clone)?;
    cells.load(at, size)
}

impl Place for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }
}

/// What is stored to, in words of 8 bytes, or 4 where all stores have 4.
struct Cells(BTreeMap<usize, (usize, AtomicU64)>);

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Cells {
    fn new(before: &[u8], stores: &[Store]) -> Self {
        let cell = |(at, bytes): &Store| {
            let value = number(&before[*at..at + bytes.len()]);
            (*at, (bytes.len(), AtomicU64::new(value)))
        };
        Self(stores.iter().map(cell).collect())
    }

    fn load(&self, at: usize, size: usize) -> Option<u64> {
        let (start, (len, cell)) = self.0.range(..=at).next_back()?;
        if at >= start + len {
            return None;
        }
        assert!(at + size <= start + len, "a load of {size} at {at} is wider than the store");
        let value = cell.load(Ordering::Acquire) >> ((at - start) * 8);
        Some(if size == 8 { value } else { value & 0xffff_ffff })
    }

    fn store(&self, stores: &[Store], order: Ordering) {
        for (at, bytes) in stores {
            self.0[at].1.store(number(bytes), order);
        }
    }
}

/// Takes the cells away, also when a test fails.
struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        CELLS.set(None);
    }
}

/// A mistake that the model has to notice.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// Stores publish nothing.
    Relaxed,
    /// What was given up is used again at once.
    Early,
}

fn route(prefix: &str, next: u32) -> Route {
    let prefix: Prefix = prefix.parse().unwrap();
    Route { vrf: VrfId::MIN, prefix, next: NextHop::Adjacency(crate::AdjacencyId(next)) }
}

fn recorded<T>(change: impl FnOnce() -> T) -> Vec<Store> {
    RECORD.set(Some(Vec::new()));
    change();
    RECORD.take().unwrap()
}

/// Tries all executions of a lookup of an address, while one route goes and, after a grace period, another comes. The
/// answer has to be one of these next hops.
fn all(before: &[Route], gone: Route, new: Route, addr: &str, allowed: &'static [u32], mistake: Mistake) {
    let memory: &'static Memory = Box::leak(Box::new(Memory::new(300)));
    let options = Options { load: 95, spare: 0, ..Options::default() };
    let mut writer = Writer::new(memory, before.iter().copied(), &tables(), options).unwrap();
    let view = crate::memory::View::new(memory.units());
    let bytes: Vec<u8> = (0..view.len() / 8).flat_map(|word| view.u64(word * 8).to_le_bytes()).collect();
    let first = recorded(|| writer.remove(gone.vrf, gone.prefix).unwrap());
    let epoch = writer.epoch();
    let second = recorded(|| {
        writer.quiesced(epoch);
        writer.insert(new).unwrap();
    });
    let (image, addr): (FibImage<'static>, IpAddr) = (memory.image(), addr.parse().unwrap());
    let domain = image.domain(VrfId::MIN).unwrap();
    let order = if mistake == Mistake::Relaxed { Ordering::Relaxed } else { Ordering::Release };
    loom::model(move || {
        let cells = Arc::new(Cells::new(&bytes, &[first.as_slice(), &second].concat()));
        CELLS.set(Some(Arc::clone(&cells)));
        let _reset = Reset;
        let place = Arc::new(AtomicU64::new(IDLE));
        let its = Arc::clone(&place);
        let reader = loom::thread::spawn(move || {
            grace::begin(&*its, image);
            let word = image.lookup_word(domain, addr);
            grace::end(&*its);
            word
        });
        cells.store(&first, order);
        if mistake == Mistake::Early || grace::oldest([&*place].into_iter(), epoch) >= epoch {
            cells.store(&second, order);
        }
        let word = reader.join().unwrap();
        // Adjacencies have their ids as indices.
        assert!(allowed.contains(&crate::word::argument(word)), "a third answer: {word:#x}");
    });
}

/// One of few hosts goes, another comes, into its slot if that is in the same bucket.
fn hosts(mistake: Mistake) {
    let host = |host: u32, next| route(&std::format!("10.0.0.{host}/32"), next);
    let before: Vec<Route> = (1..=5).map(|it| host(it, 1)).chain([route("0.0.0.0/0", 6)]).collect();
    for (gone, new) in [(1, 9), (2, 10), (3, 11), (4, 9)] {
        let addr = std::format!("10.0.0.{gone}");
        all(&before, host(gone, 1), host(new, 2), &addr, &[1, 6], mistake);
    }
}

/// A prefix goes, another comes, while a third is looked up.
fn prefixes(mistake: Mistake) {
    let before = [route("0.0.0.0/0", 6), route("10.0.0.0/29", 1), route("10.0.0.8/29", 2)];
    all(&before, route("10.0.0.8/29", 2), route("9.0.0.0/24", 3), "10.0.0.1", &[1], mistake);
}

#[test]
fn hosts_have_no_third_answer() {
    hosts(Mistake::None);
}

#[test]
fn prefixes_have_no_third_answer() {
    prefixes(Mistake::None);
}

#[test]
#[should_panic(expected = "a third answer")]
fn a_slot_used_again_at_once_is_noticed() {
    hosts(Mistake::Early);
}

#[test]
#[should_panic(expected = "a third answer")]
fn nodes_used_again_at_once_are_noticed() {
    prefixes(Mistake::Early);
}

#[test]
#[should_panic(expected = "a third answer")]
fn stores_that_publish_nothing_are_noticed() {
    prefixes(Mistake::Relaxed);
}
