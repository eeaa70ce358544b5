//! Feeds the grammar of commands, the times and lengths in them, and the rules of schedules.

#![no_main]

use std::time::Duration;

use openclaw_k8s_toggle_operator::control::access::Action;
use openclaw_k8s_toggle_operator::control::time::{
    Edge, MAX_DURATION, MIN_DURATION, Schedule, Zone, parse_duration, parse_until,
};
use openclaw_k8s_toggle_operator::control::{
    Command, Grammar, GrammarFault, Kind, Namespace, ObjectName, Policy, StartCount, Target,
    TargetName, Targets, Workload,
};
use openclaw_k8s_toggle_operator::util::SortedSet;
use openclaw_k8s_toggle_operator_fuzz::{
    CLEAR, NOW, mode,
    people::{ANNA, MALLORY},
    user,
};

use libfuzzer_sys::fuzz_target;
use ruma::RoomId;

/// The longest time that anything may be asked to run for.
const MAX_FOR: Duration = Duration::from_secs(30 * 86_400);

/// The most replicas of a target.
const MAX: i32 = 5;

fuzz_target!(|data: &[u8]| {
    let (mode, data) = mode(data);
    let text = String::from_utf8_lossy(data);
    let zones = [
        "UTC",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Pacific/Auckland",
    ];
    let zone = Zone::parse(zones[data.len() % zones.len()]).unwrap();
    match mode {
        b'd' => match parse_duration(&text) {
            Ok(length) => assert!((MIN_DURATION..=MAX_DURATION).contains(&length)),
            Err(fault) => harmless(&fault.to_string()),
        },
        b'u' => match parse_until(&text, NOW, &zone) {
            Ok(at) => assert!(at > NOW && at <= NOW + millis(MAX_DURATION) + 86_400_000),
            Err(fault) => harmless(&fault.to_string()),
        },
        b'z' => {
            if let Err(fault) = Zone::parse(&text) {
                harmless(&fault.to_string());
            }
        }
        b's' => schedule(&text, &zone),
        _ => {
            command(&text, &zone);
            if let Some(command) = Command::decode(&text) {
                assert_eq!(Command::decode(&command.to_string()), Some(command));
            }
        }
    }
});

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap()
}

/// A sentence that a chat or a log can show.
fn harmless(sentence: &str) {
    assert!(sentence.len() <= 1_000, "{} bytes", sentence.len());
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
}

fn schedule(text: &str, zone: &Zone) {
    let rules: Vec<&str> = text.lines().collect();
    let schedule = match Schedule::parse(&rules) {
        Ok(schedule) => schedule,
        Err(fault) => return harmless(&fault.to_string()),
    };
    let mut now = NOW;
    for _ in 0..3 {
        let Some((at, edge)) = schedule.next_edge(now, zone) else {
            break;
        };
        assert!(at > now, "an edge that was");
        assert_eq!(schedule.is_up_at(at, zone), edge == Edge::Start);
        now = at;
    }
}

fn command(text: &str, zone: &Zone) {
    let policy = policy(zone);
    let room = <&RoomId>::try_from(CLEAR).unwrap();
    for asking in [ANNA.0, MALLORY.0] {
        let scope = policy.scope(&user(asking), room);
        let grammar = Grammar {
            scope: &scope,
            wall_ms: NOW,
            zone,
            max_for: policy.max_for,
            has_gateway: policy.has_gateway,
        };
        let command = match grammar.parse(text) {
            Ok(command) => command,
            Err(fault) => {
                if let GrammarFault::WhichTarget { names, .. } = &fault {
                    assert!(names.len() <= 20);
                }
                if let GrammarFault::Time(fault) = &fault {
                    harmless(&fault.to_string());
                }
                continue;
            }
        };
        for name in command.targets() {
            assert!(scope.find(name.as_str()).is_some(), "a target that is seen");
            let looks = matches!(command, Command::Status { .. } | Command::History { .. });
            assert!(
                looks || scope.may(Action::Start, name),
                "{command} by who only looks"
            );
        }
        match &command {
            Command::Confirm { code } => {
                assert!(code.chars().count() <= 16);
                continue;
            }
            Command::Start {
                replicas,
                until: None,
                idle: true,
                ..
            } => assert!(replicas.is_none_or(|count| (1..=MAX).contains(&count))),
            Command::Start {
                replicas,
                until,
                idle,
                ..
            } => {
                assert!(replicas.is_none_or(|count| (1..=MAX).contains(&count)) && !idle);
                let until = until.expect("nothing may run for ever here");
                assert!(until > NOW && until <= NOW + millis(MAX_FOR));
            }
            Command::Scale { replicas, .. } => assert!((0..=MAX).contains(replicas)),
            Command::Extend { by_ms, .. } => {
                assert!((millis(MIN_DURATION)..=millis(MAX_DURATION)).contains(by_ms));
            }
            _ => {}
        }
        harmless(&command.in_words());
        let parts = command.parts();
        assert!(parts.len() <= 3);
        for part in parts.into_iter().chain([command]) {
            assert_eq!(Command::decode(&part.to_string()), Some(part));
        }
    }
}

/// Anna may switch three targets, and Mallory look at two of them.
fn policy(zone: &Zone) -> Policy {
    let target = |name: &str, viewers: Option<SortedSet<_>>| Target {
        name: TargetName::parse(name).unwrap(),
        workload: Workload {
            kind: Kind::Deployment,
            namespace: Namespace::parse("claw").unwrap(),
            name: ObjectName::parse(name).unwrap(),
        },
        start: StartCount::Replicas(1),
        max: MAX,
        users: None,
        viewers,
        rooms: None,
        default_in: SortedSet::new(),
        default_for: None,
        max_for: None,
        schedule: None,
        confirm: false,
        data_is_disposable: false,
        ready_timeout: Duration::from_secs(600),
        full_details: false,
    };
    Policy {
        users: SortedSet::from([user(ANNA.0)]),
        viewers: SortedSet::from([user(MALLORY.0)]),
        rooms: None,
        require_encryption: false,
        max_age: Duration::from_secs(600),
        targets: Targets::Named(vec![
            target("worker", None),
            target("gateway", None),
            target("hidden", Some(SortedSet::new())),
        ]),
        zone: zone.clone(),
        max_for: Some(MAX_FOR),
        has_gateway: true,
    }
}
