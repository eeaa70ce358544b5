//! Targets without a Service, which are looked at instead of watched.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::{Change, Changed, Phase};
use super::handles::paused;
use super::keeping::{change, replica, start, view};
use super::replicas::{IDLE, target};
use super::world::World;

#[test]
fn a_target_without_a_service_is_switched_only() {
    paused(async {
        let mut target = target();
        target.backend = None;
        let world = World::new(15, true);
        let replica = replica(&world, target).await;
        assert_eq!(change(&replica, start(None)).await, Ok(Changed::Done(1)));
        assert_eq!(
            replica.handle.changed(Phase::Starting).await.phase,
            Phase::Ready
        );
        sleep(IDLE * 5).await;
        assert_eq!(world.with(|state| state.stops), 0);
        assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
        sleep(Duration::from_secs(3)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
    });
}

#[test]
fn it_is_ready_soon_after_its_pods_also_after_a_stop() {
    paused(async {
        let mut target = target();
        target.backend = None;
        let world = World::new(17, true);
        // What the workload says of its pods is of before each change, for a while.
        world.with(|state| (state.count_ms, state.start_ms) = (1500, 4000));
        let replica = replica(&world, target).await;
        for _ in 0..3 {
            assert_eq!(change(&replica, start(None)).await, Ok(Changed::Done(1)));
            let started = Instant::now();
            assert_eq!(view(&replica).phase, Phase::Starting);
            assert_eq!(view(&replica).ready, 0);
            let ready = replica.handle.changed(Phase::Starting).await;
            assert_eq!((ready.phase, ready.ready), (Phase::Ready, 1));
            let took = started.elapsed();
            assert!(took >= Duration::from_secs(2), "{took:?}");
            assert!(took <= Duration::from_secs(6), "{took:?}");

            assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
            // At once on again: nothing of the pods before counts.
            let off = replica.handle.changed(Phase::Stopping).await;
            assert_eq!((off.phase, off.ready), (Phase::Off, 0));
        }
    });
}

#[test]
fn the_time_that_it_was_started_for_is_shown_while_it_is_on() {
    paused(async {
        let mut target = target();
        target.backend = None;
        let world = World::new(18, true);
        let replica = replica(&world, target).await;
        assert_eq!(
            change(&replica, start(Some(3600))).await,
            Ok(Changed::Done(1))
        );
        assert!(view(&replica).keep_until_ms.is_some());
        assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
        assert_eq!(view(&replica).keep_until_ms, None);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(view(&replica).keep_until_ms, None);
    });
}
