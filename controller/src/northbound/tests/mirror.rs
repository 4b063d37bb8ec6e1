//! What an orchestrator that mirrors its own database uses.

use super::*;

fn network(id: &str, number: u32) -> Value {
    json!({"kind": "network", "spec": {"id": id, "segment": {"type": "vxlan", "id": number}}})
}

#[tokio::test]
async fn batches_are_fenced_and_bad_objects_refused() {
    let server = Server::start().await;
    let hello = server.ok("GET", "/v1/hello", Value::Null).await;
    assert_eq!((&hello["epoch"], &hello["revision"]), (&json!(0), &json!(0)));
    let put = json!([network("a", 1), network("b", 1), network("c", 0), network("d", 4)]);
    let answer = server.ok("POST", "/v1/batch", json!({"epoch": 3, "put": put})).await;
    let refused: Vec<_> =
        answer["refused"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(refused, ["c", "a", "b"], "{answer}");
    assert_eq!((&answer["created"], &answer["instance"]), (&json!(1), &hello["instance"]));
    let gone = json!([{"kind": "network", "id": "d"}, {"kind": "port", "id": "never"}]);
    let (status, error) = server.ask("POST", "/v1/batch", json!({"epoch": 2, "delete": gone})).await;
    assert_eq!(status, 412, "{error}");
    assert_eq!(error["error"], "epoch 2 is over: a writer of epoch 3 was here");
    let answer = server.ok("POST", "/v1/batch", json!({"epoch": 3, "delete": gone})).await;
    assert_eq!((&answer["deleted"], &answer["unchanged"]), (&json!(1), &json!(1)));
    for bad in [
        json!({}),
        json!({"epoch": 3, "puts": []}),
        json!({"epoch": 3, "put": [network("a", 1), network("a", 2)]}),
    ] {
        assert_eq!(server.ask("POST", "/v1/batch", bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn digests_follow_the_objects() {
    let server = Server::start().await;
    let digest =
        async || server.ok("GET", "/v1/digest?kinds=networks,ports", Value::Null).await["kinds"].clone();
    assert_eq!(digest().await, json!({"networks": {}, "ports": {}}));
    let mut seen = std::collections::BTreeSet::new();
    for number in [1, 2, 1] {
        server.ok("POST", "/v1/batch", json!({"epoch": 1, "put": [network("a", number)]})).await;
        seen.insert(digest().await["networks"]["a"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(server.ask("GET", "/v1/digest?kinds=hosts", Value::Null).await.0, 404);
}

#[tokio::test]
async fn states_wait_for_news() {
    let server = Server::start().await;
    let first = server.ok("GET", "/v1/states", Value::Null).await;
    assert_eq!(first["full"], true);
    let known = async |states: &Value, timeout: u8| {
        let (cursor, instance) = (&states["cursor"], states["instance"].as_str().unwrap());
        server
            .ok(
                "GET",
                &format!("/v1/states?since={cursor}&instance={instance}&timeout={timeout}"),
                Value::Null,
            )
            .await
    };
    let port = json!({"kind": "port", "spec": {"id": "p", "network": "n", "mac": "02:00:00:00:00:01", "chassis": "hv1"}});
    let put = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.ok("POST", "/v1/batch", json!({"epoch": 1, "put": [port]})).await
    };
    let follow = async {
        let mut states = first.clone();
        while states["ports"].as_array().unwrap().is_empty() {
            states = known(&states, 30).await;
            assert_eq!(states["full"], false, "{states}");
        }
        states
    };
    let (_, states) = tokio::join!(put, follow);
    assert_eq!(states["ports"], json!([{"id": "p", "chassis": "hv1", "up": true}]));
    // Nothing new: the same cursor, and nothing else.
    let same = known(&states, 0).await;
    assert_eq!((&same["cursor"], &same["ports"]), (&states["cursor"], &json!([])));
    // A cursor of another controller means nothing.
    let other = server.ok("GET", "/v1/states?since=1&instance=other&timeout=30", Value::Null).await;
    assert_eq!((&other["full"], &other["ports"]), (&json!(true), &states["ports"]));
    assert_eq!(server.ask("GET", "/v1/states?timeout=61", Value::Null).await.0, 400);
}
