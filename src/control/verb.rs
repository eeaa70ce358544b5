//! The words that commands begin with.

use std::fmt;

use super::access::Action;

/// The kinds of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Scale up from none.
    Start,
    /// Scale to none.
    Stop,
    /// Scale to a number.
    Scale,
    /// Replace all pods.
    Restart,
    /// Tell how one workload is.
    Status,
    /// Tell how all workloads are.
    List,
    /// Stop later than was said.
    Extend,
    /// Tell what was done before.
    History,
    /// Tell what can be asked for.
    Help,
    /// Confirm a command.
    Confirm,
}

impl Verb {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Stop,
        Self::Scale,
        Self::Restart,
        Self::Status,
        Self::List,
        Self::Extend,
        Self::History,
        Self::Help,
        Self::Confirm,
    ];

    /// Its name, the first of its words: fit for logs and for the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::Status => "status",
            Self::List => "list",
            Self::Extend => "extend",
            Self::History => "history",
            Self::Help => "help",
            Self::Confirm => "yes",
        }
    }

    /// The verb of a word in any case.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "start" | "on" => Self::Start,
            "stop" | "off" => Self::Stop,
            "scale" => Self::Scale,
            "restart" => Self::Restart,
            "status" => Self::Status,
            "list" => Self::List,
            "extend" => Self::Extend,
            "history" => Self::History,
            "help" => Self::Help,
            "yes" => Self::Confirm,
            _ => return None,
        })
    }

    /// What its principal must be allowed to do with each target that it shows or changes; None
    /// where it shows and changes none.
    pub const fn action(self) -> Option<Action> {
        match self {
            Self::Start | Self::Extend => Some(Action::Start),
            Self::Stop => Some(Action::Stop),
            Self::Scale | Self::Restart => Some(Action::Scale),
            Self::Status | Self::History => Some(Action::Status),
            Self::List => Some(Action::List),
            Self::Help | Self::Confirm => None,
        }
    }

    /// Returns true if it changes something in the cluster, now or later.
    pub const fn is_change(self) -> bool {
        matches!(
            self,
            Self::Start | Self::Stop | Self::Scale | Self::Restart | Self::Extend
        )
    }

    /// Returns true if it takes the cluster to answer it.
    pub const fn needs_cluster(self) -> bool {
        matches!(
            self,
            Self::Start | Self::Stop | Self::Scale | Self::Restart | Self::Status | Self::List
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
