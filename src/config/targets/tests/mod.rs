//! Targets as the configuration has them: what reaches their fields, and what is a fault.

mod faults;
mod schema;

use std::time::Duration;

use crate::config::Settings;
use crate::config::tests::{told, with};
use crate::control::{StartCount, Target, Targets, Traces};
use crate::util::temp::TempFile;

/// The settings with a file of targets, and these variables.
fn with_file(text: &str, extra: &[(&str, &str)]) -> Result<Settings, String> {
    let file = TempFile::new(text);
    let path = file.path().to_owned();
    let given = [extra, &[("TARGETS_FILE", path.as_str())]].concat();
    with(&given).map_err(|faults| told(&faults).replace(&path, "PATH"))
}

/// The settings with a list of targets, and these variables.
fn with_list(text: &str, extra: &[(&str, &str)]) -> Result<Settings, String> {
    let given = [extra, &[("TARGETS", text)]].concat();
    with(&given).map_err(|faults| told(&faults))
}

fn targets(settings: &Settings) -> &[Target] {
    match &settings.targets {
        Targets::Named(targets) => targets,
        Targets::Reference(workload) => panic!("{workload}"),
    }
}

#[test]
fn a_target_of_the_file_has_defaults_for_all_but_two_keys() {
    let text = r#"{"targets": [{"name": "a", "object": "b"}]}"#;
    let settings = with_file(text, &[("MAX_FOR", "2d")]).unwrap();
    let [target] = targets(&settings) else {
        panic!("one target");
    };
    let listed = with_list("a=b", &[("MAX_FOR", "2d")]).unwrap();
    assert_eq!(targets(&listed), std::slice::from_ref(target));
    assert_eq!(target.workload.to_string(), "clawdbot/b");
    assert_eq!((target.start, target.max), (StartCount::Replicas(1), 1));
    assert_eq!((&target.users, &target.viewers), (&None, &None));
    assert_eq!((&target.rooms, target.default_in.len()), (&None, 0));
    assert_eq!(target.default_for, None);
    assert_eq!(target.max_for, Some(Duration::from_secs(2 * 86_400)));
    assert!(!target.confirm && !target.data_is_disposable && !target.full_details);
    assert_eq!(target.ready_timeout, Duration::from_secs(600));
    assert!(settings.progress);
}

#[test]
fn what_the_file_says_reaches_its_fields() {
    let text = r#"{
        "$schema": "targets.schema.json",
        "targets": [
            {
                "name": "worker", "namespace": "openclaw", "object": "openclaw-worker",
                "kind": "argoproj.io/v1alpha1/rollouts", "start": "previous", "max": 5,
                "users": ["@a:example.com"], "viewers": ["@v:example.com", "@b:example.com"],
                "rooms": ["!r:x", "!s:x"], "defaultIn": ["!r:x"], "for": "8h", "maxFor": "1d12h",
                "confirm": "always", "data": "disposable", "readyTimeout": "90s",
                "details": "full", "schedule": ["Mon-Fri 08:00-18:00", "stop daily 20:00"],
                "timeZone": "Europe/Berlin", "allowSelfHarm": true
            },
            { "name": "three", "object": "three", "start": 3, "viewers": [] }
        ]
    }"#;
    let extra = [
        ("ALLOWED_USERS", "@a:example.com,@b:example.com"),
        ("VIEWERS", "@v:example.com"),
        ("ALLOWED_ROOMS", "!r:x,!s:x,!t:x"),
    ];
    let settings = with_file(text, &extra).unwrap();
    let [worker, three] = targets(&settings) else {
        panic!("two targets");
    };
    assert_eq!(worker.name.as_str(), "worker");
    let workload = &worker.workload;
    assert_eq!(workload.to_string(), "rollouts openclaw/openclaw-worker");
    assert_eq!((worker.start, worker.max), (StartCount::Previous(1), 5));
    assert_eq!(worker.users.as_ref().unwrap().len(), 1);
    assert_eq!(worker.viewers.as_ref().unwrap().len(), 2);
    assert_eq!(worker.rooms.as_ref().unwrap().len(), 2);
    assert_eq!(worker.default_in.len(), 1);
    assert_eq!(worker.default_for, Some(Duration::from_secs(8 * 3600)));
    assert_eq!(worker.max_for, Some(Duration::from_secs(36 * 3600)));
    assert!(worker.confirm && worker.data_is_disposable && worker.full_details);
    assert_eq!(worker.ready_timeout, Duration::from_secs(90));
    let (schedule, zone) = worker.schedule.as_ref().unwrap();
    assert_eq!(zone.name(), "Europe/Berlin");
    // Monday 2026-11-30, 12:00 UTC.
    assert!(schedule.is_up_at(1_796_040_000_000, zone));
    // As many as a start gives, where the most is not said.
    assert_eq!((three.start, three.max), (StartCount::Replicas(3), 3));
    assert!(three.viewers.as_ref().unwrap().is_empty());
}

#[test]
fn the_summary_has_a_row_for_each_of_the_first_targets() {
    let row = |settings: &Settings| {
        let rows = settings.summary().lines().filter_map(|line| {
            let (name, value) = line.trim_start().split_once("  ")?;
            name.starts_with("TARGETS").then(|| value.trim().to_owned())
        });
        rows.collect::<Vec<_>>()
    };
    let settings = with_list("gateway=statefulset/gw, worker=open/claw:5", &[]).unwrap();
    assert_eq!(
        row(&settings),
        [
            "gateway -> statefulset clawdbot/gw, at most 1",
            "worker -> deployment open/claw, at most 5"
        ]
    );
    assert!(!settings.summary().contains("DEPLOYMENT_NAME "));
    let many: Vec<_> = (0..23)
        .map(|number| format!("t{number}=o{number}"))
        .collect();
    let rows = row(&with_list(&many.join(","), &[]).unwrap());
    assert_eq!(rows.len(), 21);
    assert_eq!(rows[20], "and 3 more");
}

#[test]
fn progress_is_told_where_targets_have_names_unless_it_is_said() {
    let progress = |extra: &[_]| with(extra).unwrap().progress;
    assert!(!progress(&[]));
    assert!(progress(&[("TARGETS", "a=b")]));
    assert!(progress(&[("PROGRESS", "true")]));
    assert!(!progress(&[("PROGRESS", "no"), ("TARGETS", "a=b")]));
}

#[test]
fn a_change_leaves_events_only_where_that_is_said_and_names_only_where_they_are_asked_for() {
    for (said, traces) in [
        ("", Traces::None),
        ("no", Traces::None),
        ("True", Traces::Nameless),
        ("users", Traces::WithUser),
    ] {
        let settings = with(&[("WORKLOAD_EVENTS", said)]).unwrap();
        assert_eq!(settings.traces, traces, "{said}");
    }
    assert!(with(&[("WORKLOAD_EVENTS", "user")]).is_err());
}

#[test]
fn what_is_said_of_commands_reaches_its_fields() {
    let settings = with(&[
        ("VIEWERS", "@v:x, @w:x"),
        ("COMMAND_PREFIX", "!toggle"),
        ("MAX_FOR", "1d"),
    ])
    .unwrap();
    assert_eq!(settings.viewers.len(), 2);
    assert_eq!(settings.command_prefix.as_deref(), Some("!toggle"));
    assert_eq!(settings.max_for, Some(Duration::from_secs(86_400)));
    // They have rows where they are set.
    let shown = |settings: &Settings, name: &str| {
        let mut lines = settings.summary().lines();
        lines.any(|line| line.trim_start().starts_with(name))
    };
    for (name, is_set) in [
        ("VIEWERS ", true),
        ("COMMAND_PREFIX ", true),
        ("MAX_FOR ", true),
        ("PROGRESS ", false),
        ("TZ ", false),
    ] {
        assert_eq!(shown(&settings, name), is_set, "{name}");
    }
    let plain = with(&[]).unwrap();
    assert!(plain.viewers.is_empty());
    assert_eq!((plain.command_prefix, plain.max_for), (None, None));
}
