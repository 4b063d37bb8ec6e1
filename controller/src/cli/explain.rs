//! `dragonflow trace` and `dragonflow flows`.

use super::{CliError, Client, Done, Format, Out, Tone};
use crate::{
    model::{ChassisId, PortId},
    northbound::{Flows, Trace, TraceProtocol, TraceRequest},
};
use packet::MacAddr;
use std::{io::Write as _, net::IpAddr};

#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// The port whose VM sends the packet.
    from: PortId,
    /// The address it sends to.
    to: IpAddr,
    /// The address it sends from; without it the port's own.
    #[arg(long)]
    source: Option<IpAddr>,
    /// The MAC it sends to; without it what the VM would resolve.
    #[arg(long)]
    mac: Option<MacAddr>,
    /// What it sends.
    #[arg(long, value_enum, default_value_t)]
    protocol: TraceProtocol,
    /// TCP or UDP source port.
    #[arg(long)]
    source_port: Option<u16>,
    /// TCP or UDP destination port.
    #[arg(long)]
    destination_port: Option<u16>,
    /// Time to live, or hop limit; without it 64.
    #[arg(long)]
    ttl: Option<u8>,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct FlowsArgs {
    /// Which chassis.
    chassis: ChassisId,
    /// How to show them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(super) async fn trace(args: TraceArgs, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    let format = args.output;
    let trace: Trace = client.get(&format!("/v1/trace?{}", query(&args.into()))).await?;
    if format == Format::Json {
        out.json(&trace)?;
        return Ok(Done::Well);
    }
    // The last line is the verdict, which is what a reader looks for.
    for line in trace.lines.iter().filter(|line| **line != trace.verdict) {
        writeln!(out.to, "{line}")?;
    }
    writeln!(out.to, "{}", out.paint(Tone::Heading, &trace.verdict))?;
    Ok(Done::Well)
}

pub(super) async fn flows(args: &FlowsArgs, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    let flows: Flows = client.get(&format!("/v1/chassis/{}/flows", args.chassis)).await?;
    if args.output == Format::Json {
        out.json(&flows)?;
        return Ok(Done::Well);
    }
    for line in &flows.lines {
        writeln!(out.to, "{line}")?;
    }
    Ok(Done::Well)
}

impl From<TraceArgs> for TraceRequest {
    fn from(args: TraceArgs) -> Self {
        Self {
            from: args.from,
            to: args.to,
            source: args.source,
            mac: args.mac,
            protocol: args.protocol,
            source_port: args.source_port,
            destination_port: args.destination_port,
            ttl: args.ttl,
        }
    }
}

/// As a query string. Ids, addresses and numbers have no character that would need an escape.
fn query(request: &TraceRequest) -> String {
    let value = serde_json::to_value(request).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    fields.collect::<Vec<_>>().join("&")
}
