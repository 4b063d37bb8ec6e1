//! A real `ovsdb-server` in a directory of its own, for tests. Included by path from other crates, too.
#![allow(dead_code, reason = "each test that includes this file uses another part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// The schema that Debian's openvswitch-common installs.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A database server with an empty database "Open_vSwitch"; stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    dir: TempDir,
    child: Option<Child>,
    arguments: Vec<String>,
}

/// Starts a server, or says why the test is skipped.
pub(crate) fn start() -> Option<Server> {
    start_with(|_| Vec::new())
}

/// The same with more arguments, which may name files in the server's directory.
pub(crate) fn start_with(arguments: impl FnOnce(&Path) -> Vec<String>) -> Option<Server> {
    if Command::new("ovsdb-server").arg("--version").output().is_err() || !Path::new(SCHEMA).exists() {
        eprintln!("SKIPPED: ovsdb-server is not installed (Debian: apt install openvswitch-switch)");
        return None;
    }
    let dir = tempfile::Builder::new().prefix("df-ovsdb-").tempdir().unwrap();
    run(Command::new("ovsdb-tool").args(["create", path(&dir.path().join("db")), SCHEMA]));
    let arguments = arguments(dir.path());
    let mut server = Server { dir, child: None, arguments };
    server.restart();
    Some(server)
}

impl Server {
    /// A file in the directory of the server.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// "unix:..."
    pub(crate) fn remote(&self) -> String {
        format!("unix:{}", path(&self.file("sock")))
    }

    /// Starts the server again on its database. Waits until it listens.
    pub(crate) fn restart(&mut self) {
        self.restart_by(&mut Command::new("ovsdb-server"));
    }

    /// The same with a limit to the size of the database file, in bytes: a disk that is full.
    pub(crate) fn restart_with_full_disk(&mut self) {
        let size = fs::metadata(self.file("db")).unwrap().len();
        // The shell counts in blocks of 512 bytes; the signal would end the server, ignored it leaves the error.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec ovsdb-server \"$@\"", size / 512);
        self.restart_by(Command::new("sh").args(["-c", &script, "sh"]));
    }

    fn restart_by(&mut self, command: &mut Command) {
        self.stop();
        let socket = self.file("sock");
        let child = command
            .arg(self.file("db"))
            .arg(format!("--remote=punix:{}", path(&socket)))
            .arg(format!("--unixctl={}", path(&self.file("ctl"))))
            .args(&self.arguments)
            .current_dir(self.dir.path())
            .stderr(fs::File::create(self.file("log")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.wait(|| std::os::unix::net::UnixStream::connect(&socket));
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let _ = fs::remove_file(self.file("sock"));
    }

    /// Tells the running server something, as `ovs-appctl` does.
    pub(crate) fn control(&self, arguments: &[&str]) {
        run(Command::new("ovs-appctl").args(["-t", path(&self.file("ctl"))]).args(arguments));
    }

    /// Configures the database by the reference client, as `ovs-vsctl` does.
    pub(crate) fn vsctl(&self, arguments: &[&str]) -> String {
        let remote = format!("--db={}", self.remote());
        run(Command::new("ovs-vsctl").args([remote.as_str(), "--no-wait"]).args(arguments))
    }

    fn wait<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> T {
        for _ in 0..500 {
            match attempt() {
                Ok(value) => return value,
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
        panic!("ovsdb-server does not come up: {}", fs::read_to_string(self.file("log")).unwrap_or_default());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|err| panic!("cannot run {command:?}: {err}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
