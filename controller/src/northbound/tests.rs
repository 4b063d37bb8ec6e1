//! The API through a real server on a unix socket.

mod mirror;

use super::*;
use crate::{
    model::{ChassisId, generate::Recipe},
    store::{Backend, BackendError, History, Loaded, MemoryBackend, Write},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{net::UnixStream, task::JoinHandle};

/// A server over a store in memory.
struct Server {
    dir: tempfile::TempDir,
    store: Store,
    stop: sync_watch::Sender<bool>,
    served: JoinHandle<()>,
    full: Arc<AtomicBool>,
}

/// One chassis is well, the other is not.
struct Switches;

impl StatusSource for Switches {
    fn status(&self) -> Vec<ChassisStatus> {
        let well = ChassisStatus {
            id: "hv1".parse().unwrap(),
            revision: crate::model::Revision(7),
            ovsdb: Link::Connected,
            openflow: Link::Connected,
            datapath_id: Some(packet::DatapathId(0xab)),
            flows: 12,
            groups: 3,
            ports_wired: 2,
            ports_not_wired: Vec::new(),
            last_reconcile: Some(Reconciled { at_unix_ms: 1, adds: 12, deletes: 0, duration_us: 1500 }),
            errors: Vec::new(),
        };
        let down = Link::Disconnected { why: "connection refused".into() };
        let ill = ChassisStatus {
            id: "hv2".parse().unwrap(),
            openflow: down,
            ports_not_wired: vec![NotWired { port: "p".parse().unwrap(), why: "no interface".into() }],
            errors: vec!["tunnel port is missing".into()],
            ..well.clone()
        };
        vec![well, ill]
    }

    fn wired(&self) -> BTreeMap<ChassisId, Wired> {
        let wired =
            Wired { alive: true, applied: Some(crate::model::Revision(u64::MAX)), ..Wired::default() };
        BTreeMap::from([("hv1".parse().unwrap(), wired)])
    }

    fn changes(&self) -> sync_watch::Receiver<u64> {
        sync_watch::Sender::new(0).subscribe()
    }
}

impl ExplainSource for Switches {
    fn trace(&self, request: TraceRequest) -> BoxFuture<'_, Result<Trace, ExplainError>> {
        Box::pin(async move {
            match request.from.as_str() {
                "p" => Ok(Trace {
                    verdict: format!("{:?} to {}", request.protocol, request.to),
                    lines: vec!["one step".into()],
                    steps: json!([{"ttl": request.ttl}]),
                }),
                _ => Err(ExplainError::NoPort(request.from)),
            }
        })
    }

    fn flows(&self, chassis: ChassisId) -> BoxFuture<'_, Result<Flows, ExplainError>> {
        Box::pin(async move { Err(ExplainError::Unreachable { chassis, why: "it is down".into() }) })
    }
}

/// A disk that is full on order.
#[derive(Debug)]
struct MayBeFull(MemoryBackend, Arc<AtomicBool>);

impl Backend for MayBeFull {
    fn load(&self) -> Result<Loaded, BackendError> {
        self.0.load()
    }
    fn commit(&self, write: &Write<'_>) -> Result<(), BackendError> {
        if self.1.load(Ordering::Acquire) {
            Err(BackendError::Full("/here".into()))
        } else {
            self.0.commit(write)
        }
    }
    fn recover(&self) -> Result<crate::model::Revision, BackendError> {
        self.0.recover()
    }
    fn history(&self, since: crate::model::Revision, limit: usize) -> Result<History, BackendError> {
        self.0.history(since, limit)
    }
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let full = Arc::new(AtomicBool::new(false));
        let store = Store::open(MayBeFull(MemoryBackend::new(20), full.clone())).unwrap();
        let mut listeners = Listeners::default();
        listeners.add_unix(&dir.path().join("api.sock")).await.unwrap();
        let (stop, stopped) = sync_watch::channel(false);
        let api = Api::new(store.clone(), Arc::new(Switches), Arc::new(Switches), stopped);
        Self { dir, store, stop, served: tokio::spawn(listeners.serve(api)), full }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    async fn raw(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, String) {
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        let request = request.header("host", "localhost").body(Full::new(body.into())).unwrap();
        let response = self.send(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let (status, text) = self.raw(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {text}")))
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Lines of a watch.
    async fn watch(&self, query: &str) -> Watch {
        let request = Request::get(format!("/v1/watch{query}")).header("host", "localhost");
        let response = self.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 200);
        Watch { body: response.into_body(), text: String::new() }
    }
}

struct Watch {
    body: Incoming,
    text: String,
}

impl Watch {
    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                return Some(line);
            }
            let frame = self.body.frame().await?.unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }

    /// The next line that is no heartbeat, in short.
    async fn change(&mut self) -> String {
        loop {
            let line = self.line().await.unwrap();
            if line["type"] != "heartbeat" {
                return format!("{} {} {} {}", line["revision"], line["type"], line["kind"], line["id"])
                    .replace('"', "");
            }
        }
    }
}

fn network(vni: u64) -> Value {
    json!({"segment": {"type": "vxlan", "id": vni}})
}

#[tokio::test]
async fn objects_come_change_and_go() {
    let server = Server::start().await;
    let put = async |vni| server.ask("PUT", "/v1/networks/a", network(vni)).await;
    assert_eq!(put(1).await, (201, json!({"revision": 1, "result": "created"})));
    assert_eq!(put(1).await, (200, json!({"revision": 1, "result": "unchanged"})));
    assert_eq!(put(2).await, (200, json!({"revision": 2, "result": "changed"})));
    let record = json!({"key": 1, "revision": 2, "spec": {"id": "a", "segment": {"type": "vxlan", "id": 2}}});
    assert_eq!(server.ask("GET", "/v1/networks/a", Value::Null).await, (200, record.clone()));
    let list = json!({"revision": 2, "items": [record]});
    assert_eq!(server.ask("GET", "/v1/networks", Value::Null).await, (200, list));
    let delete = async || server.ask("DELETE", "/v1/networks/a", Value::Null).await;
    assert_eq!(delete().await, (200, json!({"revision": 3, "result": "deleted"})));
    assert_eq!(delete().await.0, 404);
    assert_eq!(server.ask("GET", "/v1/networks/a", Value::Null).await.0, 404);
}

#[tokio::test]
async fn every_kind_has_its_path() {
    let server = Server::start().await;
    let bodies = [
        ("chassis", json!({"encap_ips": ["192.0.2.1"]})),
        ("networks", network(1)),
        ("subnets", json!({"network": "x", "cidr": "10.0.0.0/24"})),
        ("ports", json!({"network": "x", "mac": "02:00:00:00:00:01"})),
        ("routers", json!({"interfaces": [{"subnet": "x", "ip": "10.0.0.1"}]})),
    ];
    for (i, (kind, body)) in bodies.into_iter().enumerate() {
        assert_eq!(server.ask("PUT", &format!("/v1/{kind}/x"), body).await.0, 201, "{kind}");
        let list = server.ok("GET", &format!("/v1/{kind}"), Value::Null).await;
        assert_eq!((&list["revision"], &list["items"][0]["spec"]["id"]), (&json!(i + 1), &json!("x")));
    }
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let server = Server::start().await;
    for n in 1..=5 {
        server.ok("PUT", &format!("/v1/networks/n{n}"), network(n)).await;
    }
    let (mut pages, mut path) = (Vec::new(), "/v1/networks?limit=2".to_owned());
    loop {
        let list = server.ok("GET", &path, Value::Null).await;
        let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|r| r["spec"]["id"].clone()).collect();
        pages.push(json!(ids).to_string());
        let Some(next) = list["next"].as_str() else { break };
        path = format!("/v1/networks?limit=2&after={next}");
    }
    assert_eq!(pages, [r#"["n1","n2"]"#, r#"["n3","n4"]"#, r#"["n5"]"#]);
}

#[tokio::test]
async fn errors_name_object_and_value_and_say_what_to_do() {
    let server = Server::start().await;
    server.ok("PUT", "/v1/networks/a", network(1)).await;
    server.ok("PUT", "/v1/subnets/s", json!({"network": "a", "cidr": "10.0.0.0/24"})).await;
    let mut told = Vec::new();
    for (method, path, body) in [
        ("PUT", "/v1/networks/b", r#"{"segment": {"type": "vxlan", "id": 1}}"#),
        ("PUT", "/v1/networks/b", r#"{"segment": {"type": "vxlan", "id": 16777216}}"#),
        ("PUT", "/v1/networks/b", r#"{"segment": {"type": "vxlan", "id": 2}, "colour": "red"}"#),
        ("PUT", "/v1/networks/b", r#"{"id": "c", "segment": {"type": "vxlan", "id": 2}}"#),
        ("PUT", "/v1/networks/b", r#"{"#),
        ("PUT", "/v1/networks/b", "[]"),
        ("PUT", "/v1/networks/no%20good", "{}"),
        ("PUT", "/v1/hosts/b", "{}"),
        ("PUT", "/v1/networks", "{}"),
        ("GET", "/v1/ports/p", ""),
        ("GET", "/v1/ports?limit=x", ""),
        ("GET", "/v1/ports?page=1", ""),
        ("DELETE", "/v1/networks/a", ""),
        ("DELETE", "/v1/networks/a?dangling=maybe", ""),
        ("POST", "/v1/apply", r#"{"hosts": []}"#),
        ("POST", "/v1/apply", "null"),
        ("POST", "/v1/apply", r#"{"routers": [{"id": "r"}, {"id": "r"}]}"#),
        (
            "POST",
            "/v1/apply?strict=true",
            r#"{"subnets": [{"id": "t", "network": "z", "cidr": "10.0.0.0/24"}]}"#,
        ),
        ("POST", "/v1/delete", r#"{"objects": [{"kind": "host", "id": "x"}]}"#),
        ("GET", "/v1/watch?since=99", ""),
        ("GET", "/v1/watch?heartbeat=0", ""),
        ("GET", "/v1/trace?from=q&to=10.0.0.1", ""),
        ("GET", "/v1/trace?from=p", ""),
        ("GET", "/v1/chassis/hv1/flows", ""),
        ("GET", "/", ""),
    ] {
        let (status, answer) = server.raw(method, path, body).await;
        let answer: ErrorBody = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{path}: {answer}"));
        let object = answer.object.map(|object| format!(" [{object}]")).unwrap_or_default();
        told.push(format!("{method} {path} {body}\n  {status}{object} {}\n  {}", answer.error, answer.hint));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let server = Server::start().await;
    let topology = json!({
        "networks": [{"id": "a", "segment": {"type": "vxlan", "id": 1}, "mtu": 1}],
        "subnets": [{"id": "s", "network": "a", "cidr": "10.0.0.1/24"}],
    });
    let (status, answer) = server.ask("POST", "/v1/apply", topology).await;
    assert_eq!(status, 422);
    assert_eq!(answer["error"], "network a: mtu 1 is out of range: want 576 to 9216");
    let told: Vec<_> =
        answer["problems"].as_array().unwrap().iter().map(|p| p["object"]["id"].clone()).collect();
    assert_eq!(told, ["a", "s"]);
    assert_eq!(server.store.read().revision.0, 0);
}

#[tokio::test]
async fn apply_tells_the_difference() {
    let server = Server::start().await;
    let topology = |vni: u64, mtu: Option<u16>| {
        let mut first = json!({"id": "a", "segment": {"type": "vxlan", "id": vni}});
        if let Some(mtu) = mtu {
            first["mtu"] = mtu.into();
        }
        json!({"networks": [first], "subnets": [{"id": "s", "network": "later", "cidr": "10.0.0.0/24"}]})
    };
    let waits = json!([{"object": {"kind": "subnet", "id": "s"}, "field": "network", "missing": {"kind": "network", "id": "later"}}]);
    let created = json!([{"kind": "network", "id": "a"}, {"kind": "subnet", "id": "s"}]);
    let mut want = json!({"revision": 0, "dry_run": true, "created": created, "changed": [], "deleted": [], "unchanged": 0, "pending": waits});
    assert_eq!(server.ok("POST", "/v1/apply?dry_run=true", topology(1, None)).await, want);
    assert_eq!(server.store.read().model.networks.len(), 0);
    want["revision"] = 2.into();
    want["dry_run"] = false.into();
    assert_eq!(server.ok("POST", "/v1/apply", topology(1, None)).await, want);

    server.ok("PUT", "/v1/routers/r", json!({})).await;
    let changed = server.ok("POST", "/v1/apply?prune=true", topology(2, Some(9000))).await;
    let fields = json!([
        {"field": "mtu", "before": null, "after": 9000},
        {"field": "segment.id", "before": 1, "after": 2},
    ]);
    assert_eq!(changed["changed"], json!([{"kind": "network", "id": "a", "fields": fields}]));
    assert_eq!(changed["deleted"], json!([{"kind": "router", "id": "r"}]));
    assert_eq!((&changed["unchanged"], &changed["revision"]), (&json!(1), &json!(5)));
}

#[tokio::test]
async fn what_is_in_use_goes_only_when_told_so() {
    let server = Server::start().await;
    server.ok("PUT", "/v1/networks/a", network(1)).await;
    server.ok("PUT", "/v1/subnets/s", json!({"network": "a", "cidr": "10.0.0.0/24"})).await;
    let (status, answer) = server.ask("DELETE", "/v1/networks/a", Value::Null).await;
    assert_eq!((status, &answer["error"]), (409, &json!("network a is in use by subnet s")));
    let both = json!({"objects": [{"kind": "network", "id": "a"}, {"kind": "subnet", "id": "s"}, {"kind": "port", "id": "x"}]});
    let gone = server.ok("POST", "/v1/delete?dry_run=true", both.clone()).await;
    assert_eq!(gone["absent"], json!([{"kind": "port", "id": "x"}]));
    assert_eq!(server.store.read().revision.0, 2, "a dry run");
    server.ok("DELETE", "/v1/networks/a?dangling=allow", Value::Null).await;
    assert_eq!(server.ok("GET", "/v1/status", Value::Null).await["pending_count"], 1);
    assert_eq!(
        server.ok("POST", "/v1/delete", both).await["deleted"],
        json!([{"kind": "subnet", "id": "s"}])
    );
}

#[tokio::test]
async fn watches_miss_nothing_and_go_on_where_they_stopped() {
    let server = Server::start().await;
    server.ok("PUT", "/v1/networks/a", network(1)).await;
    server.ok("PUT", "/v1/networks/a", network(2)).await;
    let mut all = server.watch("?since=0").await;
    assert_eq!(all.line().await.unwrap(), json!({"type": "heartbeat", "revision": 0}));
    let put = json!({"type": "put", "revision": 1, "kind": "network", "id": "a", "key": 1, "spec": {"id": "a", "segment": {"type": "vxlan", "id": 1}}});
    assert_eq!(all.line().await.unwrap(), put);
    assert_eq!(all.change().await, "2 put network a");
    let mut news = server.watch("?heartbeat=1").await;
    assert_eq!(news.line().await.unwrap(), json!({"type": "heartbeat", "revision": 2}));
    assert_eq!(news.line().await.unwrap(), json!({"type": "heartbeat", "revision": 2}), "a second later");
    server.ok("DELETE", "/v1/networks/a", Value::Null).await;
    assert_eq!(all.change().await, "3 delete network a");
    assert_eq!(news.change().await, "3 delete network a");
    drop(all);
    server.ok("PUT", "/v1/networks/b", network(1)).await;
    assert_eq!(server.watch("?since=3").await.change().await, "4 put network b");
}

#[tokio::test]
async fn a_watch_of_what_is_forgotten_is_sent_to_list_again() {
    let server = Server::start().await;
    for vni in 1..=30 {
        server.ok("PUT", "/v1/networks/a", network(vni)).await;
    }
    let (status, answer) = server.ask("GET", "/v1/watch?since=5", Value::Null).await;
    assert_eq!(status, 410);
    assert_eq!(answer["error"], "changes after revision 5 are forgotten: the history begins after 10");
    assert_eq!(answer["hint"], "list the objects again, then watch since the revision of that list");
}

#[tokio::test]
async fn stopping_ends_streams_and_takes_the_socket_away() {
    let server = Server::start().await;
    let mut watch = server.watch("").await;
    watch.line().await.unwrap();
    server.stop.send_replace(true);
    while watch.line().await.is_some() {}
    server.served.await.unwrap();
    assert!(!server.dir.path().join("api.sock").exists());
}

#[tokio::test]
async fn a_socket_left_by_the_dead_is_replaced_one_of_the_living_is_not() {
    let server = Server::start().await;
    let told = Listeners::default().add_unix(&server.socket()).await.unwrap_err().to_string();
    assert_eq!(told, format!("{} is in use: is another controller running?", server.socket().display()));
    let left = server.dir.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    Listeners::default().add_unix(&left).await.unwrap();
    let remote = Listeners::default().add_tcp("0.0.0.0:0".parse().unwrap(), false).await.unwrap_err();
    assert!(remote.to_string().contains("no authentication"), "{remote}");
    let mut tcp = Listeners::default();
    tcp.add_tcp("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    assert!(tcp.addresses()[0].starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn status_and_metrics_tell_what_is_wrong() {
    let server = Server::start().await;
    server.ok("PUT", "/v1/subnets/s", json!({"network": "a", "cidr": "10.0.0.0/24"})).await;
    let status: Status = serde_json::from_value(server.ok("GET", "/v1/status", Value::Null).await).unwrap();
    assert!(!status.healthy);
    let problems = [
        "chassis hv2: openflow not connected: connection refused",
        "chassis hv2: tunnel port is missing",
        "chassis hv2: port p: no interface",
        "1 reference points to an object that is not there",
    ];
    assert_eq!(status.problems, problems);
    assert_eq!((status.round, status.revision.0, status.counts["subnets"]), (1, 1, 1));
    assert_eq!(status.pending[0].to_string(), "subnet s waits for network a (network)");
    assert_eq!(status.chassis, Switches.status());
    assert_eq!(server.raw("GET", "/healthz", "").await, (200, "ok\n".into()));
    let (_, metrics) = server.raw("GET", "/metrics", "").await;
    for line in [
        "dragonflow_healthy 0",
        "dragonflow_objects{kind=\"subnets\"} 1",
        "dragonflow_link_up{chassis=\"hv2\",link=\"openflow\"} 0",
        "dragonflow_chassis_revision{chassis=\"hv1\"} 7",
        "dragonflow_flows{chassis=\"hv1\"} 12",
        "dragonflow_last_reconcile_seconds{chassis=\"hv1\"} 0.0015",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn traces_are_passed_on() {
    let server = Server::start().await;
    let path = "/v1/trace?from=p&to=2001:db8::1&protocol=udp&destination_port=53&ttl=3&mac=02:00:00:00:00:01";
    let trace = server.ok("GET", path, Value::Null).await;
    assert_eq!(trace, json!({"verdict": "Udp to 2001:db8::1", "lines": ["one step"], "steps": [{"ttl": 3}]}));
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_passes() {
    let server = Server::start().await;
    server.full.store(true, Ordering::Release);
    let (status, answer) = server.ask("PUT", "/v1/networks/a", network(1)).await;
    assert_eq!((status, &answer["error"]), (507, &json!("no space left for store /here")));
    assert_eq!(server.ok("GET", "/v1/networks", Value::Null).await, json!({"revision": 0, "items": []}));
    server.full.store(false, Ordering::Release);
    assert_eq!(server.ask("PUT", "/v1/networks/a", network(1)).await.0, 201);
}

#[tokio::test]
async fn large_bodies_and_web_pages_are_refused() {
    let server = Server::start().await;
    let (status, answer) = server.raw("PUT", "/v1/networks/a", vec![b' '; OBJECT_LIMIT + 1]).await;
    assert_eq!(status, 413, "{answer}");
    let page = async |name, value| {
        let request = Request::get("/v1/status").header(name, value).body(Full::default()).unwrap();
        server.send(request).await.status().as_u16()
    };
    assert_eq!(page("origin", "http://evil.example").await, 403);
    assert_eq!(page("host", "evil.example").await, 403);
    assert_eq!(page("host", "localhost:8642").await, 200);
}

/// Whatever comes in, the answer is not "the server is broken", and the server goes on.
#[test]
fn bad_input_is_never_an_internal_error() {
    const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "PATCH"];
    const PATHS: [&str; 14] = [
        "/v1/networks/n0",
        "/v1/subnets/n1",
        "/v1/ports/n2",
        "/v1/routers/n3",
        "/v1/chassis/n0",
        "/v1/ports",
        "/v1/apply",
        "/v1/apply?prune=true&strict=true",
        "/v1/delete",
        "/v1/delete?dangling=allow",
        "/v1/ports/%ff",
        "/v1/trace?from=%00&to=::",
        "/v1/status",
        "/metrics?x",
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start());
    let server = std::panic::AssertUnwindSafe(&server);
    let input = bolero::generator::produce::<(u8, u8, Vec<u8>, Vec<Recipe>, bool)>();
    bolero::check!().with_generator(input).for_each(|(method, path, noise, recipes, sense)| {
        let topology: crate::model::topology::Topology = recipes.iter().map(Recipe::object).collect();
        let first = recipes.first().map(|recipe| objects::spec(&recipe.object()).to_string());
        let path = PATHS[usize::from(*path) % PATHS.len()];
        let body = match (sense, path.contains("apply"), first) {
            (true, true, _) => serde_json::to_vec(&topology).unwrap(),
            (true, false, Some(object)) => object.into_bytes(),
            _ => noise.clone(),
        };
        let (status, answer) = runtime.block_on(server.raw(METHODS[usize::from(*method) % 5], path, body));
        assert!(status < 500, "{status} {answer}");
        if status >= 400 && method % 5 != 4 {
            assert!(
                serde_json::from_str::<ErrorBody>(&answer).is_ok_and(|e| !e.error.is_empty()),
                "{answer}"
            );
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
