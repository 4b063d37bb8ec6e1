//! Random histories of one switch: what operators, agents and we ourselves do to it, one after the other.
//!
//! The same history runs in memory and on a real server; what is there in the end must be the same. And at every point
//! the plan must be right: see `Check`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use bolero::TypeGenerator;
use ovsdb::{Operation, Options, Row, Value};

use super::{
    super::{
        ControllerTarget, OvsdbLink, RealLink, TunnelType, Wanted, Warning,
        observed::{InterfaceRow, Observed, PortRow},
        plan::plan,
        wanted::patch_names,
    },
    fake::{FakeDatabase, FakeLink},
    server,
};

const BRIDGES: [&str; 4] = ["br-int", "br-old", "br-ex", "br-p2"];
const PORTS: [&str; 8] = ["tap0", "eth1", "df-vxlan", "df-gre", "dfi-p1", "dfp-p1", "br-ex", "br-int"];
const NETWORKS: [&str; 3] = ["p1", "p2", "a physical network of a long name"];
const TARGETS: [&str; 4] = ["tcp:127.0.0.1:6653", "unix:/run/df.sock", "tcp:192.0.2.1:6653", "ptcp:6634"];
const TYPES: [&str; 3] = ["", "system", "netdev"];

/// One thing that happens; numbers choose from the lists above.
#[derive(Debug, Clone, TypeGenerator)]
pub(super) enum Step {
    Want { bridge: bool, datapath_type: u8, target: bool, encap: u8, tunnels: [bool; 3], networks: [u8; 3] },
    AddBridge(u8),
    DeleteBridge(u8),
    AddPort(u8, u8),
    DeletePort(u8),
    AddController(u8, u8),
    DeleteControllers(u8),
    SetFailMode(u8, bool),
    SetDatapathType(u8, u8),
    SetProtocols(u8, bool),
    SetInBand(u8, bool),
    SetOptions(u8),
    Unmark(u8),
    MovePort(u8, u8),
}

fn pick<'a>(list: &[&'a str], n: u8) -> &'a str {
    list[usize::from(n) % list.len()]
}

impl Step {
    fn wanted(&self) -> Option<Wanted> {
        let Self::Want { bridge, datapath_type, target, encap, tunnels, networks } = self else {
            return None;
        };
        let mut provider_bridges = BTreeMap::new();
        for (network, n) in NETWORKS.iter().zip(networks) {
            let name = pick(&BRIDGES, *n);
            if n % 3 != 0 && !provider_bridges.values().any(|taken| taken == name) {
                provider_bridges.insert((*network).to_owned(), name.to_owned());
            }
        }
        let bridge = if *bridge { "br-int" } else { "br-old" };
        provider_bridges.retain(|_, name| name != bridge);
        let tunnels =
            TunnelType::ALL.into_iter().zip(tunnels).filter(|(_, on)| **on).map(|(tunnel, _)| tunnel);
        let wanted = Wanted {
            bridge: bridge.into(),
            datapath_type: (datapath_type % 2 == 0).then(|| pick(&TYPES, datapath_type / 2).to_owned()),
            controller: ControllerTarget::new(pick(&TARGETS, u8::from(*target))),
            encap_ip: match encap % 3 {
                0 => None,
                1 => Some([192, 0, 2, *encap].into()),
                _ => Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
            },
            tunnels: tunnels.collect(),
            provider_bridges,
        };
        wanted.validate().unwrap();
        Some(wanted)
    }

    /// `None` if this cannot be done now.
    fn operations(&self, observed: &Observed) -> Option<Vec<Operation>> {
        let bridge = |n: &u8| pick(&BRIDGES, *n);
        match self {
            Self::Want { .. } => None,
            Self::AddBridge(b) => observed.add_bridge(bridge(b)),
            Self::DeleteBridge(b) => observed.delete_bridge(bridge(b)),
            Self::AddPort(b, p) => observed.add_port(bridge(b), pick(&PORTS, *p), &[("iface-id", "x")]),
            Self::DeletePort(p) => observed.delete_port(pick(&PORTS, *p)),
            Self::AddController(b, t) => observed.add_controller(bridge(b), pick(&TARGETS, *t)),
            Self::DeleteControllers(b) => observed.set_bridge(bridge(b), "controller", Value::empty()),
            Self::SetFailMode(b, set) => observed.set_bridge(
                bridge(b),
                "fail_mode",
                if *set { "standalone".into() } else { Value::empty() },
            ),
            Self::SetDatapathType(b, t) => observed.set_bridge(bridge(b), "datapath_type", pick(&TYPES, *t)),
            Self::SetProtocols(b, few) => {
                let protocols = if *few { Value::set(["OpenFlow10", "OpenFlow14"]) } else { Value::empty() };
                observed.set_bridge(bridge(b), "protocols", protocols)
            }
            Self::SetInBand(b, unset) => {
                let value = if *unset {
                    Value::map([("hwaddr", "02:00:00:00:00:01")])
                } else {
                    Value::map([("disable-in-band", "false")])
                };
                observed.set_bridge(bridge(b), "other_config", value)
            }
            Self::SetOptions(p) => {
                let options = Value::map([("remote_ip", "192.0.2.9")]);
                observed.set_interface(pick(&PORTS, *p), Row::default().with("options", options))
            }
            Self::Unmark(p) => {
                let (uuid, _) = observed.port(pick(&PORTS, *p))?;
                let none = Value::map::<&str, &str>([]);
                Some(vec![Operation::update("Port", uuid, Row::default().with("external_ids", none))])
            }
            Self::MovePort(p, b) => {
                let (uuid, _) = observed.port(pick(&PORTS, *p))?;
                let mut operations = observed.delete_port(pick(&PORTS, *p))?;
                let (to, _) = observed.bridge(bridge(b))?;
                operations.push(Operation::mutate(
                    "Bridge",
                    to,
                    vec![ovsdb::Mutation::insert("ports", uuid)],
                ));
                Some(operations)
            }
        }
    }
}

/// A switch, seen through any link.
pub(super) struct Switch<L> {
    pub(super) link: L,
    pub(super) observed: Observed,
}

impl<L: OvsdbLink> Switch<L> {
    pub(super) async fn connect(mut link: L) -> Self {
        let mut observed = Observed::default();
        observed.apply(&link.connect().await.unwrap());
        Self { link, observed }
    }

    /// False if the database refuses.
    pub(super) async fn change(&mut self, operations: &[Operation]) -> bool {
        let result = self.link.transact(operations).await;
        assert!(matches!(result, Ok(()) | Err(ovsdb::Error::Transact { .. })), "{result:?}");
        self.observed.apply(&self.link.arrived().unwrap());
        result.is_ok()
    }

    /// Does a step, and then what we would do about it.
    async fn step(&mut self, step: &Step, wanted: &mut Wanted) -> bool {
        let done = match (step.wanted(), step.operations(&self.observed)) {
            (Some(wish), _) => {
                *wanted = wish;
                true
            }
            (None, Some(operations)) => self.change(&operations).await,
            (None, None) => false,
        };
        let before = self.observed.clone();
        let planned = plan(&before, wanted);
        if !planned.operations.is_empty() {
            let result = self.link.transact(&planned.operations).await;
            let text: Vec<_> =
                planned.operations.iter().map(|operation| operation.to_json().to_string()).collect();
            result.unwrap_or_else(|err| panic!("{err:?}: {text:#?}"));
            self.observed.apply(&self.link.arrived().unwrap());
        }
        Check { before: &before, after: &self.observed, wanted, warnings: &planned.warnings }.all();
        done
    }
}

/// What must hold after a plan was carried out.
struct Check<'a> {
    before: &'a Observed,
    after: &'a Observed,
    wanted: &'a Wanted,
    warnings: &'a [Warning],
}

impl Check<'_> {
    fn all(&self) {
        let again = plan(self.after, self.wanted);
        assert_eq!(again.operations, [], "the second plan must be empty");
        assert_eq!(again.warnings, self.warnings);
        self.others_are_as_they_were();
        self.everything_wanted_is_there();
    }

    fn others_are_as_they_were(&self) {
        let (before, after) = (self.before, self.after);
        for (uuid, port) in before.ports.iter().filter(|(_, port)| port.role.is_none()) {
            assert_eq!(after.ports.get(uuid), Some(port));
            for uuid in &port.interfaces {
                assert_eq!(after.interfaces.get(uuid), before.interfaces.get(uuid));
            }
        }
        for (uuid, row) in before.controllers.iter().filter(|(_, row)| row.role.is_none()) {
            if row.target != self.wanted.controller.target {
                assert_eq!(after.controllers.get(uuid), Some(row));
            }
        }
        let foreign = |observed: &Observed, ports: &BTreeSet<_>| -> BTreeSet<_> {
            ports.iter().copied().filter(|uuid| observed.ports[uuid].role.is_none()).collect()
        };
        for (uuid, was) in before.bridges.iter().filter(|(_, bridge)| bridge.role.is_none()) {
            let is = after.bridges.get(uuid).unwrap_or_else(|| panic!("bridge {} is gone", was.name));
            assert_eq!(foreign(before, &was.ports), foreign(after, &is.ports));
            let mut expected = is.clone();
            expected.ports.clone_from(&was.ports);
            if is.name == self.wanted.bridge {
                assert!(is.protocols.is_superset(&was.protocols));
                expected.protocols.clone_from(&was.protocols);
                expected.fail_mode.clone_from(&was.fail_mode);
                expected.disable_in_band.clone_from(&was.disable_in_band);
                expected.controllers.clone_from(&was.controllers);
                if self.wanted.datapath_type.is_some() {
                    expected.datapath_type.clone_from(&was.datapath_type);
                }
            }
            assert_eq!(&expected, was);
        }
    }

    fn everything_wanted_is_there(&self) {
        let taken = |name: &str| {
            self.warnings
                .iter()
                .any(|warning| matches!(warning, Warning::NameTaken { name: n, .. } if n == name))
        };
        let wanted = self.wanted;
        let Some((_, bridge)) = self.after.bridge(&wanted.bridge) else {
            return assert!(taken(&wanted.bridge), "no bridge and no warning");
        };
        assert_eq!(bridge.fail_mode.as_deref(), Some("secure"));
        assert_eq!(bridge.disable_in_band.as_deref(), Some("true"));
        assert!(bridge.protocols.contains("OpenFlow13"));
        let controllers: Vec<_> =
            bridge.controllers.iter().map(|uuid| &self.after.controllers[uuid]).collect();
        assert!(
            controllers
                .iter()
                .any(|row| row.target == wanted.controller.target && row.max_backoff == Some(1000))
        );
        let strangers = controllers
            .iter()
            .filter(|row| row.target != wanted.controller.target && !row.target.starts_with('p'));
        let warned =
            self.warnings.iter().filter(|warning| matches!(warning, Warning::ForeignController { .. }));
        assert_eq!(strangers.count(), warned.count());

        let ours = |kind: &str| -> BTreeSet<&str> {
            let ports = self.after.bridges.values().flat_map(|bridge| &bridge.ports);
            let rows = ports.map(|uuid| &self.after.ports[uuid]);
            rows.filter(|port| port.role.as_deref() == Some(kind)).map(|port| port.name.as_str()).collect()
        };
        let tunnels: BTreeSet<_> =
            wanted.tunnels.iter().map(|tunnel| tunnel.port_name()).filter(|name| !taken(name)).collect();
        assert_eq!(ours("tunnel"), tunnels);
        let ends: Vec<_> = wanted.provider_bridges.iter().filter(|(_, bridge)| !taken(bridge)).collect();
        let ends: Vec<_> = ends.iter().map(|(network, _)| patch_names(network)).collect();
        let patches = ends.iter().flat_map(|(a, b)| [a.as_str(), b.as_str()]).filter(|name| !taken(name));
        assert_eq!(ours("patch"), patches.collect());
        for name in tunnels {
            assert!(self.is_on_bridge(&wanted.bridge, name));
        }
    }

    fn is_on_bridge(&self, bridge: &str, port: &str) -> bool {
        let ports = &self.after.bridge(bridge).unwrap().1.ports;
        ports.iter().any(|uuid| self.after.ports[uuid].name == port)
    }
}

/// What is there, without the ids, which differ from database to database.
fn without_ids(observed: &Observed) -> BTreeSet<String> {
    let port = |port: &PortRow| {
        let interfaces: BTreeSet<_> =
            port.interfaces.iter().map(|uuid| interface(&observed.interfaces[uuid])).collect();
        format!("{} {:?} {interfaces:?}", port.name, port.role)
    };
    fn interface(row: &InterfaceRow) -> String {
        let name = &row.shown.name;
        format!(
            "{name} {} {:?} {:?} {:?} {:?}",
            row.kind, row.options, row.role, row.physical_network, row.iface_id
        )
    }
    let mut lines = BTreeSet::new();
    for bridge in observed.bridges.values() {
        let ports: BTreeSet<_> = bridge.ports.iter().map(|uuid| port(&observed.ports[uuid])).collect();
        let mut controllers: Vec<_> =
            bridge.controllers.iter().map(|uuid| format!("{:?}", observed.controllers[uuid])).collect();
        controllers.sort();
        let mut plain = bridge.clone();
        plain.ports.clear();
        plain.controllers.clear();
        lines.insert(format!("{plain:?} {ports:?} {controllers:?}"));
    }
    // Rows that nothing refers to are no longer there.
    lines.insert(format!(
        "{} {} {} {}",
        observed.bridges.len(),
        observed.ports.len(),
        observed.interfaces.len(),
        observed.controllers.len()
    ));
    lines
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A second plan is empty, foreign rows stay, and what is wanted is there: after every step of every history.
#[test]
fn plans_hold_after_every_step() {
    let runtime = runtime();
    bolero::check!().with_type::<Vec<Step>>().for_each(|steps| {
        runtime.block_on(async {
            let mut switch = Switch::connect(FakeDatabase::default().link()).await;
            let mut wanted = Wanted::default();
            for step in steps {
                switch.step(step, &mut wanted).await;
            }
        });
    });
}

/// Somebody changes the switch after we have planned and before the plan arrives: then it may fail, but what is not
/// ours stays. (Only a mark that was taken away in that moment is not respected.)
#[test]
fn plans_that_come_late_harm_nobody() {
    let runtime = runtime();
    bolero::check!().with_type::<(Vec<Step>, Vec<(Step, Step)>)>().for_each(|(history, late)| {
        runtime.block_on(async {
            let mut switch = Switch::connect(FakeDatabase::default().link()).await;
            let mut wanted = Wanted::default();
            for step in history {
                switch.step(step, &mut wanted).await;
            }
            for (step, meanwhile) in late.iter().filter(|(_, step)| !matches!(step, Step::Unmark(_))) {
                wanted = step.wanted().unwrap_or(wanted);
                let planned = plan(&switch.observed, &wanted);
                if let Some(operations) = meanwhile.operations(&switch.observed) {
                    switch.change(&operations).await;
                }
                let before = switch.observed.clone();
                switch.change(&planned.operations).await;
                let (after, warnings) = (&switch.observed, planned.warnings.as_slice());
                Check { before: &before, after, wanted: &wanted, warnings }.others_are_as_they_were();
            }
        });
    });
}

/// The same on a real server, which must agree with the one in memory about every step.
#[test]
fn the_database_in_memory_does_what_the_real_one_does() {
    let Some(server) = server::start() else { return };
    let runtime = runtime();
    let real = runtime.block_on(async {
        let link = RealLink::new(server.remote().parse().unwrap(), Options::new("Open_vSwitch"));
        Switch::connect(link).await
    });
    let real = Mutex::new(real);
    bolero::check!().with_iterations(60).with_type::<Vec<Step>>().for_each(|steps| {
        let mut real = real.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        runtime.block_on(async {
            let mut fake = Switch::connect(FakeDatabase::default().link()).await;
            empty(&mut real).await;
            compare(&mut real, &mut fake, steps).await;
        });
    });
}

async fn empty(switch: &mut Switch<RealLink>) {
    if let Some(root) = switch.observed.roots.keys().next().copied() {
        assert!(switch.change(&[Operation::delete("Open_vSwitch", root)]).await);
    }
    assert_eq!(switch.observed, Observed::default());
}

async fn compare(real: &mut Switch<RealLink>, fake: &mut Switch<FakeLink>, steps: &[Step]) {
    let (mut real_wanted, mut fake_wanted) = (Wanted::default(), Wanted::default());
    for step in steps {
        let done = real.step(step, &mut real_wanted).await;
        assert_eq!(done, fake.step(step, &mut fake_wanted).await, "{step:?}");
        assert_eq!(without_ids(&real.observed), without_ids(&fake.observed), "{step:?}");
    }
}
