//! Things that the log of a session tells once: what
//! others repeat does not fill it.

use log::{Level, info, log, warn};

use super::{invites::Judged, replies};
use crate::{
    json::Skipped,
    matrix::e2ee::{Invite, RequestKey},
    store::Cap,
    telemetry::HealthState,
    util::{ClockDifference, SortedMap, SortedSet, shown},
};

/// Invites that are not taken of which the log tells, and changes of the homeserver's
/// clock.
const TOLD: u32 = 20;

/// Requests whose last refusal is remembered.
const REMEMBERED: usize = 300;

/// Clocks that are less apart than this, in milliseconds, make no difference: an
/// answer is on its way for as long.
const APART_MS: u64 = 30_000;

/// Things that were told in this session.
#[derive(Default)]
pub(super) struct LogOnce {
    invites: u32,
    clocks: u32,
    /// By how much the homeserver's clock was said to be ahead, in milliseconds.
    ahead_ms: i64,
    /// Kinds of items of which it was said that there were too many.
    skipped: SortedSet<&'static str>,
    /// The last refusal of each request that is tried again.
    refusals: SortedMap<RequestKey, String>,
}

impl LogOnce {
    /// Says what is done about these invites.
    pub(super) fn invites(&mut self, judged: &[Judged]) {
        for (Invite { room, inviter }, why_not) in judged {
            let (room, inviter) = (shown(room), shown(inviter));
            let Some(why_not) = why_not else {
                info!("accepting the invite of {inviter} to {room}");
                continue;
            };
            log!(
                level(&mut self.invites),
                "invited to {room} by {inviter}, {why_not} there and restart"
            );
            if self.invites == TOLD {
                warn!("further invites that are not taken are logged at the level debug");
            }
        }
    }

    /// Returns true unless the last refusal of this request was the same.
    pub(super) fn is_news(&mut self, key: &RequestKey, refusal: &str) -> bool {
        if self.refusals.len() >= REMEMBERED && !self.refusals.contains_key(key) {
            self.refusals.clear();
        }
        let before = self.refusals.insert(key.clone(), refusal.to_owned());
        before.as_deref() != Some(refusal)
    }

    /// The request was taken.
    pub(super) fn taken(&mut self, key: &RequestKey) {
        self.refusals.remove(key);
    }

    /// Counts what had no room in the store, and says it once of each kind.
    pub(super) fn dropped(&mut self, dropped: &[(Cap, u64)], health: &HealthState) {
        for (cap, number) in dropped {
            health.dropped(*cap, *number);
            if self.skipped.insert(cap.as_str()) {
                warn!(
                    "the store has as many {} as it may have, and does without {number} of them; \
                     from now on that is only counted",
                    cap.as_str()
                );
            }
        }
    }

    /// Counts what had no room in answers, and says once of each kind that more was
    /// sent than is kept.
    pub(super) fn skipped(&mut self, skipped: &Skipped, health: &HealthState) {
        for (what, number) in skipped.iter() {
            health.skipped(what, *number);
            if self.skipped.insert(what) {
                warn!(
                    "an answer of the homeserver held {number} of kind {what} that are too large \
                     or too many: skipped; from now on they are only counted"
                );
            }
        }
    }

    /// Says by how much the homeserver's clock is ahead (in milliseconds), if that is
    /// news and makes a difference.
    pub(super) fn clock(&mut self, ahead_ms: Option<i64>) {
        let Some(ahead_ms) = ahead_ms else { return };
        if ahead_ms.abs_diff(self.ahead_ms) < APART_MS {
            return;
        }
        self.ahead_ms = ahead_ms;
        let apart = ClockDifference::of_ahead(ahead_ms);
        if apart.ms < APART_MS {
            info!("the homeserver's clock agrees with this machine's");
            return;
        }
        log!(
            level(&mut self.clocks),
            "the homeserver's clock is {} this machine's: where the homeserver does not tell how \
             old a command is, commands are refused for it; set both clocks by NTP",
            replies::apart(apart)
        );
    }
}

/// A warning at first.
fn level(told: &mut u32) -> Level {
    *told = told.saturating_add(1);
    match *told {
        0..=TOLD => Level::Warn,
        _ => Level::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_once_and_another_one_again() {
        let mut said = LogOnce::default();
        let join = |number: usize| {
            RequestKey::Join(ruma::OwnedRoomId::try_from(format!("!{number}:test")).unwrap())
        };
        let (key, refused) = (join(0), "403");
        assert!(said.is_news(&key, refused));
        assert!(!said.is_news(&key, refused));
        assert!(said.is_news(&key, "404"));
        said.taken(&key);
        assert!(said.is_news(&key, "404"));
        for number in 0..REMEMBERED * 2 {
            assert!(said.is_news(&join(number + 1), refused));
        }
        assert!(said.refusals.len() <= REMEMBERED);
    }

    #[test]
    fn a_clock_is_said_when_it_changes() {
        let mut said = LogOnce::default();
        let mut count = |ahead: Option<i64>| {
            said.clock(ahead);
            said.clocks
        };
        assert_eq!(count(None), 0);
        assert_eq!(count(Some(-20_000)), 0);
        assert_eq!(count(Some(-300_000)), 1);
        assert_eq!(count(Some(-301_000)), 1);
        assert_eq!(count(Some(300_000)), 2);
        assert_eq!(count(Some(0)), 2, "they agree again");
        assert_eq!(count(Some(i64::MAX)), 3);
        assert_eq!(count(Some(i64::MIN + 1)), 4);
    }
}
