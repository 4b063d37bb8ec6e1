//! The controller: what an operator wants, compiled into what each chassis must hold, and kept so.
//!
//! `northbound -> model -> compile -> reconcile -> southbound`. The rooms `model`, `compile`, `pipeline` and
//! `reconcile` are pure: no clock, no socket, no runtime.

