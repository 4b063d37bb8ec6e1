//! What goes wrong in life, on the whole system: each is told in words that say what to do, and nothing that runs is
//! taken away.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use controller::pipeline::Table;
use lab::{
    Cloud, Hypervisor, Lab, Process,
    cloud::{PATIENCE, dragonflow},
    pki::Pki,
    topologies::{overlay, two_tenants},
    wait_for,
};
use serde_json::json;

fn topology() -> serde_json::Value {
    two_tenants(overlay("vxlan", 1001), overlay("gre", 1002), overlay("vxlan", 1003))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// A controller in the namespace of its only hypervisor, where it can be reached by TCP.
struct Alone {
    host: Hypervisor,
    controller: Option<Process>,
    starts: u32,
    lab: Lab,
}

impl Alone {
    fn new(prefix: &str) -> Result<Self> {
        let lab = Lab::new(prefix)?;
        let host = lab.hypervisor("hv1")?;
        host.ensure_br_int()?;
        Ok(Self { host, controller: None, starts: 0, lab })
    }

    fn start(&mut self, config: &str) -> Result<()> {
        self.controller = None;
        let file = self.lab.dir().join("dragonflow.toml");
        let head = format!("store.path = \"memory\"\napi.listen = [\"{}\"]\n", self.api());
        fs::write(&file, head + config)?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.host.netns().name()]).arg(dragonflow()?);
        command.arg("controller").arg("--config").arg(file);
        self.starts += 1;
        self.controller = Some(self.lab.spawn(&format!("controller-{}", self.starts), command)?);
        wait_for("the controller to answer", PATIENCE, || {
            Ok(self.run(&["get", "chassis"])?.status.success())
        })?;
        Ok(())
    }

    fn api(&self) -> String {
        format!("unix:{}", self.lab.dir().join("api.sock").display())
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(Command::new(dragonflow()?).arg("--server").arg(self.api()).args(args).output()?)
    }

    /// Waits for a status with all these words, which is not a healthy one.
    fn expect_status(&self, words: &[&str]) -> Result<()> {
        let mut last = String::new();
        let told = wait_for("such a status", PATIENCE, || {
            let output = self.run(&["status"])?;
            last = text(&output);
            Ok(output.status.code() == Some(3) && words.iter().all(|word| last.contains(word)))
        });
        told.map(drop).with_context(|| format!("want {words:?} in\n{last}"))
    }

    fn expect_healthy(&self) -> Result<()> {
        let mut last = String::new();
        let healthy = wait_for("a healthy status", PATIENCE, || {
            let output = self.run(&["status"])?;
            last = text(&output);
            Ok(output.status.success())
        });
        healthy.map(drop).with_context(|| last)
    }
}

const ONE_NETWORK: &str = "
chassis: [{ id: hv1, encap_ips: [192.0.2.1] }]
networks: [{ id: web, segment: { type: vxlan, id: 1 } }]
subnets: [{ id: web4, network: web, cidr: 10.0.0.0/24 }]
";

/// The entry of the configuration for the only chassis; more lines may follow.
fn chassis(ovsdb: &str) -> String {
    format!("\n[[chassis]]\nid = \"hv1\"\novsdb = {ovsdb:?}\ndatapath_type = \"netdev\"\n")
}

#[test]
fn wrong_certificates_are_told_and_right_ones_help() -> Result<()> {
    let mut rig = Alone::new("acctls")?;
    let (host, pki) = (rig.host.clone(), Pki::new(&rig.lab.dir())?);
    let file = |name: &str| pki.path(name).display().to_string();
    let config = format!(
        "openflow.listen = [\"ssl:127.0.0.1:6653\"]\n\n[tls]\nprivate_key = {:?}\ncertificate = {:?}\n\
         ca_certificate = {:?}\n{}",
        file("controller.key"),
        file("controller.pem"),
        file("ca.pem"),
        chassis(&format!("unix:{}", host.db_sock().display()))
    );
    let set_ssl = |name: &str, authority: &str| {
        let args = pki.set_ssl(name, authority);
        host.ovs_vsctl(&args.each_ref().map(String::as_str))
    };
    // Without keys the switch cannot even try.
    rig.start(&config)?;
    rig.expect_status(&[
        "target ssl:127.0.0.1:6653 needs TLS but Open vSwitch has no keys",
        "ovs-vsctl set-ssl",
    ])?;
    // A switch that our authority did not sign for.
    set_ssl("stranger", "ca")?;
    rig.expect_status(&[
        "chassis hv1: openflow not connected",
        "ssl:127.0.0.1:",
        "UnknownIssuer",
        "ovs-vsctl get-ssl",
    ])?;
    // A switch that does not believe our authority.
    set_ssl("switch", "other-ca")?;
    rig.expect_status(&[
        "chassis hv1: openflow not connected",
        "ssl:127.0.0.1:",
        "alert",
        "ovs-vsctl get-ssl",
    ])?;
    set_ssl("switch", "ca")?;
    rig.expect_healthy()
}

/// From another host: by https, with a token, and with an authority that is believed; and nothing less will do.
#[test]
fn the_command_line_goes_through_tls_with_a_token() -> Result<()> {
    let mut cloud = Cloud::build("atls", topology())?;
    let server = cloud.listen_https()?;
    cloud.start_controller()?;
    let file = |name: &str| Ok::<_, anyhow::Error>(cloud.pki()?.path(name).display().to_string());
    let (tokens, ca, other) = (file("tokens")?, file("ca.pem")?, file("other-ca.pem")?);
    let wrong = cloud.lab().dir().join("wrong-token");
    fs::write(&wrong, "a-token-that-is-none-0000\n")?;
    let wrong = wrong.display().to_string();

    let remote = |flags: &[&str]| -> Result<Output> {
        let mut command = Command::new(dragonflow()?);
        command.args(["--server", &server]).args(flags).args(["get", "networks"]);
        command.output().context("run dragonflow")
    };
    let good = remote(&["--ca-file", &ca, "--token-file", &tokens])?;
    ensure!(good.status.success(), "{}", text(&good));
    ensure!(text(&good) == "no networks\n", "{}", text(&good));
    let expect = |flags: &[&str], code: i32, words: &str| -> Result<()> {
        let ran = remote(flags)?;
        ensure!(ran.status.code() == Some(code) && text(&ran).contains(words), "{flags:?}: {}", text(&ran));
        Ok(())
    };
    expect(&["--ca-file", &ca], 1, "no valid token")?;
    expect(&["--ca-file", &ca, "--token-file", &wrong], 1, "no valid token")?;
    expect(&["--ca-file", &other, "--token-file", &tokens], 4, "--ca-file")?;
    expect(&["--token-file", &tokens], 4, "--ca-file")?;
    expect(&["--ca-file", &tokens, "--token-file", &tokens], 2, "no certificate of an authority in")?;
    expect(&["--ca-file", &ca, "--client-cert", &ca], 2, "--client-key")?;

    let mut command = Command::new(dragonflow()?);
    command
        .env("DRAGONFLOW_SERVER", &server)
        .env("DRAGONFLOW_CA_FILE", &ca)
        .env("DRAGONFLOW_TOKEN_FILE", &tokens);
    let by_environment = command.args(["status", "-o", "json"]).output()?;
    ensure!(text(&by_environment).starts_with('{'), "{}", text(&by_environment));
    Ok(())
}

#[test]
fn an_unreachable_open_vswitch_is_told_and_waited_for() -> Result<()> {
    let mut rig = Alone::new("accfar")?;
    let host = rig.host.clone();
    let socket = format!("unix:{}", host.rundir().join("dragonflow.sock").display());
    let config = |ovsdb: &str| {
        format!("openflow.listen = [{socket:?}]\n{}openflow_target = {socket:?}\n", chassis(ovsdb))
    };
    rig.start(&config("tcp:127.0.0.1:6640"))?;
    rig.expect_status(&[
        "chassis hv1: ovsdb not connected: cannot connect to tcp:127.0.0.1:6640: Connection refused",
        "start ovsdb-server",
    ])?;
    // Those who wait for it are told the same, and how long they waited.
    fs::write(rig.lab.dir().join("one.yaml"), ONE_NETWORK)?;
    let one = rig.lab.dir().join("one.yaml").display().to_string();
    let waited = rig.run(&["apply", "-f", &one, "--wait", "--timeout", "1"])?;
    ensure!(waited.status.code() == Some(3), "{}", text(&waited));
    let told = text(&waited);
    for words in [
        "revision 3",
        "1s",
        "hv1: ovsdb not connected: cannot connect to tcp:127.0.0.1:6640",
        "dragonflow status",
    ] {
        ensure!(told.contains(words), "no {words:?} in\n{told}");
    }
    // It begins to listen there, and nobody has to tell the controller.
    host.ovs_vsctl(&["set-manager", "ptcp:6640:127.0.0.1"])?;
    rig.expect_healthy()?;
    let waited = rig.run(&["apply", "-f", &one, "--wait"])?;
    ensure!(
        waited.status.success() && text(&waited).contains("1 of 1 chassis is at revision 3"),
        "{}",
        text(&waited)
    );
    Ok(())
}

#[test]
fn flows_that_a_switch_refuses_are_named_and_the_others_forward() -> Result<()> {
    let mut cloud = Cloud::start("accref", topology())?;
    let host = cloud.host("hv1")?.clone();
    // Not one more flow in the table of MACs than there is.
    let lookup = Table::LsInL2Lkup as u8;
    let dump = host.ovs_ofctl(&["--no-stats", "dump-flows", "br-int", &format!("table={lookup}")])?;
    let full = dump.lines().filter(|line| line.contains("actions=")).count();
    let limit = format!("flow_limit={full}");
    let table = format!("flow_tables:{lookup}=@full");
    let create = ["--id=@full", "create", "flow_table", &limit, "overflow_policy=refuse"];
    host.ovs_vsctl(&[&create[..], &["--", "set", "bridge", "br-int", &table]].concat())?;
    cloud.add(
        "ports",
        json!({
            "id": "db-3", "network": "db", "chassis": "hv1", "mac": "02:00:00:00:00:23",
            "fixed_ips": [{"subnet": "db-v4", "ip": "10.0.2.23"}],
        }),
    )?;
    cloud.apply()?;
    let mut last = String::new();
    wait_for("the refusal", PATIENCE, || {
        let output = cloud.dragonflow(&["status"])?;
        last = text(&output);
        let named = last.contains("chassis hv1: port db-3: the switch refused table=");
        Ok(output.status.code() == Some(3) && named && last.contains("TABLE_FULL"))
    })
    .with_context(|| last)?;
    for (from, to) in [("web-1", "db-2"), ("web-1", "db-1"), ("web-2", "db-1")] {
        let report = cloud.vm(from)?.ping(cloud.vm(to)?.v4()?, 3)?;
        ensure!(!report.none(), "{from} to {to}: {report:?}");
    }
    // Tried again by itself when there is room.
    host.ovs_vsctl(&["clear", "bridge", "br-int", "flow_tables"])?;
    cloud.wait_healthy()?;
    let new = cloud.vm("db-3")?.v4()?;
    wait_for("the new port", PATIENCE, || Ok(cloud.vm("web-2")?.ping(new, 1)?.all()))?;
    Ok(())
}

#[test]
fn a_connection_that_breaks_in_a_bundle_is_made_good_by_the_next() -> Result<()> {
    let mut cloud = Cloud::build("acccut", topology())?;
    cloud.set_openflow_socket("cut.sock");
    // What the switch of hv1 gets through before its connection breaks: less than a handshake, some of a dump, parts of
    // the bundle, all but the commit.
    let budgets = [8, 1_500, 6_000, 20_000];
    for (id, host) in &cloud.hosts {
        let budgets: &[usize] = if id == "hv1" { &budgets } else { &[] };
        cut(host.rundir().to_owned(), budgets.to_vec())?;
    }
    cloud.start_controller()?;
    cloud.apply()?;
    cloud.wait_healthy()?;
    for (from, to) in [("web-1", "db-2"), ("web-1", "db-1"), ("web-1", "web-2"), ("db-2", "web-1")] {
        let to = cloud.vm(to)?;
        for ip in [to.v4()?, to.v6()?] {
            wait_for("pings", PATIENCE, || Ok(cloud.vm(from)?.ping(ip, 1)?.all()))?;
        }
    }
    let host = cloud.host("hv1")?;
    let dump = host.ovs_ofctl(&["--no-stats", "dump-flows", "br-int"])?;
    let there = dump.lines().filter(|line| line.contains("actions=")).count() as u64;
    let status: serde_json::Value = serde_json::from_str(&cloud.dragonflow_ok(&["status", "-o", "json"])?)?;
    ensure!(status["chassis"][0]["flows"] == there, "{there} flows are there, {status:#}");
    Ok(())
}

/// Between the switch, which connects to `cut.sock`, and the controller: breaks connection after connection when so many
/// octets went to the switch, and lets those after them live.
fn cut(dir: PathBuf, budgets: Vec<usize>) -> Result<()> {
    let listener = UnixListener::bind(dir.join("cut.sock"))?;
    thread::spawn(move || {
        let mut budgets = budgets.into_iter();
        // Ends with the test's process.
        while let Ok((switch, _)) = listener.accept() {
            if let Ok(controller) = UnixStream::connect(dir.join("dragonflow.sock")) {
                relay(&switch, &controller, budgets.next().unwrap_or(usize::MAX));
            }
        }
    });
    Ok(())
}

fn relay(switch: &UnixStream, controller: &UnixStream, budget: usize) {
    let pass = |mut from: &UnixStream, mut to: &UnixStream, mut budget: usize| -> io::Result<()> {
        let mut buffer = [0; 4096];
        while budget > 0 {
            let most = budget.min(buffer.len());
            let len = from.read(&mut buffer[..most])?;
            to.write_all(&buffer[..len])?;
            budget = if len == 0 { 0 } else { budget - len };
        }
        for stream in [from, to] {
            stream.shutdown(std::net::Shutdown::Both)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // An end that was there first is no surprise.
        scope.spawn(|| drop(pass(switch, controller, usize::MAX)));
        drop(pass(controller, switch, budget));
    });
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_away() -> Result<()> {
    let mut cloud = Cloud::build("accdisk", topology())?;
    // A file system of its own, which goes with the process.
    let script = "mkdir -p \"$0\" && mount -t tmpfs -o size=8m none \"$0\" && exec \"$@\"";
    let disk = cloud.lab().dir().join("store");
    let disk_name = disk.display().to_string();
    cloud.start_controller_by(&["unshare", "--mount", "sh", "-c", script, &disk_name])?;
    cloud.apply()?;
    cloud.wait_healthy()?;
    let (from, to) = (cloud.vm("web-1")?, cloud.vm("db-2")?);
    wait_for("the first ping", PATIENCE, || Ok(from.ping(to.v4()?, 1)?.all()))?;
    let pinger = from.pinger(to.v4()?, Duration::from_millis(20))?;

    // Seen from outside, the file system is below the process.
    let inside = PathBuf::from(format!("/proc/{}/root", cloud.controller_pid()?));
    let ballast = inside.join(disk.strip_prefix("/")?).join("ballast");
    fill(&ballast)?;
    let many = cloud.lab().dir().join("many.json");
    let networks: Vec<_> = (0..5000)
        .map(|n| json!({"id": format!("extra-{n}"), "segment": overlay("vxlan", 5000 + n)}))
        .collect();
    fs::write(&many, json!({"networks": networks}).to_string())?;
    let many = many.display().to_string();
    let refused = cloud.dragonflow(&["apply", "-f", &many])?;
    let told = text(&refused);
    ensure!(refused.status.code() == Some(1), "{told}");
    for words in ["error: no space left for store", "store.redb", "free some space", "nothing was changed"] {
        ensure!(told.contains(words), "no {words:?} in\n{told}");
    }
    // What was there is there, can be asked for, and forwards.
    cloud.wait_healthy()?;
    ensure!(!cloud.dragonflow_ok(&["get", "networks"])?.contains("extra-"));
    fs::remove_file(&ballast)?;
    let taken = cloud.dragonflow(&["apply", "-f", &many])?;
    // The file system is small: what fits fits, else it is refused as before.
    ensure!(taken.status.success() || text(&taken).contains("no space left"), "{}", text(&taken));
    cloud.edit("ports", "blue-2", |port| port["port_security"] = json!(false))?;
    cloud.apply()?;
    cloud.wait_healthy()?;
    let report = pinger.stop()?;
    report.expect_no_loss()?;
    Ok(())
}

/// Writes until there is no room.
fn fill(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path).with_context(|| format!("make {}", path.display()))?;
    for size in [65_536, 4096, 1] {
        loop {
            match file.write_all(&vec![0; size]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
