//! The parts of the command that are more than a call.

pub(crate) mod afxdp;
pub(crate) mod changes;
pub(crate) mod trace;
