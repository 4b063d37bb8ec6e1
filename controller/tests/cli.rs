//! The built binary as an operator uses it: what it prints and how it exits.

#![expect(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_dragonflow");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/two-tenants.yaml");

/// A controller of its own, and commands to it.
struct Bed {
    dir: tempfile::TempDir,
    controller: Option<Child>,
}

impl Bed {
    fn new() -> Self {
        let mut bed = Self { dir: tempfile::tempdir().unwrap(), controller: None };
        bed.start();
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self) -> String {
        format!("unix:{}", self.path("api.sock").display())
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["controller", "--api", &self.server()]).arg("--store").arg(self.path("store.redb"));
        self.controller = Some(command.stderr(log).spawn().unwrap());
        while UnixStream::connect(self.path("api.sock")).is_err() {
            let ended = self.controller.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{}", std::fs::read_to_string(self.path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.controller.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn wait(&mut self) -> Option<i32> {
        self.controller.take().unwrap().wait().unwrap().code()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let server = self.server();
        run(&[&["--server", &server], args].concat(), input)
    }

    /// What a command prints that must end well.
    fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
        ran.out
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(controller) = &mut self.controller {
            let _ = controller.kill();
            let _ = controller.wait();
        }
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(args: &[&str], input: &str) -> Ran {
    let mut command = Command::new(BINARY);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env_remove("DRAGONFLOW_SERVER").spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

#[test]
fn the_example_comes_changes_and_goes() {
    let bed = Bed::new();
    let dry = bed.ok(&["apply", "-f", EXAMPLE, "--strict", "--dry-run"]);
    assert!(
        dry.ends_with(
            "16 created, 0 changed, 0 deleted, 0 unchanged; a dry run at revision 0: nothing was done\n"
        ),
        "{dry}"
    );
    assert_eq!(bed.ok(&["get", "networks"]), "no networks\n");
    let applied = bed.ok(&["apply", "-f", EXAMPLE, "--strict"]);
    assert!(applied.starts_with("+ chassis hv1\n+ chassis hv2\n+ network blue-net\n"), "{applied}");
    assert!(applied.ends_with("16 created, 0 changed, 0 deleted, 0 unchanged; revision 16\n"), "{applied}");
    assert_eq!(
        bed.ok(&["apply", "-f", EXAMPLE]),
        "0 created, 0 changed, 0 deleted, 16 unchanged; revision 16\n"
    );

    let text = std::fs::read_to_string(EXAMPLE).unwrap();
    let changed = text
        .replace("mtu: 1400", "mtu: 1300")
        .replace("chassis: hv2\n    mac: \"02:00:00:00:03:02\"", "mac: \"02:00:00:00:03:02\"");
    let ran = bed.run_with(&["apply", "-f", "-"], &changed);
    assert_eq!(
        ran.out,
        "~ network blue-net\n    mtu: 1400 -> 1300\n~ port blue-2\n    chassis: hv2 -> (none)\n0 created, 2 changed, 0 deleted, 14 unchanged; revision 18\n"
    );
    let gone = bed.ok(&["delete", "-f", EXAMPLE]);
    assert!(gone.ends_with("0 created, 0 changed, 16 deleted, 0 unchanged; revision 34\n"), "{gone}");
    assert_eq!(
        bed.ok(&["delete", "port", "x"]),
        "  port x was not there\n0 created, 0 changed, 0 deleted, 0 unchanged; revision 34\n"
    );
}

#[test]
fn objects_are_shown_as_asked() {
    let bed = Bed::new();
    bed.ok(&["apply", "-f", EXAMPLE]);
    assert_eq!(
        bed.ok(&["get", "subnets"]),
        "ID          NETWORK   CIDR             GATEWAY\n\
         blue-v4     blue-net  10.0.1.0/24      10.0.1.1\n\
         red-db-v4   red-db    10.0.2.0/24      10.0.2.1\n\
         red-web-v4  red-web   10.0.1.0/24      10.0.1.1\n\
         red-web-v6  red-web   2001:db8:1::/64  2001:db8:1::1\n"
    );
    assert_eq!(
        bed.ok(&["get", "port", "red-db-2", "-o", "wide"]),
        "ID        NETWORK  MAC                ADDRESSES  CHASSIS  SECURITY  ADDRESS PAIRS  KEY  REVISION\n\
         red-db-2  red-db   02:00:00:00:02:02  10.0.2.12  hv2      on        10.0.2.100/32  4    13\n"
    );
    let json: serde_json::Value = serde_json::from_str(&bed.ok(&["get", "routers", "-o", "json"])).unwrap();
    assert_eq!(json["items"][0]["spec"]["interfaces"][0]["subnet"], "red-web-v4");
    // What is shown as yaml is what apply takes.
    let yaml = bed.ok(&["get", "all", "-o", "yaml"]);
    let ran = bed.run_with(&["apply", "--prune", "-f", "-"], &yaml);
    assert_eq!(ran.out, "0 created, 0 changed, 0 deleted, 16 unchanged; revision 16\n");
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let bed = Bed::new();
    let cases: [(&[&str], &str, i32, &str); 9] = [
        (
            &["apply", "-f", "-"],
            "networks:\n- id: a\n  colour: red\n",
            1,
            "error: standard input: networks[0]: unknown field `colour`, expected one of `id`, `segment`, `mtu` at line 3 column 3\n\
             hint: correct the file; examples/two-tenants.yaml shows every kind of object\n",
        ),
        (
            &["apply", "-f", "-"],
            "networks:\n- {id: a, segment: {type: gre, id: 1}}\n- {id: b, segment: {type: gre, id: 1}, mtu: 9}\n",
            1,
            "error: network a: segment gre 1 belongs to network b\n\
             error: network b: mtu 9 is out of range: want 576 to 9216\n  choose an mtu in the range, or leave it out for the segment's default\n\
             error: network b: segment gre 1 belongs to network a\n  choose another id, or delete network a first\n\
             hint: choose another id, or delete network b first\n",
        ),
        (
            &["apply", "--strict", "-f", "-"],
            "subnets:\n- {id: s, network: n, cidr: 10.0.0.0/24}\n",
            1,
            "error: subnet s waits for network n (network)\nhint: add network n, or leave out strict to let the object wait\n",
        ),
        (
            &["apply", "-f", "/nonexistent.yaml"],
            "",
            1,
            "error: cannot read /nonexistent.yaml: No such file or directory (os error 2)\nhint: check the name, or give - to read standard input\n",
        ),
        (
            &["get", "port", "x"],
            "",
            1,
            "error: there is no port x\nhint: the list of ports shows what there is\n",
        ),
        (
            &["get", "port", "no good"],
            "",
            2,
            "error: \"no good\" is no id: want 1 to 64 of the characters A-Z a-z 0-9 . _ -\nhint: `dragonflow get ports` shows what there is\n",
        ),
        (
            &["get", "all", "x"],
            "",
            2,
            "error: an id needs a kind\nhint: say of which kind it is, as in `dragonflow get port web-1`\n",
        ),
        (
            &["trace", "p", "10.0.0.1"],
            "",
            1,
            "error: port p is not bound to a chassis of this controller\nhint: put the port, with a chassis that is served here\n",
        ),
        (
            &["flows", "hv9"],
            "",
            1,
            "error: chassis hv9 is not served by this controller\nhint: the status shows which chassis are served here\n",
        ),
    ];
    for (args, input, code, err) in cases {
        let ran = bed.run_with(args, input);
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (code, err, ""), "{args:?}");
    }
    for args in [
        &["get"][..],
        &["get", "hosts"],
        &["delete"],
        &["delete", "port"],
        &["frobnicate"],
        &["--server", "x", "status"],
    ] {
        assert_eq!(bed.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn strict_is_all_or_nothing() {
    let bed = Bed::new();
    bed.ok(&["apply", "-f", EXAMPLE, "--strict"]);
    let before = bed.ok(&["get", "all", "-o", "yaml"]);
    // One object that would change, one that would be new, and one that refers to what is not there.
    let text = "networks:\n- {id: blue-net, segment: {type: geneve, id: 300}, mtu: 1200}\n\
                - {id: new, segment: {type: vxlan, id: 9}}\nsubnets:\n- {id: s, network: gone, cidr: 10.0.0.0/24}\n";
    let refused = bed.run_with(&["apply", "--strict", "-f", "-"], text);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.starts_with("error: subnet s waits for network gone (network)\n"), "{}", refused.err);
    assert_eq!(bed.ok(&["get", "all", "-o", "yaml"]), before);
    // Without strict the same is taken, and what waits is said.
    let taken = bed.run_with(&["apply", "-f", "-"], text);
    assert_eq!(taken.code, 0, "{}", taken.err);
    assert!(taken.out.contains("! subnet s waits for network gone (network)\n"), "{}", taken.out);
    assert_eq!(bed.run(&["status"]).code, 3);
}

#[test]
fn waiting_for_nobody_ends_at_once() {
    let bed = Bed::new();
    let ran = bed.run(&["apply", "-f", EXAMPLE, "--wait", "-o", "json"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "this controller serves no chassis, so there is nothing to wait for\n")
    );
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["revision"], 16);
    assert_eq!(bed.run(&["apply", "-f", EXAMPLE, "--wait", "--dry-run"]).code, 2);
    assert_eq!(bed.run(&["apply", "-f", EXAMPLE, "--timeout", "1"]).code, 2);
}

#[test]
fn status_says_what_is_wrong_by_its_exit_code() {
    let mut bed = Bed::new();
    let well = bed.run(&["status"]);
    assert_eq!(well.code, 0, "{}", well.err);
    assert!(well.out.starts_with("dragonflow 0.1.0, healthy, up "), "{}", well.out);
    bed.run_with(&["apply", "-f", "-"], "subnets:\n- {id: s, network: n, cidr: 10.0.0.0/24}\n");
    let waiting = bed.run(&["status"]);
    assert_eq!(waiting.code, 3);
    assert!(waiting.out.contains("waiting\n  subnet s waits for network n (network)\n"), "{}", waiting.out);
    let json: serde_json::Value = serde_json::from_str(&bed.run(&["status", "-o", "json"]).out).unwrap();
    assert_eq!(json["healthy"], false);

    bed.signal("-TERM");
    assert_eq!(bed.wait(), Some(0));
    let gone = bed.run(&["status"]);
    assert_eq!(gone.code, 4);
    let told = format!(
        "error: cannot reach the controller at {}: No such file or directory (os error 2)\n\
         hint: is it running? try `systemctl status dragonflow`, or name another with --server\n",
        bed.server()
    );
    assert_eq!(gone.err, told);
}

#[test]
fn what_was_applied_survives_kill_9() {
    let mut bed = Bed::new();
    bed.ok(&["apply", "-f", EXAMPLE]);
    let before = bed.ok(&["get", "all", "-o", "wide"]);
    bed.signal("-KILL");
    bed.wait();
    bed.start();
    assert_eq!(bed.ok(&["get", "all", "-o", "wide"]), before);
    assert!(bed.ok(&["status"]).contains(" round 2, revision 16\n"));
}

#[test]
fn a_watch_goes_on() {
    let bed = Bed::new();
    let server = bed.server();
    let mut watch = Command::new(BINARY)
        .args(["--server", &server, "get", "networks", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "no networks");
    bed.ok(&["apply", "-f", EXAMPLE]);
    assert_eq!(lines.next().unwrap().unwrap(), "       3  put     network blue-net  geneve 300  1400");
    assert_eq!(lines.next().unwrap().unwrap(), "       4  put     network red-db  gre 200  1458");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_reader_that_had_enough_is_no_error() {
    let bed = Bed::new();
    bed.ok(&["apply", "-f", EXAMPLE]);
    let script =
        format!("{BINARY} --server {} get all -o json | true; echo ${{PIPESTATUS[0]}}", bed.server());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"0\n"[..], &b""[..]));
}

#[test]
fn what_needs_no_controller_needs_none() {
    assert_eq!(run(&["version"], "").out, "dragonflow 0.1.0\n");
    assert!(run(&["completion", "bash"], "").out.contains("_dragonflow()"));
    let help = run(&["--help"], "").out;
    assert!(help.contains("3 the controller is not healthy"), "{help}");
}

#[test]
fn a_controller_that_cannot_start_says_why() {
    let bed = Bed::new();
    let controller = |args: &[&str]| run(&[&["controller"], args].concat(), "");
    let store = bed.path("store.redb").display().to_string();
    let second = controller(&["--api", "unix:/nonexistent/x", "--store", &store]);
    let told = format!(
        "error: store {store} is in use by another process\nhint: stop the other controller, or give this one another --store\n"
    );
    assert_eq!((second.code, second.err), (1, told));
    let taken = controller(&["--api", &bed.server(), "--store", "memory"]);
    let told = format!(
        "error: {} is in use: is another controller running?\nhint: stop it, or give this one another --api\n",
        bed.path("api.sock").display()
    );
    assert_eq!((taken.code, taken.err), (1, told));
    let open = controller(&["--api", "http://0.0.0.0:0", "--store", "memory"]);
    assert_eq!(open.code, 1);
    assert!(open.err.contains("no authentication"), "{}", open.err);
    let config = bed.path("bad.toml");
    std::fs::write(&config, "[store]\nfile = 'x'\n").unwrap();
    let bad = controller(&["--config", config.to_str().unwrap()]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.contains("unknown field `file`, expected `path` or `history`"), "{}", bad.err);
}

/// systemd hears when it is ready, and SIGHUP takes up another log filter.
#[test]
fn the_daemon_is_a_good_service() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let notify = std::os::unix::net::UnixDatagram::bind(path("notify")).unwrap();
    let config = |filter: &str| {
        let text = format!(
            "store.path = 'memory'\napi.listen = ['unix:{}']\nlog = {{ filter = '{filter}', format = 'json' }}\n",
            path("api.sock")
        );
        std::fs::write(path("config.toml"), text).unwrap();
    };
    config("warn");
    let mut child = Command::new(BINARY)
        .args(["controller", "--config", &path("config.toml")])
        .env("NOTIFY_SOCKET", path("notify"))
        .stderr(std::fs::File::create(path("log")).unwrap())
        .spawn()
        .unwrap();
    let mut buffer = [0; 256];
    let n = notify.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"READY=1\n");
    assert_eq!(std::fs::read_to_string(path("log")).unwrap(), "", "info is filtered out");
    config("info");
    let kill = |signal: &str| Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    kill("-HUP");
    while !std::fs::read_to_string(Path::new(&path("log"))).unwrap().contains("log filter reloaded") {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill("-TERM");
    let n = notify.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"STOPPING=1\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(path("log")).unwrap();
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
}

/// Writes an image with one host, two subnets and a default route.
fn write_table(path: &Path, host: u8) {
    let adjacency = |id: u8| fib::Adjacency {
        dst_mac: packet::MacAddr([2, 0, 0, 0, 0, id]),
        src_mac: packet::MacAddr([2, 0, 0, 0, 1, 0]),
        egress: fib::Egress::Local { port: fib::PortKey(id.into()) },
        mtu: if id == 9 { 0 } else { 1450 },
        network: fib::NetworkKey(1),
    };
    let mut rib = fib::Rib::new();
    rib.tables.adjacencies = [1, 2, 9].map(|id| (fib::AdjacencyId(id.into()), adjacency(id))).into();
    let to = |id: u8| fib::NextHop::Adjacency(fib::AdjacencyId(id.into()));
    for (prefix, next) in [
        ("0.0.0.0/0", fib::NextHop::Unreachable),
        ("10.1.0.0/16", to(1)),
        ("10.1.2.0/24", to(2)),
        ("10.1.2.3/32", to(host)),
    ] {
        rib.insert(fib::Route { vrf: fib::VrfId::new(7).unwrap(), prefix: prefix.parse().unwrap(), next });
    }
    std::fs::write(path, rib.image(3, 4).unwrap().bytes()).unwrap();
}

#[test]
fn tables_are_dumped_compared_checked_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (one, two, bad) = (path("one"), path("two"), path("bad"));
    write_table(Path::new(&one), 1);
    write_table(Path::new(&two), 2);
    write_table(Path::new(&bad), 9);
    let table = |args: &[&str]| {
        let ran = run(&[&["table"], args].concat(), "");
        (ran.code, ran.out, ran.err)
    };

    let (code, out, _) = table(&["dump", &one]);
    let want = "VRF  PREFIX       NEXT HOP\n\
                7    0.0.0.0/0    unreachable\n\
                7    10.1.0.0/16  adjacency 1\n\
                7    10.1.2.0/24  adjacency 2\n\
                7    10.1.2.3/32  adjacency 1\n";
    assert_eq!((code, out.as_str()), (0, want));
    assert_eq!(table(&["dump", &one, "--vrf", "8"]).1, "VRF  PREFIX  NEXT HOP\n");

    assert_eq!(table(&["diff", &one, &one]), (0, String::new(), String::new()));
    let (code, out, _) = table(&["diff", &one, &two]);
    assert_eq!(
        (code, out.as_str()),
        (3, "- vrf 7 10.1.2.3/32 adjacency 1\n+ vrf 7 10.1.2.3/32 adjacency 2\n")
    );

    let (code, out, _) = table(&["verify", &one]);
    assert_eq!((code, out.as_str()), (0, "4 routes of 1 vrfs: whole, apart, no loop, no dead end\n"));
    let (code, out, _) = table(&["verify", &bad]);
    assert_eq!((code, out.as_str()), (3, "route 10.1.2.3/32 of vrf 7 leads to nobody\n"));
    assert!(table(&["stats", &one]).1.contains("IPv4 hosts / slots / not at home     1 / 5 / 0\n"));

    let (_, out, _) = table(&["lookup", &one, "7", "10.1.2.3"]);
    assert!(
        out.contains("slot 0 is this host") && out.contains("10.1.2.3/32: adjacency at index 0"),
        "{out}"
    );
    let (_, out, _) = table(&["lookup", &one, "7", "10.1.9.9"]);
    assert!(out.contains("leaf at byte") && out.contains("10.1.0.0/16: adjacency at index 0"), "{out}");
    let (_, out, _) = table(&["lookup", &one, "7", "11.0.0.1"]);
    assert!(out.contains("default route at byte") && out.contains("0.0.0.0/0: drop, and tell"), "{out}");

    let mut bytes = std::fs::read(&one).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&bad, bytes).unwrap();
    let (code, _, err) = table(&["verify", &bad]);
    assert!(code == 1 && err.contains("checksum of a section of the fib image"), "{err}");
}

/// What stands for DevStack's functions: the process runs, and configuration is shown instead of written.
const DEVSTACK: &str = r#"
function disable_service { :; }
function enable_service { :; }
function install_package { echo "install $*"; }
function pip_install { echo "pip $*"; }
function cargo { echo "cargo $*"; }
function iniset { echo "iniset $*"; }
function die { echo "died: $*"; exit 1; }
function sudo { "$@"; }
function run_process { $2 >"$DEST/controller.log" 2>&1 & CONTROLLER=$!; }
function stop_process { kill "$CONTROLLER"; wait "$CONTROLLER"; }
set -eu
source "$PLUGIN/settings"
source "$PLUGIN/plugin.sh" stack install
source "$PLUGIN/plugin.sh" stack post-config
"$DRAGONFLOW_BIN" --server "$DRAGONFLOW_API" get chassis "$DRAGONFLOW_CHASSIS" -o json
source "$PLUGIN/plugin.sh" unstack x
source "$PLUGIN/plugin.sh" clean x
test ! -e "$DATA_DIR/dragonflow"
"#;

#[test]
fn the_devstack_plugin_starts_a_controller_with_its_chassis() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    std::fs::create_dir(dir.path().join("dragonflow")).unwrap();
    let output = Command::new("bash")
        .args(["-c", DEVSTACK])
        .env("PLUGIN", concat!(env!("CARGO_MANIFEST_DIR"), "/../devstack"))
        .env("DRAGONFLOW_BIN", BINARY)
        .env("DRAGONFLOW_API", &api)
        .env("DRAGONFLOW_CHASSIS", "compute1")
        .env("DRAGONFLOW_OVSDB", format!("unix:{}", dir.path().join("nowhere.sock").display()))
        .env("DRAGONFLOW_BRIDGE_MAPPINGS", "public:br-ex,other:br-2")
        .envs([("DEST", dir.path()), ("DATA_DIR", &dir.path().join("data"))])
        .envs([
            ("HOST_IP", "192.0.2.11"),
            ("STACK_USER", "stack"),
            ("Q_PLUGIN_CONF_FILE", "etc/ml2_conf.ini"),
        ])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains(&format!("iniset /etc/ml2_conf.ini dragonflow controller_url {api}\n")), "{out}");
    let chassis: serde_json::Value = serde_json::from_str(&out[out.find("\n{").unwrap()..]).unwrap();
    let mappings = serde_json::json!({"public": "br-ex", "other": "br-2"});
    assert_eq!(chassis["spec"]["bridge_mappings"], mappings);
    assert_eq!(chassis["spec"]["encap_ips"], serde_json::json!(["192.0.2.11"]));
}
