//! Vocabulary to bytes of the wire and back.
//!
//! There is one encoding of every value: the one with which Open vSwitch 3.1 answers on OpenFlow 1.3 when asked
//! for the flow. So a flow that was sent and read back decodes to an equal flow, and a controller can compare. What
//! Open vSwitch changes on its way in, and what is done about it here:
//!
//! - fields come back in its own order: [`Field`](crate::Field) has that order;
//! - register pairs and quads in a match come back as registers: [`Match`](crate::Match) splits them;
//! - fields in Nicira actions come back under their older NXM names, in matches and set-field under their OXM names:
//!   both are written so and either is read;
//! - `set_field` under a mask does not exist before OpenFlow 1.5: it is written as NXAST_REG_LOAD2;
//! - properties of `controller` with default values are left out: so here;
//! - instructions come back in the order in which they run, and an empty apply-actions does not come back at all:
//!   see [`Flow::normalize`](crate::Flow::normalize).

pub(crate) mod action;
pub(crate) mod group;
pub(crate) mod instruction;
pub(crate) mod oxm;
