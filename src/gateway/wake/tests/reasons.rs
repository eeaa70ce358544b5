//! What is told of a target that starts and does not become ready.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::{Cold, Phase};
use super::handles::paused;
use super::keeping::{change, reach, replica, start, view};
use super::replicas::target;
use super::world::World;
use crate::control::progress::{Barrier, Cause, Finding, Image, PullFault};

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
        let world = stuck(34, no_image());
        world.with(|state| {
            state.trouble = None;
            state.hides_pods = true;
        });
        let mut target = target();
        target.ready_timeout = Duration::from_secs(3600);
        let replica = replica(&world, target).await;
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_secs(500)).await;
        let looks = world.with(|state| std::mem::take(&mut state.looks));
        assert_eq!(looks.iter().filter(|with_pods| **with_pods).count(), 1);
        assert!(looks.len() > 40, "the workload itself says something, too");
        sleep(Duration::from_secs(200)).await;
        let looks = world.with(|state| std::mem::take(&mut state.looks));
        assert_eq!(looks.iter().filter(|with_pods| **with_pods).count(), 1);
    });
}

#[test]
fn a_look_that_hangs_holds_up_nothing() {
    paused(async {
        let world = stuck(35, quota());
        let replica = replica(&world, target()).await;
        change(&replica, start(None)).await.unwrap();
        sleep(Duration::from_millis(4_900)).await;
        world.with(|state| state.slow_ms = 8_000);
        sleep(Duration::from_secs(1)).await;
        world.with(|state| state.slow_ms = 4);
        let begun = Instant::now();
        change(&replica, super::super::Change::Stop).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        sleep(Duration::from_secs(30)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
        assert_eq!(view(&replica).reason, None);
    });
}
