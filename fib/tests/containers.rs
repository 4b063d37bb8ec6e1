//! One image, many readers: threads and another process see each change as before or after, never a third way; and the
//! image outlives its writer.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use fib::{
    Adjacency, AdjacencyId, BURST, Container, Egress, FibImage, Mapped, MappedImage, Memory, NetworkKey,
    NextHop, Options, PortKey, Prefix, Readers, Route, Tables, VrfId, Writer,
};
use packet::MacAddr;
use std::fs::File;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const UNITS: usize = 1 << 16;
const HOSTS: u32 = 600;

fn tables() -> Tables {
    let adjacency = |id: u32| {
        let [_, _, high, low] = id.to_be_bytes();
        Adjacency {
            dst_mac: MacAddr([2, 0, 0, 0, high, low]),
            src_mac: MacAddr([2, 0, 0, 1, high, low]),
            egress: Egress::Local { port: PortKey(id) },
            mtu: 1500,
            network: NetworkKey(id),
        }
    };
    Tables { adjacencies: (0..64).map(|id| (AdjacencyId(id), adjacency(id))).collect(), ..Tables::default() }
}

fn to(id: u32) -> NextHop {
    NextHop::Adjacency(AdjacencyId(id))
}

fn host(index: u32) -> Prefix {
    Prefix::host(Ipv4Addr::from_bits(0x0a00_0000 + index).into())
}

fn route(prefix: Prefix, next: NextHop) -> Route {
    Route { vrf: VrfId::MIN, prefix, next }
}

/// Subnets lead to 1; a host leads to 2 + its number modulo 8, or, when it is gone, to 1 with its subnet, or, when that
/// is gone as well, to 0 by the default route.
fn allowed(index: u32, id: u32) -> bool {
    id <= 1 || id == 2 + index % 8
}

fn first() -> Vec<Route> {
    let subnets = (0..4).map(|net| {
        let addr = Ipv4Addr::from_bits(0x0a00_0000 + net * 256);
        route(Prefix::new(addr.into(), 24).unwrap(), to(1))
    });
    let default = route("0.0.0.0/0".parse().unwrap(), to(0));
    (0..HOSTS).map(|index| route(host(index), to(2 + index % 8))).chain(subnets).chain([default]).collect()
}

/// One random change after the other.
fn churn<C: Container>(writer: &mut Writer<C>, steps: u32, readers: &Readers) {
    let mut state = 12345_u32;
    for _ in 0..steps {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (pick, index) = (state >> 28, (state >> 8) % HOSTS);
        let net = Prefix::new(Ipv4Addr::from_bits(0x0a00_0000 + index % 4 * 256).into(), 24).unwrap();
        match pick {
            0 => assert!(writer.insert(route(net, to(1))).is_ok()),
            1 => assert!(writer.remove(VrfId::MIN, net).is_ok()),
            2..9 => writer.insert(route(host(index), to(2 + index % 8))).unwrap(),
            _ => _ = writer.remove(VrfId::MIN, host(index)).unwrap(),
        }
        let oldest = readers.oldest(writer.epoch());
        writer.quiesced(oldest);
    }
}

/// Looks all hosts up once; gives how many answers there were.
fn look(image: FibImage<'_>, readers: Option<&Readers>) -> u64 {
    let domain = image.domain(VrfId::MIN).unwrap();
    for from in (0..HOSTS).step_by(BURST) {
        if let Some(readers) = readers {
            readers.begin(0, image);
        }
        let keys = [(); BURST].map(|()| (domain, 0_u32));
        let mut keys = keys;
        keys.iter_mut().zip(from..).for_each(|(key, index)| key.1 = 0x0a00_0000 + index);
        let mut words = [0; BURST];
        image.burst4(&keys, &mut words);
        for (index, word) in (from..HOSTS).zip(words) {
            let index4 = word & fib::layout::word::ARGUMENT_MASK;
            let (id, it) = image.adjacency_at(index4).unwrap();
            assert!(allowed(index, id.0), "host {index} leads to adjacency {}", id.0);
            assert_eq!(it, tables().adjacencies[&id], "a mixture");
        }
        if let Some(readers) = readers {
            readers.end(0);
        }
    }
    HOSTS.into()
}

fn options() -> Options {
    Options { load: 80, spare: 50, ..Options::default() }
}

#[test]
fn threads_see_changes_whole() {
    let memory = Memory::new(UNITS);
    let mut writer = Writer::new(&memory, first(), &tables(), options()).unwrap();
    let (readers, stop, looked) = (Readers::new(1), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Ends when the writer has, but looks around at least once.
            while !stop.load(Ordering::SeqCst) || looked.load(Ordering::SeqCst) == 0 {
                looked.fetch_add(look(memory.image(), Some(&readers)), Ordering::SeqCst);
            }
        });
        while looked.load(Ordering::SeqCst) < 100_000 {
            churn(&mut writer, 20_000, &readers);
        }
        stop.store(true, Ordering::SeqCst);
    });
    writer.seal();
    let loaded = FibImage::open(&memory).unwrap();
    assert!(loaded.routes().len() > 100);
}

/// A file that only lives while somebody has it.
fn file() -> (tempfile::TempDir, std::path::PathBuf, File) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.set_len((UNITS * 64) as u64).unwrap();
    (dir, path, file)
}

const TABLE: &str = "DRAGONFLOW_TEST_TABLE";

/// The other process of the test below.
#[test]
#[ignore = "is started by the test below"]
fn another_process() {
    let file = File::open(std::env::var(TABLE).unwrap()).unwrap();
    let mapped = MappedImage::open(&file).unwrap();
    let image = mapped.image().unwrap();
    println!("ready");
    let (mut epochs, mut looked) = (std::collections::BTreeSet::new(), 0);
    // Its writer never uses anything again, so there is nothing to tell it.
    while epochs.len() < 50 {
        epochs.insert(image.epoch());
        looked += look(image, None);
    }
    println!("looked {looked}");
}

#[test]
fn another_process_sees_changes_and_the_image_outlives_its_writer() {
    let (_dir, path, file) = file();
    let mapped = Mapped::new(&file).unwrap();
    let mut writer = Writer::new(&mapped, first(), &tables(), options()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "another_process", "--nocapture"])
        .env(TABLE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Replacing the word of a host gives nothing up: no grace period is needed.
    let mut turn = 0;
    let ended = loop {
        for index in 0..HOSTS {
            writer.insert(route(host(index), to(if turn % 2 == 0 { 1 } else { 2 + index % 8 }))).unwrap();
        }
        turn += 1;
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(ended.success(), "{ended}");
    let before = writer.image().routes();
    drop(writer);
    drop(mapped);
    let again = MappedImage::open(&file).unwrap();
    assert_eq!(again.image().unwrap().routes(), before);
    look(again.image().unwrap(), None);
}
