//! The limits of a replica: the requests that all its targets hold together, and the time that
//! a target is left on for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::fake::{self, program};
use super::super::shared::{Room, Shared};
use super::super::{Cold, Endpoint, Phase, TargetHandle, Use, Wanted};
use super::handles::paused;
use super::keeping::{replica, view};
use super::replicas::{IDLE, target};
use super::world::World;
use crate::telemetry::GatewayMetrics;

const HOLD: Duration = Duration::from_secs(50);

/// Two targets of a replica that holds `max` requests, `own` of them for each target.
fn two(max: usize, own: usize) -> (Arc<GatewayMetrics>, [TargetHandle; 2]) {
    let metrics = Arc::new(GatewayMetrics::default());
    let room = Room::new(max, Arc::clone(&metrics));
    let handles = ["one", "other"].map(|name| {
        let mut target = fake::target(name);
        target.backend.as_mut().unwrap().max_held = own;
        let (shared, _) = Shared::new(Arc::new(target), Arc::clone(&room));
        TargetHandle(shared)
    });
    (metrics, handles)
}

/// A request that wakes its target, and waits for it.
fn request(to: &TargetHandle) -> JoinHandle<Result<Endpoint, Cold>> {
    let handle = to.clone();
    tokio::spawn(async move {
        let wanted = Wanted {
            wake: true,
            as_use: Use::Client,
            hold: HOLD,
            by: program(),
        };
        handle.reach(wanted).await
    })
}

/// As [`request`], which is known to be held after this.
async fn held(by: &TargetHandle) -> JoinHandle<Result<Endpoint, Cold>> {
    let request = request(by);
    sleep(Duration::from_secs(1)).await;
    assert!(!request.is_finished(), "{:?}", request.await);
    request
}

/// None of them has room for another request.
async fn are_full(handles: &[TargetHandle]) {
    for handle in handles {
        assert_eq!(request(handle).await.unwrap(), Err(Cold::Full));
    }
}

#[test]
fn all_targets_of_a_replica_share_its_room_for_held_requests() {
    paused(async {
        let (metrics, handles) = two(3, 100);
        let [one, other] = &handles;
        let (first, second, third) = (held(one).await, held(one).await, held(other).await);
        are_full(&handles).await;
        assert!(metrics.shown().contains("\nopenclaw_gateway_held 3\n"));
        // The place of one who leaves is anybody's.
        first.abort();
        assert!(first.await.is_err());
        let fourth = held(other).await;
        are_full(&handles).await;
        // So is that of one who has reached its target.
        let endpoint = Endpoint {
            address: SocketAddr::from(([10, 0, 0, 1], 8080)),
        };
        one.0.with(|hot| {
            hot.phase = Phase::Ready;
            hot.endpoints = vec![endpoint];
        });
        one.0.tell();
        assert_eq!(second.await.unwrap(), Ok(endpoint));
        // What is ready needs none.
        let fifth = held(other).await;
        assert_eq!(request(one).await.unwrap(), Ok(endpoint));
        assert_eq!(request(other).await.unwrap(), Err(Cold::Full));
        // And that of one whose time is over.
        assert_eq!(third.await.unwrap(), Err(Cold::TimedOut(None)));
        let sixth = request(other);
        for request in [fourth, fifth, sixth] {
            assert_eq!(request.await.unwrap(), Err(Cold::TimedOut(None)));
        }
        assert!(metrics.shown().contains("\nopenclaw_gateway_held 0\n"));
    });
}

#[test]
fn a_target_that_holds_its_own_number_leaves_the_rest_to_others() {
    paused(async {
        let (_, [one, other]) = two(3, 2);
        let _held = (held(&one).await, held(&one).await);
        assert_eq!(request(&one).await.unwrap(), Err(Cold::Full));
        let _last = held(&other).await;
        // Its own number is not reached.
        assert_eq!(request(&other).await.unwrap(), Err(Cold::Full));
    });
}

#[test]
fn what_has_just_become_ready_is_not_stopped_though_nobody_uses_it() {
    paused(async {
        let mut young = target();
        young.min_up = IDLE * 4;
        let world = World::new(51, true);
        let replica = replica(&world, young).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        let since = view(&replica).since;
        while since.elapsed() < IDLE * 4 - Duration::from_secs(1) {
            let now = view(&replica);
            assert_eq!((now.phase, now.since), (Phase::Ready, since));
            // It says when it will be.
            let left = now.idle_left.unwrap();
            assert_eq!(left + since.elapsed(), IDLE * 4);
            world.with(|state| assert_eq!((state.replicas, state.stops), (1, 0)));
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(3)).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (0, 1)));
    });
}
