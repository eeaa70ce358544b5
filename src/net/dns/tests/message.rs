//! Messages, honest and hostile.

use std::net::IpAddr;

use crate::net::dns::message::{Family, LookupFault, Question, Reply, WireName};

/// The meaning of an answer.
type Says = Result<Vec<IpAddr>, LookupFault>;

const A: [u8; 2] = [0, 1];
const CNAME: [u8; 2] = [0, 5];

fn question(family: Family) -> Question {
    Question {
        id: 0x1234,
        name: WireName::parse("Matrix.example.org").unwrap(),
        family,
    }
}

/// A head with these flags and numbers, and the question.
fn head(flags: u16, answers: u16) -> Vec<u8> {
    let mut message = question(Family::V4).message();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&answers.to_be_bytes());
    message
}

fn record(owner: &[u8], kind: [u8; 2], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &kind, &[0, 1, 0, 0, 0, 9], &length, data].concat()
}

/// The meaning of an answer with these flags and records.
fn says(flags: u16, records: &[Vec<u8>]) -> Option<Says> {
    read(flags, records).map(|reply| reply.says)
}

fn read(flags: u16, records: &[Vec<u8>]) -> Option<Reply> {
    let mut message = head(flags, u16::try_from(records.len()).unwrap());
    message.extend(records.concat());
    question(Family::V4).read(&message, false)
}

fn addresses(all: &[&str]) -> Says {
    Ok(all.iter().map(|one| one.parse().unwrap()).collect())
}

const OK: u16 = 0x8180;
const NAME: &[u8] = &[0xc0, 12];

#[test]
fn a_question_is_what_the_standard_says() {
    let message = question(Family::V6).message();
    let wanted = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06matrix\x07example\x03org\0\0\x1c\0\x01";
    assert_eq!(message, wanted);
}

#[test]
fn names_that_no_message_holds_are_none() {
    let label = "a".repeat(63);
    // 255 bytes with the lengths and the root: 253 characters.
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert!(WireName::parse(&longest).is_some());
    assert_eq!(WireName::parse("a."), WireName::parse("A"));
    for bad in [
        "",
        ".",
        "a..b",
        ".a",
        &format!("{longest}b"),
        &"a".repeat(64),
    ] {
        assert_eq!(WireName::parse(bad), None, "{bad}");
    }
}

#[test]
fn every_code_is_told_from_the_others() {
    for (flags, wanted) in [
        (OK, Err(LookupFault::NoAddress)),
        (OK | 1, Err(LookupFault::Error(1))),
        (OK | 2, Err(LookupFault::Error(2))),
        (OK | 3, Err(LookupFault::NoName)),
        (OK | 4, Err(LookupFault::Error(4))),
        (OK | 5, Err(LookupFault::Error(5))),
        (OK | 15, Err(LookupFault::Error(15))),
        // Neither responsible nor asking others, and nobody named who is.
        (0x8000, Err(LookupFault::NotResponsible)),
        // Responsible.
        (0x8400, Err(LookupFault::NoAddress)),
    ] {
        assert_eq!(says(flags, &[]), Some(wanted), "{flags:x}");
    }
}

#[test]
fn an_answer_to_something_else_is_none() {
    // No answer; another kind of question.
    for flags in [0x0100, 0x0180, OK | 0x0800, OK | 0x7800] {
        assert_eq!(says(flags, &[]), None, "{flags:x}");
    }
    let good = head(OK, 0);
    assert!(question(Family::V4).read(&good, false).is_some());
    assert!(question(Family::V6).read(&good, false).is_none());
    // The id, the number of questions, the name, the type, the class.
    for at in [0, 1, 5, 12, 13, 22, good.len() - 3, good.len() - 1] {
        let mut other = good.clone();
        other[at] ^= 0x41;
        assert!(question(Family::V4).read(&other, false).is_none(), "{at}");
    }
    // Only who could not read the question leaves it out.
    let mut mute = good[..12].to_vec();
    mute[5] = 0;
    assert!(question(Family::V4).read(&mute, false).is_none());
    mute[3] |= 1;
    let reply = question(Family::V4).read(&mute, false).unwrap();
    assert_eq!(reply.says, Err(LookupFault::Error(1)));
}

#[test]
fn addresses_are_those_of_the_name_and_its_aliases() {
    let alias = b"\x05Alias\x03net\0";
    let one = record(NAME, A, &[10, 0, 0, 1]);
    let of_alias = record(b"\x05aLIAS\x03nET\0", A, &[10, 0, 0, 2]);
    let of_other = record(b"\x05other\x03net\0", A, &[10, 0, 0, 3]);
    let to_alias = record(NAME, CNAME, alias);
    let v6 = record(NAME, [0, 28], &[1; 16]);
    let of_chaos = [NAME, &A, &[0, 3, 0, 0, 0, 9, 0, 4, 10, 0, 0, 4]].concat();
    for (records, wanted) in [
        (&[&one][..], addresses(&["10.0.0.1"])),
        (&[&one, &one], addresses(&["10.0.0.1"])),
        (&[&of_other, &v6, &one], addresses(&["10.0.0.1"])),
        (&[&of_other], Err(LookupFault::NoAddress)),
        (&[&v6], Err(LookupFault::NoAddress)),
        (&[&of_chaos], Err(LookupFault::NoAddress)),
        (&[&to_alias, &of_alias], addresses(&["10.0.0.2"])),
        // In any order, and though a name with an alias has nothing else.
        (&[&of_alias, &to_alias], addresses(&["10.0.0.2"])),
        (&[&to_alias, &of_alias, &one], addresses(&["10.0.0.1"])),
        (&[&to_alias, &of_other], Err(LookupFault::NoAddress)),
        (&[&to_alias], Err(LookupFault::NoAddress)),
    ] {
        let records: Vec<_> = records.iter().map(|record| (*record).clone()).collect();
        assert_eq!(says(OK, &records), Some(wanted), "{records:?}");
    }
}

#[test]
fn no_more_is_kept_than_there_is_use_for() {
    let records: Vec<_> = (0..60).map(|at| record(NAME, A, &[10, 0, 0, at])).collect();
    let Some(Ok(kept)) = says(OK, &records) else {
        panic!("it has addresses");
    };
    let first: Vec<IpAddr> = (0..16).map(|at| [10, 0, 0, at].into()).collect();
    assert_eq!(kept, first);
}

#[test]
fn of_an_answer_that_was_cut_the_beginning_counts() {
    let one = record(NAME, A, &[10, 0, 0, 1]);
    let half = one[..one.len() - 2].to_vec();
    let cut = read(OK | 0x0200, &[one.clone(), half.clone()]).unwrap();
    assert_eq!((cut.says, cut.is_cut), (addresses(&["10.0.0.1"]), true));
    let cut = read(OK | 0x0200, std::slice::from_ref(&half)).unwrap();
    assert_eq!((cut.says, cut.is_cut), (Err(LookupFault::Malformed), true));
    // Not said to be cut, it is broken.
    assert_eq!(
        says(OK, &[one.clone(), half]),
        Some(Err(LookupFault::Malformed))
    );
    // Longer than what was read of it.
    let mut message = head(OK, 2);
    message.extend(one);
    let read = question(Family::V4).read(&message, true).unwrap();
    assert_eq!((read.says, read.is_cut), (addresses(&["10.0.0.1"]), true));
}

#[test]
fn hostile_messages_end() {
    let at = u8::try_from(head(OK, 1).len()).unwrap();
    let long = b"\x3f"
        .iter()
        .copied()
        .chain([b'a'; 63])
        .collect::<Vec<u8>>();
    for record_of in [
        // Pointers to themselves, forward, into the dark; labels of unknown kinds.
        record(&[0xc0, at], A, &[10, 0, 0, 1]),
        record(&[1, b'a', 0xc0, at], A, &[10, 0, 0, 1]),
        record(&[0xc0, at + 2], A, &[10, 0, 0, 1]),
        record(&[0xff, 0xff], A, &[10, 0, 0, 1]),
        record(&[0x40, 1, 0], A, &[10, 0, 0, 1]),
        record(&[0x80, 1, 0], A, &[10, 0, 0, 1]),
        // Longer than a name can be.
        record(&[long.repeat(4), vec![0]].concat(), A, &[10, 0, 0, 1]),
        // Data of another length than an address, or of none.
        record(NAME, A, &[10, 0, 0]),
        record(NAME, A, &[1; 16]),
        record(NAME, A, &[]),
        record(NAME, CNAME, &[]),
        record(NAME, CNAME, &[0xc0]),
        // Ends within its head.
        NAME.to_vec(),
        vec![0xc0],
        Vec::new(),
    ] {
        assert_eq!(
            says(OK, std::slice::from_ref(&record_of)),
            Some(Err(LookupFault::Malformed)),
            "{record_of:?}"
        );
    }
    // An alias of itself, and two of each other.
    let ring = record(NAME, CNAME, NAME);
    assert_eq!(says(OK, &[ring]), Some(Err(LookupFault::Malformed)));
    let other = b"\x05other\x03net\0";
    let ring = [record(NAME, CNAME, other), record(other, CNAME, NAME)];
    assert_eq!(says(OK, &ring), Some(Err(LookupFault::Malformed)));
    // More records than there are.
    let mut message = head(OK, u16::MAX);
    message.extend(record(NAME, A, &[10, 0, 0, 1]));
    let read = question(Family::V4).read(&message, false).unwrap();
    assert_eq!(read.says, Err(LookupFault::Malformed));
    // Each beginning of a message, and each with one byte changed.
    let mut whole = head(OK, 1);
    whole.extend(record(NAME, A, &[10, 0, 0, 1]));
    for end in 0..whole.len() {
        let _ = question(Family::V4).read(&whole[..end], false);
        for bit in 0..8 {
            let mut other = whole.clone();
            other[end] ^= 1 << bit;
            let _ = question(Family::V4).read(&other, false);
        }
    }
}

/// The largest message there is, full of names that are as long as can be and of
/// aliases that lead from one to the next.
#[test]
fn the_largest_message_takes_no_time() {
    let label = [&[31][..], &[b'x'; 31]].concat();
    let name = |last: u8| [label.repeat(7), vec![1, last, 0]].concat();
    let mut records = vec![record(NAME, CNAME, &name(0))];
    records.extend((0..15).map(|at| record(&name(at), CNAME, &name(at + 1))));
    let start = head(OK, 0).len() + 12;
    let pointer = u16::try_from(start).unwrap() | 0xc000;
    while records.concat().len() < 65_000 {
        records.push(record(&pointer.to_be_bytes(), A, &[10, 0, 0, 1]));
    }
    let began = std::time::Instant::now();
    assert!(says(OK, &records).is_some());
    assert!(
        began.elapsed() < std::time::Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}
