//! A target: what people call a workload, and the limits of what they may do with it.

use std::{fmt, time::Duration};

use ruma::{OwnedRoomId, OwnedUserId, RoomId};

use super::time::{Schedule, Zone};
use super::{Workload, names::is_label};
use crate::util::SortedSet;

/// The longest name of a target, in bytes.
const MAX_NAME: usize = 63;

/// Words of the grammar, which would make a command ambiguous as names.
const RESERVED: [&str; 36] = [
    "start",
    "on",
    "stop",
    "off",
    "scale",
    "restart",
    "status",
    "list",
    "extend",
    "history",
    "help",
    "yes",
    "no",
    "all",
    "for",
    "until",
    "to",
    "by",
    "hold",
    "idle",
    "today",
    "tomorrow",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
];

/// The name by which people call a target: a label of RFC 1123 that is no word of the
/// grammar and not only digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName(String);

/// A workload that people may switch, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in commands and replies.
    pub name: TargetName,
    /// The object that is scaled.
    pub workload: Workload,
    /// The number of replicas that a start without a number gives.
    pub start: StartCount,
    /// The largest number of replicas that may be asked for, at least 1.
    pub max: i32,
    /// Of the allowed users, those who may command it; `None` for all of them.
    pub users: Option<SortedSet<OwnedUserId>>,
    /// Of the allowed users and viewers, those who may see it; `None` for every viewer.
    pub viewers: Option<SortedSet<OwnedUserId>>,
    /// The only rooms in which it is there; `None` for any room.
    pub rooms: Option<SortedSet<OwnedRoomId>>,
    /// The rooms in which a command that names no target means this one.
    pub default_in: SortedSet<OwnedRoomId>,
    /// The time after which it is stopped where a start says nothing else.
    pub default_for: Option<Duration>,
    /// The longest time that it may be asked to run for, extensions included.
    pub max_for: Option<Duration>,
    /// The times when it is to be up, and the zone of these times; `None` if only people say so.
    pub schedule: Option<(Schedule, Zone)>,
    /// True if every change of it but a start has to be confirmed.
    pub confirm: bool,
    /// True if the volumes that scaling it down deletes may be lost.
    pub data_is_disposable: bool,
    /// The time from a start after which it is told that it does not come up.
    pub ready_timeout: Duration,
    /// True if the room may read the API server's words about what is wrong.
    pub full_details: bool,
}

/// The number of replicas that a start without a number gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartCount {
    /// This many, at least 1.
    Replicas(i32),
    /// As many as there were before it was stopped; this many where that is not known.
    Previous(i32),
}

/// The reason why a text is not the name of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It is no label.
    #[error("is not a name of at most 63 lower-case letters, digits and dashes")]
    NoLabel,
    /// It is a word of the grammar, or a number.
    #[error("is a word that commands use")]
    Reserved,
}

impl Target {
    /// Returns true if it is there in this room.
    pub fn is_in(&self, room: &RoomId) -> bool {
        let listed = self.rooms.as_ref();
        listed.is_none_or(|rooms| rooms.contains(room))
    }
}

impl TargetName {
    /// Takes a text that is a name.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        if text.len() > MAX_NAME || !is_label(text) {
            return Err(NameFault::NoLabel);
        }
        if RESERVED.contains(&text) || text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(NameFault::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name of the one workload of a configuration without names: empty, and not
    /// shown.
    pub const fn unnamed() -> Self {
        Self(String::new())
    }

    /// Returns true for [`TargetName::unnamed`].
    pub fn is_unnamed(&self) -> bool {
        self.0.is_empty()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_and_no_word_of_the_grammar() {
        for good in ["worker", "gateway-2", "a", "w1", "hours"] {
            assert!(TargetName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Worker", "a b", "a.b", "-a", "a-", "ä", &"a".repeat(64)] {
            assert_eq!(TargetName::parse(bad), Err(NameFault::NoLabel), "{bad}");
        }
        for word in ["start", "all", "for", "until", "tomorrow", "fri", "5", "2h"] {
            assert_eq!(TargetName::parse(word), Err(NameFault::Reserved), "{word}");
        }
    }
}
