//! Wrong arguments.

use std::ffi::OsStr;

use thiserror::Error;

use super::help::{JWT_TEST, Page};
use crate::util::printable;

/// Longest part of a wrong argument that is quoted back, in bytes.
const MAX_QUOTED_BYTES: usize = 80;

const ACTIONS: &str = "list, forget @user:server or reset";
const USER: &str = "full Matrix id, such as @alice:example.com";

/// Wrong arguments, and the help text that would have helped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}; see {}{} --help", env!("CARGO_PKG_NAME"), self.subcommand())]
pub struct UsageError {
    page: Option<&'static Page>,
    problem: Problem,
}

/// The fault of the arguments. The texts are those given, cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Problem {
    /// An argument that means nothing to the program or a subcommand.
    #[error("unexpected argument \"{0}\"")]
    Unexpected(String),
    /// `identities` alone.
    #[error("identities needs one of {ACTIONS}")]
    NoAction,
    /// `identities` with something else than it can do.
    #[error("identities \"{0}\" is unknown: write {ACTIONS}")]
    UnknownAction(String),
    /// `healthcheck` with something else than it can ask.
    #[error("healthcheck \"{0}\" is unknown: write livez or readyz")]
    UnknownProbe(String),
    /// `identities forget` alone.
    #[error("identities forget needs a user: a {USER}")]
    NoUser,
    /// `identities forget` with something else than a user id.
    #[error("identities forget \"{0}\" names no user: write a {USER}")]
    NotAUser(String),
    /// An option of `jwt-test` without its value.
    #[error("jwt-test {0} needs a value")]
    NoValue(&'static str),
    /// An option of `jwt-test` with a value that it does not know.
    #[error("jwt-test {option} \"{value}\" is unknown: write {known}")]
    BadValue {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The values that it takes.
        known: &'static str,
    },
}

impl UsageError {
    pub(super) fn unexpected(page: Option<&'static Page>, argument: &OsStr) -> Self {
        Self {
            page,
            problem: Problem::Unexpected(shown(argument)),
        }
    }

    pub(super) fn bad_value(option: &'static str, value: &str, known: &'static str) -> Self {
        let problem = Problem::BadValue {
            option,
            value: shown(OsStr::new(value)),
            known,
        };
        problem.about(&JWT_TEST)
    }

    /// The exit code, which subcommands with other uses of 2 have for themselves.
    pub(super) fn code(&self) -> u8 {
        self.page.map_or(2, |page| page.wrong_arguments)
    }

    fn subcommand(&self) -> String {
        self.page
            .map_or_else(String::new, |page| format!(" {}", page.name))
    }
}

impl Problem {
    pub(super) fn about(self, page: &'static Page) -> UsageError {
        UsageError {
            page: Some(page),
            problem: self,
        }
    }
}

/// An argument as it may be shown.
pub(super) fn shown(argument: &OsStr) -> String {
    printable(&argument.to_string_lossy(), MAX_QUOTED_BYTES)
}
