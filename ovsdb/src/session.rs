//! The protocol without IO and without a clock: bytes in, events and bytes out (RFC 7047, 4).

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::{FrameError, Framer, Operation, RowUpdate, ValueError, row};

/// One side of a connection: turns requests into bytes and bytes into [`Event`]s, and answers `echo` by itself.
///
/// Replies and updates come out in the order in which the server sent them. So what a snapshot (the answer to
/// `monitor`) does not hold, a later update does: nothing falls between the two.
#[derive(Debug)]
pub struct Session {
    framer: Framer,
    output: Vec<u8>,
    last_id: u64,
    monitors: BTreeSet<u64>,
}

/// A request that was made; its answer carries the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

/// Something that the server said.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer to a request; `Err` holds the member `error`.
    Answer(RequestId, Result<Json, Json>),
    /// Rows of a monitor changed, all in one transaction.
    Updates(Vec<RowUpdate>),
}

/// A table to monitor, with the columns to be told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorTable {
    /// The table.
    pub table: String,
    /// Its columns. What changes in others is never reported.
    pub columns: Vec<String>,
}

impl MonitorTable {
    /// Some columns of a table.
    pub fn new<C: Into<String>>(table: &str, columns: impl IntoIterator<Item = C>) -> Self {
        Self { table: table.into(), columns: columns.into_iter().map(Into::into).collect() }
    }
}

/// Why a session cannot go on. What the server said is lost, so a snapshot kept from it may be out of date: connect
/// anew.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The stream cannot be cut into messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message is not JSON.
    #[error("message is not JSON")]
    Json(#[from] serde_json::Error),
    /// A message is JSON, but neither request nor answer nor notification.
    #[error("unusable message: {0}")]
    Message(#[from] ValueError),
}

impl Session {
    /// A new session that refuses messages longer than `max_message` bytes.
    pub const fn new(max_message: usize) -> Self {
        let framer = Framer::new(max_message);
        Self { framer, output: Vec::new(), last_id: 0, monitors: BTreeSet::new() }
    }

    /// Takes what has arrived.
    pub fn input(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// To call when the first `bytes` of the output have been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.output.drain(..bytes.min(self.output.len()));
    }

    /// Asks for a sign of life. The answer comes out as an event like any other.
    pub fn echo(&mut self) -> RequestId {
        self.request("echo", json!([]))
    }

    /// Asks for a transaction on a database. Its answer is read by [`Operation`]s' results, see `Client::transact`.
    pub fn transact(&mut self, database: &str, operations: &[Operation]) -> RequestId {
        let params = std::iter::once(json!(database)).chain(operations.iter().map(Operation::to_json));
        self.request("transact", Json::Array(params.collect()))
    }

    /// Asks to be told about tables of a database, first with all that is in them now, then with what changes.
    pub fn monitor(&mut self, database: &str, tables: &[MonitorTable]) -> RequestId {
        let requests = tables.iter().map(|t| (t.table.clone(), json!({"columns": t.columns}))).collect();
        let monitor = self.last_id + 1;
        self.monitors.insert(monitor);
        self.request("monitor", json!([database, monitor, Json::Object(requests)]))
    }

    /// Reads on until something happened that the caller should know; `None` when more input is needed.
    ///
    /// # Errors
    /// [`ProtocolError`]; the session is of no more use then.
    pub fn poll(&mut self) -> Result<Option<Event>, ProtocolError> {
        while let Some(text) = self.framer.next_message()? {
            if let Some(event) = self.message(serde_json::from_slice(&text)?)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn message(&mut self, mut message: Json) -> Result<Option<Event>, ProtocolError> {
        let id = message.get("id").cloned().unwrap_or_default();
        match message.get("method") {
            Some(Json::String(method)) => {
                let method = method.clone();
                let params = message.get_mut("params").map(Json::take).unwrap_or_default();
                if id.is_null() {
                    self.notification(&method, params)
                } else {
                    Ok(self.called(&method, params, id))
                }
            }
            None if message.get("result").is_some() || message.get("error").is_some() => {
                let mut part = |name| message.get_mut(name).map(Json::take).unwrap_or_default();
                let (result, error) = (part("result"), part("error"));
                let answer = if error.is_null() { Ok(result) } else { Err(error) };
                Ok(id.as_u64().map(|id| Event::Answer(RequestId(id), answer)))
            }
            Some(_) | None => Err(ValueError::new("JSON-RPC message", &message).into()),
        }
    }

    fn notification(&self, method: &str, params: Json) -> Result<Option<Event>, ProtocolError> {
        if method != "update" {
            tracing::debug!(method, "notification ignored");
            return Ok(None);
        }
        let [monitor, updates] = match params {
            Json::Array(params) => params.try_into().map_err(Json::Array),
            other => Err(other),
        }
        .map_err(|params| ValueError::new("pair of monitor and updates", &params))?;
        if monitor.as_u64().is_some_and(|id| self.monitors.contains(&id)) {
            Ok(Some(Event::Updates(row::table_updates(updates)?)))
        } else {
            Ok(None)
        }
    }

    /// The server may ask us, too; `echo` is all it does ask (RFC 7047, 4.1.11).
    fn called(&mut self, method: &str, params: Json, id: Json) -> Option<Event> {
        let answer = match method {
            "echo" => json!({"result": params, "error": null, "id": id}),
            _ => json!({"result": null, "error": "unknown method", "id": id}),
        };
        self.send(&answer);
        None
    }

    fn request(&mut self, method: &str, params: Json) -> RequestId {
        self.last_id += 1;
        self.send(&json!({"method": method, "params": params, "id": self.last_id}));
        RequestId(self.last_id)
    }

    fn send(&mut self, message: &Json) {
        self.output.extend_from_slice(message.to_string().as_bytes());
    }
}

/// Reads the answer to `monitor`: all rows, as updates.
pub(crate) fn read_snapshot(json: Json) -> Result<Vec<RowUpdate>, ValueError> {
    row::table_updates(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, Row, Uuid};

    const ROW: &str = "00000000-0000-0000-0000-000000000001";

    fn session(input: &str) -> Session {
        let mut session = Session::new(1 << 16);
        session.input(input.as_bytes());
        session
    }

    fn sent(session: &Session) -> Json {
        serde_json::from_slice(session.output()).unwrap()
    }

    #[test]
    fn requests_are_written_as_the_rfc_has_them_and_answered_by_id() {
        let mut session = Session::new(1 << 16);
        let first = session.transact("db", &[Operation::Comment("x".into())]);
        assert_eq!(
            sent(&session),
            json!({"method": "transact", "params": ["db", {"op": "comment", "comment": "x"}], "id": 1})
        );
        session.sent(session.output().len());
        let second = session.monitor("db", &[MonitorTable::new("T", ["a"])]);
        assert_eq!(
            sent(&session),
            json!({"method": "monitor", "params": ["db", 2, {"T": {"columns": ["a"]}}], "id": 2})
        );
        session.input(br#"{"id":2,"result":{},"error":null}{"id":1,"result":null,"error":{"error":"e"}}"#);
        assert_eq!(session.poll().unwrap(), Some(Event::Answer(second, Ok(json!({})))));
        assert_eq!(session.poll().unwrap(), Some(Event::Answer(first, Err(json!({"error": "e"})))));
        assert_eq!(session.poll().unwrap(), None);
    }

    #[test]
    fn answers_echo_and_refuses_other_calls() {
        for (method, answer) in [
            ("echo", json!({"result": ["x"], "error": null, "id": "e"})),
            ("steal", json!({"result": null, "error": "unknown method", "id": "e"})),
        ] {
            let mut session = session(&json!({"method": method, "params": ["x"], "id": "e"}).to_string());
            assert_eq!(session.poll().unwrap(), None);
            assert_eq!(sent(&session), answer);
        }
    }

    #[test]
    fn updates_come_only_from_monitors_that_were_asked_for() {
        let mut session = Session::new(1 << 16);
        let request = session.monitor("db", &[]);
        for (monitor, heard) in [(7, false), (1, true)] {
            let update = json!({"T": {ROW: {"new": {"a": 1}}}});
            let message = json!({"method": "update", "params": [monitor, update], "id": null});
            session.input(message.to_string().as_bytes());
            let change = Change::Insert(Row::default().with("a", 1_i64));
            let update = RowUpdate { table: "T".into(), uuid: Uuid(1), change };
            assert_eq!(session.poll().unwrap(), heard.then(|| Event::Updates(vec![update])), "{request:?}");
        }
    }

    #[test]
    fn bad_messages_end_the_session_with_their_text() {
        for (input, error) in [
            ("{}", "unusable message: {} is no JSON-RPC message"),
            ("{\"method\":1}", "unusable message: {\"method\":1} is no JSON-RPC message"),
            ("{]", "message is not JSON"),
            ("x", "message begins with byte 0x78, not with an object"),
            (
                "{\"method\":\"update\",\"params\":[1]}",
                "unusable message: [1] is no pair of monitor and updates",
            ),
        ] {
            assert_eq!(session(input).poll().unwrap_err().to_string(), error);
        }
        // What we do not know is no reason to stop.
        assert_eq!(session("{\"method\":\"stolen\",\"params\":[\"l\"],\"id\":null}").poll().unwrap(), None);
        assert_eq!(session("{\"id\":\"other\",\"result\":1,\"error\":null}").poll().unwrap(), None);
    }

    #[test]
    fn damaged_messages_never_panic_and_are_consumed() {
        let sample = format!(
            "{{\"method\":\"echo\",\"params\":[],\"id\":1}}\
             {{\"method\":\"update\",\"params\":[1,{{\"T\":{{\"{ROW}\":{{\"new\":{{\"a\":1}}}}}}}}],\"id\":null}}"
        );
        bolero::check!().with_type::<Vec<(u8, u8)>>().for_each(|edits| {
            let mut session = Session::new(1 << 16);
            session.monitor("db", &[]);
            session.input(&crate::testing::damage(&sample, edits));
            // Each message yields at most one event, so this ends.
            for _ in 0..sample.len() {
                match session.poll() {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
            panic!("the session does not come to an end");
        });
    }
}
