//! The task on a database in memory, on a real `ovsdb-server`, and on both with accidents. Nobody plays `ovs-vswitchd`
//! but the tests themselves, which write the columns that it would write.

use std::{future::Future, sync::Arc};

use ovsdb::{Mutation, Operation, Row, Value};
use packet::{DatapathId, OfPort};
use tokio::time::timeout;

use super::{
    super::{
        ControllerTarget, Interface, OvsdbEvent, OvsdbState, TunnelType, Wanted, Warning, observed::Observed,
    },
    fake::FakeDatabase,
    lab::{Chassis, Database, Lab, PATIENCE},
    server,
};

fn ofport(number: i64) -> Row {
    Row::default().with("ofport", number)
}

fn everything() -> Wanted {
    Wanted {
        datapath_type: Some("netdev".into()),
        encap_ip: Some("2001:db8::1".parse().unwrap()),
        tunnels: TunnelType::ALL.into(),
        provider_bridges: [("p1".into(), "br-ex".into())].into(),
        ..Wanted::default()
    }
}

async fn an_empty_database_becomes_a_chassis(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    let mut chassis = lab.chassis(everything());
    chassis.until_applied(&mut switch).await;

    let observed = &switch.observed;
    let (_, bridge) = observed.bridge("br-int").unwrap();
    assert_eq!((bridge.fail_mode.as_deref(), bridge.datapath_type.as_str()), (Some("secure"), "netdev"));
    let [controller] = observed.controllers.values().collect::<Vec<_>>()[..] else { panic!("{observed:?}") };
    assert_eq!(controller.target, "tcp:127.0.0.1:6653");
    assert_eq!((controller.max_backoff, controller.inactivity_probe), (Some(1000), Some(5000)));
    assert_eq!(controller.connection_mode.as_deref(), Some("out-of-band"));
    let tunnel = [("key", "flow"), ("local_ip", "2001:db8::1"), ("remote_ip", "flow")];
    assert_eq!(observed.options("df-gre"), tunnel.into());
    for name in ["df-vxlan", "df-geneve"] {
        assert_eq!(observed.options(name), [("csum", "true")].into_iter().chain(tunnel).collect());
    }
    assert_eq!(observed.options("dfi-p1"), [("peer", "dfp-p1")].into());
    assert_eq!(observed.options("dfp-p1"), [("peer", "dfi-p1")].into());
    let (_, provider) = observed.bridge("br-ex").unwrap();
    assert_eq!(
        (provider.fail_mode.as_deref(), provider.datapath_type.as_str()),
        (Some("standalone"), "netdev")
    );
    assert_eq!((observed.ports.len(), provider.ports.len()), (7, 2));

    // Numbers come when the switch has them.
    for (number, name) in [(1, "df-vxlan"), (2, "df-gre"), (3, "df-geneve"), (4, "dfi-p1"), (5, "dfp-p1")] {
        switch.plays_vswitchd(name, ofport(number)).await;
    }
    switch.by_hand(|observed| observed.set_bridge("br-int", "datapath_id", "00000000000000ab")).await;
    let state = chassis.until("numbered", |state| {
        let tunnels = state.ports.tunnels.values().filter_map(|port| port.ofport).count();
        tunnels == 3 && state.ports.patches["p1"].ofport.is_some() && state.ports.datapath_id.is_some()
    });
    let state = state.await;
    assert_eq!(state.ports.tunnels[&TunnelType::Geneve].ofport, Some(OfPort(3)));
    assert_eq!(state.ports.patches["p1"].ofport, Some(OfPort(4)));
    assert_eq!(state.ports.datapath_id, Some(DatapathId(0xab)));
    assert_eq!(state.warnings, []);
}

async fn ports_are_found_and_followed(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    let mut chassis = lab.chassis(Wanted::default());
    chassis.until_applied(&mut switch).await;

    let ids = [("iface-id", "vm1"), ("attached-mac", "02:00:00:00:00:01")];
    switch.by_hand(|observed| observed.add_port("br-int", "tap0", &ids)).await;
    chassis.until_interface("vm1", |port| port.is_some_and(|port| port.ofport.is_none())).await;
    for (row, want) in [
        (ofport(-1).with("error", "could not open network device tap0"), None),
        (ofport(7).with("error", Value::empty()), Some(OfPort(7))),
        (ofport(8).with("link_state", "up").with("mac_in_use", "02:00:00:00:00:02"), Some(OfPort(8))),
        (ofport(0xfffe), Some(OfPort::LOCAL)),
        (ofport(70_000), None),
        (Row::default().with("ofport", Value::empty()), None),
    ] {
        // The error tells the first and the last row apart.
        let error = row.str("error").map(str::to_owned);
        switch.plays_vswitchd("tap0", row.clone()).await;
        let seen =
            |port: Option<&Interface>| port.is_some_and(|port| port.ofport == want && port.error == error);
        let state = chassis.until_interface("vm1", seen).await;
        let warned = state.warnings.iter().any(|warning| warning.to_string().contains("could not open"));
        assert_eq!(warned, error.is_some());
    }
    let port = Arc::clone(&chassis.state.borrow().ports.interfaces["vm1"]);
    assert_eq!((port.name.as_str(), port.link_up), ("tap0", Some(true)));
    assert_eq!(port.mac_in_use.unwrap().to_string(), "02:00:00:00:00:02");
    assert_eq!(port.attached_mac.unwrap().to_string(), "02:00:00:00:00:01");

    // Two claim one id: the one with a number counts, then the first by name.
    switch.by_hand(|observed| observed.add_port("br-int", "tap1", &ids)).await;
    switch.plays_vswitchd("tap1", ofport(9)).await;
    let state = chassis.until_interface("vm1", |port| port.is_some_and(|port| port.name == "tap1")).await;
    let claim = |chosen: &str, other: &str| Warning::DuplicateIfaceId {
        iface_id: "vm1".into(),
        chosen: chosen.into(),
        others: vec![other.into()],
    };
    assert!(state.warnings.contains(&claim("tap1", "tap0")));
    switch.plays_vswitchd("tap0", ofport(7)).await;
    let state = chassis.until_interface("vm1", |port| port.is_some_and(|port| port.name == "tap0")).await;
    assert!(state.warnings.contains(&claim("tap0", "tap1")));

    // On another bridge it does not count.
    switch.by_hand(|observed| observed.delete_port("tap0")).await;
    switch.by_hand(|observed| observed.delete_port("tap1")).await;
    switch.by_hand(|observed| observed.add_bridge("br-other")).await;
    switch.by_hand(|observed| observed.add_port("br-other", "tap2", &ids)).await;
    switch.by_hand(|observed| observed.add_port("br-int", "tap3", &[("iface-id", "vm3")])).await;
    chassis.until_interface("vm3", |port| port.is_some()).await;
    let state = chassis.until_interface("vm1", |port| port.is_none()).await;
    assert_eq!(state.ports.interfaces.len(), 1);
}

async fn what_is_undone_by_hand_comes_back(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    let mut chassis = lab.chassis(everything());
    chassis.until_applied(&mut switch).await;
    switch.by_hand(|observed| observed.add_port("br-int", "tap0", &[("iface-id", "vm1")])).await;
    chassis.until_interface("vm1", |port| port.is_some()).await;

    switch.by_hand(|observed| observed.delete_port("df-vxlan")).await;
    chassis.until_applied(&mut switch).await;
    switch.by_hand(|observed| observed.set_bridge("br-int", "fail_mode", Value::empty())).await;
    chassis.until_applied(&mut switch).await;
    switch.by_hand(|observed| observed.set_bridge("br-int", "controller", Value::empty())).await;
    chassis.until_applied(&mut switch).await;
    let options = Row::default().with("options", Value::map([("remote_ip", "192.0.2.9")]));
    switch.by_hand(|observed| observed.set_interface("df-gre", options.clone())).await;
    chassis.until_applied(&mut switch).await;
    assert!(chassis.state.borrow().ports.interfaces.contains_key("vm1"));

    switch.by_hand(|observed| observed.delete_bridge("br-int")).await;
    chassis.until_interface("vm1", |port| port.is_none()).await;
    chassis.until_applied(&mut switch).await;
    assert!(switch.observed.port("df-vxlan").is_some() && switch.observed.port("dfi-p1").is_some());
    assert_eq!(switch.observed.controllers.len(), 1);
}

/// From the first transaction to the last, whatever the target: never without a controller, never with one and
/// another fail_mode. Each batch that a monitor reports is one transaction.
async fn a_new_target_never_leaves_the_bridge_without_controller(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    switch.by_hand(|observed| observed.add_bridge("br-int")).await;
    let chassis = lab.chassis(Wanted::default());
    let mut had_controller = false;
    for target in ["tcp:127.0.0.1:6653", "unix:/run/df.sock", "tcp:192.0.2.1:6633"] {
        chassis.want(|wanted| wanted.controller.target = target.into());
        switch
            .until(target, |observed| {
                let (_, bridge) = observed.bridge("br-int").unwrap();
                had_controller |= !bridge.controllers.is_empty();
                assert!(!had_controller || !bridge.controllers.is_empty(), "without controller");
                assert!(!had_controller || bridge.fail_mode.as_deref() == Some("secure"), "not secure");
                bridge.controllers.iter().any(|uuid| observed.controllers[uuid].target == target)
            })
            .await;
        assert_eq!(switch.observed.controllers.len(), 1);
    }
}

/// `ovs-vswitchd` takes up the back-off only when it is connected and something changes.
async fn each_connection_renews_the_backoff(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    let mut chassis = lab.chassis(Wanted::default());
    chassis.until_applied(&mut switch).await;
    for (is_connected, want) in [(true, 1001), (false, 1000), (true, 1001)] {
        let row = Row::default().with("is_connected", is_connected);
        let update = |observed: &Observed| {
            Some(vec![Operation::update("Controller", controller(observed), row.clone())])
        };
        switch.by_hand(update).await;
        chassis.until_applied(&mut switch).await;
        let [row] = switch.observed.controllers.values().collect::<Vec<_>>()[..] else { panic!("not one") };
        assert_eq!(row.max_backoff, Some(want));
    }
}

fn controller(observed: &Observed) -> ovsdb::Uuid {
    *observed.controllers.keys().next().unwrap()
}

async fn what_is_not_ours_stays(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    switch.by_hand(|observed| observed.add_bridge("br-int")).await;
    let config = Value::map([("hwaddr", "02:00:00:00:00:09"), ("disable-in-band", "false")]);
    switch.by_hand(|observed| observed.set_bridge("br-int", "other_config", config.clone())).await;
    switch.by_hand(|observed| observed.set_bridge("br-int", "protocols", "OpenFlow10")).await;
    switch.by_hand(|observed| observed.add_controller("br-int", "tcp:192.0.2.7:6633")).await;
    switch.by_hand(|observed| observed.add_controller("br-int", "ptcp:6634")).await;
    switch.by_hand(|observed| observed.add_port("br-int", "df-vxlan", &[])).await;
    switch.by_hand(|observed| observed.add_port("br-int", "tap0", &[("iface-id", "vm1")])).await;
    switch.by_hand(|observed| observed.add_bridge("br-ex")).await;
    let before = switch.observed.clone();
    let mut chassis = lab.chassis(everything());
    chassis.until_applied(&mut switch).await;

    let (uuid, bridge) = switch.observed.bridge("br-int").unwrap();
    assert_eq!(bridge.protocols, ["OpenFlow10", "OpenFlow13"].map(String::from).into());
    assert_eq!((bridge.disable_in_band.as_deref(), bridge.role.as_deref()), (Some("true"), None));
    assert_eq!(switch.observed.controllers.len(), 3);
    for (uuid, row) in &before.controllers {
        assert_eq!(switch.observed.controllers.get(uuid), Some(row));
    }
    for (uuid, row) in &before.ports {
        assert_eq!(switch.observed.ports.get(uuid), Some(row));
    }
    // Keys that we do not know of.
    let has_hwaddr = Operation::Mutate {
        table: "Bridge".into(),
        conditions: vec![
            ovsdb::Condition::row(uuid),
            ovsdb::Condition::equal(
                "other_config",
                Value::map([("hwaddr", "02:00:00:00:00:09"), ("disable-in-band", "true")]),
            ),
        ],
        mutations: vec![Mutation::delete("protocols", "OpenFlow10")],
    };
    assert!(switch.change(&[has_hwaddr]).await);
    assert!(!switch.observed.bridge("br-int").unwrap().1.protocols.contains("OpenFlow10"), "hwaddr is gone");

    let texts: Vec<_> = chassis.state.borrow().warnings.iter().map(ToString::to_string).collect();
    for part in [
        "controller tcp:192.0.2.7:6633, which is not ours",
        "port df-vxlan exists and is not ours",
        "bridge br-ex has datapath_type \"system\"",
    ] {
        assert!(texts.iter().any(|text| text.contains(part)), "{part}: {texts:#?}");
    }
    assert!(!texts.iter().any(|text| text.contains("6634")), "a passive target competes with nobody");

    // When it goes, its name is free.
    switch.by_hand(|observed| observed.delete_port("df-vxlan")).await;
    chassis.until("ours", |state| state.ports.tunnels.contains_key(&TunnelType::Vxlan)).await;
}

async fn tunnels_and_provider_bridges_come_and_go(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    let mut chassis = lab.chassis(everything());
    chassis.until_applied(&mut switch).await;
    let (gre, _) = switch.observed.port("df-gre").unwrap();

    chassis.want(|wanted| {
        wanted.tunnels = [TunnelType::Gre].into();
        wanted.encap_ip = Some([192, 0, 2, 1].into());
        wanted.provider_bridges = [("p2".into(), "br-p2".into())].into();
    });
    chassis.until_applied(&mut switch).await;
    let observed = &switch.observed;
    assert_eq!(observed.port("df-gre").unwrap().0, gre, "changed in place, so its number stays");
    assert_eq!(
        observed.options("df-gre"),
        [("key", "flow"), ("local_ip", "192.0.2.1"), ("remote_ip", "flow")].into()
    );
    assert!(observed.port("df-vxlan").is_none() && observed.port("dfi-p1").is_none());
    assert!(observed.bridge("br-ex").is_none(), "ours, and leads nowhere");
    let state = chassis.until("p2", |state| state.ports.patches.contains_key("p2")).await;
    assert_eq!((state.ports.patches.len(), state.ports.tunnels.len()), (1, 1));

    // With somebody's port on it, the bridge stays.
    switch.by_hand(|observed| observed.add_port("br-p2", "eth1", &[])).await;
    chassis.want(|wanted| wanted.provider_bridges.clear());
    chassis.until_applied(&mut switch).await;
    let (_, bridge) = switch.observed.bridge("br-p2").unwrap();
    assert_eq!(bridge.ports.len(), 2, "its own and eth1");
    assert!(switch.observed.port("dfi-p2").is_none());
}

async fn a_restart_of_the_database_is_survived(mut lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    let mut chassis = lab.chassis(everything());
    chassis.until_applied(&mut switch).await;
    switch.by_hand(|observed| observed.add_port("br-int", "tap0", &[("iface-id", "vm1")])).await;
    switch.plays_vswitchd("tap0", ofport(7)).await;
    chassis.until_interface("vm1", |port| port.is_some_and(|port| port.ofport.is_some())).await;

    lab.database.stop();
    let state = chassis.until("away", |state| !state.connected && state.error.is_some()).await;
    assert!(state.ports.interfaces.contains_key("vm1"), "what was known stays known");
    let state =
        chassis.until("refused", |state| state.error.as_ref().is_some_and(|e| e.contains("start ovsdb")));
    let error = state.await.error.unwrap();
    assert!(error.starts_with("cannot connect to unix:/"), "{error}");

    chassis.want(|wanted| wanted.tunnels.clear());
    lab.database.restart();
    let mut switch = lab.operator().await;
    chassis.until_applied(&mut switch).await;
    chassis.until("without tunnels", |state| state.ports.tunnels.is_empty()).await;
    assert!(chassis.state.borrow().ports.interfaces.contains_key("vm1"));
}

async fn a_read_only_database_is_waited_for(mut lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    drop(switch);
    lab.database.set_read_only(true);
    let mut chassis = lab.chassis(Wanted::default());
    let read_only =
        |state: &OvsdbState| state.error.as_ref().is_some_and(|error| error.contains("it is read-only"));
    let state = chassis.until("read-only", |state| state.connected && read_only(state)).await;
    assert!(!state.applied);

    lab.database.set_read_only(false);
    let mut switch = lab.operator().await;
    chassis.until_applied(&mut switch).await;
}

async fn a_wish_that_cannot_be_changes_nothing(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    let mut chassis = lab.chassis(everything());
    chassis.until_applied(&mut switch).await;
    let before = switch.observed.clone();

    chassis.want(|wanted| {
        wanted.tunnels.clear();
        wanted.controller = ControllerTarget::new("nonsense");
    });
    let text = "controller target \"nonsense\"";
    chassis.until("refused", |state| state.error.as_ref().is_some_and(|error| error.contains(text))).await;
    switch.by_hand(|observed| observed.add_port("br-int", "tap0", &[("iface-id", "vm1")])).await;
    let state = chassis.until_interface("vm1", |port| port.is_some()).await;
    assert!(!state.applied && state.ports.tunnels.len() == 3);
    assert_eq!(switch.observed.port("df-vxlan"), before.port("df-vxlan"));

    chassis.want(|wanted| wanted.controller = ControllerTarget::new("unix:/run/df.sock"));
    chassis.until_applied(&mut switch).await;
    assert!(switch.observed.port("df-vxlan").is_none());
}

async fn the_task_ends_when_nobody_wants_anything(mut lab: Lab<impl Database>) {
    for is_down in [false, true] {
        let mut chassis = lab.chassis(Wanted::default());
        if is_down {
            lab.database.stop();
            chassis.until("away", |state| state.error.is_some()).await;
        } else {
            chassis.until("applied", |state| state.applied).await;
        }
        let Chassis { wanted, task, .. } = chassis;
        drop(wanted);
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}

async fn events_are_the_differences(lab: Lab<impl Database>) {
    let mut switch = lab.operator().await;
    switch.init().await;
    let mut chassis = lab.chassis(Wanted { tunnels: [TunnelType::Gre].into(), ..Wanted::default() });
    chassis.until_applied(&mut switch).await;
    chassis.until("gre", |state| !state.ports.tunnels.is_empty()).await;
    let old = Arc::clone(&chassis.state.borrow().ports);
    assert_eq!(old.events_since(&old), []);

    switch.by_hand(|observed| observed.add_port("br-int", "tap0", &[("iface-id", "vm1")])).await;
    switch.by_hand(|observed| observed.set_bridge("br-int", "datapath_id", "0000000000000001")).await;
    switch.by_hand(|observed| observed.delete_port("df-gre")).await;
    chassis.want(|wanted| wanted.tunnels.clear());
    let settled = |state: &OvsdbState| {
        state.ports.interfaces.len() == 1
            && state.ports.datapath_id.is_some()
            && state.ports.tunnels.is_empty()
    };
    let new = chassis.until("settled", settled).await.ports;
    let vm1 = new.interfaces.get("vm1").cloned();
    let gre = old.tunnels.get(&TunnelType::Gre).cloned();
    let dpid = Some(DatapathId(1));
    assert_eq!(
        new.events_since(&old),
        [
            OvsdbEvent::Datapath { old: None, new: dpid },
            OvsdbEvent::Tunnel { tunnel: TunnelType::Gre, old: gre.clone(), new: None },
            OvsdbEvent::Interface { iface_id: "vm1".into(), old: None, new: vm1.clone() },
        ]
    );
    assert_eq!(
        old.events_since(&new),
        [
            OvsdbEvent::Datapath { old: dpid, new: None },
            OvsdbEvent::Tunnel { tunnel: TunnelType::Gre, old: None, new: gre },
            OvsdbEvent::Interface { iface_id: "vm1".into(), old: vm1, new: None },
        ]
    );
}

fn on<F: Future<Output = ()>>(run: impl FnOnce() -> F) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(run());
}

macro_rules! on_all_databases {
    ($($test:ident)*) => {$(
        mod $test {
            use super::{FakeDatabase, Lab, on, server};

            #[test]
            fn in_memory() {
                on(|| super::$test(Lab { database: FakeDatabase::default(), seed: 0, accidents: 0 }));
            }

            #[test]
            fn in_memory_with_accidents() {
                for seed in 0..8 {
                    on(|| super::$test(Lab { database: FakeDatabase::default(), seed, accidents: 20 }));
                }
            }

            #[test]
            fn real() {
                let Some(database) = server::start() else { return };
                on(|| super::$test(Lab { database, seed: 0, accidents: 0 }));
            }

            #[test]
            fn real_with_accidents() {
                for seed in 0..2 {
                    let Some(database) = server::start() else { return };
                    on(|| super::$test(Lab { database, seed, accidents: 20 }));
                }
            }
        }
    )*};
}

on_all_databases! {
    an_empty_database_becomes_a_chassis
    ports_are_found_and_followed
    what_is_undone_by_hand_comes_back
    a_new_target_never_leaves_the_bridge_without_controller
    each_connection_renews_the_backoff
    what_is_not_ours_stays
    tunnels_and_provider_bridges_come_and_go
    a_restart_of_the_database_is_survived
    a_read_only_database_is_waited_for
    a_wish_that_cannot_be_changes_nothing
    the_task_ends_when_nobody_wants_anything
    events_are_the_differences
}
