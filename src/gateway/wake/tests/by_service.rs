//! Targets whose pods are not watched: by way of their Service, or without one. What others
//! do with them is seen all the same, in all replicas.

use std::time::Duration;

use tokio::time::sleep;

use super::super::{Change, Changed, Phase};
use super::handles::paused;
use super::keeping::{change, reach, replica, start, view};
use super::replicas::{Replica, target};
use super::world::World;
use crate::config::gateway::{GatewayTarget, Route};

/// A target that is reached by way of its Service.
fn by_service() -> GatewayTarget {
    let mut target = target();
    target.backend.as_mut().unwrap().route = Route::Service;
    target.idle = Some(Duration::from_secs(3600));
    target
}

fn world(seed: u64) -> World {
    let world = World::new(seed, true);
    world.with(|state| state.cluster_ip = Some(([10, 96, 0, 7], 80).into()));
    world
}

#[test]
fn all_replicas_see_a_slow_start_of_one_of_them() {
    paused(async {
        let world = world(51);
        let one = replica(&world, by_service()).await;
        let other = Replica::start(&world, 1, by_service());
        sleep(Duration::from_secs(1)).await;
        for start_ms in [1_000, 25_000] {
            world.with(|state| state.start_ms = start_ms);
            assert_eq!(change(&one, start(None)).await, Ok(Changed::Done(1)));
            sleep(Duration::from_secs(12)).await;
            if start_ms > 20_000 {
                assert_eq!(view(&other).phase, Phase::Starting);
            }
            sleep(Duration::from_secs(20)).await;
            for replica in [&one, &other] {
                assert_eq!(view(replica).phase, Phase::Ready, "{start_ms}");
            }
            assert_eq!(change(&one, Change::Stop).await, Ok(Changed::Done(0)));
            sleep(Duration::from_secs(5)).await;
            for replica in [&one, &other] {
                assert_eq!(view(replica).phase, Phase::Off, "{start_ms}");
            }
        }
    });
}

#[test]
fn what_others_start_and_stop_is_seen_without_its_pods() {
    paused(async {
        let world = world(52);
        let replica = replica(&world, by_service()).await;
        // Also after a stop, when its address is one of before.
        for _ in 0..2 {
            world.scale(1);
            sleep(Duration::from_secs(30)).await;
            assert_eq!(view(&replica).phase, Phase::Ready);
            world.scale(0);
            sleep(Duration::from_secs(30)).await;
            assert_eq!(view(&replica).phase, Phase::Off);
            assert_eq!(change(&replica, start(None)).await, Ok(Changed::Done(1)));
            assert_eq!(view(&replica).phase, Phase::Starting);
            assert_eq!(reach(&replica, true).await, Ok(()));
            assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
            sleep(Duration::from_secs(5)).await;
        }
    });
}

#[test]
fn an_address_that_takes_connections_for_nobody_is_not_believed() {
    paused(async {
        let world = world(53);
        world.with(|state| state.is_mesh = true);
        let replica = replica(&world, by_service()).await;
        for _ in 0..2 {
            sleep(Duration::from_secs(60)).await;
            assert_eq!(view(&replica).phase, Phase::Off);
            assert_eq!(reach(&replica, true).await, Ok(()));
            assert_eq!(world.with(|state| state.replicas), 1);
            world.scale(0);
            sleep(Duration::from_secs(30)).await;
        }
    });
}

#[test]
fn without_a_service_all_replicas_see_what_one_of_them_does() {
    paused(async {
        let world = World::new(54, true);
        let mut target = target();
        target.backend = None;
        let one = replica(&world, target.clone()).await;
        let other = Replica::start(&world, 1, target);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(change(&one, start(None)).await, Ok(Changed::Done(1)));
        let mut seen = Vec::new();
        for _ in 0..40 {
            sleep(Duration::from_millis(250)).await;
            seen.push(view(&other).phase);
        }
        seen.dedup();
        assert_eq!(seen, [Phase::Starting, Phase::Ready]);
    });
}
