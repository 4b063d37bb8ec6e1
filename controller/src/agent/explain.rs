//! Says what becomes of a packet, and what a switch holds.

use super::{flows::Current, planner::Ask};
use crate::{
    compile::Compiler,
    model::ChassisId,
    northbound::{self, ExplainError, ExplainSource, Flows, Trace, TraceProtocol},
    southbound::openflow::{Dump, Switch},
    trace::{self, Protocol, TraceError, show},
};
use futures::future::BoxFuture;
use openflow::{Flow, raw::RawFlowStats};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// Asks the planner and the switches.
#[derive(Debug)]
pub(super) struct Explainer {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) switches: BTreeMap<ChassisId, Current>,
}

impl Explainer {
    /// What a question to the compiler gives; `None` while everything stops.
    async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Compiler) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, result) = oneshot::channel();
        let ask = Ask::Query(Box::new(move |compiler| {
            // Who asked may have gone.
            let _ = answer.send(question(compiler));
        }));
        self.asks.send(ask).await.ok()?;
        result.await.ok()
    }

    async fn dump(&self, chassis: &ChassisId) -> Result<Dump, ExplainError> {
        let current = self.switches.get(chassis).ok_or_else(|| ExplainError::NotServed(chassis.clone()))?;
        let unreachable = |why: String| ExplainError::Unreachable { chassis: chassis.clone(), why };
        let switch: Switch =
            current.get().ok_or_else(|| unreachable("its switch is not connected".into()))?;
        switch.dump().await.map_err(|err| unreachable(err.to_string()))
    }
}

impl ExplainSource for Explainer {
    fn trace(&self, request: northbound::TraceRequest) -> BoxFuture<'_, Result<Trace, ExplainError>> {
        Box::pin(async move {
            let from = request.from.clone();
            let traced = self.query(move |compiler| trace::trace(compiler, &translate(request))).await;
            let result = traced.ok_or_else(stopping)?.map_err(|err| match err {
                TraceError::NotServed { chassis, .. } => ExplainError::NotServed(chassis),
                TraceError::NoPort(_) | TraceError::NotBound(_) => ExplainError::NoPort(from),
                other => ExplainError::BadPacket(other.to_string()),
            })?;
            let steps = serde_json::to_value(&result).unwrap_or(Value::Null);
            Ok(Trace { lines: result.lines(), verdict: result.verdict, steps })
        })
    }

    fn flows(&self, chassis: ChassisId) -> BoxFuture<'_, Result<Flows, ExplainError>> {
        Box::pin(async move {
            let dump = self.dump(&chassis).await?;
            self.query(move |compiler| describe(compiler, chassis, &dump)).await.ok_or_else(stopping)
        })
    }
}

fn stopping() -> ExplainError {
    ExplainError::BadPacket("the controller stops".into())
}

fn translate(request: northbound::TraceRequest) -> trace::TraceRequest {
    let northbound::TraceRequest { from, to, source, mac, protocol, source_port, destination_port, ttl } =
        request;
    let protocol = match protocol {
        TraceProtocol::Icmp => Protocol::Icmp,
        TraceProtocol::Tcp => Protocol::Tcp,
        TraceProtocol::Udp => Protocol::Udp,
        TraceProtocol::Arp => Protocol::Arp,
    };
    trace::TraceRequest {
        source,
        mac,
        protocol,
        source_port,
        destination_port,
        ttl,
        ..trace::TraceRequest::echo(from, to)
    }
}

/// What a switch holds, by table and falling priority.
fn describe(compiler: &Compiler, chassis: ChassisId, dump: &Dump) -> Flows {
    let view = compiler.view();
    let mut flows: Vec<(Flow, RawFlowStats<'_>)> =
        dump.flows().filter_map(|stats| Some((stats.flow.decode().ok()?, stats))).collect();
    flows.sort_by_key(|(flow, _)| (flow.table, u16::MAX - flow.priority));
    let line = |(flow, stats): &(Flow, RawFlowStats<'_>)| {
        format!("{} packets={} bytes={}", show::flow(view, flow), stats.packet_count, stats.byte_count)
    };
    let groups = &dump.observed.groups;
    let program = |(flow, stats): &(Flow, RawFlowStats<'_>)| {
        json!({
            "table": show::table(flow.table),
            "priority": flow.priority,
            "match": show::matching(&flow.matching),
            "actions": show::instructions(&flow.instructions),
            "owner": show::whose(view, flow.cookie),
            "packets": stats.packet_count,
            "bytes": stats.byte_count,
        })
    };
    Flows {
        lines: flows.iter().map(line).chain(groups.iter().map(show::group)).collect(),
        flows: json!({
            "flows": flows.iter().map(program).collect::<Vec<_>>(),
            "groups": groups.iter().map(show::group).collect::<Vec<_>>(),
        }),
        chassis,
    }
}
