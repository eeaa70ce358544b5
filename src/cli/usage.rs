//! Wrong arguments.

use std::ffi::OsStr;

use thiserror::Error;

use super::help::Page;
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
    /// An option of a subcommand without its value.
    #[error("{0} {1} needs a value")]
    NoValue(&'static str, &'static str),
    /// An argument or option of a subcommand with a value that it does not know.
    #[error("{command} {option} \"{value}\" is unknown: write {known}")]
    BadValue {
        /// The subcommand.
        command: &'static str,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The values that it takes.
        known: &'static str,
    },
    /// A subcommand that this build was made without.
    #[cfg(not(feature = "gateway"))]
    #[error("{0} is not in this build, which was made without the feature gateway")]
    NotBuilt(&'static str),
    /// `call` alone.
    #[cfg(feature = "gateway")]
    #[error("call needs one of {0}")]
    NoVerb(&'static str),
    /// `call` with a verb that needs a target.
    #[cfg(feature = "gateway")]
    #[error("call needs the name of a target behind its verb")]
    NoTarget,
    /// `call scale` without a number.
    #[cfg(feature = "gateway")]
    #[error("call scale needs a number of replicas behind the target")]
    NoCount,
    /// An option of `call` with a verb that has no use for it.
    #[cfg(feature = "gateway")]
    #[error("call takes {0} only with {1}")]
    OnlyWith(&'static str, &'static str),
    /// `call` without an address.
    #[cfg(feature = "gateway")]
    #[error("call needs the gateway's address: give --url or GATEWAY_URL")]
    NoUrl,
    /// `call` with an address that is none, or that a token had better not be sent to.
    #[cfg(feature = "gateway")]
    #[error("call {0} names no address that a token may be sent to: write {1}")]
    BadUrl(&'static str, &'static str),
    /// `call` without a token.
    #[cfg(feature = "gateway")]
    #[error("call needs a token: give --k8s-trust in a pod, --token-file or GATEWAY_TOKEN_FILE")]
    NoToken,
}

impl UsageError {
    pub(super) fn unexpected(page: Option<&'static Page>, argument: &OsStr) -> Self {
        Self {
            page,
            problem: Problem::Unexpected(shown(argument)),
        }
    }

    pub(super) fn bad_value(
        page: &'static Page,
        option: &'static str,
        value: &str,
        known: &'static str,
    ) -> Self {
        let problem = Problem::BadValue {
            command: page.name,
            option,
            value: shown(OsStr::new(value)),
            known,
        };
        problem.about(page)
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
    #[cfg(not(feature = "gateway"))]
    pub(super) fn about_the_program(self) -> UsageError {
        UsageError {
            page: None,
            problem: self,
        }
    }

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
