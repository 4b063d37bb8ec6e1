//! The controller killed again and again in the middle of writes: what it acknowledged is there, whole.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is missing")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_dragonflow");
/// Objects that a writer changes in turn.
const OBJECTS: u64 = 20;

/// A controller that is killed when this goes.
struct Controller(Child);

impl Controller {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["controller", "--api", &format!("unix:{}", dir.join("api.sock").display())]);
        command.arg("--store").arg(dir.join("store.redb")).stderr(Stdio::null());
        let mut this = Self(command.spawn().unwrap());
        while UnixStream::connect(dir.join("api.sock")).is_err() {
            assert!(this.0.try_wait().unwrap().is_none(), "the controller does not start");
            thread::sleep(Duration::from_millis(2));
        }
        this
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A client that keeps its connection, as an orchestrator does.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(dir: &Path) -> Option<Self> {
        Some(Self(BufReader::new(UnixStream::connect(dir.join("api.sock")).ok()?)))
    }

    /// Status and body; `None` if the controller is gone.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
        self.0.get_mut().write_all((head + body).as_bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).ok().filter(|len| *len > 0)?;
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((status, String::from_utf8(body).ok()?))
    }
}

/// By writer and object: the value that was acknowledged, and the one that was asked for after it.
type Ledger = BTreeMap<(u64, u64), (u64, u64)>;

/// Changes objects of its own one after the other until the controller is gone; `next` is its next value.
fn write(dir: &Path, writer: u64, next: &mut u64, ledger: &Mutex<Ledger>) {
    let Some(mut client) = Client::connect(dir) else { return };
    loop {
        let (object, value) = (*next % OBJECTS, *next);
        *next += 1;
        ledger.lock().unwrap().entry((writer, object)).or_default().1 = value;
        // The MTU of a network is a number that a reader sees again: 576 to 9216.
        let (vni, mtu) = (writer * 1000 + object + 1, 576 + value % 8000);
        let body = format!(r#"{{"segment": {{"type": "vxlan", "id": {vni}}}, "mtu": {mtu}}}"#);
        match client.ask("PUT", &format!("/v1/networks/w{writer}-{object}"), &body) {
            Some((status, _)) if (200..300).contains(&status) => {
                ledger.lock().unwrap().entry((writer, object)).or_default().0 = value;
            }
            Some((status, body)) => panic!("{status} {body}"),
            None => return,
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_any_number_of_kills() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Mutex::new(Ledger::new());
    let mut nexts = [1, 1];
    let mut revision = 0;
    for round in 0..12_u64 {
        let controller = Controller::start(dir.path());
        thread::scope(|scope| {
            for (writer, next) in (1..).zip(&mut nexts) {
                let (ledger, dir) = (&ledger, dir.path());
                scope.spawn(move || write(dir, writer, next, ledger));
            }
            // At another moment of the work each time; the first is while the file is still young.
            thread::sleep(Duration::from_millis(3 + 17 * (round * 7 % 12)));
            drop(controller);
        });

        let _controller = Controller::start(dir.path());
        let (status, body) = Client::connect(dir.path()).unwrap().ask("GET", "/v1/networks", "").unwrap();
        let list: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200);
        let now = list["revision"].as_u64().unwrap();
        assert!(now >= revision, "the store went back from {revision} to {now}");
        revision = now;
        let there: BTreeMap<&str, u64> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["spec"]["id"].as_str().unwrap(), item["spec"]["mtu"].as_u64().unwrap()))
            .collect();
        for ((writer, object), (acknowledged, asked)) in ledger.lock().unwrap().iter_mut() {
            let mtu = |value: u64| (value > 0).then_some(576 + value % 8000);
            let is = there.get(format!("w{writer}-{object}").as_str()).copied();
            // What was on its way when the controller died may be there or not, but nothing older.
            assert!(
                is == mtu(*acknowledged) || is == mtu(*asked),
                "w{writer}-{object}: {is:?}, not {acknowledged} or {asked}"
            );
            if is == mtu(*asked) {
                *acknowledged = *asked;
            } else {
                *asked = *acknowledged;
            }
        }
    }
    assert!(nexts.iter().sum::<u64>() > 100, "too few writes to show anything: {nexts:?}");
}
