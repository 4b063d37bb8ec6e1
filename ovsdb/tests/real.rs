//! The client against a real `ovsdb-server`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod server;

use std::{collections::BTreeSet, time::Duration};

use ovsdb::{
    Atom, Change, Client, Condition, Error, MonitorTable, Mutation, OpResult, Operation, Options, Row,
    RowUpdate, TlsFiles, TransactError, Uuid, Value,
};

fn options() -> Options {
    Options::new("Open_vSwitch")
}

async fn connect(server: &server::Server) -> Client {
    Client::connect(&server.remote().parse().unwrap(), &options()).await.unwrap()
}

/// `QoS` is handy for tests: a root table whose columns are a type and maps.
fn qos(name: &str) -> Row {
    Row::default().with("type", name).with("external_ids", Value::map([("n", name)]))
}

fn qos_table() -> [MonitorTable; 1] {
    [MonitorTable::new("QoS", ["type", "external_ids"])]
}

fn inserted(results: &[OpResult]) -> Uuid {
    match results {
        [OpResult::Inserted(uuid), ..] => *uuid,
        other => panic!("no insert: {other:?}"),
    }
}

fn update(uuid: Uuid, change: Change) -> Vec<RowUpdate> {
    vec![RowUpdate { table: "QoS".into(), uuid, change }]
}

#[tokio::test]
async fn snapshot_then_insert_modify_delete() {
    let Some(server) = server::start() else { return };
    let (mut watcher, mut writer) = (connect(&server).await, connect(&server).await);
    let first = inserted(&writer.transact(&[Operation::insert("QoS", qos("a"))]).await.unwrap());
    assert_eq!(watcher.monitor(&qos_table()).await.unwrap(), update(first, Change::Insert(qos("a"))));

    let second = inserted(&writer.transact(&[Operation::insert("QoS", qos("b"))]).await.unwrap());
    assert_eq!(watcher.next().await.unwrap(), update(second, Change::Insert(qos("b"))));

    let change = Operation::update("QoS", second, Row::default().with("type", "c"));
    assert_eq!(writer.transact(&[change]).await.unwrap(), [OpResult::Count(1)]);
    let (old, new) = (Row::default().with("type", "b"), qos("b").with("type", "c"));
    assert_eq!(watcher.next().await.unwrap(), update(second, Change::Modify { old, new: new.clone() }));

    writer.transact(&[Operation::delete("QoS", second)]).await.unwrap();
    assert_eq!(watcher.next().await.unwrap(), update(second, Change::Delete(new)));
    assert_eq!(watcher.try_next().unwrap(), None);
}

#[tokio::test]
async fn named_rows_mutations_and_selects() {
    let Some(server) = server::start() else { return };
    let mut client = connect(&server).await;
    let bridge = Row::default().with("name", "br0").with("external_ids", Value::map([("keep", "1")]));
    let results = client
        .transact(&[
            Operation::insert_named("Bridge", bridge, "b"),
            Operation::insert("Open_vSwitch", Row::default().with("bridges", Atom::NamedUuid("b".into()))),
        ])
        .await
        .unwrap();
    let bridge = inserted(&results);
    let mutations = vec![
        Mutation::insert("protocols", Value::set(["OpenFlow13"])),
        // The key that is there keeps its value.
        Mutation::insert("external_ids", Value::map([("keep", "2"), ("new", "3")])),
    ];
    client.transact(&[Operation::mutate("Bridge", bridge, mutations)]).await.unwrap();
    let select = Operation::Select {
        table: "Bridge".into(),
        conditions: vec![Condition::equal("name", "br0")],
        columns: vec!["protocols".into(), "external_ids".into(), "datapath_id".into()],
    };
    let want = Row::default()
        .with("protocols", "OpenFlow13")
        .with("external_ids", Value::map([("keep", "1"), ("new", "3")]))
        .with("datapath_id", Value::empty());
    assert_eq!(client.transact(&[select]).await.unwrap(), [OpResult::Rows(vec![want])]);
}

#[tokio::test]
async fn a_refused_transaction_names_the_operation_and_changes_nothing() {
    let Some(server) = server::start() else { return };
    let mut client = connect(&server).await;
    client.monitor(&qos_table()).await.unwrap();
    let bad = Operation::insert("Port", Row::default().with("name", 1_i64));
    let result = client.transact(&[Operation::insert("QoS", qos("a")), bad]).await;
    match result {
        Err(Error::Transact {
            source: TransactError::Operation { index: 1, operation, error, details },
            ..
        }) => {
            assert_eq!(operation, "insert Port");
            assert!(error.contains("syntax error") || details.contains("string"), "{error}: {details}");
        }
        other => panic!("{other:?}"),
    }
    // A constraint is checked when all operations are through.
    let twice = [
        Operation::insert("QoS", qos("b")),
        Operation::Wait {
            table: "QoS".into(),
            conditions: vec![],
            columns: vec!["type".into()],
            rows: vec![],
        },
    ];
    let err = client.transact(&twice).await.unwrap_err();
    assert!(
        matches!(err, Error::Transact { source: TransactError::Operation { index: 1, .. }, .. }),
        "{err:?}"
    );

    client.transact(&[Operation::insert("QoS", qos("c"))]).await.unwrap();
    let heard = client.next().await.unwrap();
    assert_eq!(heard[0].change, Change::Insert(qos("c")), "nothing of the failed transactions");
}

#[tokio::test]
async fn an_unknown_column_is_refused_and_the_connection_lives() {
    let Some(server) = server::start() else { return };
    let mut client = connect(&server).await;
    let err = client.monitor(&[MonitorTable::new("Bridge", ["no_such_column"])]).await.unwrap_err();
    assert!(
        err.to_string().contains("refuses monitor") && err.to_string().contains("no_such_column"),
        "{err}"
    );
    assert_eq!(client.monitor(&qos_table()).await.unwrap(), []);
}

/// Somebody writes all the time while we begin to watch: what we know in the end is what is there.
#[tokio::test]
async fn nothing_is_lost_between_snapshot_and_stream() {
    let Some(server) = server::start() else { return };
    const ROWS: usize = 200;
    let mut writer = connect(&server).await;
    let writing = tokio::spawn(async move {
        for n in 0..ROWS {
            writer.transact(&[Operation::insert("QoS", qos(&n.to_string()))]).await.unwrap();
        }
    });
    for _ in 0..5 {
        let mut watcher = connect(&server).await;
        let mut known: BTreeSet<Uuid> =
            watcher.monitor(&qos_table()).await.unwrap().iter().map(|update| update.uuid).collect();
        while known.len() < ROWS {
            for update in watcher.next().await.unwrap() {
                assert!(known.insert(update.uuid), "reported twice: {update:?}");
            }
        }
    }
    writing.await.unwrap();
}

/// Requests that are given up half-way leave the session in order.
#[tokio::test]
async fn dropped_requests_do_no_harm() {
    let Some(server) = server::start() else { return };
    let mut client = connect(&server).await;
    client.monitor(&qos_table()).await.unwrap();
    let mut sent = 0;
    for n in 0..50_u64 {
        let rows: Vec<_> = (0..20).map(|_| Operation::insert("QoS", qos("x"))).collect();
        let patience = Duration::from_micros(n * 40);
        sent += usize::from(tokio::time::timeout(patience, client.transact(&rows)).await.is_ok());
    }
    // Each request was sent in whole or will be: the one made last comes out behind all of them.
    let last = inserted(&client.transact(&[Operation::insert("QoS", qos("last"))]).await.unwrap());
    let mut heard = 0;
    loop {
        let updates = client.next().await.unwrap();
        heard += updates.len();
        if updates.iter().any(|update| update.uuid == last) {
            break;
        }
    }
    assert_eq!(heard, 50 * 20 + 1, "{sent} of 50 were answered in time");
}

#[tokio::test]
async fn a_server_that_stops_is_a_clean_error_and_one_that_is_away_names_the_remote() {
    let Some(mut server) = server::start() else { return };
    let mut client = connect(&server).await;
    client.monitor(&qos_table()).await.unwrap();
    server.stop();
    let err = client.next().await.unwrap_err();
    assert!(matches!(err, Error::Closed { .. } | Error::Io { .. }), "{err:?}");
    let err = Client::connect(&server.remote().parse().unwrap(), &options()).await.unwrap_err();
    assert_eq!(err.to_string(), format!("cannot connect to {}", server.remote()));

    server.restart();
    connect(&server).await.monitor(&qos_table()).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_the_transaction() {
    let Some(mut server) = server::start() else { return };
    server.restart_with_full_disk();
    let mut client = connect(&server).await;
    let err = client.transact(&[Operation::insert("QoS", qos(&"x".repeat(4096)))]).await.unwrap_err();
    let Error::Transact { source: TransactError::Commit { error, .. }, .. } = &err else { panic!("{err:?}") };
    assert_eq!(error, "I/O error");
    assert_eq!(client.monitor(&qos_table()).await.unwrap(), [], "the connection lives");
}

#[tokio::test]
async fn ten_thousand_rows_come_in_one_snapshot() {
    let Some(server) = server::start() else { return };
    let mut client = connect(&server).await;
    let rows: Vec<_> = (0..10_000).map(|n| Operation::insert("QoS", qos(&n.to_string()))).collect();
    assert_eq!(client.transact(&rows).await.unwrap().len(), 10_000);
    assert_eq!(client.monitor(&qos_table()).await.unwrap().len(), 10_000);
    // And what does not fit is refused by name.
    let small = Options { max_message: 10_000, ..options() };
    let mut client = Client::connect(&server.remote().parse().unwrap(), &small).await.unwrap();
    let err = client.monitor(&qos_table()).await.unwrap_err();
    assert!(matches!(err, Error::Protocol { .. }), "{err:?}");
}

/// Keys, certificates and authorities as `ovs-pki` makes them. Port 0 lets the server choose one.
#[tokio::test]
async fn tls_with_the_certificates_of_ovs_pki() {
    let pki = |dir: &std::path::Path, arguments: &[&str]| {
        let log = dir.join("pki.log");
        let base = ["-d", "pki", "-l", log.to_str().unwrap()];
        server::run(std::process::Command::new("ovs-pki").current_dir(dir).args(base).args(arguments))
    };
    let started = server::start_with(|dir| {
        pki(dir, &["init"]);
        pki(dir, &["-u", "req+sign", "server", "controller"]);
        pki(dir, &["-u", "req+sign", "client", "switch"]);
        [
            "--remote=pssl:0:127.0.0.1",
            "--private-key=server-privkey.pem",
            "--certificate=server-cert.pem",
            "--ca-cert=pki/switchca/cacert.pem",
            "--log-file=listening",
        ]
        .map(String::from)
        .to_vec()
    });
    let Some(server) = started else { return };
    let log = std::fs::read_to_string(server.file("listening")).unwrap();
    let port = log.split("listening on port ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let remote =
        format!("ssl:127.0.0.1:{}", port.unwrap_or_else(|| panic!("no port in {log}"))).parse().unwrap();

    let files = TlsFiles {
        private_key: server.file("client-privkey.pem"),
        certificate: server.file("client-cert.pem"),
        ca_certificate: server.file("pki/controllerca/cacert.pem"),
    };
    let with = |files: TlsFiles| Options { tls: Some(files), ..options() };
    let mut client = Client::connect(&remote, &with(files.clone())).await.unwrap();
    client.transact(&[Operation::insert("QoS", qos("a"))]).await.unwrap();
    assert_eq!(client.monitor(&qos_table()).await.unwrap().len(), 1);

    // An authority that has not signed the server's certificate.
    let other_ca = TlsFiles { ca_certificate: server.file("pki/switchca/cacert.pem"), ..files.clone() };
    let err = Client::connect(&remote, &with(other_ca)).await.unwrap_err();
    assert!(format!("{err:?}").contains("UnknownIssuer"), "{err:?}");
    // A certificate that the server does not trust: TLS 1.3 tells us with the first answer only.
    let untrusted = TlsFiles {
        private_key: server.file("server-privkey.pem"),
        certificate: server.file("server-cert.pem"),
        ..files.clone()
    };
    match Client::connect(&remote, &with(untrusted)).await {
        Ok(mut client) => drop(client.monitor(&qos_table()).await.unwrap_err()),
        Err(err) => assert!(matches!(err, Error::Connect { .. }), "{err:?}"),
    }
    // Files that cannot be used are named.
    for (files, text) in [
        (
            Some(TlsFiles { certificate: "/no/such.pem".into(), ..files.clone() }),
            "certificate /no/such.pem: no such",
        ),
        (Some(TlsFiles { ca_certificate: server.file("listening"), ..files }), "holds no certificate"),
        (None, "no private key, certificate"),
    ] {
        let err = Client::connect(&remote, &Options { tls: files, ..options() }).await.unwrap_err();
        let Error::Tls { source, .. } = &err else { panic!("{err:?}") };
        assert!(source.to_string().contains(text), "{source}");
    }
}
