//! Faults for which a length or a moment that somebody wrote is not taken.

use std::time::Duration;

use super::describe_duration;
use crate::util::words;

/// The most of somebody's text that a sentence repeats, in characters.
const MAX_QUOTED: usize = 32;

/// The reason why a length or a moment is not taken: a sentence for the person who wrote
/// it, without a full stop. What it repeats of their text is safe in a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    /// It is no length of time.
    #[error("“{0}” is not a length of time: write 90m, 2h30m or 1d")]
    NoDuration(String),
    /// It is a number without a unit.
    #[error("“{0}” may be minutes or hours: write {0}m or {0}h")]
    NoUnit(String),
    /// It is shorter than [`super::MIN_DURATION`].
    #[error("it has to be at least a minute")]
    TooShort,
    /// It is longer than [`super::MAX_DURATION`].
    #[error("it cannot be more than 366 days")]
    TooLong,
    /// It is no moment.
    #[error(
        "“{0}” is not a time: write 18:00, 6pm, tomorrow 8am, fri 18:00 or 2026-03-29 18:00, \
         with UTC or +02:00 behind it for another zone"
    )]
    NoMoment(String),
    /// It names a day and no hour.
    #[error("the hour is missing: write “{0} 18:00”")]
    NoHour(String),
    /// It names the zone by what it is not called at that time.
    #[error("the zone is {is} at that time, not {said}: write {is}, or an offset such as +02:00")]
    OtherAbbreviation {
        /// The name that was said, such as `CET`.
        said: String,
        /// The name that the zone has then.
        is: String,
    },
    /// It is over; the moment as [`super::describe`] says it.
    #[error("that was {0}: name a time to come")]
    Past(String),
    /// It would run longer than the target may.
    #[error(
        "that would be {} in all, and {} are allowed",
        describe_duration(*.sum), describe_duration(*.max_for)
    )]
    OverMax {
        /// From the start to the new end.
        sum: Duration,
        /// The longest that is allowed.
        max_for: Duration,
    },
}

impl TimeFault {
    /// A text that is no length of time.
    pub(super) fn no_duration(text: &str) -> Self {
        Self::NoDuration(quoted(text))
    }

    /// A text that is no moment.
    pub(super) fn no_moment(text: &str) -> Self {
        Self::NoMoment(quoted(text))
    }
}

/// A part of somebody's text for a reply.
fn quoted(text: &str) -> String {
    words(text, MAX_QUOTED)
}
