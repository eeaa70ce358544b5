//! Timers: what is to be done about a target that is to stop at a time.
//!
//! A timer is set by the clock on the wall, and the loop sleeps by one that cannot jump:
//! so it is looked at every minute. After downtime a stop comes late, not never; but what
//! people have said meanwhile counts first, and they are warned first.

use std::time::Duration;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use super::{ClockJump, ClockView, MAX_DURATION, TimeFault};
use crate::control::{TargetName, progress::Observation};

/// The longest wait for the next look at a timer.
const LOOK: Duration = Duration::from_secs(60);

/// The warning comes this long before the end, or a tenth of the time if that is less, in
/// milliseconds.
const WARNING_MS: u64 = 10 * 60_000;

/// After a start this long is waited for the first sync, and after a warning that came too
/// late for its answer, in milliseconds.
const GRACE_MS: u64 = 2 * 60_000;

/// What is later than this is asked about, in milliseconds.
const STALE_MS: u64 = 24 * 60 * 60_000;

/// A target is to stop at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The target.
    pub target: TargetName,
    /// The uid of its object when the timer was set.
    pub uid: String,
    /// The number of replicas that was asked for; any other is somebody else's.
    pub expected: i32,
    /// The time at which it stops, in milliseconds since the Unix epoch.
    pub deadline_ms: u64,
    /// The time at which it was started, in milliseconds since the Unix epoch.
    pub set_at_ms: u64,
    /// Who asked for it.
    pub set_by: OwnedUserId,
    /// The room in which it was asked for.
    pub room: OwnedRoomId,
    /// The root of the thread in which it was asked for, if in one.
    pub thread: Option<OwnedEventId>,
    /// The command that set it.
    pub command: OwnedEventId,
    /// The version of the object's specification when the timer was set; 0 if not known.
    pub generation: i64,
    /// The time at which people were warned of this deadline, in milliseconds since the Unix
    /// epoch.
    pub warned_at: Option<u64>,
}

/// What is to be done about a timer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerStep {
    /// Nothing: look again after this, which is at most a minute.
    Wait(Duration),
    /// Tell people that the target is about to stop, and note in `warned_at` that it was told.
    Warn,
    /// Stop the target.
    Fire,
    /// It is more than 24 hours late: end the timer, and ask who set it what is to be done.
    AskInstead,
    /// The wall clock is not believed: do nothing until it is.
    Hold(ClockJump),
}

/// What the object is now, to a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it was when the timer was set.
    Same,
    /// Its specification has changed, such as its image, but not the number of replicas: the
    /// timer holds, and people are told.
    Changed,
    /// Somebody else has set this number of replicas: the timer is over.
    Rescaled(i32),
    /// It was deleted and made again: the timer is over.
    Replaced,
}

impl Timer {
    /// Decides what is to be done. `has_synced` is true once a sync of this run has been taken
    /// in and the commands that it brought are done: an `extend` among them counts.
    pub fn decide(&self, clock: ClockView, has_synced: bool) -> TimerStep {
        if let Some(jump) = clock.jump {
            return TimerStep::Hold(jump);
        }
        let now = clock.wall_ms;
        if now < self.deadline_ms {
            let warns_at = self.deadline_ms.saturating_sub(self.lead_ms());
            return match self.warned_at {
                None if now >= warns_at => TimerStep::Warn,
                None => wait(warns_at - now),
                Some(_) => wait(self.deadline_ms - now),
            };
        }
        if !has_synced && clock.up_ms < GRACE_MS {
            return wait(GRACE_MS - clock.up_ms);
        }
        if now - self.deadline_ms > STALE_MS {
            return TimerStep::AskInstead;
        }
        let Some(warned_at) = self.warned_at else {
            return TimerStep::Warn;
        };
        let notice = match warned_at < self.deadline_ms {
            true => GRACE_MS.min(self.lead_ms()),
            false => GRACE_MS,
        };
        match warned_at.saturating_add(notice) {
            fires_at if now < fires_at => wait(fires_at - now),
            _ => TimerStep::Fire,
        }
    }

    /// Compares the object as it is now with what the timer was set for.
    pub fn compare(&self, seen: &Observation) -> Standing {
        // A Scale has no generation.
        let is_known = !seen.is_scale_only && self.generation != 0;
        if seen.uid != self.uid {
            Standing::Replaced
        } else if seen.desired != self.expected {
            Standing::Rescaled(seen.desired)
        } else if is_known && seen.generation != self.generation {
            Standing::Changed
        } else {
            Standing::Same
        }
    }

    /// How long before the end the warning comes, in milliseconds.
    fn lead_ms(&self) -> u64 {
        let whole = self.deadline_ms.saturating_sub(self.set_at_ms);
        WARNING_MS.min(whole / 10)
    }
}

/// A wait of this many milliseconds, or until the next look.
fn wait(ms: u64) -> TimerStep {
    TimerStep::Wait(LOOK.min(Duration::from_millis(ms)))
}

/// The new end of a timer that is extended `by` some time: that much after the old one, so
/// that nothing is lost by asking early. Times are milliseconds since the Unix epoch. People
/// are warned of the new end, too: [`Timer::warned_at`] becomes `None`.
///
/// # Errors
/// The whole, from `set_at_ms` on, is more than `max_for`, or more than 366 days.
pub fn extend(
    deadline_ms: u64,
    by: Duration,
    max_for: Option<Duration>,
    set_at_ms: u64,
) -> Result<u64, TimeFault> {
    let so_far = Duration::from_millis(deadline_ms.saturating_sub(set_at_ms));
    let sum = so_far.saturating_add(by);
    if let Some(max_for) = max_for
        && sum > max_for
    {
        return Err(TimeFault::OverMax { sum, max_for });
    }
    if sum > MAX_DURATION {
        return Err(TimeFault::TooLong);
    }
    let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Ok(deadline_ms.saturating_add(by_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    /// When the timer of the tests was set.
    const SET: u64 = 500_000 * HOUR;

    /// A timer of this many minutes, warned of at a time after it was set.
    fn timer(minutes: u64, warned_after: Option<u64>) -> Timer {
        Timer {
            target: TargetName::parse("worker").unwrap(),
            uid: "u-1".to_owned(),
            expected: 2,
            deadline_ms: SET + minutes * MINUTE,
            set_at_ms: SET,
            set_by: "@alice:example.org".try_into().unwrap(),
            room: "!ops:example.org".try_into().unwrap(),
            thread: None,
            command: "$command".try_into().unwrap(),
            generation: 7,
            warned_at: warned_after.map(|after| SET + after),
        }
    }

    /// Clocks that are believed, at a time after the timer was set.
    fn clock(after: u64, up_ms: u64) -> ClockView {
        ClockView {
            wall_ms: SET + after,
            up_ms,
            jump: None,
        }
    }

    fn seconds(seconds: u64) -> TimerStep {
        TimerStep::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn people_are_warned_ten_minutes_or_a_tenth_before_the_end() {
        use TimerStep::{Fire, Warn};
        for (minutes, warned, now, step) in [
            // Eight hours: ten minutes before.
            (480, None, 0, seconds(60)),
            (480, None, 469 * MINUTE + 20_000, seconds(40)),
            (480, None, 470 * MINUTE, Warn),
            (480, Some(470 * MINUTE), 470 * MINUTE, seconds(60)),
            (480, Some(470 * MINUTE), 480 * MINUTE - 5_000, seconds(5)),
            (480, Some(470 * MINUTE), 480 * MINUTE, Fire),
            (480, Some(470 * MINUTE), 481 * MINUTE, Fire),
            // Thirty: three before.
            (30, None, 27 * MINUTE - 1_000, seconds(1)),
            (30, None, 27 * MINUTE, Warn),
            // One: six seconds before, and two minutes more would be absurd.
            (1, None, 54_000, Warn),
            (1, Some(54_000), MINUTE, Fire),
            // Told when the end was near already: there is time for an answer.
            (480, Some(480 * MINUTE - 5_000), 480 * MINUTE, seconds(60)),
            (
                480,
                Some(480 * MINUTE - 5_000),
                482 * MINUTE - 6_000,
                seconds(1),
            ),
            (480, Some(480 * MINUTE - 5_000), 482 * MINUTE - 5_000, Fire),
        ] {
            let got = timer(minutes, warned).decide(clock(now, HOUR), true);
            assert_eq!(got, step, "{minutes} min, warned {warned:?}, now {now}");
        }
    }

    #[test]
    fn after_downtime_a_stop_waits_for_a_sync_and_for_its_warning() {
        let end = 60 * MINUTE;
        let late = |warned, after: u64, up, synced| {
            timer(60, warned).decide(clock(end + after, up), synced)
        };
        // Nothing is said or done before the first sync, for two minutes.
        assert_eq!(late(None, 3 * HOUR, 0, false), seconds(60));
        assert_eq!(
            late(Some(54 * MINUTE), 3 * HOUR, 110_000, false),
            seconds(10)
        );
        // It was told of before: it stops.
        assert_eq!(
            late(Some(54 * MINUTE), 3 * HOUR, 1_000, true),
            TimerStep::Fire
        );
        assert_eq!(
            late(Some(54 * MINUTE), 3 * HOUR, GRACE_MS, false),
            TimerStep::Fire
        );
        // It was not: it is told, and stops two minutes later.
        assert_eq!(late(None, 3 * HOUR, 1_000, true), TimerStep::Warn);
        assert_eq!(late(None, 3 * HOUR, GRACE_MS, false), TimerStep::Warn);
        let told = Some(end + 3 * HOUR);
        assert_eq!(late(told, 3 * HOUR + 1_000, 5_000, true), seconds(60));
        assert_eq!(late(told, 3 * HOUR + 119_000, 5_000, true), seconds(1));
        assert_eq!(
            late(told, 3 * HOUR + GRACE_MS, 5_000, true),
            TimerStep::Fire
        );
    }

    #[test]
    fn what_is_more_than_a_day_late_is_asked_about() {
        let warned = Some(54 * MINUTE);
        for warned in [None, warned] {
            let day_late = 60 * MINUTE + 24 * HOUR;
            let decide = |now, up, synced| timer(60, warned).decide(clock(now, up), synced);
            assert_ne!(decide(day_late, HOUR, true), TimerStep::AskInstead);
            assert_eq!(decide(day_late + 1, HOUR, true), TimerStep::AskInstead);
            assert_eq!(decide(day_late + 1, 0, false), seconds(60));
        }
    }

    #[test]
    fn a_clock_that_has_jumped_holds_every_timer() {
        let jump = ClockJump::Forward(HOUR);
        for now in [0, 55 * MINUTE, 60 * MINUTE, 100 * HOUR] {
            let clock = ClockView {
                jump: Some(jump),
                ..clock(now, HOUR)
            };
            assert_eq!(timer(60, None).decide(clock, true), TimerStep::Hold(jump));
        }
    }

    #[test]
    fn another_object_or_number_ends_a_timer_and_another_image_does_not() {
        let same = Observation {
            uid: "u-1".to_owned(),
            desired: 2,
            generation: 7,
            ..Observation::default()
        };
        let compare = |seen: Observation| timer(60, None).compare(&seen);
        assert_eq!(compare(same.clone()), Standing::Same);
        assert_eq!(
            compare(Observation {
                generation: 8,
                ..same.clone()
            }),
            Standing::Changed
        );
        assert_eq!(
            compare(Observation {
                generation: 0,
                is_scale_only: true,
                ..same.clone()
            }),
            Standing::Same
        );
        assert_eq!(
            compare(Observation {
                desired: 5,
                generation: 8,
                ..same.clone()
            }),
            Standing::Rescaled(5)
        );
        assert_eq!(
            compare(Observation {
                uid: "u-2".to_owned(),
                ..same
            }),
            Standing::Replaced
        );
    }

    #[test]
    fn an_extension_adds_to_the_end_and_the_sum_has_a_limit() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let end = SET + 8 * HOUR;
        assert_eq!(extend(end, hours(1), None, SET), Ok(SET + 9 * HOUR));
        let limit = Some(hours(24));
        assert_eq!(extend(end, hours(16), limit, SET), Ok(SET + 24 * HOUR));
        let fault = extend(end, hours(17), limit, SET).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "that would be 1 d 1 h in all, and 1 d are allowed"
        );
        assert_eq!(
            extend(end, hours(366 * 24), None, SET),
            Err(TimeFault::TooLong)
        );
        assert_eq!(
            extend(u64::MAX, Duration::MAX, None, 0),
            Err(TimeFault::TooLong)
        );
    }
}
