//! Messages in hexadecimal with their meaning in text beside them.
//!
//! `golden/ovs` was captured from Open vSwitch 3.1.0 unless a file says otherwise: what is read is written back in
//! the same bytes. `golden/bad` has damaged messages: each is an error, or is read as far as that makes sense.
//! `UPDATE_GOLDEN=1 cargo test -p openflow --test golden messages` writes the texts anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use openflow::{
    Message,
    message::{FlowUpdate, MultipartReply},
};
use std::{collections::BTreeSet, fs, path::PathBuf};
use support::{describe, encode, folder, hex, samples, unhex};

struct Golden {
    path: PathBuf,
    name: String,
    /// Comment and bytes as they stand in the file.
    head: String,
    frame: Vec<u8>,
    text: String,
}

/// Comment lines, the bytes, an empty line, the text.
fn read(dir: &str) -> Vec<Golden> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder(dir)).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read_to_string(&path).unwrap();
        let (head, text) = content.split_once("\n\n").unwrap_or((&content, ""));
        let digits: String = head.lines().filter(|line| !line.starts_with('#')).collect();
        let frame = unhex(&digits);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        all.push(Golden { name, head: head.trim_end().to_owned(), frame, text: text.to_owned(), path });
    }
    assert!(!all.is_empty(), "no files in {dir}");
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn golden(name: &str) -> Message {
    let frame = read("golden/ovs").into_iter().find(|golden| golden.name == name).unwrap().frame;
    Message::decode(&frame).unwrap().1
}

#[test]
fn messages_mean_what_is_written_beside_them() {
    for dir in ["golden/ovs", "golden/bad"] {
        for golden in read(dir) {
            let text = describe(&golden.frame);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&golden.path, format!("{}\n\n{text}", golden.head)).unwrap();
            } else {
                assert!(!golden.frame.is_empty(), "{dir}/{} has no bytes", golden.name);
                assert_eq!(text, golden.text, "{dir}/{}", golden.name);
            }
        }
    }
}

#[test]
fn what_open_vswitch_sends_is_written_back_in_the_same_bytes() {
    for golden in read("golden/ovs") {
        let (xid, message) = Message::decode(&golden.frame).unwrap();
        assert_eq!(hex(&encode(xid.0, &message)), hex(&golden.frame), "{}", golden.name);
    }
}

/// The point of the canonical encoding: a controller compares the flows it wants with those it reads.
#[test]
fn flows_read_back_equal_those_that_were_sent() {
    let Message::MultipartReply { body: MultipartReply::Flow(mut flows), .. } = golden("all-flows") else {
        panic!("no flows")
    };
    flows.sort_by_key(|stats| stats.flow.cookie);
    let sent = samples::flows();
    assert_eq!(flows.len(), sent.len());
    for (back, sent) in flows.iter().zip(&sent) {
        assert_eq!(back.flow, *sent);
    }
}

#[test]
fn groups_read_back_equal_those_that_were_sent() {
    let Message::MultipartReply { body: MultipartReply::GroupDesc(mut groups), .. } = golden("group-desc")
    else {
        panic!("no groups")
    };
    groups.sort_by_key(|group| group.id);
    assert_eq!(groups, samples::groups());
}

#[test]
fn flow_updates_have_what_a_controller_compares() {
    let Message::MultipartReply { body: MultipartReply::FlowMonitor(updates), .. } = golden("monitor-added")
    else {
        panic!("no updates")
    };
    let [FlowUpdate::Added(added)] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!((added.idle_timeout, added.hard_timeout), (30, 60));
    assert_eq!(
        added.flow.to_string(),
        "cookie=0x0, table=0, priority=77,tcp,reg3=0x5/0xff,nw_dst=10.0.0.0/8 \
         actions=load:0x5->NXM_NX_REG1[4..7],resubmit(,3)"
    );
}

/// Every kind of message that a switch sends unasked or as an answer is among the captures.
#[test]
fn captures_cover_every_kind() {
    let kinds: BTreeSet<u8> = read("golden/ovs").iter().map(|golden| golden.frame[1]).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6, 8, 10, 11, 12, 19, 21, 25, 27]);
}

/// Inputs that once hurt somebody must go on doing no harm.
#[test]
fn crashes_are_replayed() {
    for crash in read_crashes() {
        if let Ok((xid, message)) = Message::decode(&crash) {
            let _ = message.encode(xid, &mut Vec::new());
        }
    }
}

fn read_crashes() -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder("crashes")).unwrap();
    files
        .map(|entry| {
            let content = fs::read_to_string(entry.unwrap().path()).unwrap();
            unhex(&content.lines().filter(|line| !line.starts_with('#')).collect::<String>())
        })
        .collect()
}
