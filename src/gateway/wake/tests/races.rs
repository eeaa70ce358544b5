//! What happens in the middle of something else: a person who comes between two steps of a
//! wake or a stop, a start that is not over, an API server that was away for a while.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::fake::program;
use super::super::{Change, Changed, Cold, Phase, Use, Wanted};
use super::handles::paused;
use super::keeping::{annotation, change, reach, replica, start, view};
use super::replicas::{IDLE, Replica, server_time, target};
use super::world::World;
use crate::config::gateway::IdleStop;
use crate::util::rfc3339;

const BOT: &str = "openclaw-k8s-toggle-operator";
const GATEWAY: &str = "openclaw-gateway";

#[test]
fn a_person_who_switches_it_off_for_good_in_the_middle_of_a_wake_is_heard() {
    paused(async {
        let world = World::new(41, true);
        let replica = replica(&world, target()).await;
        // Nobody is known to have set the number, so the wake is about to be forced.
        world.with(|state| state.comes_between = Some((BOT, 0)));
        let by_a_person = "it was switched off by a person".to_owned();
        assert_eq!(reach(&replica, true).await, Err(Cold::Refused(by_a_person)));
        world.with(|state| assert_eq!((state.replicas, state.wakes), (0, 0)));
    });
}

#[test]
fn a_person_who_starts_it_in_the_middle_of_a_stop_is_heard() {
    paused(async {
        let world = World::new(42, true);
        let mut any = target();
        any.idle_stop = IdleStop::Any;
        let replica = replica(&world, any).await;
        world.scale(1);
        sleep(Duration::from_secs(3)).await;
        world.with(|state| state.comes_between = Some((BOT, 1)));
        sleep(IDLE * 3 / 2).await;
        world.with(|state| {
            assert_eq!(state.comes_between, None, "there was no stop");
            assert_eq!((state.replicas, state.stops), (1, 0));
        });
        assert_eq!(view(&replica).phase, Phase::Ready);
        assert_eq!(annotation(&world, "phase").as_deref(), Some("run"));
        // It is one that anybody may be overruled in, once they have done nothing since.
        sleep(IDLE * 3).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (0, 1)));
    });
}

#[test]
fn what_was_handed_back_is_stopped_though_something_else_changes_meanwhile() {
    paused(async {
        let world = World::new(48, true);
        let _replica = replica(&world, target()).await;
        // It was on already, so that the chat and the gateway both hold the number.
        world.apply_as(BOT, 1);
        world.annotate("handed-back", "2023-11-14T22:13:20.000Z");
        world.annotate("phase", "run");
        sleep(Duration::from_secs(3)).await;
        world.with(|state| state.comes_between = Some((BOT, 1)));
        sleep(IDLE * 2).await;
        world.with(|state| {
            assert_eq!(state.comes_between, None, "there was no stop");
            assert_eq!((state.replicas, state.stops), (0, 1));
        });
    });
}

#[test]
fn what_somebody_else_starts_is_not_stopped_before_it_can_be_used() {
    paused(async {
        let world = World::new(43, true);
        world.with(|state| state.start_ms = 50_000);
        let replica = replica(&world, target()).await;
        // As the chat does by `start app idle`.
        world.apply_as(GATEWAY, 1);
        world.annotate("handed-back", "2023-11-14T22:13:20.000Z");
        world.annotate("started-at", &rfc3339(server_time()));
        world.annotate("phase", "run");
        let begun = Instant::now();
        while view(&replica).phase != Phase::Ready {
            sleep(Duration::from_secs(1)).await;
            world.with(|state| assert_eq!(state.stops, 0, "{:?}", begun.elapsed()));
        }
        assert!(begun.elapsed() > IDLE, "{:?}", begun.elapsed());
        sleep(IDLE * 3).await;
        world.with(|state| assert_eq!(state.stops, 1));
    });
}

#[test]
fn what_others_wait_for_is_not_stopped_when_the_one_dies_who_woke_it() {
    paused(async {
        let world = World::new(44, true);
        world.with(|state| state.start_ms = 50_000);
        let one = replica(&world, target()).await;
        let other = Replica::start(&world, 1, target());
        let waiting = tokio::spawn(async move { one.request(Duration::ZERO).await });
        sleep(Duration::from_secs(2)).await;
        let request = tokio::spawn(async move { other.request(Duration::ZERO).await });
        sleep(Duration::from_secs(2)).await;
        world.with(|state| state.dead.push(0));
        assert_eq!(request.await.unwrap(), Some(Ok(())));
        world.with(|state| assert_eq!((state.wakes, state.stops), (1, 0)));
        waiting.abort();
    });
}

#[test]
fn whoever_is_not_held_wakes_it_again_after_the_api_server_was_away() {
    paused(async {
        let world = World::new(45, true);
        let replica = replica(&world, target()).await;
        let ask = async || {
            let wanted = Wanted {
                wake: true,
                as_use: Use::Client,
                hold: Duration::ZERO,
                by: program(),
            };
            replica.handle.reach(wanted).await.map(|_| ())
        };
        world.set_down(true);
        assert!(ask().await.is_err());
        sleep(Duration::from_secs(120)).await;
        world.set_down(false);
        sleep(Duration::from_secs(10)).await;
        world.with(|state| assert_eq!(state.wakes, 0, "a wish of two minutes ago"));
        for _ in 0..10 {
            if ask().await.is_ok() {
                return;
            }
            sleep(Duration::from_secs(2)).await;
        }
        panic!("it is never woken again: {:?}", ask().await);
    });
}

#[test]
fn a_stop_in_the_middle_of_a_start_is_nobodys_who_puts_it_back() {
    paused(async {
        let world = World::new(46, true);
        world.with(|state| state.start_ms = 8_000);
        let replica = replica(&world, target()).await;
        for _ in 0..3 {
            assert_eq!(change(&replica, start(None)).await, Ok(Changed::Done(1)));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(view(&replica).phase, Phase::Starting);
            assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
            sleep(Duration::from_millis(20)).await;
            // The slices have its pod as before, for a moment.
            assert_eq!(view(&replica).phase, Phase::Off);
            sleep(Duration::from_secs(5)).await;
            assert_eq!(view(&replica).phase, Phase::Off);
            assert_eq!(annotation(&world, "phase").as_deref(), Some("stopped"));
        }
        // It sleeps as before.
        assert_eq!(reach(&replica, true).await, Ok(()));
        sleep(IDLE * 2).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (0, 4)));
    });
}

#[test]
fn a_replica_that_ends_begins_no_stop() {
    paused(async {
        let world = World::new(47, true);
        let replica = replica(&world, target()).await;
        assert_eq!(reach(&replica, true).await, Ok(()));
        replica.handle.0.room.drain();
        sleep(IDLE * 3).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (1, 0)));
        assert_eq!(annotation(&world, "phase").as_deref(), Some("run"));
    });
}

#[test]
fn a_replica_that_ends_takes_no_claim_over() {
    paused(async {
        let world = World::new(49, true);
        let replica = replica(&world, target()).await;
        assert_eq!(reach(&replica, true).await, Ok(()));
        world.annotate("phase", "stopping");
        replica.handle.0.room.drain();
        // Longer than a claim is left to whoever made it.
        sleep(Duration::from_secs(200)).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (1, 0)));
        assert_eq!(annotation(&world, "phase").as_deref(), Some("stopping"));
    });
}
