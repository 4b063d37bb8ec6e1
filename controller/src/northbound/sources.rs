//! What the API asks of the part that talks to switches.
//!
//! The agent implements these; the API and the command line only show the answers.

use crate::model::{ChassisId, PortId, Revision};
use futures::future::BoxFuture;
use packet::{DatapathId, MacAddr};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use tokio::sync::watch;

/// Says how the switches are.
pub trait StatusSource: Send + Sync + 'static {
    /// The state of every chassis this controller serves, in order of id. Must not block: it is called for every
    /// `GET /v1/status` and every scrape of `/metrics`.
    fn status(&self) -> Vec<ChassisStatus>;
    /// What is really wired on every chassis this controller serves. Must not block.
    fn wired(&self) -> BTreeMap<ChassisId, Wired>;
    /// Changes whenever [`StatusSource::wired`] may answer otherwise.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What is really wired on one chassis.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wired {
    /// Its switch and its database are connected.
    pub alive: bool,
    /// Its switch has acknowledged everything up to this revision of the model; `None` while that is not known.
    pub applied: Option<Revision>,
    /// Bound ports whose interface is not there, at that revision.
    pub missing: BTreeSet<PortId>,
}

/// Says what the switches hold and why.
pub trait ExplainSource: Send + Sync + 'static {
    /// What becomes of a packet.
    fn trace(&self, request: TraceRequest) -> BoxFuture<'_, Result<Trace, ExplainError>>;
    /// The flows and groups of a chassis.
    fn flows(&self, chassis: ChassisId) -> BoxFuture<'_, Result<Flows, ExplainError>>;
}

/// Whether a connection stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Link {
    /// It does.
    Connected,
    /// It does not.
    Disconnected {
        /// Why, as an operator should read it.
        why: String,
    },
}

/// A port bound to a chassis whose interface is not there (yet).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NotWired {
    /// The port.
    pub port: PortId,
    /// Why, as in "no interface with external_ids:iface-id=web-1 on br-int".
    pub why: String,
}

/// What the last reconciliation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reconciled {
    /// When it ended, milliseconds since 1970-01-01 UTC.
    pub at_unix_ms: u64,
    /// Flows and groups added or changed.
    pub adds: u64,
    /// Flows and groups deleted.
    pub deletes: u64,
    /// From the first difference to the switch's answer, microseconds.
    pub duration_us: u64,
}

/// How one chassis is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChassisStatus {
    /// Which.
    pub id: ChassisId,
    /// The newest revision of the model that was seen to be on its switch in full.
    #[serde(default)]
    pub revision: Revision,
    /// The connection to its ovsdb-server.
    pub ovsdb: Link,
    /// The connection from its ovs-vswitchd.
    pub openflow: Link,
    /// The integration bridge's id, 16 hexadecimal digits, once known.
    #[serde(default, with = "dpid_text")]
    #[schema(value_type = Option<String>)]
    pub datapath_id: Option<DatapathId>,
    /// Flows that should be there.
    pub flows: u64,
    /// Groups that should be there.
    pub groups: u64,
    /// Bound ports whose interface is there.
    pub ports_wired: u64,
    /// Bound ports whose interface is not.
    pub ports_not_wired: Vec<NotWired>,
    /// The last reconciliation, once there was one.
    pub last_reconcile: Option<Reconciled>,
    /// What else is wrong, one sentence each.
    pub errors: Vec<String>,
}

/// Which protocol a traced packet carries.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum TraceProtocol {
    /// An echo request, ICMP or ICMPv6 as the addresses are.
    #[default]
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// An ARP request or neighbour solicitation for the destination.
    Arp,
}

/// A packet to trace: what a VM behind `from` would send to `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TraceRequest {
    /// The port it enters by.
    #[param(value_type = String)]
    pub from: PortId,
    /// Where to.
    #[schema(value_type = String)]
    #[param(value_type = String)]
    pub to: IpAddr,
    /// From which address; without one, the first of the port of the same family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    pub source: Option<IpAddr>,
    /// To which MAC; without one, what the VM would resolve: the destination's, or its gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    pub mac: Option<MacAddr>,
    /// What it carries.
    #[serde(default)]
    pub protocol: TraceProtocol,
    /// TCP or UDP source port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// TCP or UDP destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// Time to live, or hop limit; 64 without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Trace {
    /// In one sentence, as in "delivered to port db-1 on chassis hv1".
    pub verdict: String,
    /// The way there, one line a step, for reading.
    pub lines: Vec<String>,
    /// The same for programs.
    #[schema(value_type = Object)]
    pub steps: serde_json::Value,
}

/// The flows and groups of a chassis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Flows {
    /// Which chassis.
    pub chassis: ChassisId,
    /// One line a flow or group, with names of tables and objects, for reading.
    pub lines: Vec<String>,
    /// The same for programs.
    #[schema(value_type = Object)]
    pub flows: serde_json::Value,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// This controller does not serve the chassis.
    #[error("chassis {0} is not served by this controller")]
    NotServed(ChassisId),
    /// The port is not in the model, or not bound.
    #[error("port {0} is not bound to a chassis of this controller")]
    NoPort(PortId),
    /// The packet cannot be, as when the port has no address of the destination's family.
    #[error("{0}")]
    BadPacket(String),
    /// The switch did not answer.
    #[error("chassis {chassis} did not answer: {why}")]
    Unreachable {
        /// Which chassis.
        chassis: ChassisId,
        /// Why.
        why: String,
    },
}

/// A controller that serves no chassis: it keeps the model and answers for it, no more.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServesNone;

impl StatusSource for ServesNone {
    fn status(&self) -> Vec<ChassisStatus> {
        Vec::new()
    }

    fn wired(&self) -> BTreeMap<ChassisId, Wired> {
        BTreeMap::new()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }
}

impl ExplainSource for ServesNone {
    fn trace(&self, request: TraceRequest) -> BoxFuture<'_, Result<Trace, ExplainError>> {
        Box::pin(async { Err(ExplainError::NoPort(request.from)) })
    }

    fn flows(&self, chassis: ChassisId) -> BoxFuture<'_, Result<Flows, ExplainError>> {
        Box::pin(async { Err(ExplainError::NotServed(chassis)) })
    }
}

mod dpid_text {
    use packet::DatapathId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        id: &Option<DatapathId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Option<DatapathId>, D::Error> {
        Option::<String>::deserialize(de)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
