//! What operators and orchestrators talk to: a REST API on a unix socket and, if wanted, TCP.

mod sources;

pub use sources::{
    ChassisStatus, ExplainError, ExplainSource, Flows, Link, NotWired, Reconciled, StatusSource, Trace,
    TraceProtocol, TraceRequest,
};
