//! What is wrong with the arguments.

use std::ffi::OsStr;
use std::fmt;

use super::help::Topic;
use crate::util::printable;

/// Longest part of a wrong argument that is quoted back, in bytes.
const MAX_QUOTED_BYTES: usize = 80;

/// What is wrong with the arguments. The texts are those given, cut and
/// escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// An argument that means nothing to the program or a subcommand.
    Unexpected(Topic, String),
    /// `identities` alone.
    NoAction,
    /// `identities` with something else than it can do.
    UnknownAction(String),
    /// `healthcheck` with something else than it can ask.
    UnknownProbe(String),
    /// `identities forget` alone.
    NoUser,
    /// `identities forget` with something else than a user id.
    NotAUser(String),
    /// An option of `jwt-test` without its value.
    NoValue(&'static str),
    /// An option of `jwt-test` with a value that it does not know.
    BadValue {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        known: &'static str,
    },
}

impl UsageError {
    pub(super) fn unexpected(topic: Topic, argument: &OsStr) -> Self {
        Self::Unexpected(topic, shown(argument))
    }

    pub(super) fn bad_value(option: &'static str, value: &str, known: &'static str) -> Self {
        Self::BadValue {
            option,
            value: shown(OsStr::new(value)),
            known,
        }
    }

    /// The help text that would have helped.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Unexpected(topic, _) => *topic,
            Self::NoAction | Self::UnknownAction(_) | Self::NoUser | Self::NotAUser(_) => {
                Topic::Identities
            }
            Self::UnknownProbe(_) => Topic::HealthCheck,
            Self::NoValue(_) | Self::BadValue { .. } => Topic::JwtTest,
        }
    }
}

/// An argument as it may be shown.
pub(super) fn shown(argument: &OsStr) -> String {
    printable(&argument.to_string_lossy(), MAX_QUOTED_BYTES)
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ACTIONS: &str = "list, forget @user:server or reset";
        const USER: &str = "full Matrix id, such as @alice:example.com";
        match self {
            Self::Unexpected(_, argument) => write!(f, "unexpected argument \"{argument}\""),
            Self::NoAction => write!(f, "identities needs one of {ACTIONS}"),
            Self::UnknownAction(action) => {
                write!(f, "identities \"{action}\" is unknown: write {ACTIONS}")
            }
            Self::UnknownProbe(probe) => {
                write!(
                    f,
                    "healthcheck \"{probe}\" is unknown: write livez or readyz"
                )
            }
            Self::NoUser => write!(f, "identities forget needs a user: a {USER}"),
            Self::NotAUser(user) => {
                write!(
                    f,
                    "identities forget \"{user}\" names no user: write a {USER}"
                )
            }
            Self::NoValue(option) => write!(f, "jwt-test {option} needs a value"),
            Self::BadValue {
                option,
                value,
                known,
            } => write!(f, "jwt-test {option} \"{value}\" is unknown: write {known}"),
        }?;
        let name = env!("CARGO_PKG_NAME");
        match self.topic().name() {
            Some(subcommand) => write!(f, "; see {name} {subcommand} --help"),
            None => write!(f, "; see {name} --help"),
        }
    }
}

impl std::error::Error for UsageError {}
