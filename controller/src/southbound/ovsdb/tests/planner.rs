//! Single plans, as a reader would want to see them. What holds for all plans is in `scenario.rs`.

use std::{fmt::Write as _, future::Future, pin::pin, task::Context};

use ovsdb::{Operation, Row, Value};

use super::{
    super::{
        ControllerTarget, TunnelType, Wanted, Warning, observed::Observed, plan::plan, ports::chassis_ports,
    },
    fake::{FakeDatabase, FakeLink},
    scenario::Switch,
};

/// The links in memory never wait.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("had to wait"),
    }
}

type ByHand<'a> = &'a dyn Fn(&Observed) -> Option<Vec<Operation>>;

/// A switch in memory after some changes by hand.
fn switch(steps: &[ByHand<'_>]) -> Switch<FakeLink> {
    let mut switch = now(Switch::connect(FakeDatabase::default().link()));
    assert!(now(switch.change(&[Operation::insert("Open_vSwitch", Row::default())])));
    for step in steps {
        let operations = step(&switch.observed).unwrap();
        assert!(now(switch.change(&operations)), "{operations:?}");
    }
    switch
}

/// One line for each operation.
fn text(operations: &[Operation]) -> String {
    let mut text = String::new();
    for operation in operations {
        let columns = match operation {
            Operation::Insert { row, .. } | Operation::Update { row, .. } => row.to_json().to_string(),
            _ => String::new(),
        };
        writeln!(text, "{} {columns}", operation.describe()).unwrap();
    }
    text
}

fn planned(switch: &Switch<FakeLink>, wanted: &Wanted) -> String {
    text(&plan(&switch.observed, wanted).operations)
}

#[test]
fn an_empty_database_gets_everything_in_one_transaction() {
    let wanted = Wanted { tunnels: [TunnelType::Vxlan].into(), ..Wanted::default() };
    let nothing = Observed::default();
    let operations = plan(&nothing, &wanted).operations;
    let names: Vec<_> = operations.iter().map(Operation::describe).collect();
    assert_eq!(
        names,
        [
            "insert Interface br-int",
            "insert Port br-int",
            "insert Bridge br-int",
            "insert Open_vSwitch",
            "mutate bridges of Open_vSwitch where _uuid [\"named-uuid\",\"row3\"]",
            "insert Controller tcp:127.0.0.1:6653",
            "mutate controller of Bridge where _uuid [\"named-uuid\",\"row2\"]",
            "insert Interface df-vxlan",
            "insert Port df-vxlan",
            "mutate ports of Bridge where _uuid [\"named-uuid\",\"row2\"]",
        ]
    );
    let Operation::Insert { row, .. } = &operations[2] else { panic!("{operations:?}") };
    assert_eq!(row.str("fail_mode"), Some("secure"));
    assert_eq!(row.pairs("other_config").collect::<Vec<_>>(), [("disable-in-band", "true")]);
}

#[test]
fn a_bridge_of_somebody_else_gets_only_what_it_lacks() {
    let switch = switch(&[
        &|observed| observed.add_bridge("br-int"),
        &|observed| observed.set_bridge("br-int", "datapath_type", "netdev"),
        &|observed| observed.set_bridge("br-int", "protocols", Value::set(["OpenFlow10", "OpenFlow13"])),
        &|observed| observed.set_bridge("br-int", "other_config", Value::map([("disable-in-band", "true")])),
    ]);
    let (uuid, _) = switch.observed.bridge("br-int").unwrap();
    let text = planned(&switch, &Wanted::default());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        format!("update fail_mode of Bridge where _uuid [\"uuid\",\"{uuid}\"] {{\"fail_mode\":\"secure\"}}")
    );
    assert!(lines[1].starts_with("insert Controller tcp:127.0.0.1:6653"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");
}

#[test]
fn a_row_with_our_target_is_used_and_never_doubled() {
    let mut switch = switch(&[&|observed| observed.add_bridge("br-int"), &|observed| {
        observed.add_controller("br-int", "tcp:127.0.0.1:6653")
    }]);
    let limited = Row::default().with("controller_rate_limit", 100_i64).with("connection_mode", "in-band");
    let (uuid, _) = switch.observed.controllers.first_key_value().unwrap();
    assert!(now(switch.change(&[Operation::update("Controller", *uuid, limited)])));

    let operations = plan(&switch.observed, &Wanted::default()).operations;
    assert!(now(switch.change(&operations)));
    let rows: Vec<_> = switch.observed.controllers.values().collect();
    let [row] = rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.role.as_deref(), row.max_backoff, row.is_limited), (None, Some(1000), false));
    assert_eq!(row.connection_mode.as_deref(), Some("out-of-band"));

    // Not ours, so another target comes beside it, with a warning.
    let wanted = Wanted { controller: ControllerTarget::new("unix:/run/df.sock"), ..Wanted::default() };
    let second = plan(&switch.observed, &wanted);
    assert!(matches!(second.warnings[..], [Warning::ForeignController { .. }]), "{:?}", second.warnings);
    assert!(now(switch.change(&second.operations)));
    assert_eq!(switch.observed.controllers.len(), 2);

    // And when that is ours and the first is wanted again, ours goes.
    let third = plan(&switch.observed, &Wanted::default());
    assert!(now(switch.change(&third.operations)));
    assert_eq!((third.warnings.len(), switch.observed.controllers.len()), (0, 1));
}

#[test]
fn tls_without_keys_is_a_warning() {
    let wanted = Wanted { controller: ControllerTarget::new("ssl:192.0.2.1:6653"), ..Wanted::default() };
    let mut switch = switch(&[&|observed| observed.add_bridge("br-int")]);
    let expected = Warning::NoSslConfiguration { target: "ssl:192.0.2.1:6653".into() };
    assert_eq!(plan(&switch.observed, &wanted).warnings, [expected]);

    let (root, _) = switch.observed.roots.first_key_value().unwrap();
    let keys = Row::default().with("ssl", ovsdb::Uuid(99));
    assert!(now(switch.change(&[Operation::update("Open_vSwitch", *root, keys)])));
    assert_eq!(plan(&switch.observed, &wanted).warnings, []);
}

#[test]
fn errors_of_interfaces_that_do_not_matter_are_not_ours_to_report() {
    let mut switch = switch(&[
        &|observed| observed.add_bridge("br-int"),
        &|observed| observed.set_bridge("br-int", "datapath_id", "0000000000000001"),
        &|observed| observed.add_port("br-int", "eth7", &[]),
        &|observed| observed.add_port("br-int", "tap7", &[("iface-id", "vm7")]),
    ]);
    for name in ["eth7", "tap7"] {
        let error = Row::default().with("error", format!("could not open network device {name}"));
        let operations = switch.observed.set_interface(name, error).unwrap();
        assert!(now(switch.change(&operations)));
    }
    let (ports, warnings) = chassis_ports(&switch.observed, &Wanted::default());
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["interface tap7: could not open network device tap7"]);
    assert_eq!(ports.interfaces.len(), 1);
}

/// What the system knows of itself is handed on, and nothing of it is ever written.
#[test]
fn external_ids_of_the_system_are_only_read() {
    let ids = Value::map([("system-id", "chassis-1"), ("hostname", "h1")]);
    let mut switch = switch(&[]);
    let (root, _) = switch.observed.roots.first_key_value().unwrap();
    assert!(now(switch.change(&[Operation::update(
        "Open_vSwitch",
        *root,
        Row::default().with("external_ids", ids)
    )])));
    let planned = plan(&switch.observed, &Wanted::default());
    assert!(!text(&planned.operations).contains("external_ids of Open_vSwitch"));
    assert!(now(switch.change(&planned.operations)));
    let (ports, _) = chassis_ports(&switch.observed, &Wanted::default());
    assert_eq!(ports.external_ids["system-id"], "chassis-1");
    assert_eq!(ports.external_ids.len(), 2);
}
