//! The decision to stop a target: because nobody uses it, or because the time that it was
//! started for is over. Pure.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::agreement::Keep;
use crate::config::gateway::IdleStop;

/// Times that somebody may put it back on within [`REVERSAL_WINDOW`] before it is left on.
const MAX_REVERSALS: usize = 2;

/// The time within which they count.
const REVERSAL_WINDOW: Duration = Duration::from_secs(10 * 60);

/// The time for which it is left on then.
const REVERSAL_PAUSE: Duration = Duration::from_secs(3600);

/// The furthest that a deadline is looked ahead to: by then it is looked at again.
const FURTHEST: Duration = Duration::from_secs(3600);

/// The jump of the wall clock against the monotonic one from which no deadline is believed
/// for a while.
pub(super) const JUMP: Duration = Duration::from_secs(30);

/// The time for which a deadline is not believed after a jump, where there is no idle time.
const DOUBT: Duration = Duration::from_secs(600);

/// The least time between two attempts to stop it.
const RETRY: Duration = Duration::from_secs(10);

/// The longest wait for a deadline before the clocks are compared again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The reason for a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody uses it.
    Idle,
    /// The time that it was started for is over.
    Deadline,
}

/// The next stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// None that is known of.
    Never,
    /// Now, for this reason.
    Now(Why),
    /// Looked at again then.
    At(Instant),
}

/// The things that decide about the next stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The time.
    pub(super) now: Instant,
    /// The wall clock that the replicas have in common.
    pub(super) wall: SystemTime,
    /// This machine's wall clock.
    pub(super) own: SystemTime,
    /// The rule of its configuration.
    pub(super) idle_stop: IdleStop,
    /// The idle time; None for never.
    pub(super) idle: Option<Duration>,
    /// The time from which on the other replicas are known not to use it; None if that is
    /// not known.
    pub(super) unused_at: Option<Instant>,
    /// The time until which this replica counts as using it.
    pub(super) used_until: Option<Instant>,
    /// The end of the time in which it is not stopped after it became ready.
    pub(super) young_until: Option<Instant>,
    /// The wish that it stays on.
    pub(super) keep: Keep,
}

/// The stops so far.
#[derive(Debug)]
pub(super) struct Stops {
    /// Before then nothing is tried.
    not_before: Option<Instant>,
    /// The times at which somebody put it back on.
    reversals: Vec<Instant>,
    /// The reason why it is left on, to be shown.
    note: Option<String>,
    /// This machine's wall clock at a time.
    clocks: (Instant, SystemTime),
    /// Until then no deadline is believed.
    doubted_until: Option<Instant>,
    /// The wall clock has jumped, and nobody was told yet.
    has_jumped: bool,
    /// The time of the last stop by a gateway.
    stopped: Option<Instant>,
}

impl Stops {
    /// None so far.
    pub(super) const fn new(now: Instant, own: SystemTime) -> Self {
        Self {
            not_before: None,
            reversals: Vec::new(),
            note: None,
            clocks: (now, own),
            doubted_until: None,
            has_jumped: false,
            stopped: None,
        }
    }

    /// The reason why it is left on; None if it is not.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The next stop.
    pub(super) fn due(&mut self, facts: &Facts) -> Due {
        self.compare_clocks(facts);
        let (deadline, idle) = match facts.keep {
            Keep::Until(until) => (Some(self.deadline(until, facts)), None),
            Keep::AtLeast(until) => {
                let least = self.deadline(until, facts);
                (None, idle_at(facts).map(|at| at.max(least)))
            }
            Keep::Yes => (None, None),
            Keep::No => (None, idle_at(facts)),
        };
        let (at, why) = match (deadline, idle) {
            (Some(at), _) => (at, Why::Deadline),
            (None, Some(at)) => (at, Why::Idle),
            (None, None) => return Due::Never,
        };
        let at = self.not_before.map_or(at, |before| at.max(before));
        match at <= facts.now {
            true => Due::Now(why),
            false if why == Why::Deadline => Due::At(at.min(facts.now + LOOK_AGAIN)),
            false => Due::At(at),
        }
    }

    /// The time of a deadline by the monotonic clock.
    fn deadline(&self, until: SystemTime, facts: &Facts) -> Instant {
        let left = until.duration_since(facts.wall).unwrap_or_default();
        let at = facts.now + left.min(FURTHEST);
        self.doubted_until.map_or(at, |doubted| at.max(doubted))
    }

    /// Looks for a jump of the wall clock.
    fn compare_clocks(&mut self, facts: &Facts) {
        let (then, own) = self.clocks;
        let expected = own + facts.now.saturating_duration_since(then);
        let apart = match facts.own.duration_since(expected) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        if apart >= JUMP {
            self.doubted_until = Some(facts.now + facts.idle.unwrap_or(DOUBT));
            self.has_jumped = true;
        }
        self.clocks = (facts.now, facts.own);
    }

    /// Returns true if the wall clock has jumped since this was asked last.
    pub(super) const fn take_jump(&mut self) -> bool {
        std::mem::replace(&mut self.has_jumped, false)
    }

    /// An attempt failed: it is tried again, not at once.
    pub(super) fn failed(&mut self, now: Instant) {
        self.not_before = Some(now + RETRY);
    }

    /// It was left on for this reason: not tried again for one idle time.
    pub(super) fn kept(&mut self, why: &str, idle: Option<Duration>, now: Instant) {
        self.note = Some(format!("left on: {why}"));
        self.not_before = Some(now + idle.unwrap_or(DOUBT));
    }

    /// A gateway has stopped it.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.stopped = Some(now);
        self.note = None;
    }

    /// This replica wakes it: what comes up now was put back on by nobody else.
    pub(super) fn woken(&mut self) {
        self.stopped = None;
    }

    /// It is on, and no gateway has woken it. Returns true if that happens so often that it
    /// is left on for a while.
    pub(super) fn put_back(&mut self, now: Instant) -> bool {
        let Some(stopped) = self.stopped.take() else {
            return false;
        };
        if now > stopped + REVERSAL_WINDOW {
            return false;
        }
        self.reversals.retain(|at| now < *at + REVERSAL_WINDOW);
        self.reversals.push(now);
        let is_often = self.reversals.len() >= MAX_REVERSALS;
        if is_often {
            self.reversals.clear();
            self.not_before = Some(now + REVERSAL_PAUSE);
            self.note =
                Some("left on: somebody else puts it back on each time it is stopped".to_owned());
        }
        is_often
    }

    /// Nothing holds it on any longer: what is noted is over.
    pub(super) fn is_note_over(&mut self, now: Instant) -> bool {
        let is_over = self.note.is_some() && self.not_before.is_none_or(|before| now >= before);
        if is_over {
            self.note = None;
        }
        is_over
    }
}

/// The time from which on nobody uses it; None if it is not stopped for that.
fn idle_at(facts: &Facts) -> Option<Instant> {
    if facts.idle_stop == IdleStop::Never {
        return None;
    }
    facts.idle?;
    // None is before every time.
    let unused = facts.unused_at?;
    Some(unused).max(facts.used_until).max(facts.young_until)
}
