//! A whole Dragonflow: a topology, its hypervisors and VMs, and the controller as its users run it.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{Hypervisor, Lab, LabOptions, Process, Vm, VmSpec, pki::Pki, run, wait_for};

/// How long anything may take before a test gives up; nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the controller listens for switches, in the run directory of each.
const SOCKET: &str = "dragonflow.sock";

/// A topology that is up and running.
#[derive(Debug)]
pub struct Cloud {
    /// The hypervisors by the id of their chassis.
    pub hosts: BTreeMap<String, Hypervisor>,
    /// The VMs by the id of their port.
    pub vms: BTreeMap<String, Vm>,
    topology: Value,
    controller: Option<Process>,
    /// Where the controller listens besides its socket, by TLS and with a token.
    https: Option<(SocketAddr, Pki)>,
    starts: u32,
    openflow_socket: String,
    // Last: everything above lives in it.
    lab: Lab,
}

impl Cloud {
    /// Builds what a topology names, starts the controller, applies the topology and waits until all is wired.
    ///
    /// Chassis get the lab's VTEP addresses and the bridge `br-ex` for the physical network "physnet1"; a bound port
    /// becomes a VM with the port's addresses and its subnets' gateways.
    ///
    /// # Errors
    /// Anything that stops it, with what was under way.
    pub fn start(prefix: &str, topology: Value) -> Result<Self> {
        let mut cloud = Self::build(prefix, topology)?;
        cloud.start_controller()?;
        cloud.apply()?;
        cloud.wait_healthy()?;
        Ok(cloud)
    }

    /// The same without a controller.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn build(prefix: &str, mut topology: Value) -> Result<Self> {
        let lab = Lab::with(prefix, LabOptions::default())?;
        let mut hosts = BTreeMap::new();
        for chassis in objects_mut(&mut topology, "chassis") {
            let id = text(chassis, "id")?.to_owned();
            let host = lab.hypervisor(&id)?;
            set_default(chassis, "encap_ips", json!([host.vtep4().to_string()]));
            set_default(chassis, "bridge_mappings", json!({"physnet1": "br-ex"}));
            hosts.insert(id, host);
        }
        let mut cloud = Self {
            hosts,
            vms: BTreeMap::new(),
            topology,
            controller: None,
            https: None,
            starts: 0,
            openflow_socket: SOCKET.into(),
            lab,
        };
        for port in objects(&cloud.topology, "ports").cloned().collect::<Vec<_>>() {
            if port.get("chassis").is_some() {
                cloud.add_vm(&port)?;
            }
        }
        Ok(cloud)
    }

    /// A VM for a port of the topology, plugged in where the port is bound.
    fn add_vm(&mut self, port: &Value) -> Result<()> {
        let spec = self.vm_spec(port)?;
        let id = spec.port_id.clone();
        let host = self.host(text(port, "chassis")?)?.clone();
        host.ensure_br_int()?;
        let vm = self.lab.vm(spec)?;
        vm.attach(&host)?;
        self.vms.insert(id, vm);
        Ok(())
    }

    fn vm_spec(&self, port: &Value) -> Result<VmSpec> {
        let id = text(port, "id")?;
        let mut spec = VmSpec::new(id, text(port, "mac")?, &[], &[])?;
        for fixed in objects(port, "fixed_ips") {
            let subnet = self.object("subnets", text(fixed, "subnet")?)?;
            let block: IpNet = text(subnet, "cidr")?.parse()?;
            let ip: IpAddr = text(fixed, "ip")?.parse()?;
            spec.addresses.push(IpNet::new(ip, block.prefix_len())?);
            if let Some(gateway) = subnet.get("gateway_ip").and_then(Value::as_str) {
                let gateway: IpAddr = gateway.parse()?;
                if spec.gateways.iter().all(|other| other.is_ipv4() != gateway.is_ipv4()) {
                    spec.gateways.push(gateway);
                }
            }
        }
        let network = self.object("networks", text(port, "network")?)?;
        if let Some(mtu) = network.get("mtu").and_then(Value::as_u64) {
            spec.mtu = u32::try_from(mtu)?;
        }
        Ok(spec)
    }

    /// The topology as it was last applied.
    pub const fn topology(&self) -> &Value {
        &self.topology
    }

    /// The lab that it all lives in.
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A hypervisor by the id of its chassis.
    ///
    /// # Errors
    /// There is none.
    pub fn host(&self, chassis: &str) -> Result<&Hypervisor> {
        self.hosts.get(chassis).with_context(|| format!("no hypervisor for chassis {chassis}"))
    }

    /// A VM by the id of its port.
    ///
    /// # Errors
    /// There is none.
    pub fn vm(&self, port: &str) -> Result<&Vm> {
        self.vms.get(port).with_context(|| format!("no VM for port {port}"))
    }

    /// An object of the topology.
    ///
    /// # Errors
    /// There is none.
    pub fn object(&self, kind: &str, id: &str) -> Result<&Value> {
        let found =
            objects(&self.topology, kind).find(|object| object.get("id").and_then(Value::as_str) == Some(id));
        found.with_context(|| format!("no \"{id}\" among the {kind} of the topology"))
    }

    /// Changes the topology; [`Self::apply`] makes it so.
    ///
    /// # Errors
    /// There is no such object.
    pub fn edit(&mut self, kind: &str, id: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
        let is = |object: &&mut Value| object.get("id").and_then(Value::as_str) == Some(id);
        let object = objects_mut(&mut self.topology, kind).find(is);
        change(object.with_context(|| format!("no \"{id}\" among the {kind} of the topology"))?);
        Ok(())
    }

    /// Adds an object to the topology; a bound port becomes a VM at once.
    ///
    /// # Errors
    /// The VM cannot be made.
    pub fn add(&mut self, kind: &str, object: Value) -> Result<()> {
        if let Some(all) = self.topology.as_object_mut() {
            let list = all.entry(kind).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(object.clone());
            }
        }
        if kind == "ports" && object.get("chassis").is_some() {
            self.add_vm(&object)?;
        }
        Ok(())
    }

    /// Starts the controller for all hypervisors; it takes up what an earlier one stored.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub fn start_controller(&mut self) -> Result<()> {
        self.start_controller_by(&[])
    }

    /// The same by another program, whose arguments end with the controller's command.
    ///
    /// # Errors
    /// As [`Self::start_controller`].
    pub fn start_controller_by(&mut self, program: &[&str]) -> Result<()> {
        ensure!(self.controller.is_none(), "the controller runs already");
        let config = self.file("dragonflow.toml");
        fs::write(&config, self.config())?;
        let dragonflow = dragonflow()?;
        let words = program.iter().map(OsStr::new).chain([dragonflow.as_os_str()]);
        let words: Vec<&OsStr> = words.collect();
        let (first, rest) = words.split_first().context("there is the controller at least")?;
        let mut command = Command::new(first);
        command.args(rest).arg("controller").arg("--config").arg(config);
        self.starts += 1;
        self.controller = Some(self.lab.spawn(&format!("controller-{}", self.starts), command)?);
        wait_for("the controller to answer", PATIENCE, || {
            Ok(self.dragonflow(&["get", "chassis"])?.status.success())
        })?;
        Ok(())
    }

    /// The controller's configuration. Open vSwitch connects only to sockets in its own run directory, so there is one
    /// for each host.
    fn config(&self) -> String {
        let (mut listen, mut chassis) = (Vec::new(), String::new());
        for (id, host) in &self.hosts {
            let socket = |name: &str| format!("unix:{}", host.rundir().join(name).display());
            chassis += &format!(
                "\n[[chassis]]\nid = {id:?}\novsdb = \"unix:{}\"\ndatapath_type = \"netdev\"\nopenflow_target = {:?}\nfastpath = {:?}\n",
                host.db_sock().display(),
                socket(&self.openflow_socket),
                self.image(id)
            );
            listen.push(socket(SOCKET));
        }
        let store = self.file("store/store.redb");
        let mut api = vec![self.api()];
        let mut secrets = String::new();
        if let Some((address, pki)) = &self.https {
            api.push(format!("https://{address}"));
            let [key, certificate, tokens] =
                ["controller.key", "controller.pem", "tokens"].map(|f| pki.path(f));
            secrets =
                format!("private_key = {key:?}\ncertificate = {certificate:?}\ntoken_file = {tokens:?}\n");
        }
        format!(
            "[store]\npath = {store:?}\n\n[api]\nlisten = {api:?}\n{secrets}\n[openflow]\nlisten = {listen:?}\n{chassis}"
        )
    }

    /// Lets switches connect to another socket in their run directories than the controller's, `dragonflow.sock`:
    /// something that stands between the two. For controllers that are started later.
    pub fn set_openflow_socket(&mut self, name: &str) {
        self.openflow_socket = name.into();
    }

    /// The controller's process id.
    ///
    /// # Errors
    /// It does not run.
    pub fn controller_pid(&self) -> Result<u32> {
        Ok(self.controller.as_ref().context("the controller does not run")?.pid())
    }

    /// Has the controller listen by TLS, on loopback, from its next start on; the URL. It asks for the token in the file
    /// "tokens" of [`Self::pki`], and its authority is "ca" there.
    ///
    /// # Errors
    /// No port is free, or `openssl` fails.
    pub fn listen_https(&mut self) -> Result<String> {
        let free = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
        let address = free.local_addr().context("find a free port")?;
        let dir = self.file("pki");
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let pki = Pki::new(&dir)?;
        fs::write(pki.path("tokens"), "a-token-of-the-lab-0123456789\n").context("write a token")?;
        self.https = Some((address, pki));
        Ok(format!("https://{address}"))
    }

    /// The keys of the controller's API.
    ///
    /// # Errors
    /// It does not listen by TLS.
    pub fn pki(&self) -> Result<&Pki> {
        Ok(&self.https.as_ref().context("the controller does not listen by tls")?.1)
    }

    /// Kills the controller with SIGKILL.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_controller(&mut self) -> Result<()> {
        self.controller.take().context("the controller does not run")?.kill9()
    }

    /// Applies the topology as it is now, and what is not in it goes.
    ///
    /// # Errors
    /// The controller refuses it.
    pub fn apply(&self) -> Result<String> {
        let file = self.file("topology.json");
        fs::write(&file, serde_json::to_vec_pretty(&self.topology)?)?;
        self.dragonflow_ok(&["apply", "--prune", "-f", &file.display().to_string()])
    }

    /// Applies the topology, and leaves alone what is not in it: it may be Neutron's.
    ///
    /// # Errors
    /// The controller refuses it.
    pub fn apply_own(&self) -> Result<String> {
        let file = self.file("topology.json");
        fs::write(&file, serde_json::to_vec_pretty(&self.topology)?)?;
        self.dragonflow_ok(&["apply", "-f", &file.display().to_string()])
    }

    /// Waits until every chassis holds what it should.
    ///
    /// # Errors
    /// It does not come to that; the last status is in the text.
    pub fn wait_healthy(&self) -> Result<Duration> {
        let healthy =
            wait_for("a healthy status", PATIENCE, || Ok(self.dragonflow(&["status"])?.status.success()));
        healthy.with_context(|| self.dragonflow(&["status"]).map(|o| show(&o)).unwrap_or_default())
    }

    /// Runs the `dragonflow` command against the controller.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn dragonflow(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(dragonflow()?);
        command.arg("--server").arg(self.api()).args(args);
        command.output().context("run dragonflow")
    }

    /// Runs the `dragonflow` command; its standard output.
    ///
    /// # Errors
    /// It fails.
    pub fn dragonflow_ok(&self, args: &[&str]) -> Result<String> {
        let output = self.dragonflow(args)?;
        if !output.status.success() {
            bail!("dragonflow {} failed: {}", args.join(" "), show(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Where the controller's API is.
    pub fn api(&self) -> String {
        format!("unix:{}", self.file("api.sock").display())
    }

    /// Runs `dragonflow-datapath` on a host, with pins that go with the lab; its standard output.
    ///
    /// # Errors
    /// It fails.
    pub fn datapath(&self, chassis: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new(beside("dragonflow-datapath")?);
        command.arg("--pins").arg(self.pins(chassis)).args(args);
        self.host(chassis)?.netns().within(|| run(&mut command))
    }

    /// Puts the fast path of a host in front of its switch, tunnels included; what it says of the ports.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_fast_path(&self, chassis: &str) -> Result<String> {
        let image = self.fast_path_ready(chassis)?;
        self.datapath(chassis, &["run", "--once", "--underlay", "tun0", "--image", &image])
    }

    /// The same by a process that stays and follows the image; returns when it has attached to all ports.
    ///
    /// # Errors
    /// It does not start.
    pub fn follow_fast_path(&self, chassis: &str) -> Result<Process> {
        let image = self.fast_path_ready(chassis)?;
        let name = format!("xdp-{chassis}");
        let process =
            self.spawn_datapath(&name, chassis, &["run", "--underlay", "tun0", "--image", &image])?;
        let log = process.log().to_owned();
        let is_up = || Ok(fs::read_to_string(&log).is_ok_and(|text| text.contains("tun0")));
        wait_for("XDP on all ports", PATIENCE, is_up)?;
        Ok(process)
    }

    /// The same by AF_XDP: a process that serves all ports of the host when this returns.
    ///
    /// # Errors
    /// It does not start, or a port is left to the switch.
    pub fn start_afxdp(&self, chassis: &str) -> Result<Process> {
        let image = self.fast_path_ready(chassis)?;
        let args = ["run", "--mode", "afxdp", "--adaptive", "--underlay", "tun0", "--image", &image];
        let process = self.spawn_datapath(&format!("afxdp-{chassis}"), chassis, &args)?;
        let is_up = || -> Result<bool> {
            let status = self.datapath(chassis, &["status"])?;
            let mut ports = status.lines().filter(|line| line.contains("AF_XDP: ")).peekable();
            Ok(ports.peek().is_some() && ports.all(|line| !line.contains("not served")))
        };
        wait_for("AF_XDP on all ports", PATIENCE, is_up)?;
        Ok(process)
    }

    fn spawn_datapath(&self, name: &str, chassis: &str, args: &[&str]) -> Result<Process> {
        let mut command = Command::new(beside("dragonflow-datapath")?);
        command.arg("--pins").arg(self.pins(chassis)).args(args);
        self.host(chassis)?.netns().within(|| self.lab.spawn(name, command))
    }

    /// What the fast path needs before it starts; the image's path.
    fn fast_path_ready(&self, chassis: &str) -> Result<String> {
        let (host, image) = (self.host(chassis)?, self.image(chassis));
        // The kernel of a host whose tunnels it carries knows its neighbours; here Open vSwitch does that by itself.
        for other in self.hosts.values().filter(|other| other.name() != host.name()) {
            let (vtep, mac) = (other.vtep4(), other.underlay_mac());
            host.netns().ip(&format!("neigh replace {vtep} lladdr {mac} dev br-phys"))?;
        }
        // The controller writes it anew with everything that it hears of ports.
        let settled =
            || -> Result<bool> { Ok(image.metadata()?.modified()?.elapsed()? > Duration::from_millis(300)) };
        wait_for("an image at rest", PATIENCE, || Ok(settled().unwrap_or(false)))?;
        Ok(image.display().to_string())
    }

    /// Where the fast path of a host keeps its pins.
    pub fn pins(&self, chassis: &str) -> PathBuf {
        self.file(&format!("bpf-{chassis}"))
    }

    /// Where the controller keeps the image of a chassis for the fast path.
    pub fn image(&self, chassis: &str) -> PathBuf {
        self.file(&format!("{chassis}.image"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.lab.dir().join(name)
    }
}

/// The `dragonflow` binary that was built with this program.
///
/// # Errors
/// It was not built.
pub fn dragonflow() -> Result<PathBuf> {
    beside("dragonflow")
}

/// A binary that was built with this program.
///
/// # Errors
/// It was not built.
pub fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("no {name} beside {}: run cargo build --workspace --bins first", own.display())
    })
}

fn show(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    format!("{}\n{}", output.status, String::from_utf8_lossy(&both))
}

fn objects<'a>(of: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    of.get(kind).and_then(Value::as_array).into_iter().flatten()
}

fn objects_mut<'a>(of: &'a mut Value, kind: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    of.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten()
}

fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str> {
    object.get(key).and_then(Value::as_str).with_context(|| format!("no \"{key}\" in {object}"))
}

fn set_default(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.entry(key).or_insert(value);
    }
}

/// Reads a topology file, YAML as operators write it.
///
/// # Errors
/// The file cannot be read.
pub fn read_topology(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_yaml_ng::from_str(&text).with_context(|| format!("parse {}", path.display()))
}
