//! What is told of a target that starts and does not become ready.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::{Change, Changed, Cold, Phase};
use super::handles::paused;
use super::keeping::{annotation, change, reach, replica, start, view};
use super::replicas::target;
use super::world::World;
use crate::control::progress::{Barrier, Cause, Finding, Image, PullFault};
use crate::kube::LookAt;

fn no_image() -> Finding {
    Finding {
        cause: Cause::Image {
            image: Image::of("registry.example.org/team/app:2"),
            fault: PullFault::NotThere,
        },
        words: "pull of registry.example.org/team/app:2: 404".to_owned(),
    }
}

fn quota() -> Finding {
    Finding {
        cause: Cause::NotCreated(Barrier::Quota),
        words: "exceeded quota: team".to_owned(),
    }
}

/// A world whose pods do not come up, for this reason.
fn stuck(seed: u64, trouble: Finding) -> World {
    let world = World::new(seed, true);
    world.with(|state| {
        state.start_ms = 3_600_000;
        state.trouble = Some(trouble);
    });
    world
}

#[test]
fn the_cause_is_told_while_it_starts_and_after_it_failed() {
    paused(async {
        let world = stuck(31, no_image());
        let mut target = target();
        target.ready_timeout = Duration::from_secs(300);
        let replica = replica(&world, target).await;
        change(&replica, start(None)).await.unwrap();
        let before = view(&replica);
        assert_eq!(
            (before.phase, before.reason.clone()),
            (Phase::Starting, None)
        );
        // What may heal by itself is looked at twice.
        sleep(Duration::from_secs(10)).await;
        assert_eq!(view(&replica).reason, None);
        let told = replica.handle.changed_from(&before);
        let told = timeout(Duration::from_secs(10), told).await.unwrap();
        assert_eq!(told.phase, Phase::Starting);
        let reason = told.reason.unwrap();
        assert!(
            reason.starts_with("image app:2 cannot be pulled"),
            "{reason}"
        );
        // None of the server's words.
        assert!(!reason.contains("registry"), "{reason}");
        let waited = reach(&replica, true).await;
        let failed = format!("not ready after 5 min: {reason}");
        assert_eq!(waited, Err(Cold::TimedOut(Some(reason))));
        sleep(Duration::from_secs(240)).await;
        let late = view(&replica);
        assert_eq!((late.phase, late.reason), (Phase::Failed, Some(failed)));
        // Nobody looks any longer.
        let looks = world.with(|state| state.looks.len());
        assert!((28..=31).contains(&looks), "{looks}");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(world.with(|state| state.looks.len()), looks);
    });
}

#[test]
fn a_quota_is_told_at_once_and_what_is_over_no_more() {
    paused(async {
        let world = stuck(32, quota());
        let replica = replica(&world, target()).await;
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_secs(7)).await;
        let reason = view(&replica).reason.unwrap();
        assert!(reason.starts_with("its pods cannot be made"), "{reason}");
        assert!(!reason.contains("team"), "{reason}");
        // Another trouble takes its place, though it is none of those that are told at once.
        world.with(|state| state.trouble = Some(no_image()));
        sleep(Duration::from_secs(11)).await;
        assert!(view(&replica).reason.unwrap().starts_with("image app:2"));
        world.with(|state| state.trouble = None);
        sleep(Duration::from_secs(11)).await;
        assert_eq!(view(&replica).reason, None);
    });
}

#[test]
fn a_start_that_takes_seconds_is_not_looked_at() {
    paused(async {
        let world = World::new(33, true);
        world.with(|state| (state.start_ms, state.trouble) = (4_000, Some(quota())));
        let replica = replica(&world, target()).await;
        assert_eq!(reach(&replica, true).await, Ok(()));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(world.with(|state| state.looks.len()), 0);
        assert_eq!(view(&replica).reason, None);
    });
}

#[test]
fn what_may_not_be_read_is_not_asked_for_again_and_again() {
    paused(async {
        for hidden in [(true, true), (true, false), (false, true)] {
            let (pods, events) = hidden;
            let world = stuck(34, no_image());
            world.with(|state| {
                state.trouble = None;
                state.hidden = LookAt { pods, events };
            });
            let mut target = target();
            target.ready_timeout = Duration::from_secs(3600);
            let replica = replica(&world, target).await;
            change(&replica, start(None)).await.unwrap();
            // Once, and once again after ten minutes.
            for seconds in [500, 200] {
                sleep(Duration::from_secs(seconds)).await;
                let looks = world.with(|state| std::mem::take(&mut state.looks));
                let asked = |what: fn(&LookAt) -> bool| looks.iter().filter(|at| what(at)).count();
                let all = looks.len();
                assert!(all > 15, "{all}");
                assert_eq!(asked(|at| at.pods), if pods { 1 } else { all });
                assert_eq!(asked(|at| at.events), if events { 1 } else { all });
            }
        }
    });
}

#[test]
fn a_look_that_hangs_holds_up_nothing_and_ends() {
    paused(async {
        let world = stuck(35, quota());
        world.with(|state| state.looks_hang = true);
        let replica = replica(&world, target()).await;
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_secs(8)).await;
        assert_eq!(world.with(|state| state.looks.len()), 1);
        let begun = Instant::now();
        change(&replica, Change::Stop).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            (view(&replica).phase, view(&replica).reason),
            (Phase::Off, None)
        );
        // Its turn is free again, also where it goes on hanging.
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_secs(45)).await;
        assert!(world.with(|state| state.looks.len()) >= 3);
        world.with(|state| state.looks_hang = false);
        sleep(Duration::from_secs(10)).await;
        assert!(view(&replica).reason.is_some());
    });
}

#[test]
fn a_look_that_fails_changes_nothing() {
    paused(async {
        let world = stuck(36, no_image());
        let mut target = target();
        target.ready_timeout = Duration::from_secs(120);
        let replica = replica(&world, target).await;
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_secs(20)).await;
        let reason = view(&replica).reason.unwrap();
        world.set_down(true);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(view(&replica).reason.as_ref(), Some(&reason));
        sleep(Duration::from_secs(45)).await;
        assert_eq!(
            view(&replica).reason,
            Some(format!("not ready after 2 min: {reason}"))
        );
    });
}

#[test]
fn what_is_lacking_otherwise_is_no_reason_to_wait() {
    paused(async {
        let world = World::new(37, false);
        world.with(|state| state.start_ms = 3_600_000);
        let replica = replica(&world, target()).await;
        change(&replica, start(None)).await.unwrap();
        // There is no Lease, which the status says.
        assert_eq!(reach(&replica, true).await, Err(Cold::TimedOut(None)));
        assert!(view(&replica).reason.unwrap().contains("Lease"));
    });
}

#[test]
fn a_port_for_http2_is_told_at_once_and_behind_the_failure() {
    paused(async {
        let world = World::new(38, true);
        world.with(|state| (state.start_ms, state.is_http2) = (1_000, true));
        let mut target = target();
        target.ready_timeout = Duration::from_secs(300);
        let replica = replica(&world, target).await;
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        let told = "its Service speaks HTTP/2 at this port, and the gateway HTTP/1.1";
        assert_eq!(view(&replica).phase, Phase::Starting);
        assert_eq!(view(&replica).reason.as_deref(), Some(told));
        sleep(Duration::from_secs(300)).await;
        assert_eq!(view(&replica).phase, Phase::Failed);
        let told = format!("not ready after 5 min: {told}");
        assert_eq!(view(&replica).reason, Some(told));
        // Its pods are those of before while they end, and not what others have put back.
        assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
        assert_eq!(annotation(&world, "phase").as_deref(), Some("stopped"));
    });
}
