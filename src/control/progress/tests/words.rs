//! Sentences, a row for each.

use super::super::{
    Barrier, Cause, Details, Direction, Ending, Finding, Image, Lingering, Owner, Progress,
    PullFault, Remark, Right, WaitsFor,
};
use crate::control::TargetName;

fn worker() -> TargetName {
    TargetName::parse("worker").unwrap()
}

fn image() -> Finding {
    let cause = Cause::Image {
        image: Image::of("registry.example.org/team/app:1.2"),
        fault: PullFault::NotThere,
    };
    Finding::new(cause, "https://registry.example.org:\n404 @room")
}

#[test]
fn progress_is_one_line() {
    for (direction, done, of, waits_for, cause, sentence) in [
        (Direction::Up, 1, 3, None, None, "worker: 1 of 3 ready"),
        (
            Direction::Up,
            2,
            3,
            Some(WaitsFor::Readiness),
            None,
            "worker: 2 of 3 ready, waits for the others",
        ),
        (
            Direction::Up,
            0,
            1,
            Some(WaitsFor::Readiness),
            None,
            "worker: 0 of 1 ready",
        ),
        (
            Direction::Up,
            3,
            3,
            Some(WaitsFor::Availability),
            None,
            "worker: 3 of 3 ready, but not for long enough yet",
        ),
        (
            Direction::Up,
            1,
            3,
            Some(WaitsFor::Pod { ordinal: 0 }),
            Some(image()),
            "worker: 1 of 3 ready, waits for pod 0; image app:1.2 cannot be pulled: not there",
        ),
        (Direction::Down, 1, 0, None, None, "worker: 1 pod left"),
        (
            Direction::Down,
            4,
            2,
            None,
            None,
            "worker: 4 pods left, 2 will stay",
        ),
    ] {
        let progress = Progress {
            direction,
            done,
            of,
            waits_for,
            cause,
        };
        assert_eq!(progress.sentence(&worker(), Details::Short), sentence);
    }
}

#[test]
fn each_ending_has_a_sentence() {
    let ready = |after, remark, is_late| Ending::Ready {
        replicas: 3,
        after,
        remark,
        is_late,
    };
    let stopped = |replicas, remark, is_late| Ending::Stopped {
        replicas,
        after: 14_900,
        remark,
        is_late,
    };
    let not_ready = |cause| Ending::NotReady {
        done: 1,
        of: 3,
        after: 600_000,
        cause,
    };
    let still = |pods, replicas, why| Ending::StillStopping {
        pods,
        replicas,
        after: 90_000,
        why,
    };
    let ordinals = vec![1, 2];
    let missing = Some(Right::ListPods);
    for (ending, sentence) in [
        (
            ready(14_000, None, false),
            "worker is ready: 3 of 3 after 14 s.",
        ),
        (
            ready(1_380_000, None, true),
            "worker is ready after all: 3 of 3 after 23 min.",
        ),
        (
            ready(65_000, Some(Remark::PausedOld), false),
            "worker is ready: 3 of 3 after 1 min 5 s. Its rollout is paused: these pods run the version of before.",
        ),
        (
            ready(0, Some(Remark::OldPods { pods: 2 }), false),
            "worker is ready: 3 of 3 after 0 s. 2 pods run the version of before, until somebody deletes them.",
        ),
        (
            ready(3_900_000, Some(Remark::ReadinessUnknown), false),
            "worker is up: 3 pods after 1 h 5 min. Whether they are ready, I cannot tell of this kind.",
        ),
        (stopped(0, None, false), "worker has stopped, after 14 s."),
        (
            stopped(0, Some(Remark::MayLinger { grace_secs: 30 }), true),
            "worker has stopped after all, after 14 s. Its pods may take up to 30 s to end.",
        ),
        (
            stopped(2, None, false),
            "worker is down to 2 of 2, after 14 s.",
        ),
        (
            not_ready(Some(image())),
            "worker is not ready after 10 min: 1 of 3; image app:1.2 cannot be pulled: not there. I keep watching for an hour.",
        ),
        (
            not_ready(None),
            "worker is not ready after 10 min: 1 of 3; the cause is not known. I keep watching for an hour.",
        ),
        (
            not_ready(Some(Finding::new(Cause::Unknown { missing }, ""))),
            "worker is not ready after 10 min: 1 of 3; grant me \"list pods\" and I can tell why. I keep watching for an hour.",
        ),
        (
            still(1, 0, Lingering::GracePeriodOver),
            "worker has not stopped after 1 min 30 s: 1 pod still to end; the time for that is over, and the node may be gone. I keep watching for an hour.",
        ),
        (
            still(3, 1, Lingering::UnreadyPods { ordinals }),
            "worker is not down to 1 after 1 min 30 s: 3 pods still to end; Kubernetes deletes none while two or more are not ready: pods 1, 2; somebody has to delete those. I keep watching for an hour.",
        ),
        (
            Ending::CountChanged {
                from: 0,
                to: 2,
                after: 20_000,
                by: Some(Owner::ArgoCd),
            },
            "worker was set from 0 to 2 by something else, 20 s after the command. It belongs to Argo CD, which may have done it.",
        ),
        (
            Ending::CountChanged {
                from: 1,
                to: 2,
                after: 14_000,
                by: Some(Owner::Autoscaler),
            },
            "worker was set from 1 to 2 by its autoscaler, 14 s after the command.",
        ),
        (Ending::Superseded, "worker: replaced by a newer command."),
        (
            Ending::MayNotLook,
            "worker: I may not look whether it is done; grant me \"get\" on it and I can tell.",
        ),
    ] {
        assert_eq!(ending.sentence(&worker(), Details::Short), sentence);
    }
}

#[test]
fn the_servers_words_are_told_only_where_all_details_may_be_read() {
    let progress = Progress {
        direction: Direction::Up,
        done: 0,
        of: 1,
        waits_for: None,
        cause: Some(image()),
    };
    let short = "worker: 0 of 1 ready; image app:1.2 cannot be pulled: not there";
    assert_eq!(progress.sentence(&worker(), Details::Short), short);
    let full = format!("{short} (https[:]//registry[.]example[.]org: 404 [at]room)");
    assert_eq!(progress.sentence(&worker(), Details::Full), full);
}

#[test]
fn no_sentence_is_longer_than_300_characters() {
    let target = TargetName::parse(&"w".repeat(63)).unwrap();
    let image = Image::of(&"x".repeat(500));
    let fault = PullFault::NeverPull;
    let causes = [
        Cause::Image { image, fault },
        Cause::NotCreated(Barrier::SecurityPolicy),
        Cause::Crash {
            exit_code: i32::MIN,
            times: i32::MAX,
        },
    ];
    let (count, after) = (i32::MAX, u64::MAX);
    for cause in causes {
        let progress = Progress {
            direction: Direction::Up,
            done: count,
            of: count,
            waits_for: Some(WaitsFor::Availability),
            cause: Some(Finding::new(cause.clone(), "")),
        };
        assert!(progress.sentence(&target, Details::Short).chars().count() <= 300);
        let ending = Ending::NotReady {
            done: count,
            of: count,
            after,
            cause: Some(Finding::new(cause, "")),
        };
        let sentence = ending.sentence(&target, Details::Short);
        assert!(sentence.chars().count() <= 300, "{sentence}");
    }
    let owner = Owner::Controller {
        kind: "<K>".repeat(99),
    };
    for ending in [
        Ending::StillStopping {
            pods: count,
            replicas: count,
            after: 86_400_000,
            why: Lingering::UnreadyPods {
                ordinals: vec![2_000_000_000; 3],
            },
        },
        Ending::CountChanged {
            from: count,
            to: count,
            after,
            by: Some(owner),
        },
        Ending::NotSeen { after },
    ] {
        let sentence = ending.sentence(&target, Details::Short);
        assert!(sentence.chars().count() <= 300, "{sentence}");
        assert!(!sentence.contains('<'), "{sentence}");
    }
}
