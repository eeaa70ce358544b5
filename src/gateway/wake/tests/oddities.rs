//! A cluster in which things are not as a keeper would have them: pods that are replaced or
//! never come, volumes that a stop would delete, a Lease whose versions go back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::{Change, Changed, Cold, Phase, Refusal};
use super::handles::paused;
use super::keeping::{annotation, change, reach, replica, start, view};
use super::replicas::{IDLE, Replica, target};
use super::world::{Pod, World};
use crate::control::{Kind, Workload};

const BOT: &str = "openclaw-k8s-toggle-operator";

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, last], 8080))
}

#[test]
fn a_wake_that_is_refused_leaves_the_lease_as_it_was() {
    paused(async {
        for held in ["", "true"] {
            let world = World::new(31, true);
            let (one, other) = (
                replica(&world, target()).await,
                Replica::start(&world, 1, target()),
            );
            world.apply_as(BOT, 0);
            world.annotate("phase", "stopped");
            world.annotate("stopped-by", "chat:@anna:example.org");
            if !held.is_empty() {
                world.annotate("held", held);
            }
            let by_a_person = "it was switched off by a person".to_owned();
            assert_eq!(reach(&one, true).await, Err(Cold::Refused(by_a_person)));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(annotation(&world, "phase").as_deref(), Some("stopped"));
            assert_eq!(annotation(&world, "started-by"), None);
            assert_eq!(annotation(&world, "started-at"), None);
            assert_eq!(view(&other).phase, Phase::Off);
            // Once a visitor may wake it, one does.
            world.scale(1);
            world.scale(0);
            sleep(Duration::from_secs(60)).await;
            assert_eq!(reach(&one, true).await, Ok(()));
            assert_eq!(annotation(&world, "phase").as_deref(), Some("run"));
            assert_ne!(annotation(&world, "started-by"), None);
        }
    });
}

#[test]
fn a_pod_that_is_replaced_is_waited_for_and_its_sockets_are_its_own_matter() {
    paused(async {
        let world = World::new(32, true);
        let mut endless = target();
        endless.idle = None;
        let replica = replica(&world, endless).await;
        assert_eq!(reach(&replica, true).await, Ok(()));
        let socket = tokio::spawn({
            let replica = replica.clone();
            async move { replica.handle.closing().await }
        });
        world.with(|state| {
            state
                .pods
                .values_mut()
                .for_each(|pod| *pod = Pod::Terminating);
            state.tell_slices();
        });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(view(&replica).phase, Phase::Starting);
        let waiting = tokio::spawn({
            let replica = replica.clone();
            async move { reach(&replica, false).await }
        });
        // A grace period that is longer than others have to keep their word.
        sleep(Duration::from_secs(30)).await;
        assert!(!waiting.is_finished(), "{:?}", waiting.await);
        assert!(!socket.is_finished());
        world.with(|state| {
            state.pods.clear();
            state.pods.insert(address(1), Pod::Open);
            state.tell_slices();
        });
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert!(!socket.is_finished());
        // Stopped by somebody else: it is off, and its sockets end.
        world.scale(0);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
        assert!(socket.is_finished());
        world.with(|state| assert_eq!(state.wakes, 1));
    });
}

#[test]
fn what_never_shows_a_pod_is_stopped_all_the_same() {
    paused(async {
        for run_for in [None, Some(30)] {
            let world = World::new(33, true);
            world.with(|state| state.pods_ms = 3_600_000);
            let replica = replica(&world, target()).await;
            assert_eq!(change(&replica, start(run_for)).await, Ok(Changed::Done(1)));
            sleep(IDLE * 8).await;
            world.with(|state| assert_eq!((state.replicas, state.stops), (0, 1), "{run_for:?}"));
        }
    });
}

#[test]
fn a_time_for_what_is_on_without_an_end_is_no_end_for_others() {
    paused(async {
        let world = World::new(34, true);
        let replica = replica(&world, target()).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        assert_eq!(
            change(&replica, start(Some(60))).await,
            Ok(Changed::AlreadyOn(1))
        );
        assert!(view(&replica).keep_until_ms.is_some());
        // It is kept for that time, though nobody uses it, and beyond it while somebody does.
        sleep(Duration::from_secs(50)).await;
        for _ in 0..10 {
            assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
            sleep(IDLE / 2).await;
        }
        world.with(|state| assert_eq!(state.stops, 0));
        sleep(IDLE * 3).await;
        world.with(|state| assert_eq!(state.stops, 1));
        // Where it never sleeps, it goes on.
        let world = World::new(35, true);
        let mut endless = target();
        endless.idle = None;
        let replica = self::replica(&world, endless).await;
        assert_eq!(change(&replica, start(None)).await, Ok(Changed::Done(1)));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            change(&replica, start(Some(60))).await,
            Ok(Changed::AlreadyOn(1))
        );
        sleep(Duration::from_secs(600)).await;
        world.with(|state| assert_eq!(state.stops, 0));
    });
}

#[test]
fn what_would_lose_its_volumes_is_not_lowered() {
    paused(async {
        let world = World::new(36, true);
        world.with(|state| state.deletes_volumes = true);
        let mut stateful = target();
        stateful.workload = Workload {
            kind: Kind::StatefulSet,
            ..stateful.workload
        };
        let replica = replica(&world, stateful).await;
        assert_eq!(
            change(&replica, Change::Scale(2)).await,
            Ok(Changed::Done(2))
        );
        let reason = "scaling it down would delete its volumes";
        assert_eq!(
            change(&replica, Change::Scale(1)).await,
            Err(Refusal::Refused(reason.to_owned()))
        );
        assert_eq!(
            change(&replica, Change::Stop).await,
            Err(Refusal::Refused(format!("left on: {reason}")))
        );
        sleep(IDLE * 10).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (2, 0)));
        let note = view(&replica).reason.unwrap_or_default();
        assert!(note.contains(reason), "{note}");
    });
}

#[test]
fn the_one_pod_of_many_that_answers_is_found() {
    paused(async {
        // The others refuse, or their packets are dropped.
        for is_silent in [false, true] {
            let world = World::new(37, true);
            world.with(|state| {
                state.is_silent = is_silent;
                state.replicas = 40;
                for last in 1..40 {
                    state.pods.insert(address(last), Pod::Ready);
                }
                state.pods.insert(address(40), Pod::Open);
            });
            let began = Instant::now();
            let replica = replica(&world, target()).await;
            assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
            assert!(began.elapsed() < Duration::from_secs(4), "{is_silent}");
        }
    });
}

#[test]
fn an_address_whose_packets_are_dropped_is_tried_until_it_answers() {
    paused(async {
        for seed in 41..46 {
            let world = World::new(seed, true);
            world.with(|state| (state.is_silent, state.port_ms) = (true, 20_000));
            let replica = replica(&world, target()).await;
            let waiting = tokio::spawn({
                let replica = replica.clone();
                async move { reach(&replica, true).await }
            });
            while world.with(|state| state.open()) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            let opened = Instant::now();
            assert_eq!(waiting.await.unwrap(), Ok(()));
            // The try that was under way ends, and the next one begins soon.
            let took = opened.elapsed();
            assert!(took < Duration::from_millis(700), "{took:?}");
        }
    });
}

#[test]
fn nobody_waits_for_what_is_no_longer_configured() {
    paused(async {
        let world = World::new(38, true);
        world.with(|state| state.pods_ms = 3_600_000);
        let replica = replica(&world, target()).await;
        let waiting = tokio::spawn({
            let replica = replica.clone();
            async move { reach(&replica, true).await }
        });
        sleep(Duration::from_secs(2)).await;
        world.forget(0);
        let gone = Err(Cold::Refused("no longer configured".to_owned()));
        let told = timeout(Duration::from_secs(1), waiting).await.unwrap();
        assert_eq!(told.unwrap(), gone);
        assert_eq!(reach(&replica, true).await, gone);
    });
}

#[test]
fn versions_that_go_back_are_taken_in_with_the_next_list() {
    paused(async {
        let world = World::new(39, true);
        world.with(|state| state.version = 100_000);
        world.annotate("note", "of before");
        let replica = replica(&world, target()).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        // The cluster is one of before.
        world.with(|state| {
            state.version = 500;
            if let Some(lease) = &mut state.lease {
                lease.resource_version = "400".to_owned();
            }
            state.lease_calls = 0;
        });
        sleep(IDLE * 3 / 4).await;
        let begun = Instant::now();
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        assert!(
            begun.elapsed() <= Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        sleep(Duration::from_secs(10)).await;
        let calls = world.with(|state| state.lease_calls);
        assert!(calls < 60, "{calls}");
        world.set_down(true);
        world.set_down(false);
        sleep(Duration::from_secs(1)).await;
        for _ in 0..10 {
            sleep(IDLE * 3 / 4).await;
            let begun = Instant::now();
            assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
            assert!(
                begun.elapsed() < Duration::from_secs(1),
                "{:?}",
                begun.elapsed()
            );
        }
        sleep(IDLE * 3).await;
        world.with(|state| assert_eq!(state.stops, 1));
    });
}

#[test]
fn a_claim_that_took_long_is_given_up() {
    paused(async {
        let world = World::new(40, true);
        let replica = replica(&world, target()).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        sleep(IDLE - Duration::from_secs(1)).await;
        world.with(|state| state.slow_ms = 25_000);
        sleep(Duration::from_secs(10)).await;
        world.with(|state| state.slow_ms = 4);
        // Another replica that was cut off for so long may have used it.
        let end = Instant::now() + IDLE;
        while Instant::now() < end {
            world.with(|state| assert_eq!(state.stops, 0));
            sleep(Duration::from_secs(1)).await;
        }
        sleep(IDLE * 4).await;
        world.with(|state| assert_eq!(state.stops, 1));
    });
}
