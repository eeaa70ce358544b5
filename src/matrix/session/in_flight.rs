//! Requests that are under way, and those that have to wait for their turn.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

use crate::matrix::e2ee::RequestKey;
use crate::net::Backoff;
use crate::util::{SortedMap, SortedSet};

/// Retries of one request after which it goes on at the longest interval: only
/// a sync that fails for too long ends the program.
const LONGEST: Duration = Duration::from_secs(60);

/// Requests about rooms under way together: a bot in many rooms asks one after
/// the other at its first start.
const ROOM_REQUESTS: usize = 8;

/// Lanes of the outbox under way together: the body of one request can be half a
/// megabyte.
const LANES: usize = 8;

/// The requests that may be sent now.
#[derive(Default)]
pub struct InFlight {
    busy: SortedSet<RequestKey>,
    delayed: SortedMap<RequestKey, (Instant, Backoff)>,
    /// Requests about rooms that had to wait for others.
    waiting: SortedSet<RequestKey>,
    /// Some lane had to wait for others.
    crowded: Cell<bool>,
}

impl InFlight {
    /// Marks a request as sent, unless it is under way or has to wait.
    pub fn start(&mut self, key: &RequestKey) -> bool {
        if is_about_a_room(key) && self.rooms_are_full() {
            self.waiting.insert(key.clone());
            return false;
        }
        if matches!(key, RequestKey::Lane(_)) && self.lanes() >= LANES {
            return false;
        }
        if is_signal(key) && self.is_anything_put_off() {
            return false;
        }
        !self.must_wait(key) && self.busy.insert(key.clone())
    }

    fn rooms_are_full(&self) -> bool {
        let busy = self.busy.iter().filter(|key| is_about_a_room(key));
        busy.count() >= ROOM_REQUESTS
    }

    fn must_wait(&self, key: &RequestKey) -> bool {
        let delayed = self.delayed.get(key);
        delayed.is_some_and(|(until, _)| *until > Instant::now())
    }

    fn is_anything_put_off(&self) -> bool {
        let now = Instant::now();
        self.delayed.values().any(|(until, _)| *until > now)
    }

    /// The number of lanes of the outbox under way.
    pub fn lanes(&self) -> usize {
        let is_lane = |key: &&RequestKey| matches!(key, RequestKey::Lane(_));
        self.busy.iter().filter(is_lane).count()
    }

    /// Tells of one lane after the other whether it cannot be sent from now:
    /// it is under way, has to wait for its turn, or for one of the others.
    pub fn gate(&self) -> impl Fn(&RequestKey) -> bool + '_ {
        let left = Cell::new(LANES.saturating_sub(self.lanes()));
        self.crowded.set(false);
        move |key| {
            if self.is_busy(key) || self.must_wait(key) {
                return true;
            }
            let is_full = left.get() == 0;
            left.set(left.get().saturating_sub(1));
            self.crowded.set(self.crowded.get() || is_full);
            is_full
        }
    }

    /// True if a lane that could be sent from had to wait for others.
    pub fn is_crowded(&self) -> bool {
        self.crowded.get()
    }

    /// True if the request is under way.
    pub fn is_busy(&self, key: &RequestKey) -> bool {
        self.busy.contains(key)
    }

    /// The request is no longer under way, whatever came of it.
    pub fn finish(&mut self, key: &RequestKey) {
        self.busy.remove(key);
    }

    /// The answer was taken in.
    pub fn succeeded(&mut self, key: &RequestKey) {
        self.delayed.remove(key);
    }

    /// The request failed and is tried again; returns after how long.
    pub fn failed(&mut self, key: &RequestKey, asked: Option<Duration>) -> Duration {
        let longest = asked.unwrap_or_default().max(LONGEST);
        self.delay(key, |backoff| backoff.fail(asked).unwrap_or(longest))
    }

    /// As [`InFlight::failed`], of what does not change soon: up to an hour.
    pub fn failed_slowly(&mut self, key: &RequestKey, asked: Option<Duration>) -> Duration {
        self.delay(key, |backoff| backoff.fail_slowly(asked))
    }

    fn delay(&mut self, key: &RequestKey, fail: impl FnOnce(&mut Backoff) -> Duration) -> Duration {
        let (until, backoff) = self
            .delayed
            .or_insert_with(key.clone(), || (Instant::now(), Backoff::default()));
        let wait = fail(backoff);
        *until = Instant::now() + wait;
        wait
    }

    /// True if the request failed and waits for its next turn.
    pub fn is_delayed(&self, key: &RequestKey) -> bool {
        self.delayed.contains_key(key)
    }

    /// After all that is wanted took off: what still waits although its time has
    /// come is wanted no more.
    pub fn forget_unwanted(&mut self) {
        let now = Instant::now();
        let (busy, waiting) = (&self.busy, &self.waiting);
        self.delayed
            .retain(|key, (until, _)| *until > now || busy.contains(key) || waiting.contains(key));
        self.waiting.clear();
    }

    /// The time at which the next waiting request may be sent.
    pub fn next_turn(&self) -> Option<Instant> {
        let now = Instant::now();
        self.delayed
            .iter()
            .filter(|(key, _)| !self.busy.contains(*key))
            .map(|(_, (until, _))| *until)
            // What only waits for others has no time of its own.
            .filter(|until| *until > now || !self.rooms_are_full())
            .min()
    }
}

fn is_about_a_room(key: &RequestKey) -> bool {
    matches!(
        key,
        RequestKey::Members(_) | RequestKey::Encryption(_) | RequestKey::Join(_)
    )
}

/// Nobody waits for it: it goes at once or not at all.
fn is_signal(key: &RequestKey) -> bool {
    matches!(key, RequestKey::Receipt(_) | RequestKey::Typing(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_left_out_while_something_has_to_wait() {
        let mut in_flight = InFlight::default();
        let room = ruma::room_id!("!r:test").to_owned();
        let receipt = RequestKey::Receipt(room.clone());
        assert!(in_flight.start(&receipt));
        assert!(!in_flight.start(&receipt), "it is under way");
        in_flight.finish(&receipt);
        let lane = RequestKey::Lane(room.to_string());
        assert!(in_flight.start(&lane));
        in_flight.finish(&lane);
        in_flight.failed(&lane, Some(Duration::from_secs(1)));
        assert!(!in_flight.start(&receipt));
        in_flight.succeeded(&lane);
        assert!(in_flight.start(&receipt));
    }

    /// More refused joins than are under way at once: none of them begins anew with
    /// short waits because it had no turn.
    #[test]
    fn what_waits_for_its_turn_is_not_forgotten() {
        let mut in_flight = InFlight::default();
        let key = |number: usize| {
            RequestKey::Join(ruma::OwnedRoomId::try_from(format!("!{number}:test")).unwrap())
        };
        let last = key(ROOM_REQUESTS);
        in_flight
            .delayed
            .insert(last.clone(), (Instant::now(), Backoff::default()));
        for number in 0..ROOM_REQUESTS {
            assert!(in_flight.start(&key(number)));
        }
        assert!(!in_flight.start(&last));
        in_flight.forget_unwanted();
        assert!(in_flight.is_delayed(&last));
        assert_eq!(in_flight.next_turn(), None, "the loop does not spin");
        in_flight.finish(&key(0));
        assert!(in_flight.next_turn().is_some());
        assert!(in_flight.start(&last));
        in_flight.finish(&last);
        in_flight.forget_unwanted();
        assert!(!in_flight.is_delayed(&last), "it is wanted no more");
    }
}
