//! One keeper and its cluster: wakes, refusals, wishes of persons, an API server that is
//! away.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use super::super::fake::program;
use super::super::{Change, Changed, Cold, Phase, Refusal, Use, View, Wanted};
use super::handles::paused;
use super::replicas::{IDLE, Replica, begin, jump, target};
use super::world::World;
use crate::config::gateway::{GatewayTarget, IdleStop};
use crate::util::rfc3339;

const HOLD: Duration = Duration::from_secs(50);

/// A replica of a target, after it has looked around.
pub(super) async fn replica(world: &World, target: GatewayTarget) -> Replica {
    begin();
    let replica = Replica::start(world, 0, target);
    sleep(Duration::from_millis(500)).await;
    replica
}

pub(super) async fn reach(replica: &Replica, wake: bool) -> Result<(), Cold> {
    let wanted = Wanted {
        wake,
        as_use: if wake { Use::Client } else { Use::None },
        hold: HOLD,
        by: program(),
    };
    replica.handle.reach(wanted).await.map(|_| ())
}

pub(super) fn view(replica: &Replica) -> View {
    replica.handle.view()
}

pub(super) fn start(run_for: Option<u64>) -> Change {
    Change::Start {
        replicas: None,
        run_for: run_for.map(Duration::from_secs),
    }
}

pub(super) async fn change(replica: &Replica, change: Change) -> Result<Changed, Refusal> {
    let by = "sa:apps/worker".to_owned();
    replica.handle.change(change, by).await
}

pub(super) fn annotation(world: &World, name: &str) -> Option<String> {
    world.with(|state| {
        let lease = state.lease.as_ref()?;
        lease.annotations.get(name).cloned()
    })
}

#[test]
fn three_hundred_requests_are_one_wake_and_none_is_lost() {
    paused(async {
        let world = World::new(1, true);
        world.with(|state| state.port_ms = 3000);
        let replica = replica(&world, target()).await;
        let requests: Vec<_> = (0..300)
            .map(|_| {
                let replica = replica.clone();
                tokio::spawn(async move { replica.request(Duration::from_millis(1)).await })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), Some(Ok(())));
        }
        world.with(|state| assert_eq!((state.wakes, state.idle_writes), (1, 0)));
        assert_eq!(view(&replica).phase, Phase::Ready);
        assert_eq!(view(&replica).started_by.as_deref(), Some("sa:apps/worker"));
        assert_eq!(view(&replica).desired, Some(1));
        let left = view(&replica).idle_left.unwrap();
        assert!(
            left > IDLE - Duration::from_secs(5) && left <= IDLE,
            "{left:?}"
        );
    });
}

#[test]
fn what_nobody_uses_is_stopped_and_what_is_used_is_not() {
    paused(async {
        let world = World::new(2, true);
        let replica = replica(&world, target()).await;
        for _ in 0..20 {
            assert_eq!(replica.request(Duration::from_secs(1)).await, Some(Ok(())));
            sleep(IDLE * 3 / 4).await;
        }
        // A download with a byte now and then, three times as long as the idle time.
        let download = replica.handle.begin(Use::Client);
        for _ in 0..30 {
            replica.handle.touch(false);
            sleep(IDLE / 10).await;
        }
        world.with(|state| assert_eq!((state.wakes, state.stops), (1, 0)));
        // From now on nothing moves in it.
        let begun = Instant::now();
        replica.handle.closing().await;
        assert!(begun.elapsed() < IDLE * 2, "{:?}", begun.elapsed());
        drop(download);
        sleep(Duration::from_secs(2)).await;
        world.with(|state| assert_eq!((state.replicas, state.stops), (0, 1)));
        assert_eq!(view(&replica).phase, Phase::Off);
        assert_eq!(annotation(&world, "phase").as_deref(), Some("stopped"));
        assert_eq!(annotation(&world, "started-by"), None);
    });
}

#[test]
fn what_wakes_nothing_neither_wakes_nor_keeps() {
    paused(async {
        let world = World::new(3, true);
        let replica = replica(&world, target()).await;
        assert_eq!(reach(&replica, false).await, Err(Cold::Off));
        assert_eq!(reach(&replica, true).await, Ok(()));
        let begun = Instant::now();
        while world.with(|state| state.replicas) > 0 {
            if view(&replica).phase == Phase::Ready {
                assert_eq!(reach(&replica, false).await, Ok(()));
                drop(replica.handle.begin(Use::Client));
            }
            sleep(Duration::from_secs(1)).await;
            assert!(begun.elapsed() < IDLE * 3);
        }
        sleep(Duration::from_secs(5)).await;
        assert_eq!(reach(&replica, false).await, Err(Cold::Off));
        world.with(|state| assert_eq!(state.wakes, 1));
    });
}

#[test]
fn an_api_server_that_is_away_stops_nothing_and_delays_nothing() {
    for hangs in [false, true] {
        paused(async move {
            let world = World::new(4, true);
            let replica = replica(&world, target()).await;
            assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
            world.set_down(true);
            world.with(|state| state.hangs = hangs);
            for _ in 0..10 {
                sleep(IDLE).await;
                let begun = Instant::now();
                assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
                assert_eq!(begun.elapsed(), Duration::ZERO);
            }
            world.with(|state| state.hangs = false);
            world.set_down(false);
            sleep(IDLE / 2).await;
            world.with(|state| assert_eq!(state.stops, 0));
            sleep(IDLE * 2).await;
            world.with(|state| assert_eq!(state.stops, 1));
            // While it is off, a request waits for the API server.
            world.set_down(true);
            let waiting = tokio::spawn({
                let replica = replica.clone();
                async move { replica.request(Duration::ZERO).await }
            });
            sleep(Duration::from_secs(10)).await;
            world.set_down(false);
            assert_eq!(waiting.await.unwrap(), Some(Ok(())));
        });
    }
}

#[test]
fn an_api_server_that_hangs_without_a_word_delays_one_renewal() {
    paused(async {
        let world = World::new(5, true);
        let replica = replica(&world, target()).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        sleep(IDLE * 3 / 4).await;
        world.with(|state| state.hangs = true);
        let begun = Instant::now();
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        assert!(begun.elapsed() <= Duration::from_secs(3));
        for _ in 0..5 {
            let begun = Instant::now();
            assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
            assert_eq!(begun.elapsed(), Duration::ZERO);
            sleep(Duration::from_secs(3)).await;
        }
    });
}

#[test]
fn a_start_by_a_person_is_kept() {
    paused(async {
        let world = World::new(6, true);
        let replica = replica(&world, target()).await;
        world.scale(1);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        sleep(IDLE * 3).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (1, 0));
        let reason = view(&replica).reason.unwrap();
        assert!(reason.starts_with("left on: "), "{reason}");
        // Whoever set it later, too, by its name.
        world.apply_as("kubectl", 1);
        sleep(IDLE * 3).await;
        assert_eq!(world.with(|state| state.stops), 0);
        let reason = view(&replica).reason.unwrap();
        assert_eq!(reason, "left on: its number of replicas was set by kubectl");
        // A person gives it back: it is stopped once, whoever has set it.
        world.annotate("handed-back", "2026-11-29T20:00:00Z");
        sleep(IDLE * 3).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (0, 1));
        assert_eq!(annotation(&world, "handed-back"), None);
    });
}

#[test]
fn a_persons_wish_to_keep_it_is_kept() {
    paused(async {
        let world = World::new(7, true);
        let replica = replica(&world, target()).await;
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        world.annotate("keep-by", "chat:@anna:example.org");
        sleep(IDLE * 5).await;
        assert_eq!(world.with(|state| state.stops), 0);
        assert_eq!(view(&replica).idle_left, None);
        let until = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 300);
        world.annotate("keep-until", &rfc3339(until));
        sleep(Duration::from_secs(150)).await;
        assert_eq!(world.with(|state| state.stops), 0);
        assert_eq!(view(&replica).keep_until_ms, Some(1_700_000_300_000));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(world.with(|state| (state.replicas, state.stops)), (0, 1));
        assert_eq!(annotation(&world, "keep-by"), None);
    });
}

#[test]
fn what_others_switched_off_is_woken_but_not_what_a_person_forbade() {
    paused(async {
        let world = World::new(8, true);
        let replica = replica(&world, target()).await;
        // kubectl scale --replicas=0 leaves nobody; a manifest leaves its owner.
        world.apply_as("argocd-controller", 0);
        assert_eq!(reach(&replica, true).await, Ok(()));
        world.scale(0);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
        assert_eq!(reach(&replica, true).await, Ok(()));
        world.apply_as("openclaw-k8s-toggle-operator", 0);
        sleep(Duration::from_secs(5)).await;
        let refused = Cold::Refused("it was switched off by a person".to_owned());
        for _ in 0..5 {
            assert_eq!(reach(&replica, true).await, Err(refused.clone()));
        }
        let said = change(&replica, start(None)).await;
        let refusal = Refusal::Refused("it was switched off by a person".to_owned());
        assert_eq!(said, Err(refusal));
        // Requests in a row are one question.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(reach(&replica, true).await, Err(refused.clone()));
        let calls = world.with(|state| state.scale_calls);
        for _ in 0..5 {
            assert_eq!(reach(&replica, true).await, Err(refused.clone()));
        }
        assert_eq!(world.with(|state| state.scale_calls), calls);
        world.apply_as("openclaw-k8s-toggle-operator", 1);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(reach(&replica, true).await, Ok(()));
    });
}

#[test]
fn what_does_not_come_up_is_remembered_and_tried_again() {
    paused(async {
        let world = World::new(9, true);
        world.with(|state| state.start_ms = 600_000);
        let mut target = target();
        target.idle = Some(Duration::from_secs(300));
        let replica = replica(&world, target).await;
        assert_eq!(reach(&replica, true).await, Err(Cold::TimedOut(None)));
        sleep(Duration::from_secs(11)).await;
        let Err(Cold::Failed(reason, left)) = reach(&replica, true).await else {
            panic!();
        };
        assert_eq!(reason, "not ready after 1 min");
        assert!(left <= Duration::from_secs(30));
        sleep(left).await;
        assert_eq!(reach(&replica, true).await, Err(Cold::TimedOut(None)));
        assert_eq!(view(&replica).phase, Phase::Starting);
        world.with(|state| assert_eq!((state.wakes, state.idle_writes), (1, 0)));
    });
}

#[test]
fn changes_of_the_api_are_absolute() {
    paused(async {
        let world = World::new(10, true);
        let replica = replica(&world, target()).await;
        assert_eq!(change(&replica, start(None)).await, Ok(Changed::Done(1)));
        assert_eq!(
            change(&replica, Change::Scale(3)).await,
            Ok(Changed::Done(3))
        );
        assert_eq!(
            change(&replica, start(None)).await,
            Ok(Changed::AlreadyOn(3))
        );
        assert_eq!(
            change(&replica, Change::Scale(9)).await,
            Ok(Changed::Done(5))
        );
        // What somebody else has set is set by who may.
        world.scale(4);
        assert_eq!(
            change(&replica, Change::Scale(2)).await,
            Ok(Changed::Done(2))
        );
        world.apply_as("kube-controller-manager", 4);
        let refused = "its number of replicas is set by an autoscaler".to_owned();
        let scaled = change(&replica, Change::Scale(2)).await;
        assert_eq!(scaled, Err(Refusal::Refused(refused)));
        assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
        assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(annotation(&world, "phase").as_deref(), Some("stopped"));
        world.with(|state| assert_eq!(state.idle_writes, 0));
    });
}

#[test]
fn what_is_stopped_before_there_was_a_pod_is_woken_again() {
    paused(async {
        let world = World::new(17, true);
        world.with(|state| state.pods_ms = 5_000);
        let replica = replica(&world, target()).await;
        let waiting = tokio::spawn({
            let replica = replica.clone();
            async move { replica.request(Duration::ZERO).await }
        });
        sleep(Duration::from_secs(2)).await;
        world.scale(0);
        assert_eq!(waiting.await.unwrap(), Some(Ok(())));
        world.with(|state| assert_eq!(state.wakes, 2));
    });
}

#[test]
fn a_start_for_a_time_ends_then_and_not_before() {
    paused(async {
        let world = World::new(11, true);
        let replica = replica(&world, target()).await;
        let begun = Instant::now();
        change(&replica, start(Some(200))).await.unwrap();
        // A shorter one does not shorten it.
        change(&replica, start(Some(20))).await.unwrap();
        sleep(Duration::from_secs(190)).await;
        assert_eq!(world.with(|state| state.stops), 0);
        let by = annotation(&world, "keep-by");
        assert_eq!(by.as_deref(), Some("sa:apps/worker"));
        replica.handle.changed(Phase::Ready).await;
        let after = begun.elapsed().as_secs();
        assert!((199..=202).contains(&after), "{after}");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(world.with(|state| state.stops), 1);
        // A person who starts it in between is not overruled.
        change(&replica, start(Some(60))).await.unwrap();
        sleep(Duration::from_secs(30)).await;
        world.apply_as("openclaw-k8s-toggle-operator", 1);
        sleep(Duration::from_secs(200)).await;
        assert_eq!(world.with(|state| state.stops), 1);
        assert_eq!(annotation(&world, "keep-until"), None);
    });
}

#[test]
fn a_clock_that_jumps_is_not_believed_at_once() {
    paused(async {
        let world = World::new(12, true);
        let replica = replica(&world, target()).await;
        change(&replica, start(Some(200))).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        jump(3600);
        sleep(IDLE / 2).await;
        assert_eq!(world.with(|state| state.stops), 0);
        sleep(IDLE).await;
        assert_eq!(world.with(|state| state.stops), 1);
    });
}

#[test]
fn what_is_always_put_back_on_is_left_on_for_a_while() {
    paused(async {
        let mut target = target();
        target.overrides = vec!["keda-operator".to_owned()];
        let world = World::new(13, true);
        let replica = replica(&world, target).await;
        world.apply_as("keda-operator", 1);
        for second in 0..3600 {
            sleep(Duration::from_secs(1)).await;
            if world.with(|state| state.replicas) == 0 && second % 10 == 0 {
                world.apply_as("keda-operator", 1);
            }
        }
        assert_eq!(world.with(|state| state.stops), 2);
        let reason = view(&replica).reason.unwrap();
        assert!(reason.contains("puts it back on"), "{reason}");
    });
}

#[test]
fn without_a_lease_it_wakes_and_is_never_stopped() {
    paused(async {
        let world = World::new(14, false);
        let replica = replica(&world, target()).await;
        let reason = view(&replica).reason.unwrap();
        assert!(
            reason.starts_with("there is no Lease gateway/gateway-app"),
            "{reason}"
        );
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
        sleep(IDLE * 5).await;
        assert_eq!(world.with(|state| state.stops), 0);
        let Err(Refusal::Impossible(_)) = change(&replica, start(Some(60))).await else {
            panic!();
        };
        assert_eq!(change(&replica, Change::Stop).await, Ok(Changed::Done(0)));
        assert_eq!(world.with(|state| state.stops), 1);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(view(&replica).phase, Phase::Off);
        assert_eq!(replica.request(Duration::ZERO).await, Some(Ok(())));
    });
}

#[test]
fn whose_starts_are_undone_is_configured() {
    for (rule, stops) in [(IdleStop::Own, 0), (IdleStop::Any, 1), (IdleStop::Never, 0)] {
        paused(async move {
            let mut target = target();
            target.idle_stop = rule;
            let world = World::new(16, true);
            let _replica = replica(&world, target).await;
            world.scale(1);
            sleep(IDLE * 3).await;
            assert_eq!(world.with(|state| state.stops), stops, "{rule:?}");
        });
    }
}
