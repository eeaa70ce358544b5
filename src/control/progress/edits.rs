//! The times at which a message about the progress is edited.
//!
//! Each edit is an event that a homeserver counts, each client gets and some show as a
//! new line, so there are few, and ever fewer.

use super::Progress;

/// The time from the start to the first edit, in milliseconds.
const FIRST_MS: u64 = 2_000;

/// The times between edits, in milliseconds.
const GAPS_MS: [u64; 5] = [5_000, 10_000, 20_000, 40_000, 60_000];

/// The most edits of one change. The last ones are kept for what matters most.
const MAX_EDITS: u8 = 6;

/// The most edits that tell a cause.
const MAX_OF_CAUSES: u8 = 5;

/// The most edits that only tell a count.
const MAX_OF_COUNTS: u8 = 4;

/// The edits of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edits {
    /// Their number so far.
    made: u8,
    /// The age of the change at the last one, in milliseconds.
    last_at: u64,
    /// The content of the message.
    told: Told,
}

/// The progress that a message tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// Nothing but that it has begun.
    Begun,
    /// It was written before a restart of the bot.
    Forgotten,
    /// This.
    Progress(Progress),
}

impl Edits {
    /// The edits of a change that has begun now.
    pub(super) fn new() -> Self {
        Self {
            made: 0,
            last_at: 0,
            told: Told::Begun,
        }
    }

    /// The edits of a change that has gone on while the bot was not there, and is `age`
    /// milliseconds old.
    pub(super) fn resume(made: u8, age: u64) -> Self {
        Self {
            made,
            last_at: age,
            told: Told::Forgotten,
        }
    }

    /// The last edit was not made: it is due again, in the time of its next edit.
    pub(super) fn was_not_told(&mut self) {
        self.told = Told::Forgotten;
    }

    /// The number of edits so far.
    pub(super) fn made(&self) -> u8 {
        self.made
    }

    /// Takes in the progress of a change that is `age` milliseconds old; true if the
    /// message has to be edited now.
    pub(super) fn is_due(&mut self, progress: &Progress, age: u64) -> bool {
        let max = match &self.told {
            Told::Begun if progress.cause.is_none() => {
                // The message that is there has said as much.
                self.told = Told::Progress(progress.clone());
                return false;
            }
            Told::Begun => MAX_OF_CAUSES,
            Told::Forgotten => MAX_EDITS,
            Told::Progress(told) if told.is_same(progress) => return false,
            Told::Progress(told) => match (&told.cause, &progress.cause) {
                (Some(_), None) => MAX_EDITS,
                (Some(before), Some(now)) if before.cause.agrees_with(&now.cause) => MAX_OF_COUNTS,
                (_, Some(_)) => MAX_OF_CAUSES,
                (None, None) => MAX_OF_COUNTS,
            },
        };
        let due_at = match self.made.checked_sub(1) {
            None => FIRST_MS,
            Some(gap) => {
                let gap = GAPS_MS.get(usize::from(gap)).copied();
                self.last_at.saturating_add(gap.unwrap_or(u64::MAX))
            }
        };
        if self.made >= max || age < due_at {
            return false;
        }
        self.made = self.made.saturating_add(1);
        self.last_at = age;
        self.told = Told::Progress(progress.clone());
        true
    }
}

impl Progress {
    /// True if nothing is different that is worth an edit: how often something crashed is not.
    fn is_same(&self, other: &Self) -> bool {
        let is_same_cause = match (&self.cause, &other.cause) {
            (Some(one), Some(two)) => one.cause.agrees_with(&two.cause),
            (None, None) => true,
            _ => false,
        };
        is_same_cause
            && (self.done, self.of, self.waits_for) == (other.done, other.of, other.waits_for)
    }
}
