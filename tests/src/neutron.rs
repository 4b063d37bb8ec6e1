//! A real Neutron in front of a lab's controller: MariaDB, the API under uwsgi, and workers, driven by openstacksdk.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{Cloud, Hypervisor, Lab, Vm, VmSpec, cloud::PATIENCE, wait_for};

/// Environment variable that names a Python environment with Neutron; without it, the one that setup made.
const VENV: &str = "DRAGONFLOW_NEUTRON_VENV";

/// A running Neutron. Everything of it goes when it is dropped.
#[derive(Debug)]
pub struct Neutron {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Neutron {
    /// Starts the database, the API and one worker, "a", for the controller at a URL, which asks for its token;
    /// `options` are more lines of the section `[dragonflow]`.
    ///
    /// # Errors
    /// Python's environment is missing, or something does not start.
    pub fn start(cloud: &Cloud, controller: &str, options: &str) -> Result<Self> {
        let mut neutron = Self::prepare(cloud, controller, options)?;
        neutron.ask(json!({"do": "start_worker", "name": "a"}))?;
        neutron.ask(json!({"do": "start_api"}))?;
        Ok(neutron)
    }

    /// Only the database, and configuration.
    ///
    /// # Errors
    /// Python's environment is missing, or the database does not start.
    pub fn prepare(cloud: &Cloud, controller: &str, options: &str) -> Result<Self> {
        let (lab, pki) = (cloud.lab(), cloud.pki()?);
        let directory = lab.dir().join("neutron");
        std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let log = directory.join("stack.log");
        let mut command = Command::new(venv()?.join("bin/python"));
        command.args(["-m", "networking_dragonflow.tests.cloud.stack"]);
        command.arg(&directory).arg(controller).arg(cache());
        let [tokens, authority] = ["tokens", "ca.pem"].map(|file| pki.path(file).display().to_string());
        command.arg(format!("token_file = {tokens}\nca_file = {authority}\n{options}"));
        lab.mark(&mut command);
        let out = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(out);
        let mut child = command.spawn().context("start Neutron's stack")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut neutron = Self { child, input, output, log };
        neutron.answer()?;
        Ok(neutron)
    }

    /// A command of `stack.py`, and its answer.
    ///
    /// # Errors
    /// What Python says, with its traceback.
    pub fn ask(&mut self, command: Value) -> Result<Value> {
        let input = self.input.as_mut().context("no standard input")?;
        writeln!(input, "{command}").with_context(|| format!("send {command}"))?;
        self.answer().with_context(|| format!("for {command}"))
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line).context("read an answer")? == 0 {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("Neutron's stack ended: {log}");
        }
        let mut answer: Value =
            serde_json::from_str(&line).with_context(|| format!("read the answer {line}"))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("{error}"),
            None => Ok(answer["ok"].take()),
        }
    }

    /// A method of openstacksdk's network proxy.
    ///
    /// # Errors
    /// As the API says.
    pub fn sdk(&mut self, call: &str, args: Value) -> Result<Value> {
        self.ask(json!({"do": "sdk", "call": call, "args": args}))
    }

    /// The same, of what it made only the id.
    ///
    /// # Errors
    /// As the API says.
    pub fn create(&mut self, call: &str, args: Value) -> Result<String> {
        let made = self.sdk(call, args)?;
        Ok(made["id"].as_str().with_context(|| format!("{call} made {made}"))?.to_owned())
    }

    /// The status of a port.
    ///
    /// # Errors
    /// As the API says.
    pub fn port_status(&mut self, port: &str) -> Result<String> {
        let port = self.sdk("get_port", json!({"port": port}))?;
        Ok(port["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a port has a status.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn wait_port(&mut self, port: &str, status: &str) -> Result<()> {
        wait_for(&format!("port {port} {status}"), PATIENCE, || Ok(self.port_status(port)? == status))?;
        Ok(())
    }

    /// Runs `dragonflow-neutron-sync`: its status and its words.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn sync(&mut self, option: &str) -> Result<(i64, String)> {
        let answer = self.ask(json!({"do": "sync", "args": [option]}))?;
        let text = answer[1].as_str().unwrap_or_default();
        let ours = text.lines().filter(|line| !line.contains(" INFO ")).collect::<Vec<_>>().join("\n");
        Ok((answer[0].as_i64().context("no status")?, ours))
    }

    /// Waits until the journal is empty and the controller equals Neutron.
    ///
    /// # Errors
    /// It does not come to that; the difference is in the text.
    pub fn wait_equal(&mut self) -> Result<()> {
        wait_for("an empty journal", PATIENCE, || Ok(self.ask(json!({"do": "journal"}))? == 0))?;
        let mut last = String::new();
        let equal = wait_for("a controller equal to Neutron", PATIENCE, || {
            let (status, text) = self.sync("--check")?;
            last = text;
            Ok(status == 0)
        });
        equal.with_context(|| last)?;
        Ok(())
    }

    /// Waits until so many chassis are alive.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn wait_chassis(&mut self, count: usize) -> Result<()> {
        wait_for(&format!("{count} chassis among the agents"), PATIENCE, || {
            let agents = self.sdk("agents", json!({"agent_type": "Dragonflow chassis"}))?;
            let alive = |agent: &&Value| agent["is_alive"] == true;
            Ok(agents.as_array().is_some_and(|agents| agents.iter().filter(alive).count() == count))
        })?;
        Ok(())
    }

    /// A VM for a port, plugged in where it is bound.
    ///
    /// # Errors
    /// The port is not bound, or the VM cannot be made.
    pub fn boot(&mut self, lab: &Lab, host: &Hypervisor, name: &str, port: &str) -> Result<Vm> {
        let port = self.sdk("get_port", json!({"port": port}))?;
        let text = |key: &str| port[key].as_str().with_context(|| format!("no {key} in {port}"));
        let mut spec = VmSpec::new(name, text("mac_address")?, &[], &[])?;
        spec.port_id = text("id")?.to_owned();
        for fixed in port["fixed_ips"].as_array().into_iter().flatten() {
            let subnet = self.sdk("get_subnet", json!({"subnet": fixed["subnet_id"]}))?;
            let block: IpNet = subnet["cidr"].as_str().context("no cidr")?.parse()?;
            let ip = fixed["ip_address"].as_str().context("no ip_address")?.parse()?;
            spec.addresses.push(IpNet::new(ip, block.prefix_len())?);
            if let Some(gateway) = subnet["gateway_ip"].as_str() {
                spec.gateways.push(gateway.parse()?);
            }
        }
        let vm = lab.vm(spec)?;
        vm.attach(host)?;
        Ok(vm)
    }
}

impl Drop for Neutron {
    fn drop(&mut self) {
        // The end of its input ends it, and it ends its processes.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Two hypervisors, a controller that listens by TCP, and a Neutron before it. The cloud has to outlive Neutron.
///
/// # Errors
/// Anything that stops it.
pub fn cloud(prefix: &str) -> Result<(Cloud, Neutron)> {
    cloud_with(prefix, "")
}

/// The same, with more options of Neutron's section `[dragonflow]`, a line each.
///
/// # Errors
/// Anything that stops it.
pub fn cloud_with(prefix: &str, options: &str) -> Result<(Cloud, Neutron)> {
    let (cloud, controller) = hosts(prefix)?;
    let mut neutron = Neutron::start(&cloud, &controller, options)?;
    neutron.wait_chassis(2)?;
    Ok((cloud, neutron))
}

/// Two hypervisors, and a controller; the URL where Neutron reaches it.
///
/// # Errors
/// Anything that stops it.
pub fn hosts(prefix: &str) -> Result<(Cloud, String)> {
    let mut cloud = Cloud::build(prefix, json!({"chassis": [{"id": "hv1"}, {"id": "hv2"}]}))?;
    for host in cloud.hosts.values() {
        host.ensure_br_int()?;
    }
    let controller = cloud.listen_https()?;
    cloud.start_controller()?;
    cloud.apply()?;
    cloud.wait_healthy()?;
    Ok((cloud, controller))
}

/// The directory of builds, which also holds what tests may make anew.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// Where databases are kept that every test begins with.
pub fn cache() -> PathBuf {
    target().join("neutron-cache")
}

/// The Python environment with Neutron.
///
/// # Errors
/// It was not made.
pub fn venv() -> Result<PathBuf> {
    let venv = std::env::var_os(VENV).map_or_else(|| target().join("neutron-venv"), PathBuf::from);
    if !venv.join("bin/uwsgi").is_file() {
        bail!("no Neutron in {}: run `cargo xtask setup`, or name another by {VENV}", venv.display());
    }
    Ok(venv)
}
