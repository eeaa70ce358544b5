//! The sentences about names without addresses.

use std::io::ErrorKind;

use crate::net::dns::message::Family::{V4, V6};
use crate::net::dns::message::LookupFault;
use crate::net::dns::unresolved::{Answered, Tried, Unresolved, Why};

const ONE: [u8; 4] = [10, 96, 0, 10];
const TWO: [u8; 4] = [10, 96, 0, 11];

type Words<'a> = &'a [([u8; 4], LookupFault)];

/// A name, and what was said to its A and its AAAA question.
fn tried(name: &str, v4: Words<'_>, v6: Words<'_>) -> Tried {
    let of = |said: Words<'_>| {
        let answered = said.iter().map(|(server, said)| Answered {
            server: (*server).into(),
            said: *said,
        });
        answered.collect()
    };
    Tried {
        name: name.to_owned(),
        is_itself: name == "hs.example",
        said: vec![(V4, of(v4)), (V6, of(v6))],
    }
}

fn sentence(tried: Vec<Tried>) -> String {
    let why = Why::Asked {
        tried,
        names_no_server: false,
    };
    Unresolved(why).to_string()
}

#[test]
fn each_answer_has_its_words() {
    for (said, words) in [
        (LookupFault::NoName, "10.96.0.10 knows no such name"),
        (
            LookupFault::NoAddress,
            "10.96.0.10 knows the name, and no address of it",
        ),
        (LookupFault::Error(1), "10.96.0.10 answered FORMERR"),
        (LookupFault::Error(2), "10.96.0.10 answered SERVFAIL"),
        (LookupFault::Error(4), "10.96.0.10 answered NOTIMP"),
        (LookupFault::Error(5), "10.96.0.10 answered REFUSED"),
        (
            LookupFault::Error(9),
            "10.96.0.10 answered with the error code 9",
        ),
        (
            LookupFault::NotResponsible,
            "10.96.0.10 answered that it is not responsible, and named nobody who is",
        ),
        (
            LookupFault::Malformed,
            "10.96.0.10 sent an answer that cannot be read",
        ),
        (
            LookupFault::Silence(8001),
            "10.96.0.10 did not answer within 8 s (/etc/resolv.conf names it as name server; network \
             policies have to let UDP and TCP to its port 53 through)",
        ),
        (
            LookupFault::Unreachable(ErrorKind::ConnectionRefused),
            "no name server listens at 10.96.0.10, port 53",
        ),
        (
            LookupFault::Unreachable(ErrorKind::NetworkUnreachable),
            "the name server 10.96.0.10 cannot be reached: network unreachable",
        ),
    ] {
        let all = [(ONE, said)];
        assert_eq!(sentence(vec![tried("hs.example", &all, &all)]), words);
    }
}

#[test]
fn what_was_said_to_which_name_is_told() {
    let no = &[(ONE, LookupFault::NoName)][..];
    let fail = &[(ONE, LookupFault::Error(2))][..];
    assert_eq!(
        sentence(vec![
            tried("hs.example.a.b", no, no),
            tried("hs.example.corp.example", fail, fail),
            tried("hs.example", no, no),
        ]),
        "10.96.0.10 answered SERVFAIL to hs.example.corp.example; 10.96.0.10 knows no such name"
    );
    assert_eq!(
        sentence(vec![
            tried("hs.example.corp.example", no, fail),
            tried("hs.example", &[(ONE, LookupFault::NoAddress)], fail),
        ]),
        "10.96.0.10 answered SERVFAIL to hs.example.corp.example (AAAA), hs.example (AAAA); \
         10.96.0.10 knows the name, and no address of it (A)"
    );
    let silent = &[(ONE, LookupFault::Silence(8000))][..];
    let names = ["1", "2", "3", "4", "5"].map(|name| tried(name, silent, silent));
    let mut all = names.to_vec();
    all.push(tried("hs.example", no, no));
    assert_eq!(
        sentence(all),
        "10.96.0.10 did not answer to 1, 2, 3 and 2 more; 10.96.0.10 knows no such name"
    );
}

#[test]
fn each_server_has_its_word() {
    let both = &[
        (ONE, LookupFault::Unreachable(ErrorKind::ConnectionRefused)),
        (TWO, LookupFault::Error(5)),
    ];
    assert_eq!(
        sentence(vec![
            tried("hs.example.a.b", both, both),
            tried("hs.example", both, both)
        ]),
        "no name server listens at 10.96.0.10, port 53; 10.96.0.11 answered REFUSED"
    );
    let codes: Vec<_> = (6..16)
        .map(|code| (ONE, LookupFault::Error(code)))
        .collect();
    let long = sentence(vec![tried("hs.example", &codes, &codes)]);
    assert!(long.ends_with("error code 9; and 6 more"), "{long}");
}

#[test]
fn what_resolv_conf_leaves_out_is_told() {
    let refused = &[(
        [127, 0, 0, 1],
        LookupFault::Unreachable(ErrorKind::ConnectionRefused),
    )];
    let why = Why::Asked {
        tried: vec![tried("hs.example", refused, refused)],
        names_no_server: true,
    };
    assert_eq!(
        Unresolved(why).to_string(),
        "/etc/resolv.conf names no name server, and no name server listens at 127.0.0.1, port 53"
    );
}

#[test]
fn a_search_domain_cannot_forge_the_log() {
    let fail = &[(ONE, LookupFault::Error(2))];
    let no = &[(ONE, LookupFault::NoName)];
    let forged = tried("hs.example.a\u{1b}[31m\u{202e}", fail, fail);
    let text = sentence(vec![forged, tried("hs.example", no, no)]);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}
