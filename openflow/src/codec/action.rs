//! Actions: OpenFlow 1.3.5, 7.2.5, and the Nicira extensions as Open vSwitch lays them out.

use super::oxm;
use crate::{
    action::{Action, ControllerAction, SubField},
    field::{Field, OxmId},
    flow::{GroupId, TableId},
    matching::FieldMatch,
    wire::{DecodeError, EncodeError, MAX_NESTING, Put, Reader},
};
use packet::OfPort;

/// Nicira's experimenter id.
pub(crate) const NICIRA: u32 = 0x0000_2320;

// OFPAT_*.
const OUTPUT: u16 = 0;
const PUSH_VLAN: u16 = 17;
const POP_VLAN: u16 = 18;
const SET_QUEUE: u16 = 21;
const GROUP: u16 = 22;
const SET_NW_TTL: u16 = 23;
const DEC_NW_TTL: u16 = 24;
const SET_FIELD: u16 = 25;
const EXPERIMENTER: u16 = 0xffff;

// NXAST_*.
const REG_MOVE: u16 = 6;
const REG_LOAD: u16 = 7;
const RESUBMIT_TABLE: u16 = 14;
const OUTPUT_REG: u16 = 15;
const STACK_PUSH: u16 = 27;
const STACK_POP: u16 = 28;
const REG_LOAD2: u16 = 33;
const CONTROLLER2: u16 = 37;
const CLONE: u16 = 42;
const CHECK_PKT_LARGER: u16 = 49;

// NXAC2PT_*, the properties of NXAST_CONTROLLER2.
const PROP_MAX_LEN: u16 = 0;
const PROP_CONTROLLER_ID: u16 = 1;
const PROP_REASON: u16 = 2;
const PROP_USERDATA: u16 = 3;
const PROP_PAUSE: u16 = 4;
const PROP_METER_ID: u16 = 5;

/// OFPP_IN_PORT in the 16 bits of a resubmit.
const IN_PORT16: u16 = 0xfff8;

/// The whole packet, the default of NXAC2PT_MAX_LEN.
const WHOLE_PACKET: u16 = 0xffff;

/// OFPR_ACTION, the default of NXAC2PT_REASON.
const REASON_ACTION: u8 = 1;

/// Appends actions one after the other.
pub(crate) fn put_actions(actions: &[Action], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    actions.iter().try_for_each(|action| put_action(action, 0, out))
}

fn put_action(action: &Action, depth: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let Action::Unknown(bytes) = action {
        return put_raw("action", bytes, out);
    }
    let start = out.len();
    match action {
        Action::Output { port, max_len } => {
            put_header(OUTPUT, out);
            out.put_u32(port.0);
            out.put_u16(*max_len);
        }
        Action::Group(group) => {
            put_header(GROUP, out);
            out.put_u32(group.0);
        }
        Action::SetField(entry @ FieldMatch { mask: None, .. }) => {
            put_header(SET_FIELD, out);
            oxm::put_field(entry, entry.field.oxm_id(), out)?;
        }
        Action::PushVlan(ethertype) => {
            put_header(PUSH_VLAN, out);
            out.put_u16(*ethertype);
        }
        Action::PopVlan => put_header(POP_VLAN, out),
        Action::DecTtl => put_header(DEC_NW_TTL, out),
        Action::SetTtl(ttl) => {
            put_header(SET_NW_TTL, out);
            out.put_u8(*ttl);
        }
        Action::SetQueue(queue) => {
            put_header(SET_QUEUE, out);
            out.put_u32(*queue);
        }
        nicira => put_nicira(nicira, depth, out)?,
    }
    out.pad8(start);
    out.patch_len("action", start, 2)
}

fn put_nicira(action: &Action, depth: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match action {
        Action::OutputReg { src, max_len } => {
            put_nicira_header(OUTPUT_REG, out);
            out.put_u16(offset_and_bits(*src)?);
            out.put_u32(nxm_header(src.field)?);
            out.put_u16(*max_len);
            out.put_zeros(6);
        }
        Action::SetField(entry) => {
            put_nicira_header(REG_LOAD2, out);
            oxm::put_field(entry, entry.field.nxm_id(), out)?;
        }
        Action::RegLoad { dst, value } => {
            put_nicira_header(REG_LOAD, out);
            out.put_u16(offset_and_bits(*dst)?);
            out.put_u32(nxm_header(dst.field)?);
            if dst.bits < 64 && value >> dst.bits != 0 {
                return Err(EncodeError::BadValue { what: "load", value: (*value).into() });
            }
            out.put_u64(*value);
        }
        Action::Move { src, dst } => {
            if src.bits != dst.bits {
                return Err(EncodeError::BadValue { what: "width of move", value: dst.bits.into() });
            }
            check_bits(*src)?;
            check_bits(*dst)?;
            put_nicira_header(REG_MOVE, out);
            out.put_u16(src.bits);
            out.put_u16(src.offset);
            out.put_u16(dst.offset);
            out.put_u32(nxm_header(src.field)?);
            out.put_u32(nxm_header(dst.field)?);
        }
        Action::Resubmit { in_port, table } => {
            if *in_port == Some(IN_PORT16) {
                return Err(EncodeError::BadValue { what: "in_port of resubmit", value: IN_PORT16.into() });
            }
            put_nicira_header(RESUBMIT_TABLE, out);
            out.put_u16(in_port.unwrap_or(IN_PORT16));
            out.put_u8(table.0);
        }
        Action::CheckPktLarger { len, dst } => {
            if dst.bits != 1 {
                return Err(EncodeError::BadValue {
                    what: "width of check_pkt_larger",
                    value: dst.bits.into(),
                });
            }
            check_bits(*dst)?;
            put_nicira_header(CHECK_PKT_LARGER, out);
            out.put_u16(*len);
            out.put_u16(dst.offset);
            out.put_u32(nxm_header(dst.field)?);
            out.put_zeros(6);
        }
        Action::Controller(controller) => put_controller(controller, out)?,
        Action::Clone(actions) => {
            if depth >= MAX_NESTING {
                return Err(EncodeError::BadValue { what: "nesting of clone", value: depth as u128 });
            }
            put_nicira_header(CLONE, out);
            out.put_zeros(6);
            for action in actions {
                put_action(action, depth + 1, out)?;
            }
        }
        Action::StackPush(field) => put_stack(STACK_PUSH, *field, out)?,
        Action::StackPop(field) => put_stack(STACK_POP, *field, out)?,
        // The others are OpenFlow's own and were written by the caller.
        _ => {}
    }
    Ok(())
}

fn put_header(kind: u16, out: &mut Vec<u8>) {
    out.put_u16(kind);
    out.put_u16(0);
}

fn put_nicira_header(subtype: u16, out: &mut Vec<u8>) {
    put_header(EXPERIMENTER, out);
    out.put_u32(NICIRA);
    out.put_u16(subtype);
}

fn put_stack(subtype: u16, field: SubField, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    check_bits(field)?;
    put_nicira_header(subtype, out);
    out.put_u16(field.offset);
    out.put_u32(nxm_header(field.field)?);
    out.put_u16(field.bits);
    out.put_zeros(6);
    Ok(())
}

fn put_controller(controller: &ControllerAction, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_nicira_header(CONTROLLER2, out);
    out.put_zeros(6);
    if controller.max_len != WHOLE_PACKET {
        put_property(PROP_MAX_LEN, &[controller.max_len.to_be_bytes(), [0; 2]].concat(), out)?;
    }
    if controller.controller_id != 0 {
        put_property(PROP_CONTROLLER_ID, &[controller.controller_id.to_be_bytes(), [0; 2]].concat(), out)?;
    }
    if controller.reason != REASON_ACTION {
        put_property(PROP_REASON, &[controller.reason], out)?;
    }
    if !controller.userdata.is_empty() {
        put_property(PROP_USERDATA, &controller.userdata, out)?;
    }
    if controller.pause {
        put_property(PROP_PAUSE, &[], out)?;
    }
    match controller.meter {
        // Open vSwitch's own number for "no meter".
        Some(0) => return Err(EncodeError::BadValue { what: "meter of controller", value: 0 }),
        Some(meter) => put_property(PROP_METER_ID, &meter.to_be_bytes(), out)?,
        None => {}
    }
    Ok(())
}

/// Appends a property: type, length without padding, value, padding.
pub(crate) fn put_property(kind: u16, value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    put_header(kind, out);
    out.put_bytes(value);
    out.patch_len("property", start, 2)?;
    out.pad8(start);
    Ok(())
}

/// Takes the next property, its padding included: its type and value.
pub(crate) fn read_property<'a>(r: &mut Reader<'a>) -> Result<(u16, &'a [u8]), DecodeError> {
    let kind = r.u16("property")?;
    let len = usize::from(r.u16("property")?);
    let body = len.checked_sub(4).ok_or(DecodeError::BadLength { what: "property", len })?;
    let value = r.take("property", body)?;
    r.skip("property padding", len.next_multiple_of(8) - len)?;
    Ok((kind, value))
}

/// Appends bytes that carry their own 16-bit length after a 16-bit type, and are a multiple of 8.
pub(crate) fn put_raw(what: &'static str, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut r = Reader::new(bytes);
    let fits = matches!(r.element(what, 2, 8, 8), Ok(element) if element.len() == bytes.len());
    if !fits {
        return Err(EncodeError::BadRaw { what, len: bytes.len() });
    }
    out.put_bytes(bytes);
    Ok(())
}

/// The header of a field in a Nicira action.
fn nxm_header(field: Field) -> Result<u32, EncodeError> {
    match (field, field.nxm_id()) {
        #[expect(clippy::cast_possible_truncation, reason = "a known field has at most 16 octets")]
        (_, Some(id)) => Ok(id.header(false, field.bytes() as u8)),
        (Field::Reg(n) | Field::XReg(n) | Field::XxReg(n), None) => {
            Err(EncodeError::BadValue { what: "register", value: n.into() })
        }
        (Field::Unknown(header), None) => {
            Err(EncodeError::BadValue { what: "field of action", value: header.into() })
        }
        (_, None) => Err(EncodeError::BadValue { what: "field of action", value: 0 }),
    }
}

fn check_bits(field: SubField) -> Result<(), EncodeError> {
    let end = u32::from(field.offset) + u32::from(field.bits);
    if field.bits == 0 || end > u32::from(SubField::whole(field.field).bits) {
        return Err(EncodeError::BadValue { what: "end of bit range", value: end.into() });
    }
    Ok(())
}

/// Offset and width as NXAST_REG_LOAD and NXAST_OUTPUT_REG pack them: at most 64 bits.
fn offset_and_bits(field: SubField) -> Result<u16, EncodeError> {
    check_bits(field)?;
    if field.bits > 64 {
        return Err(EncodeError::BadValue { what: "width of bit range", value: field.bits.into() });
    }
    Ok(field.offset << 6 | (field.bits - 1))
}

/// Reads actions to the end of the reader.
pub(crate) fn read_actions(r: Reader<'_>) -> Result<Vec<Action>, DecodeError> {
    read_nested(r, 0)
}

fn read_nested(mut r: Reader<'_>, depth: usize) -> Result<Vec<Action>, DecodeError> {
    if depth > MAX_NESTING {
        return Err(DecodeError::TooDeep);
    }
    let mut actions = Vec::new();
    while !r.is_empty() {
        let bytes = r.element("action", 2, 8, 8)?;
        // What this crate has no name for, or what Open vSwitch would not write so, is kept as it is.
        let action = read_action(bytes, depth)?.unwrap_or_else(|| Action::Unknown(bytes.to_vec()));
        actions.push(action);
    }
    Ok(actions)
}

fn read_action(bytes: &[u8], depth: usize) -> Result<Option<Action>, DecodeError> {
    let mut r = Reader::new(bytes);
    let kind = r.u16("action")?;
    r.skip("action", 2)?;
    let want = match kind {
        OUTPUT => 16,
        GROUP | PUSH_VLAN | POP_VLAN | DEC_NW_TTL | SET_NW_TTL | SET_QUEUE => 8,
        SET_FIELD => return read_set_field(r),
        EXPERIMENTER => return read_nicira(bytes, depth),
        _ => return Ok(None),
    };
    if bytes.len() != want {
        return Err(DecodeError::BadLength { what: "action", len: bytes.len() });
    }
    Ok(Some(match kind {
        OUTPUT => Action::Output { port: OfPort(r.u32("output")?), max_len: r.u16("output")? },
        GROUP => Action::Group(GroupId(r.u32("group")?)),
        PUSH_VLAN => Action::PushVlan(r.u16("push_vlan")?),
        POP_VLAN => Action::PopVlan,
        DEC_NW_TTL => Action::DecTtl,
        SET_NW_TTL => Action::SetTtl(r.u8("set_nw_ttl")?),
        _ => Action::SetQueue(r.u32("set_queue")?),
    }))
}

fn read_set_field(mut r: Reader<'_>) -> Result<Option<Action>, DecodeError> {
    let entry = oxm::read_field(&mut r)?;
    Ok(entry.filter(|entry| entry.mask.is_none() && known(entry.field)).map(Action::SetField))
}

const fn known(field: Field) -> bool {
    !matches!(field, Field::Unknown(_))
}

fn read_nicira(bytes: &[u8], depth: usize) -> Result<Option<Action>, DecodeError> {
    let mut r = Reader::new(bytes);
    r.skip("action", 4)?;
    if r.u32("experimenter action")? != NICIRA {
        return Ok(None);
    }
    let subtype = r.u16("nicira action")?;
    let want = match subtype {
        RESUBMIT_TABLE => 16,
        REG_LOAD | REG_MOVE | OUTPUT_REG | CHECK_PKT_LARGER | STACK_PUSH | STACK_POP => 24,
        REG_LOAD2 => {
            let entry = oxm::read_field(&mut r)?;
            return Ok(entry
                .filter(|entry| entry.mask.is_some() && known(entry.field))
                .map(Action::SetField));
        }
        CONTROLLER2 => {
            r.skip("controller", 6)?;
            return read_controller(r);
        }
        CLONE => {
            r.skip("clone", 6)?;
            return read_nested(r, depth + 1).map(|actions| Some(Action::Clone(actions)));
        }
        _ => return Ok(None),
    };
    if bytes.len() != want {
        return Err(DecodeError::BadLength { what: "nicira action", len: bytes.len() });
    }
    read_fixed_nicira(subtype, r)
}

/// The Nicira actions of one size; `None` where a field is unknown.
fn read_fixed_nicira(subtype: u16, mut r: Reader<'_>) -> Result<Option<Action>, DecodeError> {
    Ok(match subtype {
        RESUBMIT_TABLE => {
            let in_port = r.u16("resubmit")?;
            let table = TableId(r.u8("resubmit")?);
            Some(Action::Resubmit { in_port: (in_port != IN_PORT16).then_some(in_port), table })
        }
        REG_LOAD => {
            let dst = read_packed(&mut r)?;
            let value = r.u64("load")?;
            dst.map(|dst| Action::RegLoad { dst, value })
        }
        OUTPUT_REG => {
            let src = read_packed(&mut r)?;
            let max_len = r.u16("output_reg")?;
            src.map(|src| Action::OutputReg { src, max_len })
        }
        REG_MOVE => {
            let [bits, from, to] = [r.u16("move")?, r.u16("move")?, r.u16("move")?];
            let (src, dst) = (read_header(&mut r)?, read_header(&mut r)?);
            src.zip(dst).map(|(src, dst)| Action::Move {
                src: SubField::new(src, from, bits),
                dst: SubField::new(dst, to, bits),
            })
        }
        CHECK_PKT_LARGER => {
            let len = r.u16("check_pkt_larger")?;
            let offset = r.u16("check_pkt_larger")?;
            read_header(&mut r)?
                .map(|field| Action::CheckPktLarger { len, dst: SubField::new(field, offset, 1) })
        }
        _ => {
            let offset = r.u16("stack")?;
            let field = read_header(&mut r)?;
            let bits = r.u16("stack")?;
            let field = field.map(|field| SubField::new(field, offset, bits));
            field.map(if subtype == STACK_PUSH { Action::StackPush } else { Action::StackPop })
        }
    })
}

/// A field's header in a Nicira action; `None` = not a field of this crate, or not of its size.
fn read_header(r: &mut Reader<'_>) -> Result<Option<Field>, DecodeError> {
    let header = r.u32("field of action")?;
    let field = Field::from_id(OxmId::of_header(header));
    Ok(field.filter(|field| nxm_header(*field) == Ok(header)))
}

/// Offset and width in 16 bits, then the header of the field.
fn read_packed(r: &mut Reader<'_>) -> Result<Option<SubField>, DecodeError> {
    let packed = r.u16("bit range")?;
    Ok(read_header(r)?.map(|field| SubField::new(field, packed >> 6, (packed & 0x3f) + 1)))
}

fn read_controller(mut r: Reader<'_>) -> Result<Option<Action>, DecodeError> {
    let mut controller = ControllerAction {
        max_len: WHOLE_PACKET,
        controller_id: 0,
        reason: REASON_ACTION,
        userdata: Vec::new(),
        pause: false,
        meter: None,
    };
    while !r.is_empty() {
        let (kind, value) = read_property(&mut r)?;
        let mut value = Reader::new(value);
        match kind {
            PROP_MAX_LEN => controller.max_len = value.u16("max_len")?,
            PROP_CONTROLLER_ID => controller.controller_id = value.u16("controller id")?,
            PROP_REASON => controller.reason = value.u8("reason")?,
            PROP_USERDATA => controller.userdata = value.rest().to_vec(),
            PROP_PAUSE => controller.pause = true,
            PROP_METER_ID => controller.meter = Some(value.u32("meter")?).filter(|meter| *meter != 0),
            _ => return Ok(None),
        }
    }
    Ok(Some(Action::Controller(controller)))
}
