//! An answer of a name server. The head and the question are put in front, so that
//! what follows is read: flags, the number of records, the records.

#![no_main]
#![allow(
    dead_code,
    reason = "what tells one message from another is not fuzzed"
)]

// Not a part of the program's interface.
#[path = "../../../src/net/dns/message.rs"]
mod message;

// For what instrumented code calls.
use openclaw_k8s_toggle_operator_fuzz as _;

use libfuzzer_sys::fuzz_target;
use message::{Family, Question, WireName};

fuzz_target!(|data: &[u8]| {
    let Some((head, records)) = data.split_first_chunk::<3>() else {
        return;
    };
    for family in [Family::V4, Family::V6] {
        let name = WireName::parse("matrix.example.org").unwrap();
        let question = Question {
            id: 1,
            name,
            family,
        };
        let mut message = question.message();
        message[2] = head[0] | 0x80;
        message[3] = head[1];
        message[7] = head[2];
        message.extend(records);
        for is_cut in [false, true] {
            if let Some(reply) = question.read(&message, is_cut)
                && let Ok(found) = reply.says
            {
                assert!((1..=message::MAX_ADDRESSES).contains(&found.len()));
                assert!(
                    found
                        .iter()
                        .all(|one| one.is_ipv4() == (family == Family::V4))
                );
            }
        }
        // As it came, without a head of ours.
        let _ = question.read(data, false);
    }
});
