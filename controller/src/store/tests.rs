//! Both backends by the same tests; the one on disk also against kill -9 and full disks.

use super::*;
use crate::model::{Kind, Model, Network, Object, ObjectKey, generate::Step};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

const KEEP: u64 = 1 << 30;

fn network(id: &str, vni: u64) -> Object {
    let segment = crate::model::Segment::Vxlan { id: packet::Vni::new(vni).unwrap() };
    Object::Network(Network { id: id.parse().unwrap(), segment, mtu: None })
}

fn id(kind: Kind, name: &str) -> ObjectId {
    ObjectId::new(kind, name).unwrap()
}

/// A store on disk in a directory of its own.
struct OnDisk(tempfile::TempDir);

impl OnDisk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.redb")
    }

    fn open(&self, keep: u64) -> Store {
        Store::open(DiskBackend::open(&self.path(), keep).unwrap()).unwrap()
    }
}

/// Runs a test on an empty store of each backend.
fn on_each(keep: u64, test: impl Fn(Store)) {
    test(Store::open(MemoryBackend::new(usize::try_from(keep).unwrap())).unwrap());
    test(OnDisk::new().open(keep));
}

/// The model that the history leads to; also checks that revisions follow on each other.
fn replay(store: &Store) -> Model {
    let mut model = Model::default();
    let mut at = Revision(0);
    loop {
        let History::Changes(changes) = store.history(at, 7).unwrap() else { panic!("compacted") };
        if changes.is_empty() {
            assert_eq!(at, store.read().revision);
            return model;
        }
        for (revision, change) in changes {
            at.0 += 1;
            assert_eq!(revision, at);
            model.apply(change);
        }
    }
}

#[test]
fn the_same_again_changes_nothing() {
    on_each(KEEP, |store| {
        let first = store.commit(Transaction::put([network("a", 1)])).unwrap();
        assert_eq!(first.revision, Revision(1));
        let again = store.commit(Transaction::put([network("a", 1)])).unwrap();
        assert_eq!((again.revision, again.effects.values().next()), (Revision(1), Some(&Effect::Unchanged)));
        let gone = store.commit(Transaction::delete([id(Kind::Network, "b")])).unwrap();
        assert_eq!((gone.revision, gone.effects.values().next()), (Revision(1), Some(&Effect::Absent)));
    });
}

#[test]
fn a_key_is_for_life() {
    on_each(KEEP, |store| {
        let key = |name| store.read().model.get(&id(Kind::Network, name)).unwrap().key;
        store.commit(Transaction::put([network("a", 1), network("b", 2)])).unwrap();
        assert_eq!((key("a"), key("b")), (ObjectKey(1), ObjectKey(2)));
        store.commit(Transaction::put([network("a", 3)])).unwrap();
        assert_eq!(key("a"), ObjectKey(1));
        store.commit(Transaction::delete([id(Kind::Network, "a")])).unwrap();
        store.commit(Transaction::put([network("a", 1)])).unwrap();
        assert_eq!(key("a"), ObjectKey(3), "another life, another key");
    });
}

#[test]
fn a_transaction_is_all_or_nothing() {
    on_each(KEEP, |store| {
        store.commit(Transaction::put([network("a", 1)])).unwrap();
        let before = store.read().clone();
        let refused = store.commit(Transaction::put([network("b", 2), network("c", 1)]));
        let refused = refused.unwrap_err().to_string();
        assert_eq!(refused, "network c: segment vxlan 1 belongs to network a");
        let twice = store.commit(Transaction::put([network("b", 2), network("b", 3)])).unwrap_err();
        assert_eq!(twice.to_string(), "network b is named more than once in one request");
        assert_eq!((store.read().revision, &store.read().model), (before.revision, &before.model));
        // What was refused holds nothing back: two may swap what each has, in one transaction.
        store.commit(Transaction::put([network("b", 2)])).unwrap();
        store.commit(Transaction::put([network("a", 2), network("b", 1)])).unwrap();
    });
}

#[test]
fn the_log_forgets_its_oldest_changes() {
    on_each(3, |store| {
        for vni in 1..=5 {
            store.commit(Transaction::put([network("a", vni)])).unwrap();
        }
        assert_eq!(store.history(Revision(1), 10).unwrap(), History::Compacted(Revision(2)));
        let History::Changes(changes) = store.history(Revision(2), 10).unwrap() else { panic!("compacted") };
        assert_eq!(changes.iter().map(|(revision, _)| revision.0).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(store.history(Revision(5), 10).unwrap(), History::Changes(Vec::new()));
        // A transaction larger than the log leaves its end.
        let many = (1..=9).map(|n| network(&format!("n{n}"), 100 + n));
        store.commit(Transaction::put(many)).unwrap();
        assert_eq!(store.history(Revision(10), 10).unwrap(), History::Compacted(Revision(11)));
    });
}

/// Does the steps one by one, as far as the rules let it, and says what it should have come to.
fn play(store: &Store, steps: &[Step]) -> BTreeMap<ObjectId, Object> {
    let mut wanted = BTreeMap::new();
    for step in steps {
        let op = step.object().map_or_else(|| Op::Delete(step.id()), Op::Put);
        if store
            .commit(Transaction { ops: vec![op], dangling: Dangling::Allow, ..Default::default() })
            .is_ok()
        {
            match step.object() {
                Some(object) => wanted.insert(step.id(), object),
                None => wanted.remove(&step.id()),
            };
        }
    }
    wanted
}

fn contents(model: &Model) -> BTreeMap<ObjectId, Object> {
    let records = Kind::ALL.into_iter().flat_map(|kind| model.objects(kind));
    records.map(|record| (record.spec.id(), record.spec)).collect()
}

#[test]
fn any_history_is_kept() {
    bolero::check!().with_type::<Vec<Step>>().for_each(|steps| {
        let store = Store::open(MemoryBackend::new(1 << 20)).unwrap();
        let wanted = play(&store, steps);
        assert_eq!(contents(&store.read().model), wanted);
        assert_eq!(replay(&store), store.read().model);
    });
}

#[test]
fn any_history_is_kept_over_restarts() {
    bolero::check!().with_type::<[Vec<Step>; 2]>().with_iterations(25).for_each(|[before, after]| {
        let disk = OnDisk::new();
        let store = disk.open(KEEP);
        assert_eq!(store.round(), 1);
        let wanted = play(&store, before);
        assert_eq!(contents(&store.read().model), wanted);
        let (kept, pending) = (store.read().clone(), store.pending());
        drop(store);

        let store = disk.open(KEEP);
        assert_eq!(store.round(), 2);
        assert_eq!((store.read().revision, &store.read().model), (kept.revision, &kept.model));
        assert_eq!(store.pending(), pending);
        // The second life goes on as if there had been but one.
        let one_life = Store::open(MemoryBackend::new(1 << 20)).unwrap();
        play(&one_life, before);
        play(&one_life, after);
        play(&store, after);
        assert_eq!(store.read().model, one_life.read().model);
        assert_eq!(replay(&store), store.read().model);
    });
}

#[test]
fn a_store_has_one_owner() {
    let disk = OnDisk::new();
    let _store = disk.open(KEEP);
    let told = DiskBackend::open(&disk.path(), KEEP).unwrap_err().to_string();
    assert_eq!(told, format!("store {} is in use by another process", disk.path().display()));
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let disk = OnDisk::new();
    std::fs::write(disk.path(), "precious").unwrap();
    assert!(DiskBackend::open(&disk.path(), KEEP).is_err());
    assert_eq!(std::fs::read(disk.path()).unwrap(), b"precious");
    assert!(DiskBackend::open(Path::new("/proc/nowhere/store"), KEEP).is_err());
}

#[test]
fn a_later_format_is_refused() {
    let disk = OnDisk::new();
    drop(disk.open(KEEP));
    let database = redb::Database::create(disk.path()).unwrap();
    let write = database.begin_write().unwrap();
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    write.open_table(meta).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    let told = Store::open(DiskBackend::open(&disk.path(), KEEP).unwrap()).unwrap_err().to_string();
    assert!(told.ends_with("holds format 2, this version reads format 1"), "{told}");
}

#[tokio::test]
async fn subscribers_miss_nothing() {
    let store = Store::open(MemoryBackend::new(10)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (store, done) = (store.clone(), done.clone());
        move || {
            for n in 1..=3000 {
                store.commit(Transaction::put([network(&format!("n{}", n % 50), n)])).unwrap();
            }
            done.store(true, Ordering::Release);
        }
    });
    let mut followers = tokio::task::JoinSet::new();
    while !done.load(Ordering::Acquire) {
        let (mut seen, mut changes) = store.subscribe();
        followers.spawn(async move {
            while seen.revision < Revision(3000) {
                match changes.next().await.unwrap() {
                    Event::Batch(batch) => {
                        assert_eq!(batch.revision.0, seen.revision.0 + batch.changes.len() as u64);
                        seen.revision = batch.revision;
                        for change in batch.changes.iter() {
                            seen.model.apply(change.clone());
                        }
                    }
                    Event::Resync(snapshot) => seen = snapshot,
                }
            }
            seen.model
        });
        tokio::task::yield_now().await;
    }
    writer.join().unwrap();
    let followers = followers.join_all().await;
    assert!(!followers.is_empty());
    assert!(followers.iter().all(|model| *model == store.read().model));
}

#[tokio::test]
async fn a_slow_subscriber_starts_again() {
    let store = Store::open(MemoryBackend::new(10)).unwrap();
    let (_, mut changes) = store.subscribe();
    for n in 1..=LAG as u64 * 2 {
        store.commit(Transaction::put([network("a", n)])).unwrap();
    }
    let Some(Event::Resync(snapshot)) = changes.next().await else { panic!("no new start") };
    assert_eq!((snapshot.revision.0, &snapshot.model), (LAG as u64 * 2, &store.read().model));
    assert!(changes.try_next().is_none());
    store.commit(Transaction::put([network("a", 1)])).unwrap();
    let Some(Event::Batch(batch)) = changes.next().await else { panic!("no change") };
    assert_eq!(batch.revision, Revision(LAG as u64 * 2 + 1));
}

/// A backend that fails on order, before or after it has written.
#[derive(Debug)]
struct Failing {
    inner: MemoryBackend,
    before: Arc<AtomicBool>,
    after: Arc<AtomicBool>,
}

impl Failing {
    fn check(order: &AtomicBool) -> Result<(), BackendError> {
        if order.load(Ordering::Acquire) { Err(BackendError::Full("here".into())) } else { Ok(()) }
    }
}

impl Backend for Failing {
    fn load(&self) -> Result<Loaded, BackendError> {
        self.inner.load()
    }

    fn commit(&self, write: &Write<'_>) -> Result<(), BackendError> {
        Self::check(&self.before)?;
        self.inner.commit(write)?;
        Self::check(&self.after)
    }

    fn recover(&self) -> Result<Revision, BackendError> {
        Self::check(&self.before)?;
        self.inner.recover()
    }

    fn history(&self, since: Revision, limit: usize) -> Result<History, BackendError> {
        self.inner.history(since, limit)
    }
}

#[test]
fn what_a_failed_commit_kept_after_all_is_shown() {
    let (before, after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let backend = Failing { inner: MemoryBackend::new(100), before: before.clone(), after: after.clone() };
    let store = Store::open(backend).unwrap();
    store.commit(Transaction::put([network("a", 1)])).unwrap();
    let (_, mut changes) = store.subscribe();

    before.store(true, Ordering::Release);
    assert!(store.commit(Transaction::put([network("b", 2)])).is_err());
    assert_eq!(store.read().revision, Revision(1));
    // Subscribers hear of it early, and then that it was taken back.
    assert!(matches!(changes.try_next(), Some(Event::Batch(batch)) if batch.revision == Revision(2)));
    let Some(Event::Resync(snapshot)) = changes.try_next() else { panic!("not taken back") };
    assert_eq!((snapshot.revision, snapshot.model), (Revision(1), store.read().model.clone()));
    assert!(changes.try_next().is_none());
    before.store(false, Ordering::Release);
    after.store(true, Ordering::Release);
    assert!(store.commit(Transaction::put([network("c", 3)])).is_err());
    assert_eq!(store.read().revision, Revision(2), "it was written");
    assert!(matches!(changes.try_next(), Some(Event::Batch(batch)) if batch.revision == Revision(2)));
    let Some(Event::Resync(snapshot)) = changes.try_next() else { panic!("not told what was kept") };
    assert_eq!((snapshot.revision, snapshot.model), (Revision(2), store.read().model.clone()));
    assert!(changes.try_next().is_none());
    after.store(false, Ordering::Release);
    let taken = store.commit(Transaction::put([network("d", 3)])).unwrap_err().to_string();
    assert_eq!(taken, "network d: segment vxlan 3 belongs to network c");
    // Nothing of b is left behind: neither its segment nor its key.
    store.commit(Transaction::put([network("d", 2)])).unwrap();
    assert_eq!(store.read().model.get(&id(Kind::Network, "d")).unwrap().key, ObjectKey(3));
    assert_eq!(replay(&store), store.read().model);
}

/// This test binary again, to run one ignored test of this module in a process that may be killed.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("store::tests::{test}"), "--ignored", "--nocapture"]);
    command.env("STORE", path);
    command
}

fn store_of_parent() -> Option<Store> {
    let path = std::env::var_os("STORE")?;
    Some(Store::open(DiskBackend::open(Path::new(&path), KEEP).unwrap()).unwrap())
}

#[test]
#[ignore = "the child of another test"]
fn child_writes_without_end() {
    let Some(store) = store_of_parent() else { return };
    let start = store.read().revision.0 + 1;
    // The test runner leaves its own line open.
    println!();
    for n in start.. {
        let outcome = store.commit(Transaction::put([network(&format!("n{}", n % 100), n)])).unwrap();
        println!("acknowledged {}", outcome.revision.0);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let disk = OnDisk::new();
    let mut acknowledged = 0;
    // From the first write of a new file to the middle of a long life.
    for lines in [0, 1, 2, 0, 3, 10, 40, 0, 1, 150, 20] {
        let mut child =
            child("child_writes_without_end", &disk.path()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut told = output
            .lines()
            .map(Result::unwrap)
            .filter_map(|line| line.strip_prefix("acknowledged ").map(|n| n.parse::<u64>().unwrap()));
        acknowledged = told.by_ref().take(lines).last().unwrap_or(acknowledged);
        child.kill().unwrap();
        // What it said between our last look and its end counts, too.
        acknowledged = told.last().unwrap_or(acknowledged);
        child.wait().unwrap();

        let store = disk.open(KEEP);
        let revision = store.read().revision.0;
        assert!(revision == acknowledged || revision == acknowledged + 1, "{revision}, not {acknowledged}");
        assert_eq!(replay(&store), store.read().model);
        acknowledged = revision;
    }
    assert!(acknowledged > 200);
}

/// Writes until the disk is full, checks what is left of the store, then runs `relief` and writes again.
fn fill_up(store: &Store, relief: impl FnOnce()) {
    let mut n = 0;
    let error = loop {
        n += 1;
        let batch = (1..=20).map(|i| network(&format!("n{}", n * 20 + i), n * 20 + i));
        if let Err(error) = store.commit(Transaction::put(batch)) {
            break error;
        }
        assert!(n < 100_000, "the disk never fills up");
    };
    assert!(matches!(error, StoreError::Backend(BackendError::Full(_))), "{error}");
    let kept = store.read().clone();
    assert_eq!(kept.revision.0, (n - 1) * 20);
    // It stays so, and it stays readable.
    assert!(
        store.commit(Transaction::put((1..=2000).map(|i| network(&format!("x{i}"), 1_000_000 + i)))).is_err()
    );
    assert_eq!((store.read().revision, &store.read().model), (kept.revision, &kept.model));
    relief();
    store.commit(Transaction::put([network("relief", 5_000_000)])).unwrap();
    assert_eq!(store.read().revision.0, kept.revision.0 + 1);
    assert_eq!(replay(store), store.read().model);
}

#[test]
#[ignore = "the child of another test"]
fn child_fills_its_file_up() {
    let Some(store) = store_of_parent() else { return };
    fill_up(&store, || {
        let me = std::process::id().to_string();
        let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &me]).status().unwrap();
        assert!(lifted.success());
    });
    println!("all is well");
}

#[test]
#[ignore = "the child of another test"]
fn child_fills_its_disk_up() {
    let Some(store) = store_of_parent() else { return };
    let ballast = PathBuf::from(std::env::var_os("STORE").unwrap()).with_file_name("ballast");
    fill_up(&store, || std::fs::remove_file(ballast).unwrap());
    println!("all is well");
}

/// Runs a child under a shell that prepares what it finds.
fn in_shell(program: &[&str], script: &str, test: &str, path: &Path) -> (bool, String) {
    let inner = child(test, path);
    let output = Command::new(program[0])
        .args(&program[1..])
        .args(["sh", "-c", &format!("{script} && exec \"$@\"")])
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("STORE", path)
        .env("DIR", path.parent().unwrap())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_file_that_may_not_grow_is_told_and_survived() {
    let disk = OnDisk::new();
    // 512-octet blocks in dash. The default of SIGXFSZ would end the process.
    let script = "trap '' XFSZ && ulimit -S -f 8192";
    let (ok, text) = in_shell(&["env"], script, "child_fills_its_file_up", &disk.path());
    assert!(ok && text.contains("all is well"), "{text}");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let disk = OnDisk::new();
    // A mount of its own in a namespace of its own: nothing to clean up. Needs root, or a kernel that lends it.
    let unshare = ["unshare", "--map-root-user", "--mount"];
    let may =
        Command::new(unshare[0]).args(&unshare[1..]).args(["mount", "-t", "tmpfs", "none", "/tmp"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: this user may not mount a tmpfs");
        return;
    }
    let script = "mount -t tmpfs -o size=8m none $DIR && head -c 2m /dev/zero > $DIR/ballast";
    let (ok, text) = in_shell(&unshare, script, "child_fills_its_disk_up", &disk.path());
    assert!(ok && text.contains("all is well"), "{text}");
}
