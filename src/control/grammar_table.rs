//! The grammar where targets have names, row by row: who, where, text → command or why not.

use std::time::Duration;

use ruma::{OwnedUserId, RoomId, UserId, room_id, user_id};

use super::{
    Command, Decision, Denial, GrammarFault, Kind, Namespace, ObjectName, Policy, Proof, Request,
    Stage, StartCount, Target, TargetName, Targets, Workload, time::Zone,
};
use crate::util::SortedSet;

/// Sunday 2026-11-29 09:00:00 UTC.
const NOW: u64 = 1_795_942_800_000;
const HOUR: u64 = 3_600_000;

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn bob() -> &'static UserId {
    user_id!("@bob:test")
}

fn vera() -> &'static UserId {
    user_id!("@vera:test")
}

fn ops() -> &'static RoomId {
    room_id!("!ops:test")
}

fn side() -> &'static RoomId {
    room_id!("!side:test")
}

fn set(users: &[&UserId]) -> SortedSet<OwnedUserId> {
    users.iter().map(|user| (*user).to_owned()).collect()
}

fn target(name: &str, kind: Kind) -> Target {
    Target {
        name: TargetName::parse(name).unwrap(),
        workload: Workload {
            kind,
            namespace: Namespace::parse("claw").unwrap(),
            name: ObjectName::parse(name).unwrap(),
        },
        start: StartCount::Replicas(1),
        max: 1,
        users: None,
        viewers: None,
        rooms: None,
        default_in: SortedSet::new(),
        default_for: None,
        max_for: None,
        confirm: false,
        data_is_disposable: false,
        ready_timeout: Duration::from_secs(600),
        schedule: None,
        full_details: false,
    }
}

/// `worker` for all and the room's own in `!side`, `gateway` for Alice alone and to be
/// confirmed, `shy` in `!side` alone, `nightly` for an hour unless it is said, `brief` for
/// two at most.
fn policy() -> Policy {
    let worker = Target {
        max: 5,
        default_in: [side().to_owned()].into(),
        ..target("worker", Kind::Deployment)
    };
    let gateway = Target {
        users: Some(set(&[alice()])),
        confirm: true,
        ..target("gateway", Kind::StatefulSet)
    };
    let shy = Target {
        rooms: Some([side().to_owned()].into()),
        ..target("shy", Kind::Deployment)
    };
    let nightly = Target {
        default_for: Some(Duration::from_secs(3600)),
        ..target("nightly", Kind::Deployment)
    };
    let brief = Target {
        max_for: Some(Duration::from_secs(7200)),
        ..target("brief", Kind::Deployment)
    };
    Policy {
        users: set(&[alice(), bob()]),
        viewers: set(&[vera()]),
        rooms: None,
        require_encryption: false,
        max_age: Duration::from_secs(120),
        targets: Targets::Named(vec![worker, gateway, shy, nightly, brief]),
        zone: Zone::utc(),
        max_for: Some(Duration::from_secs(24 * 3600)),
        has_gateway: false,
    }
}

fn request<'a>(principal: &'a UserId, room: &'a RoomId, text: &'a str) -> Request<'a> {
    Request {
        principal,
        room,
        text,
        proof: Proof::Encrypted,
        age: Default::default(),
        overdue_ms: 0,
        received_at: 0,
        wall_ms: NOW,
        stage: Stage::Received,
    }
}

/// A decision in a few words; times are in hours from [`NOW`].
fn word(decision: &Decision) -> String {
    let command = |command: &Command| match command {
        Command::Start {
            target,
            replicas,
            until,
            idle,
        } => {
            let idle = if *idle { " idle" } else { "" };
            let replicas = replicas.map(|replicas| format!(" {replicas}"));
            let until = until.map(|until| format!(" +{}h", (until - NOW) / HOUR));
            let (replicas, until) = (replicas.unwrap_or_default(), until.unwrap_or_default());
            format!("start {target}{replicas}{until}{idle}")
        }
        other => other.to_string(),
    };
    match decision {
        Decision::Ignore => "ignore".to_owned(),
        Decision::Execute(Command::Confirm { code }) => format!("yes {code}"),
        Decision::Execute(what) => command(what),
        Decision::Ask(what) => format!("ask {}", command(what)),
        Decision::Deny(Denial::NotUnderstood(fault)) => match fault {
            GrammarFault::NoCommand { meant, .. } => match meant {
                Some(verb) => format!("did you mean {verb}"),
                None => "no command".to_owned(),
            },
            GrammarFault::NoSuchTarget { meant, .. } => match meant {
                Some(name) => format!("no target, {name}?"),
                None => "no target".to_owned(),
            },
            GrammarFault::WhichTarget { names, .. } => format!("which of {}", names.len()),
            GrammarFault::MayOnlyLook { target } => format!("only look {target}"),
            GrammarFault::Count { max, .. } => format!("at most {max}"),
            GrammarFault::Time(_) => "time".to_owned(),
            GrammarFault::TooLong { max, .. } => format!("for {} h", max.as_secs() / 3600),
            GrammarFault::IdleWithTime { .. } => "idle or a time".to_owned(),
            GrammarFault::NoGateway { word, .. } => format!("no gateway for {word}"),
            GrammarFault::Rest { .. } => "rest".to_owned(),
        },
        Decision::Deny(denial) => format!("{denial:?}"),
    }
}

#[track_caller]
fn check(rows: &[(&UserId, &RoomId, &str, &str)]) {
    check_by(&policy(), rows);
}

#[track_caller]
fn check_by(policy: &Policy, rows: &[(&UserId, &RoomId, &str, &str)]) {
    for (user, room, text, expected) in rows {
        let decision = policy.decide(&request(user, room, text), 0);
        assert_eq!(word(&decision), *expected, "{user} in {room}: {text:?}");
    }
}

#[test]
fn a_start_has_a_target_a_number_and_an_end() {
    check(&[
        (alice(), ops(), "start worker", "start worker +24h"),
        (alice(), ops(), "ON Worker", "start worker +24h"),
        (alice(), ops(), "start worker 3", "start worker 3 +24h"),
        (
            alice(),
            ops(),
            "start worker 5 for 2h",
            "start worker 5 +2h",
        ),
        (
            alice(),
            ops(),
            "start worker for 90 min",
            "start worker +1h",
        ),
        (
            alice(),
            ops(),
            "start worker until 18:00",
            "start worker +9h",
        ),
        (
            alice(),
            ops(),
            "start worker until tomorrow 8:00",
            "start worker +23h",
        ),
        (alice(), ops(), "start nightly", "start nightly +1h"),
        (alice(), ops(), "start nightly for 3h", "start nightly +3h"),
        (alice(), ops(), "start brief", "start brief +2h"),
        (alice(), ops(), "start brief for 3h", "for 2 h"),
        (alice(), ops(), "start worker for 25h", "for 24 h"),
        (alice(), ops(), "start worker 6", "at most 5"),
        (alice(), ops(), "start worker 0", "at most 5"),
        (alice(), ops(), "start worker -1", "at most 5"),
        (alice(), ops(), "start worker 2147483648", "at most 5"),
        (
            alice(),
            ops(),
            "start worker 99999999999999999999",
            "at most 5",
        ),
        (alice(), ops(), "start worker for ages", "time"),
        (alice(), ops(), "start worker until yesterday", "time"),
        (
            alice(),
            ops(),
            "start worker until 2020-01-01 10:00",
            "time",
        ),
        (alice(), ops(), "start worker for", "time"),
        (alice(), ops(), "start worker please", "rest"),
        (alice(), ops(), "start worker 3 4", "rest"),
        (alice(), side(), "start", "start worker +24h"),
        (alice(), side(), "start 2 for 1h", "start worker 2 +1h"),
        (alice(), ops(), "start", "which of 4"),
        (alice(), ops(), "start 2", "which of 4"),
    ]);
}

#[test]
fn what_one_may_not_see_does_not_exist() {
    check(&[
        (bob(), ops(), "start gateway", "no target"),
        (bob(), ops(), "start nosuch", "no target"),
        (bob(), ops(), "status gateway", "no target"),
        (bob(), ops(), "history gateway", "no target"),
        (bob(), ops(), "start gatewa", "no target"),
        (alice(), ops(), "start shy", "no target"),
        (alice(), side(), "start shy", "start shy +24h"),
        (bob(), side(), "stop shy", "stop shy"),
        (vera(), ops(), "status worker", "status worker"),
        (vera(), ops(), "start worker", "only look worker"),
        (vera(), ops(), "stop worker", "only look worker"),
        (vera(), ops(), "extend worker 1h", "only look worker"),
        (vera(), ops(), "stop all", "which of 4"),
        (vera(), ops(), "history worker", "history worker"),
        (vera(), ops(), "start shy", "no target"),
        (vera(), ops(), "list", "list"),
        (user_id!("@mallory:test"), ops(), "list", "ignore"),
        (user_id!("@mallory:test"), ops(), "start worker", "ignore"),
    ]);
    // Byte for byte.
    let policy = policy();
    let denial = |text| match policy.decide(&request(bob(), ops(), text), 0) {
        Decision::Deny(denial) => format!("{denial:?}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(denial("start gateway"), denial("start unknown"));
}

#[test]
fn what_is_looked_at_is_completed_and_what_is_changed_is_asked_back() {
    check(&[
        (alice(), ops(), "status w", "status worker"),
        (alice(), ops(), "status wroker", "status worker"),
        (alice(), ops(), "history gate", "history gateway"),
        (alice(), ops(), "stop w", "no target, worker?"),
        (alice(), ops(), "stop wroker", "no target, worker?"),
        (alice(), ops(), "start gatewy", "no target, gateway?"),
        (alice(), ops(), "status", "list"),
        (alice(), side(), "status", "status worker"),
        (alice(), ops(), "history", "which of 4"),
        (alice(), ops(), "strat worker", "did you mean start"),
        (alice(), ops(), "dance", "no command"),
        (alice(), ops(), "", "no command"),
        (alice(), ops(), "worker start", "no command"),
        (alice(), ops(), "help", "help"),
        (alice(), ops(), "help scale", "help scale"),
        (alice(), ops(), "help sclae", "did you mean scale"),
        (alice(), ops(), "help me please", "no command"),
    ]);
}

#[test]
fn what_is_risky_is_asked_back() {
    check(&[
        (alice(), ops(), "stop worker", "stop worker"),
        (alice(), ops(), "off worker", "stop worker"),
        (alice(), ops(), "stop gateway", "ask stop gateway"),
        (alice(), ops(), "start gateway", "start gateway +24h"),
        (alice(), ops(), "scale gateway 0", "ask scale gateway 0"),
        (
            alice(),
            ops(),
            "stop worker nightly",
            "ask stop worker nightly",
        ),
        (
            alice(),
            ops(),
            "stop worker, nightly",
            "ask stop worker nightly",
        ),
        (alice(), ops(), "stop worker worker", "stop worker"),
        (
            alice(),
            ops(),
            "stop all",
            "ask stop worker gateway nightly brief",
        ),
        (bob(), ops(), "stop all", "ask stop worker nightly brief"),
        (alice(), ops(), "restart worker", "restart worker"),
        (alice(), ops(), "restart gateway", "ask restart gateway"),
        (alice(), ops(), "scale worker 0", "scale worker 0"),
        (alice(), ops(), "scale worker 5", "scale worker 5"),
        (alice(), ops(), "scale worker", "at most 5"),
        (alice(), ops(), "scale worker many", "at most 5"),
        (alice(), ops(), "scale worker 6", "at most 5"),
        (alice(), ops(), "extend worker 1h", "extend worker 3600000"),
        (
            alice(),
            ops(),
            "extend worker by 30m",
            "extend worker 1800000",
        ),
        (alice(), ops(), "extend worker", "time"),
        (alice(), ops(), "yes K3ZQ", "yes K3ZQ"),
        (alice(), ops(), "yes", "yes "),
    ]);
}

#[test]
fn a_number_or_a_word_of_the_grammar_behind_a_stop_is_no_target() {
    check(&[
        (alice(), ops(), "stop worker 5", "rest"),
        (alice(), side(), "stop worker 5", "rest"),
        (alice(), side(), "stop 5", "rest"),
        (alice(), side(), "stop worker for 2h", "rest"),
        (alice(), side(), "stop worker all", "rest"),
        (alice(), side(), "stop all 5", "rest"),
    ]);
}

#[test]
fn what_is_about_a_gateway_is_understood_where_there_is_one() {
    let policy = Policy {
        has_gateway: true,
        ..policy()
    };
    check_by(
        &policy,
        &[
            (alice(), ops(), "start worker idle", "start worker idle"),
            (alice(), ops(), "on worker 3 IDLE", "start worker 3 idle"),
            (alice(), ops(), "start nightly idle", "start nightly idle"),
            (alice(), ops(), "start brief idle", "start brief idle"),
            (alice(), side(), "start idle", "start worker idle"),
            (alice(), ops(), "start idle", "which of 4"),
            (alice(), ops(), "start worker idle 3", "rest"),
            (alice(), ops(), "start worker idle for 2h", "idle or a time"),
            (alice(), ops(), "start worker for 2h idle", "idle or a time"),
            (
                alice(),
                ops(),
                "start worker until 18:00 idle",
                "idle or a time",
            ),
            (alice(), ops(), "start worker hold", "rest"),
            (alice(), ops(), "start all idle", "which of 4"),
            (alice(), ops(), "stop worker hold", "stop worker hold"),
            (alice(), ops(), "off worker, HOLD", "stop worker hold"),
            (alice(), side(), "stop hold", "stop worker hold"),
            (alice(), ops(), "stop gateway hold", "ask stop gateway hold"),
            (
                alice(),
                ops(),
                "stop worker nightly hold",
                "ask stop worker nightly hold",
            ),
            (
                bob(),
                ops(),
                "stop all hold",
                "ask stop worker nightly brief hold",
            ),
            (alice(), ops(), "stop worker hold gateway", "rest"),
            (alice(), ops(), "stop worker hold for 2h", "rest"),
            (alice(), ops(), "stop worker idle", "rest"),
            (vera(), ops(), "stop worker hold", "only look worker"),
            (vera(), ops(), "start worker idle", "only look worker"),
            (alice(), ops(), "scale worker 2 idle", "rest"),
        ],
    );
}

#[test]
fn what_is_about_a_gateway_is_told_to_be_so_where_there_is_none() {
    check(&[
        (alice(), ops(), "start worker idle", "no gateway for idle"),
        (
            alice(),
            ops(),
            "start worker for 2h idle",
            "no gateway for idle",
        ),
        (alice(), ops(), "stop worker hold", "no gateway for hold"),
        (alice(), ops(), "stop all hold", "no gateway for hold"),
        (alice(), ops(), "stop hold", "which of 4"),
        (alice(), ops(), "stop worker hold on", "rest"),
    ]);
}

#[test]
fn a_command_that_is_due_is_asked_again_for_its_target() {
    let due = |principal, text| Request {
        stage: Stage::Due { interrupted: false },
        ..request(principal, ops(), text)
    };
    let policy = policy();
    let no_longer = Decision::Deny(Denial::NoLongerAllowed);
    for (principal, text, allowed) in [
        (alice(), "start worker 3", true),
        (alice(), "stop gateway", true),
        (bob(), "stop gateway", false),
        (alice(), "start shy", false),
        (alice(), "start gone", false),
        (vera(), "status worker", true),
        (vera(), "start worker", false),
        (alice(), "list", true),
        (alice(), "nonsense", false),
        (alice(), "start", false),
    ] {
        let decision = policy.decide(&due(principal, text), 0);
        match allowed {
            true => assert!(matches!(decision, Decision::Execute(_)), "{text}"),
            false => assert_eq!(decision, no_longer, "{text}"),
        }
    }
}

#[test]
fn a_restart_that_was_interrupted_is_ended_however_late() {
    let policy = policy();
    let due = |text| Request {
        stage: Stage::Due { interrupted: true },
        ..request(alice(), ops(), text)
    };
    let late = 24 * HOUR;
    let ended = policy.decide(&due("restart worker 3"), late);
    assert!(matches!(ended, Decision::Execute(_)), "{ended:?}");
    let not_begun = policy.decide(&due("restart worker"), late);
    assert!(matches!(
        not_begun,
        Decision::Deny(Denial::Interrupted { .. })
    ));
}
