//! Replicas whose clocks are wrong: the `Date` of the API server's answers is what they have
//! in common.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::sleep;

use super::super::{Change, Changed};
use super::handles::paused;
use super::replicas::{IDLE, Replica, begin, jump, server_time, target};
use super::world::World;
use crate::util::{rfc3339, rfc3339_ms};

/// A cluster whose answers have a `Date`, and replicas: the first has the right clock, the
/// second is an hour ahead, the third an hour behind.
async fn replicas(seed: u64) -> (World, Vec<Replica>) {
    begin();
    let world = World::new(seed, true);
    world.with(|state| state.shows_time = true);
    let replicas = (0..3).map(|index| Replica::start(&world, index, target()));
    let replicas = replicas.collect();
    sleep(Duration::from_millis(500)).await;
    (world, replicas)
}

async fn start(replica: &Replica, seconds: u64) {
    let change = Change::Start {
        replicas: None,
        run_for: Some(Duration::from_secs(seconds)),
    };
    let changed = replica.handle.change(change, "sa:apps/worker".to_owned());
    assert_eq!(changed.await, Ok(Changed::Done(1)));
}

fn annotation(world: &World, name: &str) -> Option<String> {
    world.with(|state| state.lease.as_ref()?.annotations.get(name).cloned())
}

#[test]
fn replicas_with_clocks_an_hour_apart_agree_when_a_start_ends() {
    for starts in 0..3 {
        paused(async move {
            let (world, replicas) = replicas(40).await;
            start(&replicas[starts], 200).await;
            let until = annotation(&world, "keep-until").unwrap();
            let wanted = server_time()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_millis()
                + 200_000;
            let apart = u128::from(rfc3339_ms(&until).unwrap()).abs_diff(wanted);
            assert!(apart < 5_000, "{starts}: {until}");
            sleep(Duration::from_secs(185)).await;
            assert_eq!(world.with(|state| state.replicas), 1, "{starts}");
            sleep(Duration::from_secs(30)).await;
            let ended = world.with(|state| (state.replicas, state.stops));
            assert_eq!(ended, (0, 1), "{starts}");
        });
    }
}

#[test]
fn a_time_that_is_not_over_by_the_api_servers_clock_is_kept() {
    paused(async {
        let (world, replicas) = replicas(41).await;
        start(&replicas[0], 400).await;
        sleep(Duration::from_secs(10)).await;
        jump(3600);
        // Longer than a jump is doubted.
        sleep(IDLE * 5).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (1, 0));
        assert!(annotation(&world, "keep-until").is_some());
        sleep(Duration::from_secs(300)).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (0, 1));
    });
}

#[test]
fn a_claim_whose_answer_shows_that_it_is_too_early_is_taken_back() {
    paused(async {
        begin();
        let world = World::new(42, true);
        // An hour ahead, and no answer has said so yet.
        let replica = Replica::start(&world, 1, target());
        sleep(Duration::from_millis(500)).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        let until = server_time() + Duration::from_secs(300);
        world.with(|state| state.shows_time = true);
        world.annotate("keep-by", "chat:@anna:example.org");
        world.annotate("keep-until", &rfc3339(until));
        sleep(Duration::from_secs(280)).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (1, 0));
        assert_eq!(annotation(&world, "phase").as_deref(), Some("run"));
        sleep(Duration::from_secs(40)).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (0, 1));
    });
}
