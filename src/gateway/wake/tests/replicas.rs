//! Three replicas that keep one target: no request meets a target that another replica has
//! stopped, whatever their clocks say, however slow the API server is, and whoever stands
//! still or dies in the middle of a stop.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use super::super::handle::TargetHandle;
use super::super::keeper::{Keeper, Means};
use super::super::shared::{Room, Shared};
use super::super::work::Work;
use super::super::{Phase, Use, Wanted, fake};
use super::door::Door;
use super::handles::paused;
use super::world::World;
use crate::config::gateway::GatewayTarget;
use crate::control::{Namespace, ObjectName};
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::{Ahead, Clock, ServerClock};

pub(super) const IDLE: Duration = Duration::from_secs(20);
const HOLD: Duration = Duration::from_secs(200);

thread_local! {
    static BASE: Cell<Option<Instant>> = const { Cell::new(None) };
    static JUMP: Cell<u64> = const { Cell::new(0) };
}

/// The wall clock of a test: it goes with the paused one.
fn wall() -> SystemTime {
    let now = Instant::now();
    let base = BASE.get().unwrap_or(now);
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + JUMP.get()) + (now - base)
}

/// The API server's clock, which never jumps.
pub(super) fn server_time() -> SystemTime {
    wall() - Duration::from_secs(JUMP.get())
}

const CLOCKS: [Clock; 3] = [
    Clock::of(wall),
    Clock::of(|| wall() + Duration::from_secs(3600)),
    Clock::of(|| wall() - Duration::from_secs(3600)),
];

/// Begins the time of a test.
pub(super) fn begin() {
    BASE.set(Some(Instant::now()));
    JUMP.set(0);
}

/// Lets the wall clocks jump ahead.
pub(super) fn jump(seconds: u64) {
    JUMP.set(JUMP.get() + seconds);
}

/// The target that is kept.
pub(super) fn target() -> GatewayTarget {
    let mut target = fake::target("app");
    target.idle = Some(IDLE);
    target.min_up = Duration::from_secs(3);
    target.ready_timeout = Duration::from_secs(60);
    target.backend.as_mut().unwrap().max_held = 1000;
    target
}

/// A future that stands still while its replica does.
struct Freezable<F> {
    world: World,
    replica: usize,
    until: Option<Pin<Box<Sleep>>>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Freezable<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let replica = self.replica;
        let (is_dead, frozen) = self.world.with(|state| {
            (
                state.dead.contains(&replica),
                state.frozen.get(&replica).copied(),
            )
        });
        if is_dead {
            return Poll::Ready(None);
        }
        if let Some(frozen) = frozen
            && Instant::now() < frozen
        {
            let mut until = Box::pin(tokio::time::sleep_until(frozen));
            if until.as_mut().poll(context).is_pending() {
                self.until = Some(until);
                return Poll::Pending;
            }
        }
        self.until = None;
        self.future.as_mut().poll(context).map(Some)
    }
}

/// A replica.
#[derive(Clone)]
pub(super) struct Replica {
    pub(super) handle: TargetHandle,
    world: World,
    index: usize,
}

impl Replica {
    pub(super) fn start(world: &World, index: usize, target: GatewayTarget) -> Self {
        let metrics = Arc::new(GatewayMetrics::default());
        let room = Room::new(1000, Arc::clone(&metrics));
        let (shared, asked) = Shared::new(Arc::new(target.clone()), room);
        let (tell, told) = mpsc::channel(64);
        world.listen(index, tell);
        let ahead = Ahead::default();
        let clock = ServerClock::new(CLOCKS[index % CLOCKS.len()], ahead.clone());
        let door = Door {
            world: world.clone(),
            replica: index,
            own: clock.own,
            ahead,
        };
        let work = Work {
            beside: door.clone(),
            cluster: door,
            workload: target.workload,
            lease: (
                Namespace::parse("gateway").unwrap(),
                ObjectName::parse("gateway-app").unwrap(),
            ),
        };
        let means = Means {
            replica: format!("replica-{index}"),
            clock,
            audit: GatewayAudit::new(true),
            metrics,
            looks: Arc::new(tokio::sync::Semaphore::new(1)),
        };
        let handle = TargetHandle(Arc::clone(&shared));
        let keeper = Keeper::new(shared, work, means, told, asked);
        tokio::spawn(Freezable {
            world: world.clone(),
            replica: index,
            until: None,
            future: Box::pin(keeper.run()),
        });
        Self {
            handle,
            world: world.clone(),
            index,
        }
    }

    /// A request of this length. Returns whether its pod was there from the beginning to
    /// the end; None if the replica has died, or stood still in between.
    pub(super) async fn request(&self, length: Duration) -> Option<Result<(), String>> {
        let (handle, world, index) = (self.handle.clone(), self.world.clone(), self.index);
        let request = async move {
            let endpoint = match handle.ready() {
                Some(endpoint) => endpoint,
                None => {
                    let wanted = Wanted {
                        wake: true,
                        as_use: Use::Client,
                        hold: HOLD,
                        by: fake::program(),
                    };
                    match handle.reach(wanted).await {
                        Ok(endpoint) => endpoint,
                        Err(cold) => return Some(Err(format!("{cold:?}"))),
                    }
                }
            };
            let in_use = handle.begin(Use::Client);
            if !world.is_open(endpoint.address) {
                let (now, view) = (Instant::now(), handle.view());
                return Some(Err(format!("sent to a dead pod at {now:?}: {view:?}")));
            }
            let begun = Instant::now();
            sleep(length).await;
            let was_frozen = world.with(|state| {
                let until = state.frozen.get(&index);
                until.is_some_and(|until| *until > begun)
            });
            if was_frozen {
                return None;
            }
            if !world.is_open(endpoint.address) {
                return Some(Err("cut in the middle".to_owned()));
            }
            handle.touch(true);
            drop(in_use);
            Some(Ok(()))
        };
        let request = Freezable {
            world: self.world.clone(),
            replica: self.index,
            until: None,
            future: Box::pin(request),
        };
        request.await.flatten()
    }
}

/// The result of a round.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    stops: usize,
    wakes: usize,
}

/// One round: five minutes of three replicas.
async fn round(seed: u64) -> Tally {
    begin();
    let world = World::new(seed, true);
    let slow_ms = [2, 20, 150, 700][usize::try_from(seed % 4).unwrap()];
    world.with(|state| {
        state.slow_ms = slow_ms;
        state.port_ms = [0, 3000][usize::try_from(seed / 4 % 2).unwrap()];
    });
    let mut replicas: Vec<Replica> = (0..3)
        .map(|index| Replica::start(&world, index, target()))
        .collect();
    let mut requests = Vec::new();
    let end = Instant::now() + Duration::from_secs(300);
    while Instant::now() < end {
        let (burst, gap, freeze, die) = world.with(|state| {
            let random = &mut state.random;
            (
                1 + random.below(3),
                match random.below(4) {
                    0 => random.ms(1_000),
                    1 => random.ms(12_000),
                    // About the idle time: where the claims and the renewals meet.
                    _ => Duration::from_millis(19_000) + random.ms(6_000),
                },
                random.below(8) == 0,
                random.below(10) == 0,
            )
        });
        if freeze {
            world.with(|state| {
                let index = usize::try_from(state.random.below(3)).unwrap();
                state.frozen.insert(index, Instant::now() + 2 * IDLE);
            });
        }
        if die && world.with(|state| state.dead.is_empty() && state.to_die.is_none()) {
            world.with(|state| state.to_die = Some(usize::try_from(seed % 3).unwrap()));
        }
        // The Deployment starts another one in its place.
        if world.with(|state| state.dead.len()) + 3 > replicas.len() {
            let index = replicas.len();
            replicas.push(Replica::start(&world, index, target()));
        }
        for _ in 0..burst {
            let (which, length, wait) = world.with(|state| {
                let random = &mut state.random;
                let which = usize::try_from(random.below(3)).unwrap();
                (which, random.ms(4_000), random.ms(50))
            });
            let replica = replicas[replicas.len() - 1 - which].clone();
            requests.push(tokio::spawn(async move {
                sleep(wait).await;
                replica.request(length).await
            }));
        }
        sleep(gap).await;
    }
    let mut tally = Tally::default();
    for request in requests {
        match request.await.unwrap() {
            None => {}
            Some(Ok(())) => tally.requests += 1,
            Some(Err(fault)) => panic!("round {seed}: {fault}"),
        }
    }
    // Nobody asks any longer: it is stopped, also after a claim that nobody went on with.
    sleep(10 * IDLE).await;
    world.with(|state| {
        assert_eq!(state.replicas, 0, "round {seed}: {:?}", state.lease);
        assert_eq!(state.idle_writes, 0, "round {seed}");
        tally.stops = state.stops;
        tally.wakes = state.wakes;
    });
    for replica in &replicas {
        let is_dead = world.with(|state| state.dead.contains(&replica.index));
        let phase = replica.handle.view().phase;
        assert!(is_dead || phase == Phase::Off, "round {seed}: {phase:?}");
    }
    assert_eq!(tally.stops, tally.wakes, "round {seed}");
    tally
}

/// Thirty rounds with an API server as slow as each of their numbers says.
fn rounds(slow: u64) {
    let mut all = Tally::default();
    for number in 0..30 {
        let tally = paused(round(4 * number + slow));
        all.requests += tally.requests;
        all.stops += tally.stops;
        all.wakes += tally.wakes;
    }
    // Otherwise the rounds show nothing.
    assert!(all.requests > 900, "{all:?}");
    assert!(all.stops > 36, "{all:?}");
}

#[test]
fn no_request_meets_what_another_replica_has_stopped() {
    rounds(4);
}

#[test]
fn nor_with_an_api_server_that_takes_its_time() {
    rounds(1);
}

#[test]
fn nor_with_one_that_is_slow() {
    rounds(2);
}

#[test]
fn nor_with_one_that_is_very_slow() {
    rounds(3);
}
