//! The policy, row by row: principal, room, text, proof, age, stage → decision.

use std::time::Duration;

use ruma::{RoomId, UserId, room_id, user_id};

use super::{
    Age, Decision, Denial, Distrust, Kind, Namespace, ObjectName, Policy, Proof, Request, Stage,
    Targets, Workload, time::Zone,
};
use crate::util::{ClockDifference, SortedSet};

const SECOND: u64 = 1_000;
/// [`policy`]'s limit.
const LIMIT: u64 = 120 * SECOND;

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn mallory() -> &'static UserId {
    user_id!("@mallory:test")
}

fn ops() -> &'static RoomId {
    room_id!("!ops:test")
}

fn elsewhere() -> &'static RoomId {
    room_id!("!elsewhere:test")
}

/// Alice alone, in the room `ops` alone.
fn policy(require_encryption: bool) -> Policy {
    Policy {
        users: SortedSet::from([alice().to_owned()]),
        rooms: Some(SortedSet::from([ops().to_owned()])),
        require_encryption,
        max_age: Duration::from_millis(LIMIT),
        viewers: SortedSet::new(),
        targets: Targets::Reference(Workload {
            kind: Kind::Deployment,
            namespace: Namespace::parse("claw").unwrap(),
            name: ObjectName::parse("bot").unwrap(),
        }),
        zone: Zone::utc(),
        max_for: None,
        has_gateway: false,
    }
}

/// An encrypted `start` of Alice's in `ops`, new.
const fn request<'a>(principal: &'a UserId, room: &'a RoomId, text: &'a str) -> Request<'a> {
    Request {
        principal,
        room,
        text,
        proof: Proof::Encrypted,
        age: Age { ms: 0, doubt: None },
        overdue_ms: 0,
        received_at: 0,
        wall_ms: 0,
        stage: Stage::Received,
    }
}

fn start() -> Request<'static> {
    request(alice(), ops(), "start")
}

fn due(interrupted: bool) -> Request<'static> {
    Request {
        stage: Stage::Due { interrupted },
        ..start()
    }
}

/// A decision in one word, so that a row fits into a line.
fn word(decision: &Decision) -> String {
    match decision {
        Decision::Ignore => "ignore".to_owned(),
        Decision::Execute(command) => format!("execute {command}"),
        Decision::Ask(command) => format!("ask {command}"),
        Decision::Deny(denial) => match denial {
            Denial::RoomNotAllowed => "room".to_owned(),
            Denial::EncryptionRequired => "encryption".to_owned(),
            Denial::Unproven(distrust) => format!("{distrust:?}"),
            Denial::UnknownCommand(text) => format!("unknown {}", text.as_str()),
            Denial::NotUnderstood(fault) => format!("not understood {fault:?}"),
            Denial::TooLate { command, age } => format!("late {command} {}", age.as_secs()),
            Denial::ClocksDiffer { command, .. } => format!("clocks {command}"),
            Denial::Interrupted { command, .. } => format!("interrupted {command}"),
            Denial::NoLongerAllowed => "no longer".to_owned(),
        },
    }
}

const ALL_DISTRUST: [Distrust; 9] = [
    Distrust::UnencryptedInEncryptedRoom,
    Distrust::Undecryptable,
    Distrust::UnknownDevice,
    Distrust::SignedOutDevice,
    Distrust::UnverifiedDevice,
    Distrust::OutdatedDeviceList,
    Distrust::IdentityChanged,
    Distrust::OlderSession,
    Distrust::ExpiredSession,
];

/// Checks rows at the time 0, or at the one that a row names.
#[track_caller]
fn check(require_encryption: bool, rows: &[(Request<'_>, u64, &str)]) {
    let policy = policy(require_encryption);
    for (number, (request, now, expected)) in rows.iter().enumerate() {
        let decision = policy.decide(request, *now);
        assert_eq!(
            word(&decision),
            *expected,
            "row {number}: {request:?} at {now}"
        );
    }
}

#[test]
fn every_command_in_every_spelling_and_nothing_else() {
    let text = |text| Request { text, ..start() };
    check(
        false,
        &[
            (text("start"), 0, "execute start"),
            (text("on"), 0, "execute start"),
            (text("stop"), 0, "execute stop"),
            (text("off"), 0, "execute stop"),
            (text("status"), 0, "execute status"),
            (text("help"), 0, "execute help"),
            (text(" START\n"), 0, "execute start"),
            (text("Off"), 0, "execute stop"),
            (text("dance"), 0, "unknown dance"),
            (text("start now"), 0, "unknown start now"),
            (text(""), 0, "unknown "),
            (text("st\u{202e}op"), 0, "unknown st op"),
        ],
    );
}

#[test]
fn a_stranger_is_ignored_whatever_they_do() {
    let by = |request: Request<'static>| Request {
        principal: mallory(),
        ..request
    };
    let mut rows = vec![
        (by(start()), 0, "ignore"),
        (by(request(mallory(), elsewhere(), "start")), 0, "ignore"),
        (by(request(mallory(), ops(), "help")), 0, "ignore"),
        (by(request(mallory(), ops(), "dance")), 0, "ignore"),
        (by(start()), 2 * LIMIT, "ignore"),
    ];
    for proof in [Proof::Unencrypted]
        .into_iter()
        .chain(ALL_DISTRUST.map(Proof::Missing))
    {
        rows.push((
            Request {
                proof,
                ..by(start())
            },
            0,
            "ignore",
        ));
    }
    check(false, &rows);
    check(true, &rows);
}

#[test]
fn a_room_that_is_left_out_is_told_before_anything_else() {
    let there = |text, proof| Request {
        proof,
        ..request(alice(), elsewhere(), text)
    };
    let rows = [
        (there("start", Proof::Encrypted), 0, "room"),
        (there("help", Proof::Encrypted), 0, "room"),
        (there("dance", Proof::Encrypted), 0, "room"),
        (there("start", Proof::Unencrypted), 0, "room"),
        (
            there("", Proof::Missing(Distrust::Undecryptable)),
            0,
            "room",
        ),
        (there("start", Proof::Encrypted), 2 * LIMIT, "room"),
    ];
    check(false, &rows);
    check(true, &rows);
    let anywhere = Policy {
        rooms: None,
        ..policy(false)
    };
    let decision = anywhere.decide(&there("start", Proof::Encrypted), 0);
    assert_eq!(word(&decision), "execute start");
}

#[test]
fn a_request_needs_the_proof_that_is_asked_for() {
    let with = |proof| Request { proof, ..start() };
    check(
        false,
        &[
            (with(Proof::Encrypted), 0, "execute start"),
            (with(Proof::Unencrypted), 0, "execute start"),
        ],
    );
    check(
        true,
        &[
            (with(Proof::Encrypted), 0, "execute start"),
            (with(Proof::Unencrypted), 0, "encryption"),
        ],
    );
    for distrust in ALL_DISTRUST {
        for text in ["start", "", "dance"] {
            for (require, now) in [(false, 0), (true, 0), (false, 2 * LIMIT)] {
                let request = Request {
                    text,
                    ..with(Proof::Missing(distrust))
                };
                let decision = policy(require).decide(&request, now);
                assert_eq!(decision, Decision::Deny(Denial::Unproven(distrust)));
            }
        }
    }
}

#[test]
fn an_old_command_is_not_executed() {
    let old = |ms| Request {
        age: Age { ms, doubt: None },
        ..start()
    };
    let overdue = |overdue_ms| Request {
        overdue_ms,
        ..start()
    };
    let both = Request {
        overdue_ms: 60 * SECOND,
        ..old(90 * SECOND)
    };
    check(
        false,
        &[
            (old(LIMIT - 1), 0, "execute start"),
            (old(LIMIT), 0, "late start 120"),
            (old(u64::MAX), 0, "late start 18446744073709551"),
            // The wait before its turn counts.
            (start(), LIMIT - 1, "execute start"),
            (start(), LIMIT, "late start 120"),
            (old(60 * SECOND), 59 * SECOND, "execute start"),
            (old(60 * SECOND), 60 * SECOND, "late start 120"),
            (old(u64::MAX), u64::MAX, "late start 18446744073709551"),
            // The age of the session is a lower bound of the message's.
            (overdue(LIMIT - 1), 0, "execute start"),
            (overdue(LIMIT), 0, "ExpiredSession"),
            (overdue(60 * SECOND), 60 * SECOND, "late start 120"),
            (both, 29 * SECOND, "execute start"),
            (both, 30 * SECOND, "late start 120"),
            // What is no command is answered, however old.
            (
                Request {
                    text: "dance",
                    ..old(2 * LIMIT)
                },
                0,
                "unknown dance",
            ),
            (
                Request {
                    text: "help",
                    ..old(2 * LIMIT)
                },
                0,
                "late help 240",
            ),
            // A clock that goes back makes nothing older.
            (
                Request {
                    received_at: LIMIT,
                    ..start()
                },
                0,
                "execute start",
            ),
        ],
    );
}

#[test]
fn clocks_that_are_apart_are_told_where_only_they_make_it_old() {
    let doubt = |ms, by| Request {
        age: Age {
            ms,
            doubt: Some(ClockDifference {
                ms: by,
                server_is_ahead: false,
            }),
        },
        ..start()
    };
    check(
        false,
        &[
            (doubt(2 * LIMIT, 2 * LIMIT), 0, "clocks start"),
            (doubt(2 * LIMIT, LIMIT), 0, "late start 240"),
            (doubt(2 * LIMIT, LIMIT + 1), 0, "clocks start"),
            (doubt(LIMIT - 1, LIMIT), 0, "execute start"),
            // It was young enough when it came, and has waited since.
            (doubt(LIMIT - 1, LIMIT), SECOND, "late start 120"),
        ],
    );
}

#[test]
fn everything_is_asked_again_when_a_command_is_due() {
    let with = |proof| Request {
        proof,
        ..due(false)
    };
    let missing = |distrust| with(Proof::Missing(distrust));
    let by_mallory = Request {
        principal: mallory(),
        ..due(false)
    };
    let left_out = Request {
        room: elsewhere(),
        ..due(false)
    };
    let outdated = Proof::Missing(Distrust::OutdatedDeviceList);
    let rows = [
        (due(false), 0, "execute start"),
        (due(true), 0, "execute start"),
        (due(false), LIMIT, "late start 120"),
        (due(true), LIMIT - 1, "execute start"),
        (due(true), LIMIT, "interrupted start"),
        (
            Request {
                text: "stop",
                ..due(true)
            },
            LIMIT,
            "interrupted stop",
        ),
        (
            Request {
                text: "x",
                ..due(false)
            },
            0,
            "unknown x",
        ),
        (by_mallory, 0, "no longer"),
        (by_mallory, LIMIT, "late start 120"),
        (left_out, 0, "no longer"),
        (
            missing(Distrust::UnencryptedInEncryptedRoom),
            0,
            "no longer",
        ),
        (missing(Distrust::UnknownDevice), 0, "no longer"),
        (missing(Distrust::SignedOutDevice), 0, "no longer"),
        (missing(Distrust::UnverifiedDevice), 0, "no longer"),
        (missing(Distrust::IdentityChanged), 0, "no longer"),
        (
            missing(Distrust::OutdatedDeviceList),
            0,
            "OutdatedDeviceList",
        ),
        (
            missing(Distrust::OutdatedDeviceList),
            LIMIT,
            "late start 120",
        ),
        (
            Request {
                proof: outdated,
                ..by_mallory
            },
            0,
            "no longer",
        ),
        (
            Request {
                proof: outdated,
                ..left_out
            },
            0,
            "no longer",
        ),
    ];
    check(false, &rows);
    check(true, &rows);
    check(false, &[(with(Proof::Unencrypted), 0, "execute start")]);
    check(true, &[(with(Proof::Unencrypted), 0, "no longer")]);
}
