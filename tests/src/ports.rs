//! Thousands of ports at once, for measurements.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::hypervisor::Hypervisor;

impl Hypervisor {
    /// Adds one OpenFlow port to br-int for each of `port_ids`, with that `external_ids:iface-id`, and
    /// waits until the switch has them all and the database their numbers. Nothing is behind them: each is a patch port without a peer,
    /// which costs no kernel device. Interfaces are called `FIRST0`, `FIRST1`, ...
    ///
    /// One transaction by the database's own protocol: `ovs-vsctl` takes a time quadratic in the number of
    /// its arguments.
    ///
    /// # Errors
    /// The database refuses, or the switch has not made the ports within 60 s.
    pub fn add_bulk_ports(&self, first: &str, port_ids: &[String]) -> Result<()> {
        self.ensure_br_int()?;
        let mut operations = vec![json!("Open_vSwitch")];
        let mut ports = Vec::new();
        for (index, port_id) in port_ids.iter().enumerate() {
            let name = format!("{first}{index}");
            operations.push(
                json!({"op": "insert", "table": "Interface", "uuid-name": format!("i{index}"), "row": {
                    "name": name, "type": "patch",
                    "options": ["map", [["peer", format!("none-{name}")]]],
                    "external_ids": ["map", [["iface-id", port_id]]],
                }}),
            );
            operations.push(
                json!({"op": "insert", "table": "Port", "uuid-name": format!("p{index}"), "row": {
                    "name": name, "interfaces": ["named-uuid", format!("i{index}")],
                }}),
            );
            ports.push(json!(["named-uuid", format!("p{index}")]));
        }
        operations.push(json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", "br-int"]],
            "mutations": [["ports", "insert", ["set", ports]]]}));
        // The switch says by `cur_cfg` how far it has followed, numbers of the new ports included.
        operations.push(json!({"op": "mutate", "table": "Open_vSwitch", "where": [],
            "mutations": [["next_cfg", "+=", 1]]}));
        operations
            .push(json!({"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]}));
        let results = self.transact(operations)?;
        let wanted =
            results.last().and_then(|result| result.pointer("/rows/0/next_cfg")).and_then(Value::as_u64);
        let wanted = wanted.with_context(|| format!("no next_cfg in {:?}", results.last()))?;
        self.ovs_vsctl(&["--timeout=60", "wait-until", "Open_vSwitch", ".", &format!("cur_cfg>={wanted}")])?;
        self.expect_ports(first, port_ids.len())
    }

    /// One transaction at the database (RFC 7047, section 4.1.3).
    fn transact(&self, params: Vec<Value>) -> Result<Vec<Value>> {
        let mut stream = UnixStream::connect(self.db_sock()).context("connect to ovsdb-server")?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).context("set a time limit")?;
        let request = json!({"method": "transact", "params": params, "id": 1});
        stream.write_all(request.to_string().as_bytes()).context("send a transaction")?;
        // The reply ends where it is a whole JSON value; a failed operation stands among the results.
        let mut text = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        let reply: Value = loop {
            let length = stream.read(&mut buffer).context("read the reply to a transaction")?;
            ensure!(length > 0, "ovsdb-server closed the connection");
            text.extend_from_slice(buffer.get(..length).unwrap_or_default());
            if text.ends_with(b"}")
                && let Ok(reply) = serde_json::from_slice(&text)
            {
                break reply;
            }
        };
        let results =
            reply.get("result").and_then(Value::as_array).with_context(|| format!("no result: {reply}"))?;
        match results.iter().find(|result| result.get("error").is_some()) {
            Some(error) => bail!("transaction refused: {error}"),
            None => Ok(results.clone()),
        }
    }

    /// Fails unless the switch shows `count` ports whose names start with `first` and go on with a digit.
    fn expect_ports(&self, first: &str, count: usize) -> Result<()> {
        let ports = self.ovs_ofctl(&["dump-ports-desc", "br-int"])?;
        let names = ports.lines().filter_map(|line| line.split_once('(')?.1.strip_prefix(first));
        let seen = names.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).count();
        ensure!(seen >= count, "the switch has {seen} of {count} ports");
        Ok(())
    }
}
