//! The controller: what an operator wants, compiled into what each chassis must hold, and kept so.
//!
//! `northbound -> model -> compile -> reconcile -> southbound`. The rooms `model`, `compile`, `pipeline` and
//! `reconcile` are pure: no clock, no socket, no runtime.

pub mod agent;
pub mod cli;
pub mod compile;
pub mod model;
pub mod northbound;
pub mod pipeline;
pub mod reconcile;
pub mod southbound;
pub mod store;
pub mod trace;
