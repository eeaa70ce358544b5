//! The things that somebody may be allowed to do with a target.

use std::fmt;

/// One of the things that may be done with a target. The chat's
/// [`Verb`](crate::control::Verb)s are another list, each with the action that it takes: a
/// person in a room cannot connect, and a program has no history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See that it exists.
    List,
    /// See how it is.
    Status,
    /// Wait until it is ready.
    Wait,
    /// Start it by asking for something behind it.
    Wake,
    /// Reach it through the proxy.
    Connect,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Set its number of replicas.
    Scale,
}

/// A set of [`Action`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u8);

impl Action {
    /// All of them, in the order in which documents list them.
    pub const ALL: [Self; 8] = [
        Self::List,
        Self::Status,
        Self::Wait,
        Self::Wake,
        Self::Connect,
        Self::Start,
        Self::Stop,
        Self::Scale,
    ];

    /// Its word in configurations, logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Status => "status",
            Self::Wait => "wait",
            Self::Wake => "wake",
            Self::Connect => "connect",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Scale => "scale",
        }
    }

    /// The action of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Actions {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Returns whether this one is in the set.
    pub const fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// The set with this one.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | action.bit())
    }

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
