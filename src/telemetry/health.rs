//! The state that liveness, readiness and the metrics are computed from.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use super::{
    commands::{MetricCounters, MetricEvents},
    histogram::Histogram,
    probe::Snapshot,
    skipped::SkippedCounters,
};
use crate::store::{Cap, Counts};

/// Counting what is in the store reads all of it: no more often than this.
const COUNT_INTERVAL: Duration = Duration::from_secs(15);

/// The time of an event that has not happened yet.
const NEVER: u64 = u64::MAX;

/// The state of the running bot. One value, written by the loop and read by the thread
/// that serves the pages; each number is an atomic by itself, so neither waits for the
/// other.
pub struct HealthState {
    started: Instant,
    pub(super) started_at: SystemTime,
    /// The pages are served.
    is_asked: bool,
    sync_max_age: Duration,
    logged_in: AtomicBool,
    /// In milliseconds since `started`, as all times here.
    loop_alive_at: AtomicU64,
    synced_at: AtomicU64,
    store_refused: AtomicBool,
    counted_at: AtomicU64,
    pub(super) counters: Counters,
}

/// The numbers that the metrics show as they are; all begin at zero.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) syncs: Attempts,
    pub(super) logins: Attempts,
    pub(super) store_failures: AtomicU64,
    pub(super) events: MetricCounters,
    pub(super) skipped: SkippedCounters,
    /// Of scalings that were done, and of those that were not.
    pub(super) scaled: [Histogram; 2],
    pub(super) one_time_keys: AtomicU64,
    pub(super) olm_sessions: AtomicU64,
    pub(super) inbound_sessions: AtomicU64,
    pub(super) outbound_sessions: AtomicU64,
    pub(super) outbox: AtomicU64,
}

/// The number of attempts that succeeded, and of those that failed.
#[derive(Default)]
pub(super) struct Attempts {
    pub(super) ok: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Attempts {
    fn add(&self, ok: bool) {
        let counter = if ok { &self.ok } else { &self.failed };
        counter.fetch_add(1, Relaxed);
    }
}

impl HealthState {
    /// The state of a process that starts now, at `started_at` by the wall clock. `is_asked` is true if the pages are
    /// served; the bot is not ready once its last sync is older than `sync_max_age`.
    pub fn new(is_asked: bool, sync_max_age: Duration, started_at: SystemTime) -> Self {
        Self {
            started: Instant::now(),
            started_at,
            is_asked,
            sync_max_age,
            logged_in: AtomicBool::new(false),
            loop_alive_at: AtomicU64::new(0),
            synced_at: AtomicU64::new(NEVER),
            store_refused: AtomicBool::new(false),
            counted_at: AtomicU64::new(NEVER),
            counters: Counters::default(),
        }
    }

    /// A session began: the loop turns from now on.
    pub fn session_began(&self) {
        self.loop_alive();
        self.logged_in.store(true, Relaxed);
    }

    /// Notes that the session ended, and the bot is on its way to the next one.
    pub fn session_ended(&self) {
        self.logged_in.store(false, Relaxed);
    }

    /// Notes that the loop came round.
    pub fn loop_alive(&self) {
        self.loop_alive_at.store(self.now(), Relaxed);
    }

    /// Counts a sync that was taken in, or was not.
    pub fn synced(&self, ok: bool) {
        self.counters.syncs.add(ok);
        if ok {
            self.synced_at.store(self.now(), Relaxed);
        }
    }

    /// Counts an attempt to log in.
    pub fn login(&self, ok: bool) {
        self.counters.logins.add(ok);
    }

    /// Notes that a transaction that changes something was committed.
    pub fn stored(&self) {
        self.store_refused.store(false, Relaxed);
    }

    /// Counts a transaction that could not be committed.
    pub fn store_refused(&self) {
        self.store_refused.store(true, Relaxed);
        self.counters.store_failures.fetch_add(1, Relaxed);
    }

    /// Adds the events of a transaction; after its commit, so that one that is tried
    /// again does not count twice.
    pub fn count(&self, metrics: &MetricEvents) {
        for metric in &metrics.0 {
            self.counters.events.add(*metric);
        }
    }

    /// Counts items of a kind that had no room in what is kept of an answer.
    pub fn skipped(&self, what: &str, count: u64) {
        self.counters.skipped.add_of_answer(what, count);
    }

    /// Counts what the store does without because of a cap.
    pub fn dropped(&self, cap: Cap, count: u64) {
        self.counters.skipped.add_of_store(cap, count);
    }

    /// Counts a request to scale, and its duration.
    pub fn scaled(&self, ok: bool, took: Duration) {
        let [done, failed] = &self.counters.scaled;
        if ok { done } else { failed }.observe(took);
    }

    /// Notes the number of the bot's one-time keys on the homeserver.
    pub fn one_time_keys(&self, count: u64) {
        self.counters.one_time_keys.store(count, Relaxed);
    }

    /// Returns whether it is time to count the rows of the store.
    pub fn wants_counts(&self) -> bool {
        let last = self.counted_at.load(Relaxed);
        self.is_asked && (last == NEVER || self.since(last) >= COUNT_INTERVAL)
    }

    /// Notes the numbers of rows in the store.
    pub fn counted(&self, counts: Counts) {
        self.counted_at.store(self.now(), Relaxed);
        for (shown, count) in [
            (&self.counters.olm_sessions, counts.olm_sessions),
            (&self.counters.inbound_sessions, counts.inbound_groups),
            (&self.counters.outbound_sessions, counts.outbound_groups),
            (&self.counters.outbox, counts.outbox),
        ] {
            shown.store(count, Relaxed);
        }
    }

    /// The facts that liveness and readiness are judged by.
    pub fn snapshot(&self) -> Snapshot {
        let synced_at = self.synced_at.load(Relaxed);
        Snapshot {
            logged_in: self.logged_in.load(Relaxed),
            since_loop: self.since(self.loop_alive_at.load(Relaxed)),
            since_sync: (synced_at != NEVER).then(|| self.since(synced_at)),
            since_start: self.started.elapsed(),
            store_refused: self.store_refused.load(Relaxed),
            sync_max_age: self.sync_max_age,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn since(&self, at: u64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> HealthState {
        HealthState::new(true, Duration::from_secs(90), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_sync_that_failed_leaves_the_age_of_the_last_one() {
        let health = health();
        assert_eq!(health.snapshot().since_sync, None);
        health.synced(false);
        assert_eq!(health.snapshot().since_sync, None);
        health.synced(true);
        let age = health.snapshot().since_sync;
        assert!(age.is_some_and(|age| age < Duration::from_secs(5)));
    }

    #[test]
    fn the_store_is_writable_until_it_refuses_and_when_it_takes_something_again() {
        let health = health();
        assert!(!health.snapshot().store_refused);
        health.store_refused();
        assert!(health.snapshot().store_refused);
        health.stored();
        assert!(!health.snapshot().store_refused);
    }

    #[test]
    fn the_store_is_counted_now_and_then_and_only_for_somebody() {
        let counts = Counts {
            olm_sessions: 1,
            inbound_groups: 2,
            outbound_groups: 3,
            outbox: 4,
        };
        let asked = health();
        assert!(asked.wants_counts());
        asked.counted(counts);
        assert!(!asked.wants_counts());
        assert!(
            !HealthState::new(false, Duration::from_secs(90), SystemTime::UNIX_EPOCH)
                .wants_counts()
        );
    }
}
