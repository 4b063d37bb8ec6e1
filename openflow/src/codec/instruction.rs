//! Instructions and buckets: OpenFlow 1.3.5, 7.2.4 and 7.3.4.3.

use super::action::{put_actions, put_raw, read_actions};
use crate::{
    flow::{Instruction, MeterId, TableId},
    wire::{DecodeError, EncodeError, Put, Reader},
};

// OFPIT_*.
const GOTO_TABLE: u16 = 1;
const WRITE_METADATA: u16 = 2;
const WRITE_ACTIONS: u16 = 3;
const APPLY_ACTIONS: u16 = 4;
const CLEAR_ACTIONS: u16 = 5;
const METER: u16 = 6;

/// Appends instructions one after the other.
pub(crate) fn put_instructions(instructions: &[Instruction], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    instructions.iter().try_for_each(|instruction| put_instruction(instruction, out))
}

fn put_instruction(instruction: &Instruction, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let mut header = |kind: u16| {
        out.put_u16(kind);
        out.put_u16(0);
    };
    match instruction {
        Instruction::Goto(table) => {
            header(GOTO_TABLE);
            out.put_u8(table.0);
            out.put_zeros(3);
        }
        Instruction::Metadata { value, mask } => {
            header(WRITE_METADATA);
            out.put_zeros(4);
            out.put_u64(*value);
            out.put_u64(*mask);
        }
        Instruction::Write(actions) => {
            header(WRITE_ACTIONS);
            out.put_zeros(4);
            put_actions(actions, out)?;
        }
        Instruction::Apply(actions) => {
            header(APPLY_ACTIONS);
            out.put_zeros(4);
            put_actions(actions, out)?;
        }
        Instruction::Clear => {
            header(CLEAR_ACTIONS);
            out.put_zeros(4);
        }
        Instruction::Meter(meter) => {
            header(METER);
            out.put_u32(meter.0);
        }
        Instruction::Unknown(bytes) => return put_raw("instruction", bytes, out),
    }
    out.patch_len("instruction", start, 2)
}

/// Reads instructions to the end of the reader.
pub(crate) fn read_instructions(mut r: Reader<'_>) -> Result<Vec<Instruction>, DecodeError> {
    let mut instructions = Vec::new();
    while !r.is_empty() {
        instructions.push(read_instruction(r.element("instruction", 2, 8, 8)?)?);
    }
    Ok(instructions)
}

fn read_instruction(bytes: &[u8]) -> Result<Instruction, DecodeError> {
    let mut r = Reader::new(bytes);
    let kind = r.u16("instruction")?;
    r.skip("instruction", 2)?;
    let want = match kind {
        GOTO_TABLE | CLEAR_ACTIONS | METER => 8,
        WRITE_METADATA => 24,
        WRITE_ACTIONS | APPLY_ACTIONS => bytes.len(),
        _ => return Ok(Instruction::Unknown(bytes.to_vec())),
    };
    if bytes.len() != want {
        return Err(DecodeError::BadLength { what: "instruction", len: bytes.len() });
    }
    Ok(match kind {
        GOTO_TABLE => Instruction::Goto(TableId(r.u8("goto_table")?)),
        METER => Instruction::Meter(MeterId(r.u32("meter")?)),
        CLEAR_ACTIONS => Instruction::Clear,
        _ => {
            r.skip("instruction", 4)?;
            match kind {
                WRITE_METADATA => {
                    Instruction::Metadata { value: r.u64("metadata")?, mask: r.u64("metadata")? }
                }
                WRITE_ACTIONS => Instruction::Write(read_actions(r)?),
                _ => Instruction::Apply(read_actions(r)?),
            }
        }
    })
}
