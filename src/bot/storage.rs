//! The store as the session's loop uses it: what every transaction begins and ends with,
//! and the write-ahead log.

use std::time::Duration;

use log::debug;
use ruma::OwnedEventId;
use tokio::time::Instant;

use crate::{
    store::{Error, OwnClock, Store, Transaction},
    telemetry::HealthState,
    util::OwnTime,
};

/// With nothing to do for so long after a commit, the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(3);

/// Commits after which it is emptied however busy the bot is: some 25 commands.
/// Each time costs four waits for the disk.
const COMMITS_IN_LOG: u32 = 75;

/// Delay before a log that somebody else was reading is tried again.
const LOG_RETRY: Duration = Duration::from_secs(3);

/// The end of a transaction.
pub(super) enum Ended {
    /// It changed nothing.
    Unchanged,
    /// Its changes are repeated in the next one.
    Deferred,
    /// It was committed.
    Committed,
}

/// A request of the outbox that the homeserver has taken, or never will.
pub(super) struct Delivered {
    /// Its row.
    pub(super) row: i64,
    /// The event that its message became, where the homeserver says so.
    pub(super) event_id: Option<OwnedEventId>,
}

/// The store of a session.
pub(super) struct Storage<'a> {
    pub(super) store: &'a mut Store,
    /// The bot's own clock; none before the first transaction.
    own_time: Option<OwnTime>,
    /// Rows of the outbox that the homeserver has taken. That is written down with the
    /// next commit, not with one of its own: should it be lost, the same request goes out
    /// again, and the homeserver knows its transaction id.
    pub(super) delivered: Vec<Delivered>,
    /// The position in the homeserver's events, where it is not written down: a sync that
    /// changes nothing else (mostly one that shows the bot's own reply) is committed with
    /// what comes next, or else is asked for again after a crash.
    position: Option<String>,
    /// Commits in the write-ahead log, and when it is to be emptied.
    commits_in_log: u32,
    empty_log_at: Option<Instant>,
}

impl<'a> Storage<'a> {
    pub(super) fn new(store: &'a mut Store) -> Self {
        Self {
            store,
            own_time: None,
            delivered: Vec::new(),
            position: None,
            commits_in_log: 0,
            empty_log_at: None,
        }
    }

    /// Begins a transaction at `now` (milliseconds since the Unix epoch), and returns the
    /// time of the bot's own clock.
    pub(super) fn begin(&mut self, now: u64) -> Result<(Transaction<'_>, u64), Error> {
        let tx = self.store.begin()?;
        let stored = tx.own_clock().load()?;
        let own_now = self
            .own_time
            .get_or_insert_with(|| OwnTime::resume(stored.own_time, stored.wall_time, now))
            .now(now);
        write_deferred(&tx, &self.delivered, self.position.as_deref())?;
        Ok((tx, own_now))
    }

    /// Commits a transaction of [`Storage::begin`], if it changed something that cannot
    /// wait.
    pub(super) fn commit(tx: Transaction<'_>, own_now: u64, now: u64) -> Result<Ended, Error> {
        if !tx.has_changes() {
            return Ok(match tx.has_deferred() {
                true => Ended::Deferred,
                false => Ended::Unchanged,
            });
        }
        tx.own_clock().put(OwnClock {
            own_time: own_now,
            wall_time: now,
        })?;
        tx.commit()?;
        Ok(Ended::Committed)
    }

    /// Notes how a transaction ended, and up to where the homeserver's events were read
    /// in it.
    pub(super) fn ended(&mut self, how: Ended, since: Option<&str>, health: &HealthState) {
        match how {
            Ended::Unchanged => {}
            Ended::Deferred => {
                self.position = since.map(str::to_owned);
                self.empty_log_at
                    .get_or_insert_with(|| Instant::now() + IDLE);
            }
            Ended::Committed => {
                self.delivered.clear();
                self.position = None;
                health.stored();
                self.commits_in_log += 1;
                let wait = match self.commits_in_log >= COMMITS_IN_LOG {
                    true => Duration::ZERO,
                    false => IDLE,
                };
                self.empty_log_at = Some(Instant::now() + wait);
            }
        }
    }

    /// The time at which what was deferred is written down and the write-ahead log is
    /// emptied.
    pub(super) const fn empty_log_at(&self) -> Option<Instant> {
        self.empty_log_at
    }

    /// Writes down what was deferred, and empties the write-ahead log, whose pages have
    /// ratchets of before, when its time has come. If it cannot be now, nothing is lost,
    /// and it is tried again.
    pub(super) fn empty_log_if_due(&mut self) {
        if self.empty_log_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.flush();
        let emptied = self.store.checkpoint();
        if let Err(error) = &emptied {
            debug!("the write-ahead log stays for now: {error}");
        }
        self.empty_log_at = match emptied {
            Ok(true) => {
                self.commits_in_log = 0;
                None
            }
            Ok(false) | Err(_) => Some(Instant::now() + LOG_RETRY),
        };
    }

    /// The wait until this time of the bot's own clock.
    pub(super) fn until(&mut self, own_time: u64, now: u64) -> Option<Duration> {
        let clock = self.own_time.as_mut()?;
        Some(Duration::from_millis(
            own_time.saturating_sub(clock.now(now)),
        ))
    }

    /// Writes down what was deferred, if anything was.
    pub(super) fn flush(&mut self) {
        if self.delivered.is_empty() && self.position.is_none() {
            return;
        }
        let flushed = self.store.begin().and_then(|tx| {
            write_deferred(&tx, &self.delivered, self.position.as_deref())?;
            tx.commit()
        });
        match flushed {
            Ok(()) => {
                self.delivered.clear();
                self.position = None;
            }
            Err(error) => debug!("{error}"),
        }
    }
}

/// Repeats in a transaction what those before it deferred.
pub(super) fn write_deferred(
    tx: &Transaction<'_>,
    delivered: &[Delivered],
    position: Option<&str>,
) -> Result<(), Error> {
    tx.defer(|| {
        for Delivered { row, event_id } in delivered {
            tx.outbox().delivered(*row, event_id.as_deref())?;
        }
        position.map_or(Ok(()), |position| tx.session().set_next_batch(position))
    })
}
