//! Flows that stay bytes: for a controller that keeps, compares and sends many of them.
//!
//! A controller with 100,000 flows in [`Flow`] form spends its memory on enums and its time on encoding.
//! Here a flow is two byte strings, its match and its instructions, as they stand on the wire.

use crate::{
    codec::{instruction::read_instructions, oxm::read_match as decode_match},
    flow::{Flow, TableId},
    message::{BundleFlags, FlowModCommand, Header, VERSION, Xid},
    wire::{DecodeError, EncodeError, Put, Reader},
};

/// OFPT_EXPERIMENTER.
const EXPERIMENTER: u8 = 4;
/// OFPT_FLOW_MOD.
const FLOW_MOD: u8 = 14;
/// OFPT_MULTIPART_REPLY.
const MULTIPART_REPLY: u8 = 19;
/// OFPMP_FLOW.
const MULTIPART_FLOW: u16 = 1;
/// OFPMPF_REPLY_MORE.
const REPLY_MORE: u16 = 1;
/// OFPMT_OXM.
const MATCH_OXM: u16 = 1;
/// ONF_EXPERIMENTER_ID.
const ONF: u32 = 0x4f4e_4600;
/// ONFT_BUNDLE_ADD_MESSAGE.
const BUNDLE_ADD: u32 = 2301;
/// OFP_NO_BUFFER, OFPP_ANY and OFPG_ANY.
const NONE: u32 = 0xffff_ffff;

/// A flow as the wire has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawFlow<'a> {
    /// Where it stands.
    pub table: TableId,
    /// Higher wins.
    pub priority: u16,
    /// Whose flow it is.
    pub cookie: u64,
    /// Its match: type, length, fields and padding to 8 octets.
    pub matching: &'a [u8],
    /// Its instructions.
    pub instructions: &'a [u8],
}

/// One entry of OFPMP_FLOW.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawFlowStats<'a> {
    /// The flow.
    pub flow: RawFlow<'a>,
    /// Its idle timeout in seconds.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds.
    pub hard_timeout: u16,
    /// OFPFF_* of the flow-mod that made it.
    pub flags: u16,
    /// Packets it saw.
    pub packet_count: u64,
    /// Octets it saw.
    pub byte_count: u64,
}

/// One part of the reply to OFPMP_FLOW: its xid and entries.
#[derive(Debug, Clone, Copy)]
pub struct RawFlowPart<'a> {
    /// Xid of the request.
    pub xid: Xid,
    /// More parts follow.
    pub more: bool,
    rest: Reader<'a>,
}

impl RawFlow<'_> {
    /// The flow as a value.
    ///
    /// # Errors
    /// [`DecodeError`] if match or instructions are not what they should be.
    pub fn decode(&self) -> Result<Flow, DecodeError> {
        Ok(Flow {
            table: self.table,
            priority: self.priority,
            cookie: self.cookie,
            matching: decode_match(&mut Reader::new(self.matching))?,
            instructions: read_instructions(Reader::new(self.instructions))?,
        })
    }

    /// Appends a flow-mod without timeouts. A deletion carries no instructions, and goes by match and priority only.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above 65535 octets; `out` is as before then.
    pub fn encode_flow_mod(
        &self,
        xid: Xid,
        command: FlowModCommand,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let done = self.append_flow_mod(xid, command, out);
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    /// Appends the same within an ONF bundle-add.
    ///
    /// # Errors
    /// As [`RawFlow::encode_flow_mod`].
    pub fn encode_bundle_add(
        &self,
        xid: Xid,
        bundle: u32,
        bundle_flags: BundleFlags,
        command: FlowModCommand,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        bundle_add_header(xid, bundle, bundle_flags, out);
        let done =
            self.append_flow_mod(xid, command, out).and_then(|()| out.patch_len("bundle-add", start, 2));
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    /// OpenFlow 1.3.5, 7.3.4.1.
    fn append_flow_mod(
        &self,
        xid: Xid,
        command: FlowModCommand,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        put_header(FLOW_MOD, xid, out);
        out.put_u64(self.cookie);
        out.put_u64(0);
        out.put_u8(self.table.0);
        out.put_u8(command.into());
        out.put_u32(0);
        out.put_u16(self.priority);
        out.put_u32(NONE);
        out.put_u32(NONE);
        out.put_u32(NONE);
        out.put_u32(0);
        out.put_bytes(self.matching);
        match command {
            FlowModCommand::Delete | FlowModCommand::DeleteStrict => {}
            FlowModCommand::Add
            | FlowModCommand::Modify
            | FlowModCommand::ModifyStrict
            | FlowModCommand::Other(_) => out.put_bytes(self.instructions),
        }
        out.patch_len("flow-mod", start, 2)
    }
}

/// What stands before the message in an ONF bundle-add; its length is to be patched.
fn bundle_add_header(xid: Xid, bundle: u32, flags: BundleFlags, out: &mut Vec<u8>) {
    put_header(EXPERIMENTER, xid, out);
    out.put_u32(ONF);
    out.put_u32(BUNDLE_ADD);
    out.put_u32(bundle);
    out.put_u16(0);
    out.put_u16(flags.0);
}

fn put_header(kind: u8, xid: Xid, out: &mut Vec<u8>) {
    out.put_u8(VERSION);
    out.put_u8(kind);
    out.put_u16(0);
    out.put_u32(xid.0);
}

impl<'a> RawFlowPart<'a> {
    /// Reads the header of a part; `None` if the message is no part of a reply to OFPMP_FLOW.
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let header = Header::decode(frame).ok()?;
        if header.version != VERSION || header.kind != MULTIPART_REPLY {
            return None;
        }
        let mut rest = Reader::new(frame);
        rest.skip("header", 8).ok()?;
        let (kind, flags) = (rest.u16("multipart").ok()?, rest.u16("multipart").ok()?);
        rest.skip("multipart", 4).ok()?;
        (kind == MULTIPART_FLOW).then_some(Self { xid: header.xid, more: flags & REPLY_MORE != 0, rest })
    }
}

impl<'a> Iterator for RawFlowPart<'a> {
    type Item = Result<RawFlowStats<'a>, DecodeError>;

    /// The next entry; after an error there is no further.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.rest.element("flow stats", 0, 56, 8).and_then(read_entry);
        if entry.is_err() {
            self.rest = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// OpenFlow 1.3.5, 7.3.5.2.
fn read_entry(entry: &[u8]) -> Result<RawFlowStats<'_>, DecodeError> {
    const WHAT: &str = "flow stats";
    let mut r = Reader::new(entry);
    r.skip(WHAT, 2)?;
    let table = TableId(r.u8(WHAT)?);
    r.skip(WHAT, 9)?;
    let (priority, idle_timeout, hard_timeout, flags) =
        (r.u16(WHAT)?, r.u16(WHAT)?, r.u16(WHAT)?, r.u16(WHAT)?);
    r.skip(WHAT, 4)?;
    let (cookie, packet_count, byte_count) = (r.u64(WHAT)?, r.u64(WHAT)?, r.u64(WHAT)?);
    let matching = read_match(&mut r)?;
    let flow = RawFlow { table, priority, cookie, matching, instructions: r.rest() };
    Ok(RawFlowStats { flow, idle_timeout, hard_timeout, flags, packet_count, byte_count })
}

/// An `ofp_match` with its padding.
fn read_match<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    const WHAT: &str = "match";
    let mut header = *r;
    let kind = header.u16(WHAT)?;
    if kind != MATCH_OXM {
        return Err(DecodeError::BadValue { what: "match type", value: kind.into() });
    }
    // The length covers type and length but not the padding (OpenFlow 1.3.5, 7.2.3.1).
    let len = usize::from(header.u16(WHAT)?);
    if len < 4 {
        return Err(DecodeError::BadLength { what: WHAT, len });
    }
    r.take(WHAT, len.next_multiple_of(8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        action::Action,
        field::Field,
        flow::Instruction,
        matching::Match,
        message::{FlowFlags, encode_bundle_add_flow, encode_flow_mod},
    };

    /// The entry of a dump for a flow, as a switch would write it.
    fn entry(flow: &RawFlow<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u16(0);
        out.put_u8(flow.table.0);
        out.put_zeros(9);
        out.put_u16(flow.priority);
        out.put_u16(3);
        out.put_u16(4);
        out.put_u16(1);
        out.put_zeros(4);
        out.put_u64(flow.cookie);
        out.put_u64(10);
        out.put_u64(11);
        out.put_bytes(flow.matching);
        out.put_bytes(flow.instructions);
        out.patch_len("entry", 0, 0).unwrap();
        out
    }

    fn matching(oxm: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u16(MATCH_OXM);
        out.put_u16(u16::try_from(4 + oxm.len()).unwrap());
        out.put_bytes(oxm);
        out.pad8(0);
        out
    }

    fn part(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(MULTIPART_REPLY, Xid(7), &mut out);
        out.put_u16(MULTIPART_FLOW);
        out.put_u16(REPLY_MORE);
        out.put_zeros(4);
        entries.iter().for_each(|e| out.put_bytes(e));
        out.patch_len("part", 0, 2).unwrap();
        out
    }

    #[test]
    fn what_a_switch_lists_is_read_back() {
        bolero::check!().with_type::<(u8, u16, u64, Vec<u8>, u8)>().for_each(
            |(table, priority, cookie, oxm, words)| {
                let matching = matching(oxm.get(..oxm.len().min(500)).unwrap());
                let instructions = vec![0xab; usize::from(*words) * 8];
                let flow = RawFlow {
                    table: TableId(*table),
                    priority: *priority,
                    cookie: *cookie,
                    matching: &matching,
                    instructions: &instructions,
                };
                let frame = part(&[entry(&flow), entry(&flow)]);
                let read = RawFlowPart::of(&frame).unwrap();
                assert_eq!((read.xid, read.more), (Xid(7), true));
                let entries = read.collect::<Result<Vec<_>, _>>().unwrap();
                assert_eq!(entries.len(), 2);
                for got in entries {
                    assert_eq!(got.flow, flow);
                    assert_eq!((got.idle_timeout, got.hard_timeout, got.flags), (3, 4, 1));
                    assert_eq!((got.packet_count, got.byte_count), (10, 11));
                }
            },
        );
    }

    #[test]
    fn raw_and_decoded_flows_make_the_same_messages() {
        let flow = Flow {
            table: TableId(3),
            priority: 300,
            cookie: 0x0102_0304_0506_0708,
            matching: Match::new().with(Field::EthType, 0x0800_u16).with(Field::Reg(3), 7_u32),
            instructions: vec![Instruction::Apply(vec![Action::DecTtl]), Instruction::Goto(TableId(9))],
        };
        let (command, flags) = (FlowModCommand::Add, FlowFlags::NONE);
        let mut message = Vec::new();
        encode_flow_mod(Xid(9), command, flags, &flow, &mut message).unwrap();
        let matching_len = usize::from(u16::from_be_bytes([message[50], message[51]])).next_multiple_of(8);
        let raw = RawFlow {
            table: flow.table,
            priority: flow.priority,
            cookie: flow.cookie,
            matching: &message[48..48 + matching_len],
            instructions: &message[48 + matching_len..],
        };
        assert_eq!(raw.decode(), Ok(flow.clone()));

        let mut again = Vec::new();
        raw.encode_flow_mod(Xid(9), command, &mut again).unwrap();
        assert_eq!(again, message);

        let (mut bundled, mut expected) = (Vec::new(), Vec::new());
        raw.encode_bundle_add(Xid(9), 5, BundleFlags::ORDERED, command, &mut bundled).unwrap();
        let flow_bundled =
            encode_bundle_add_flow(Xid(9), 5, BundleFlags::ORDERED, command, flags, &flow, &mut expected);
        assert_eq!((flow_bundled, bundled), (Ok(()), expected));
    }

    #[test]
    fn any_bytes_end_without_panic() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let mut frame = part(&[]);
            frame.put_bytes(bytes);
            let entries = RawFlowPart::of(&frame).unwrap();
            assert!(entries.count() <= bytes.len() / 56 + 1);
        });
    }

    #[test]
    fn an_entry_of_length_zero_is_an_error_and_the_end() {
        let frame = part(&[vec![0; 56]]);
        let entries: Vec<_> = RawFlowPart::of(&frame).unwrap().collect();
        assert_eq!(entries, [Err(DecodeError::BadLength { what: "flow stats", len: 0 })]);
    }

    #[test]
    fn too_long_a_flow_leaves_no_bytes() {
        let instructions = vec![0; 65_536];
        let flow = RawFlow {
            table: TableId(0),
            priority: 1,
            cookie: 2,
            matching: &matching(&[]),
            instructions: &instructions,
        };
        let mut out = vec![1, 2, 3];
        assert!(flow.encode_flow_mod(Xid(1), FlowModCommand::Add, &mut out).is_err());
        let add = flow.encode_bundle_add(Xid(1), 1, BundleFlags::ATOMIC, FlowModCommand::Add, &mut out);
        assert!(add.is_err());
        assert_eq!(out, [1, 2, 3]);
    }
}
