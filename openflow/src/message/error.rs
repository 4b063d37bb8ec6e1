//! OFPT_ERROR: OpenFlow 1.3.5, 7.4.4, with the names that Open vSwitch's documentation uses.

use super::{HEADER_LEN, Header, ONF};
use crate::{
    codec::action::NICIRA,
    wire::{DecodeError, Put, Reader},
};
use std::fmt;

/// OFPET_EXPERIMENTER.
const EXPERIMENTER: u16 = 0xffff;
/// OFPET_HELLO_FAILED.
const HELLO_FAILED: u16 = 0;

/// An OFPT_ERROR, of the specification or of an experimenter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorMessage {
    /// OFPET_*: what kind of request failed; 0xffff = experimenter.
    pub kind: u16,
    /// The code within the kind; of an experimenter error its type.
    pub code: u16,
    /// Whose error it is; `Some` exactly where `kind` is 0xffff.
    pub experimenter: Option<u32>,
    /// The message that failed (Open vSwitch sends it whole), or a text where the hello failed.
    pub data: Vec<u8>,
}

impl ErrorMessage {
    /// The refusal of a hello that offers no common version (OFPHFC_INCOMPATIBLE).
    pub fn incompatible(text: &str) -> Self {
        Self { kind: HELLO_FAILED, code: 0, experimenter: None, data: text.into() }
    }

    /// True if it refuses a hello.
    pub const fn is_hello_failed(&self) -> bool {
        self.kind == HELLO_FAILED
    }

    /// An error of the ONF's extensions for OpenFlow 1.3, as 2313 "a message of the bundle failed".
    pub fn is_onf(&self, code: u16) -> bool {
        self.experimenter == Some(ONF) && self.code == code
    }

    /// The header of the message that failed.
    pub fn offender(&self) -> Option<Header> {
        let has_offender = self.kind != HELLO_FAILED;
        Header::decode(&self.data).ok().filter(|_| has_offender)
    }

    /// The header of the message within the bundle-add that failed.
    fn bundled(&self) -> Option<Header> {
        let mut r = Reader::new(&self.data);
        let outer = self.offender()?;
        r.skip("header", HEADER_LEN).ok()?;
        let id = (r.u32("experimenter").ok()?, r.u32("experimenter").ok()?);
        r.skip("bundle-add", 8).ok()?;
        let is_add = outer.kind == super::kind::EXPERIMENTER && id == super::exp::BUNDLE_ADD;
        Header::decode(r.rest()).ok().filter(|_| is_add)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u16(self.kind);
        out.put_u16(self.code);
        if let Some(experimenter) = self.experimenter {
            out.put_u32(experimenter);
        }
        out.put_bytes(&self.data);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, code) = (r.u16("error")?, r.u16("error")?);
        let experimenter = if kind == EXPERIMENTER { Some(r.u32("error")?) } else { None };
        Ok(Self { kind, code, experimenter, data: r.take_rest().rest().to_vec() })
    }
}

/// As in `BAD_ACTION/BAD_OUT_GROUP for flow-mod`.
impl fmt::Display for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names() {
            Some((kind, Some(code))) => write!(f, "{kind}/{code}")?,
            Some((kind, None)) => write!(f, "{kind}/{}", self.code)?,
            None => match self.experimenter {
                Some(experimenter) => write!(f, "experimenter {experimenter:#x} error {}", self.code)?,
                None => write!(f, "error type {} code {}", self.kind, self.code)?,
            },
        }
        if self.kind == HELLO_FAILED {
            let text = String::from_utf8_lossy(&self.data);
            return if text.is_empty() { Ok(()) } else { write!(f, ": {}", text.trim_end_matches('\0')) };
        }
        match (self.offender(), self.bundled()) {
            (_, Some(header)) => write!(f, " for {} in bundle", super::kind_name(header.kind)),
            (Some(header), None) => write!(f, " for {}", super::kind_name(header.kind)),
            (None, None) => Ok(()),
        }
    }
}

impl ErrorMessage {
    /// Names of type and code, as far as they have some.
    fn names(&self) -> Option<(&'static str, Option<&'static str>)> {
        match self.experimenter {
            Some(ONF) => onf_name(self.code).map(|name| ("ONF", Some(name))),
            Some(NICIRA) => nicira_name(self.code).map(|name| ("NICIRA", Some(name))),
            Some(_) => None,
            None => {
                let (kind, codes) = STANDARD.get(usize::from(self.kind))?;
                Some((kind, codes.get(usize::from(self.code)).copied()))
            }
        }
    }
}

/// OFPET_* and the codes of each, by number.
const STANDARD: [(&str, &[&str]); 14] = [
    ("HELLO_FAILED", &["INCOMPATIBLE", "EPERM"]),
    (
        "BAD_REQUEST",
        &[
            "BAD_VERSION",
            "BAD_TYPE",
            "BAD_MULTIPART",
            "BAD_EXPERIMENTER",
            "BAD_EXP_TYPE",
            "EPERM",
            "BAD_LEN",
            "BUFFER_EMPTY",
            "BUFFER_UNKNOWN",
            "BAD_TABLE_ID",
            "IS_SLAVE",
            "BAD_PORT",
            "BAD_PACKET",
            "MULTIPART_BUFFER_OVERFLOW",
        ],
    ),
    (
        "BAD_ACTION",
        &[
            "BAD_TYPE",
            "BAD_LEN",
            "BAD_EXPERIMENTER",
            "BAD_EXP_TYPE",
            "BAD_OUT_PORT",
            "BAD_ARGUMENT",
            "EPERM",
            "TOO_MANY",
            "BAD_QUEUE",
            "BAD_OUT_GROUP",
            "MATCH_INCONSISTENT",
            "UNSUPPORTED_ORDER",
            "BAD_TAG",
            "BAD_SET_TYPE",
            "BAD_SET_LEN",
            "BAD_SET_ARGUMENT",
        ],
    ),
    (
        "BAD_INSTRUCTION",
        &[
            "UNKNOWN_INST",
            "UNSUP_INST",
            "BAD_TABLE_ID",
            "UNSUP_METADATA",
            "UNSUP_METADATA_MASK",
            "BAD_EXPERIMENTER",
            "BAD_EXP_TYPE",
            "BAD_LEN",
            "EPERM",
        ],
    ),
    (
        "BAD_MATCH",
        &[
            "BAD_TYPE",
            "BAD_LEN",
            "BAD_TAG",
            "BAD_DL_ADDR_MASK",
            "BAD_NW_ADDR_MASK",
            "BAD_WILDCARDS",
            "BAD_FIELD",
            "BAD_VALUE",
            "BAD_MASK",
            "BAD_PREREQ",
            "DUP_FIELD",
            "EPERM",
        ],
    ),
    (
        "FLOW_MOD_FAILED",
        &[
            "UNKNOWN",
            "TABLE_FULL",
            "BAD_TABLE_ID",
            "OVERLAP",
            "EPERM",
            "BAD_TIMEOUT",
            "BAD_COMMAND",
            "BAD_FLAGS",
        ],
    ),
    (
        "GROUP_MOD_FAILED",
        &[
            "GROUP_EXISTS",
            "INVALID_GROUP",
            "WEIGHT_UNSUPPORTED",
            "OUT_OF_GROUPS",
            "OUT_OF_BUCKETS",
            "CHAINING_UNSUPPORTED",
            "WATCH_UNSUPPORTED",
            "LOOP",
            "UNKNOWN_GROUP",
            "CHAINED_GROUP",
            "BAD_TYPE",
            "BAD_COMMAND",
            "BAD_BUCKET",
            "BAD_WATCH",
            "EPERM",
        ],
    ),
    ("PORT_MOD_FAILED", &["BAD_PORT", "BAD_HW_ADDR", "BAD_CONFIG", "BAD_ADVERTISE", "EPERM"]),
    ("TABLE_MOD_FAILED", &["BAD_TABLE", "BAD_CONFIG", "EPERM"]),
    ("QUEUE_OP_FAILED", &["BAD_PORT", "BAD_QUEUE", "EPERM"]),
    ("SWITCH_CONFIG_FAILED", &["BAD_FLAGS", "BAD_LEN", "EPERM"]),
    ("ROLE_REQUEST_FAILED", &["STALE", "UNSUP", "BAD_ROLE"]),
    (
        "METER_MOD_FAILED",
        &[
            "UNKNOWN",
            "METER_EXISTS",
            "INVALID_METER",
            "UNKNOWN_METER",
            "BAD_COMMAND",
            "BAD_FLAGS",
            "BAD_RATE",
            "BAD_BURST",
            "BAD_BAND",
            "BAD_BAND_VALUE",
            "OUT_OF_METERS",
            "OUT_OF_BANDS",
        ],
    ),
    ("TABLE_FEATURES_FAILED", &["BAD_TABLE", "BAD_METADATA", "BAD_TYPE", "BAD_LEN", "BAD_ARGUMENT", "EPERM"]),
];

/// Errors of the ONF's extension pack for OpenFlow 1.3.
const fn onf_name(code: u16) -> Option<&'static str> {
    Some(match code {
        2300 => "BUNDLE_UNKNOWN",
        2301 => "BUNDLE_EPERM",
        2302 => "BUNDLE_BAD_ID",
        2303 => "BUNDLE_EXIST",
        2304 => "BUNDLE_CLOSED",
        2305 => "BUNDLE_OUT_OF_BUNDLES",
        2306 => "BUNDLE_BAD_TYPE",
        2307 => "BUNDLE_BAD_FLAGS",
        2308 => "BUNDLE_MSG_BAD_LEN",
        2309 => "BUNDLE_MSG_BAD_XID",
        2310 => "BUNDLE_MSG_UNSUP",
        2311 => "BUNDLE_MSG_CONFLICT",
        2312 => "BUNDLE_MSG_TOO_MANY",
        2313 => "BUNDLE_MSG_FAILED",
        2314 => "BUNDLE_TIMEOUT",
        2315 => "BUNDLE_IN_PROGRESS",
        2360 => "FLOW_MOD_CANT_SYNC",
        2370 => "ASYNC_INVALID",
        2371 => "ASYNC_UNSUPPORTED",
        2372 => "ASYNC_EPERM",
        2600 => "DUP_INST",
        2640 => "MULTIPART_REQUEST_TIMEOUT",
        2641 => "MULTIPART_REPLY_TIMEOUT",
        4250 => "BAD_SET_MASK",
        _ => return None,
    })
}

/// Errors of Nicira that Open vSwitch sends on OpenFlow 1.3.
const fn nicira_name(code: u16) -> Option<&'static str> {
    Some(match code {
        2 => "NXM_INVALID",
        3 => "NXM_BAD_TYPE",
        4 => "MUST_BE_ZERO",
        5 => "BAD_REASON",
        6 => "MONITOR_EXISTS",
        7 => "MONITOR_BAD_FLAGS",
        8 => "UNKNOWN_MONITOR",
        9 => "MONITOR_BAD_EVENT",
        10 => "UNENCODABLE_ERROR",
        11 => "ACTION_MUST_BE_ZERO",
        12 => "HARDWARE",
        13 => "BAD_TABLE_ID",
        15 => "BAD_CONJUNCTION",
        34 => "NOT_SUPPORTED",
        35 => "STALE",
        39 => "BAD_HEADER_TYPE",
        42 => "ACTION_CT_UNSUPPORTED",
        43 => "MATCH_CT_UNSUPPORTED",
        _ => return None,
    })
}
