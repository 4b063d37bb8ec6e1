//! The client against servers that misbehave, each a few lines on a socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use ovsdb::{Client, Error, MonitorTable, Operation, Options, Remote};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// A client connected to a server that does `serve`.
async fn against<F: Future<Output = ()> + Send + 'static>(
    options: Options,
    serve: impl FnOnce(UnixStream) -> F,
) -> (Client, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::connect(&Remote::Unix(path), &options).await.unwrap();
    tokio::spawn(serve(listener.accept().await.unwrap().0));
    (client, dir)
}

fn quick() -> Options {
    let short = Duration::from_millis(50);
    Options { probe_interval: short, request_timeout: short * 20, ..Options::new("db") }
}

async fn read_some(stream: &mut UnixStream) -> String {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).await.unwrap_or(0);
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[tokio::test]
async fn a_silent_server_is_probed_and_then_given_up() {
    let (heard, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let (mut client, _dir) = against(quick(), |mut stream| async move {
        heard.send(read_some(&mut stream).await).unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let err = client.next().await.unwrap_err();
    assert!(matches!(err, Error::Silent { request: "echo", .. }), "{err:?}");
    assert!(hear.recv().await.unwrap().contains(r#""method":"echo""#));
}

#[tokio::test]
async fn a_server_that_lives_but_never_answers_is_given_up() {
    let (mut client, _dir) = against(quick(), |mut stream| async move {
        loop {
            read_some(&mut stream).await;
            if stream.write_all(br#"{"id":"x","method":"echo","params":[]}"#).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let err = client.transact(&[Operation::Comment("x".into())]).await.unwrap_err();
    assert!(matches!(err, Error::Silent { request: "transact", .. }), "{err:?}");
}

#[tokio::test]
async fn answers_may_come_byte_by_byte_and_echoes_are_answered_meanwhile() {
    let (heard, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let (mut client, _dir) = against(Options::new("db"), |mut stream| async move {
        read_some(&mut stream).await;
        let answer = r#" {"id":"ping","method":"echo","params":["}"]}
            {"id":1,"error":null,"result":{"T":{"00000000-0000-0000-0000-000000000001":{"new":{"a":"{\"é"}}}}}"#;
        for byte in answer.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        heard.send(read_some(&mut stream).await).unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let rows = client.monitor(&[MonitorTable::new("T", ["a"])]).await.unwrap();
    assert_eq!(rows[0].change.row().unwrap().str("a"), Some("{\"é"));
    let reading = tokio::spawn(async move { client.next().await });
    assert_eq!(hear.recv().await.unwrap(), r#"{"error":null,"id":"ping","result":["}"]}"#);
    reading.abort();
}

#[tokio::test]
async fn a_server_that_talks_rubbish_is_an_error() {
    for rubbish in ["HTTP/1.1 400 Bad Request\r\n", "{\"method\":\"update\",\"params\":[1]}", "{]", "{}"] {
        let (mut client, _dir) = against(Options::new("db"), |mut stream| async move {
            stream.write_all(rubbish.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let err = client.next().await.unwrap_err();
        assert!(matches!(err, Error::Protocol { .. }), "{rubbish}: {err:?}");
    }
}
