//! What the tests of the codec share.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of this")]

pub mod random;
pub mod samples;

use openflow::{Message, Xid, message::MultipartReply};
use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A folder beside the tests.
pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Octets from hexadecimal digits; white space between them does not count.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("hexadecimal digit"))
        .collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// Octets as hexadecimal digits without anything between them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message as bytes.
pub fn encode(xid: u32, message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(Xid(xid), &mut out).unwrap_or_else(|error| panic!("{error}: {message:?}"));
    out
}

/// What a golden file says of a message: flows one a line, everything else field by field.
pub fn describe(frame: &[u8]) -> String {
    match Message::decode(frame) {
        Err(error) => format!("error: {error}\n"),
        Ok((xid, Message::MultipartReply { more, body: MultipartReply::Flow(flows) })) => {
            let lines: String = flows.iter().map(|stats| format!("{}\n", stats.flow)).collect();
            format!("xid {} flows, more {more}\n{lines}", xid.0)
        }
        Ok((xid, Message::Error(error))) => format!("xid {} {error}\n{error:#?}\n", xid.0),
        Ok((xid, message)) => format!("xid {} {message:#?}\n", xid.0),
    }
}

/// Runs `ovs-ofctl` and returns what it prints; `None`, and a line that says so, where there is none.
pub fn ovs_ofctl(args: &[&str], input: &[u8]) -> Option<String> {
    let child = Command::new("ovs-ofctl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: ovs-ofctl does not start: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ovs-ofctl {args:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}
