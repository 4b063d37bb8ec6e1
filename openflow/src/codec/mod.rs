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
//! - a controller action comes back as NXAST_CONTROLLER2 only if it came so: it is always written so;
//! - instructions come back in the order in which they run, and empty apply-actions and write-actions do not come
//!   back at all: see [`Flow::normalize`](crate::Flow::normalize);
//! - in Nicira actions `vlan_vid` has 12 bits, not the 13 of a match: see
//!   [`SubField::whole`](crate::SubField::whole).
//!
//! Two things have no canonical form here and are left to the caller: a bucket must have weight 0 unless its group is a
//! `Select` (Open vSwitch refuses the group), and a meter band without the `BURST` flag comes back with a burst as
//! large as its rate.
//!
//! Not written back byte by byte is a bucket of a foreign group that watches a port or group, see
//! [`Bucket`](crate::Bucket).

pub(crate) mod action;
pub(crate) mod group;
pub(crate) mod instruction;
pub(crate) mod oxm;
