//! A cloud on real switches with the controller as its users run it.

use anyhow::{Context as _, Result, ensure};
use benches::{
    api::Api,
    cloud::{Cloud, chassis_id},
    process::settle,
    wire::Wire,
};
use controller::{
    compile::Compiler,
    model::{Object, Port},
    store::{DiskBackend, Store, Transaction},
};
use lab::{Daemon, Hypervisor, Lab, Process, Vm, VmSpec, frame::Path as Way, wait_for};
use packet::MacAddr;
use std::{
    fs,
    net::IpAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// Where a host's switch finds the controller.
pub(crate) const OPENFLOW_SOCKET: &str = "dragonflow.sock";
/// How long anything may take before a run is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first hosts of a cloud, with switches; further hosts are only in the model.
pub(crate) struct Rig {
    pub(crate) cloud: Cloud,
    pub(crate) hosts: Vec<Hypervisor>,
    controller: Option<Process>,
    starts: u32,
    // Last: everything above lives in it.
    lab: Lab,
}

impl Rig {
    /// Plugs all ports of the first `real` hosts in and fills the store with the cloud and `more` ports; the
    /// controller does not run yet.
    pub(crate) fn new(prefix: &str, cloud: Cloud, real: u32, more: &[Port]) -> Result<Self> {
        let lab = Lab::new(prefix)?;
        let mut hosts = Vec::new();
        for index in 0..real {
            let host = lab.hypervisor(&format!("hv{index}"))?;
            let ports: Vec<String> = cloud.ports_on(index).map(|port| port.to_string()).collect();
            host.add_bulk_ports("b", &ports)?;
            hosts.push(host);
        }
        let rig = Self { cloud, hosts, controller: None, starts: 0, lab };
        let store = Store::open(DiskBackend::open(&rig.store(), 1000)?)?;
        let ports = more.iter().cloned().map(Object::Port);
        store.commit(Transaction::put(cloud.objects().into_iter().chain(ports)))?;
        Ok(rig)
    }

    /// Plugs ports in that nothing is behind.
    pub(crate) fn plug(&self, host: usize, ports: &[Port]) -> Result<()> {
        let ids: Vec<String> = ports.iter().map(|port| port.id.to_string()).collect();
        self.host(host)?.add_bulk_ports("x", &ids)
    }

    /// A VM for a port of the cloud, plugged in; silent if only raw frames shall speak for it.
    pub(crate) fn vm(&self, name: &str, port: &Port, host: usize, silent: bool) -> Result<Vm> {
        let mut spec = VmSpec::new(name, &port.mac.to_string(), &[], &[])?;
        spec.port_id = port.id.to_string();
        spec.silent = silent;
        for fixed in &port.fixed_ips {
            let (length, gateway) = match fixed.ip {
                IpAddr::V4(ip) => (16, IpAddr::V4((ip.to_bits() & 0xffff_0000 | 1).into())),
                IpAddr::V6(ip) => (64, IpAddr::V6((ip.to_bits() >> 64 << 64 | 1).into())),
            };
            spec.addresses.push(format!("{}/{length}", fixed.ip).parse()?);
            spec.gateways.push(gateway);
        }
        let vm = self.lab.vm(spec)?;
        vm.attach(self.host(host)?)?;
        Ok(vm)
    }

    /// How a port sends to another across the first tenant's router.
    pub(crate) fn way(&self, from: &Port, to: &Port) -> Result<Way> {
        let ip = |port: &Port| port.fixed_ips.first().map(|fixed| fixed.ip).context("a port without address");
        Ok(Way::new(from.mac, self.router_mac(from)?, ip(from)?, ip(to)?))
    }

    fn router_mac(&self, port: &Port) -> Result<MacAddr> {
        let mut compiler = Compiler::new(1);
        compiler
            .apply(&Cloud { chassis: 1, ports: 2 * self.cloud.ports_per_network, ..self.cloud }.changes());
        let view = compiler.view();
        let router = view.routers_on(&port.network).next().context("no router on the port's network")?;
        let leg = view.legs(router).find(|leg| leg.network.spec.id == port.network);
        Ok(leg.context("no leg on the port's network")?.mac)
    }

    pub(crate) fn host(&self, index: usize) -> Result<&Hypervisor> {
        self.hosts.get(index).with_context(|| format!("no host {index}"))
    }

    /// Starts the controller; returns when its process runs, not when it answers.
    pub(crate) fn start_controller(&mut self) -> Result<()> {
        ensure!(self.controller.is_none(), "the controller runs already");
        let config = self.lab.dir().join("dragonflow.toml");
        fs::write(&config, self.config()).context("write the controller's configuration")?;
        let mut command = Command::new(lab::cloud::dragonflow()?);
        command.arg("controller").arg("--config").arg(config);
        self.starts += 1;
        self.controller = Some(self.lab.spawn(&format!("controller-{}", self.starts), command)?);
        Ok(())
    }

    /// Open vSwitch connects only to sockets in its own run directory, so there is one for each host.
    fn config(&self) -> String {
        let (mut listen, mut chassis) = (Vec::new(), String::new());
        for (index, host) in (0..).zip(&self.hosts) {
            let id = chassis_id(index).to_string();
            let socket = format!("unix:{}", host.rundir().join(OPENFLOW_SOCKET).display());
            chassis += &format!(
                "\n[[chassis]]\nid = {id:?}\novsdb = \"unix:{}\"\ndatapath_type = \"netdev\"\n\
                 openflow_target = {socket:?}\n",
                host.db_sock().display()
            );
            listen.push(socket);
        }
        let (store, api) = (self.store(), format!("unix:{}", self.api_path().display()));
        format!(
            "[store]\npath = {store:?}\n\n[api]\nlisten = [{api:?}]\n\n[openflow]\nlisten = {listen:?}\n{chassis}"
        )
    }

    /// Ends the controller as `kill -9` does.
    pub(crate) fn kill_controller(&mut self) -> Result<()> {
        self.controller.take().context("the controller does not run")?.kill9()
    }

    /// The controller's process.
    pub(crate) fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.controller.as_ref().context("the controller does not run")?.pid())?)
    }

    /// A connection to the API, as soon as it answers.
    pub(crate) fn api(&self) -> Result<Api> {
        let mut api = None;
        wait_for("the controller to listen", PATIENCE, || {
            api = Api::connect(&self.api_path()).ok();
            Ok(api.is_some())
        })?;
        api.context("no API")
    }

    /// Waits until the controller says that every switch holds the whole model, and is right. Not until it says that
    /// all is well: it finds fault with ports that nothing is behind.
    pub(crate) fn wait_healthy(&self) -> Result<()> {
        let mut api = self.api()?;
        let mut last = serde_json::Value::Null;
        let healthy = wait_for("a healthy status", PATIENCE, || {
            last = api.status()?;
            Ok(is_held(&last) && self.flows_told(&last)? == self.flow_counts()?)
        });
        healthy.with_context(|| format!("status {:.1000}", last.to_string())).map(drop)
    }

    /// How many flows each host shall have, by the status; those that are in the model only are left out.
    fn flows_told(&self, status: &serde_json::Value) -> Result<Vec<u64>> {
        let chassis = status.get("chassis").and_then(serde_json::Value::as_array).context("no chassis")?;
        let flows = chassis.iter().map(|one| one.get("flows").and_then(serde_json::Value::as_u64));
        flows.collect::<Option<Vec<_>>>().context("no flows in a status")
    }

    fn flow_counts(&self) -> Result<Vec<u64>> {
        self.hosts.iter().map(|host| Wire::open(host)?.flow_count()).collect()
    }

    /// Waits until switches and controller have nothing left to do.
    pub(crate) fn settle(&self) -> Result<()> {
        for host in &self.hosts {
            settle(host.pid(Daemon::Vswitchd)?, Duration::from_secs(20))?;
        }
        if self.controller.is_some() {
            settle(self.pid()?, Duration::from_secs(20))?;
        }
        Ok(())
    }

    /// Makes the switches forget everything, as if no controller had ever been: without one they flush all flows.
    pub(crate) fn forget(&self) -> Result<()> {
        for host in &self.hosts {
            host.ovs_vsctl(&["del-controller", "br-int"])?;
            for what in ["del-flows", "del-groups", "del-meters"] {
                host.ovs_ofctl(&[what, "br-int"])?;
            }
            ensure!(Wire::open(host)?.flow_count()? == 0, "flows are left");
        }
        self.settle()
    }

    /// Ends without printing logs: all went well.
    pub(crate) fn done(self) {
        self.lab.quiet();
    }

    fn store(&self) -> PathBuf {
        self.lab.dir().join("store.redb")
    }

    fn api_path(&self) -> PathBuf {
        self.lab.dir().join("api.sock")
    }
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Waits for a moment given as a time since another.
pub(crate) fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Whether every switch was seen to hold the newest revision of the model.
fn is_held(status: &serde_json::Value) -> bool {
    let newest = status.get("revision").and_then(serde_json::Value::as_u64);
    let chassis = status.get("chassis").and_then(serde_json::Value::as_array);
    newest.is_some()
        && chassis.is_some_and(|all| {
            all.iter().all(|one| one.get("revision").and_then(serde_json::Value::as_u64) == newest)
        })
}
