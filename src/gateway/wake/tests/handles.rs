//! The handle of a target, whose keeper is the test.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::super::fake::{cold, ready_at, target};
use super::super::{Cold, Endpoint, Phase, TargetHandle, Use, Wanted, WokenBy};
use crate::control::access::Principal;
use crate::gateway::origin::RequestId;

const HOLD: Duration = Duration::from_secs(50);

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8080))
}

fn wanted(wake: bool, hold: Duration) -> Wanted {
    let by = WokenBy {
        principal: Principal::Anonymous,
        request: RequestId::own(),
    };
    Wanted {
        wake,
        as_use: if wake { Use::Client } else { Use::None },
        hold,
        by,
    }
}

/// Runs a test whose clock jumps from one timer to the next.
pub(super) fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

async fn turned(handle: &TargetHandle, wake: bool, hold: Duration) -> Cold {
    handle.reach(wanted(wake, hold)).await.unwrap_err()
}

#[test]
fn what_is_ready_is_reached_at_once_and_in_turn() {
    paused(async {
        let handle = ready_at(target("app"), address(1));
        handle.0.with(|hot| {
            hot.endpoints.push(Endpoint {
                address: address(2),
            })
        });
        let given: Vec<_> = (0..4).map(|_| handle.ready().unwrap().address).collect();
        assert_eq!(given[0], given[2]);
        assert_ne!(given[0], given[1]);
        handle.failed(Endpoint {
            address: address(1),
        });
        for _ in 0..3 {
            assert_eq!(handle.ready().unwrap().address, address(2));
        }
    });
}

#[test]
fn a_request_is_held_until_it_is_ready_or_its_time_is_over() {
    paused(async {
        let (handle, keeper) = cold(target("app"));
        let begun = Instant::now();
        assert_eq!(turned(&handle, true, HOLD).await, Cold::TimedOut(None));
        assert_eq!(begun.elapsed(), HOLD);
        assert_eq!(keeper.wake_wanted().as_deref(), Some("anonymous"));
        let waiting = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reach(wanted(true, HOLD)).await }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        keeper.phase(Phase::Starting, None);
        tokio::time::sleep(Duration::from_secs(10)).await;
        keeper.ready(address(1));
        assert_eq!(waiting.await.unwrap().unwrap().address, address(1));
    });
}

#[test]
fn what_wakes_nothing_is_turned_away_or_waits_for_others() {
    paused(async {
        let (handle, keeper) = cold(target("app"));
        assert_eq!(turned(&handle, false, HOLD).await, Cold::Off);
        assert_eq!(
            turned(&handle, true, Duration::ZERO).await,
            Cold::Starting(None)
        );
        keeper.phase(Phase::Starting, None);
        assert_eq!(turned(&handle, false, HOLD).await, Cold::TimedOut(None));
        keeper.phase(Phase::Failed, Some("no room"));
        let failed = |left| Cold::Failed("no room".to_owned(), Duration::from_secs(left));
        assert_eq!(turned(&handle, true, HOLD).await, failed(30));
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(turned(&handle, false, HOLD).await, failed(0));
        assert_eq!(turned(&handle, true, HOLD).await, Cold::TimedOut(None));
        keeper.phase(Phase::Failed, Some("switched off by a person"));
        let refused = Cold::Refused("switched off by a person".to_owned());
        assert_eq!(turned(&handle, true, HOLD).await, refused);
    });
}

#[test]
fn use_that_wakes_nothing_asks_the_others_first_too() {
    paused(async {
        let (handle, keeper) = cold(target("app"));
        keeper.ready(address(1));
        keeper.ask_first();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let reach = |as_use| {
            let handle = handle.clone();
            let wanted = Wanted {
                as_use,
                ..wanted(false, HOLD)
            };
            tokio::spawn(async move { handle.reach(wanted).await })
        };
        // What is no use may meet a pod that goes.
        assert_eq!(reach(Use::None).await.unwrap().unwrap().address, address(1));
        let waiting = reach(Use::Page);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        keeper.phase(Phase::Stopping, None);
        assert_eq!(waiting.await.unwrap(), Err(Cold::Off));
        assert_eq!(keeper.wake_wanted(), None);
    });
}

#[test]
fn the_number_of_held_requests_has_an_end() {
    paused(async {
        let (handle, keeper) = cold(target("app"));
        let mut held = Vec::new();
        for _ in 0..100 {
            let handle = handle.clone();
            held.push(tokio::spawn(async move {
                handle.reach(wanted(true, HOLD)).await
            }));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(turned(&handle, true, HOLD).await, Cold::Full);
        held.pop().unwrap().abort();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            turned(&handle, true, Duration::from_secs(1)).await,
            Cold::TimedOut(None)
        );
        keeper.drain();
        for held in held {
            assert_eq!(held.await.unwrap(), Err(Cold::Draining));
        }
        assert_eq!(turned(&handle, true, HOLD).await, Cold::Draining);
    });
}

#[test]
fn sockets_close_when_it_is_being_stopped() {
    paused(async {
        let (handle, keeper) = cold(target("app"));
        keeper.ready(address(1));
        let closed = tokio::spawn({
            let handle = handle.clone();
            async move { handle.closing().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!closed.is_finished());
        keeper.phase(Phase::Stopping, None);
        closed.await.unwrap();
        handle.closing().await;
        assert_eq!(handle.changed(Phase::Ready).await.phase, Phase::Stopping);
        assert_eq!(handle.ready(), None);
    });
}
