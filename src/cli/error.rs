//! Errors of the command line and of the subcommands, each with an exit code.

use std::io;

use log::SetLoggerError;
use ruma::{OwnedDeviceId, OwnedUserId};
use thiserror::Error;

#[cfg(feature = "gateway")]
use super::call_fault::CallFault;
use super::usage::UsageError;
use crate::auth::jwt::DecodeError;
use crate::config::Faults;
use crate::matrix::client;
use crate::net::TlsUnavailable;
use crate::{login, store};

/// The reason for another exit code than 0: `Display` is one sentence for standard error,
/// or one line for each fault of the configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// The arguments are wrong.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// The environment is wrong.
    #[error("{0}")]
    Misconfigured(#[from] Faults),
    /// `call`: it was not done.
    #[cfg(feature = "gateway")]
    #[error("{0}")]
    Call(Box<CallFault>),
    /// There is a logger already.
    #[error("{0}")]
    Logger(#[from] SetLoggerError),
    /// The runtime does not start.
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
    /// The bot stopped serving; the reason is in the log.
    #[error("the reason is in the log")]
    Logged,
    /// The store is not opened.
    #[error("{0}")]
    OpenStore(#[from] store::OpenError),
    /// The store fails.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The homeserver is not found, or does not log in.
    #[error("{}", .0.report())]
    Login(Box<login::Error>),
    /// TLS does not work at all.
    #[error("{0}")]
    Tls(#[from] TlsUnavailable),
    /// The system gives no random bytes.
    #[error("no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// A device that was made to test a login is still there.
    #[error("device {device} could not be logged out again ({why}): remove it from {user}")]
    NotLoggedOut {
        /// The device.
        device: OwnedDeviceId,
        /// Its user.
        user: OwnedUserId,
        /// The answer to the request.
        why: Box<client::Fault>,
    },
    /// `jwt-test`: there is no token.
    #[error("{}", .0.report())]
    NoToken(Box<login::Error>),
    /// `jwt-test`: the token cannot be taken apart.
    #[error("the token {0}")]
    BadToken(DecodeError),
    /// `jwt-test`: there is no login with the token.
    #[error("{0}")]
    TokenLogin(Box<Error>),
    /// `healthcheck`: the bot or gateway does not answer, or says that it is not well.
    #[error("{0}")]
    Unwell(String),
    /// `identities forget`: there is nothing to forget.
    #[error("no identity of {0} is pinned; \"identities list\" shows who is known")]
    NotPinned(OwnedUserId),
    /// `identities forget`: the pin is not one of first use.
    #[error(
        "the identity of {0} is pinned by PINNED_IDENTITIES: change it there, and restart the bot"
    )]
    PinnedByConfiguration(OwnedUserId),
    /// `identities forget`: the device was not signed out.
    #[error(
        "no device {device} of {user} is known as signed out; \"identities list\" shows which are"
    )]
    NotSignedOut {
        /// The device, as it may be shown.
        device: String,
        /// Its user.
        user: OwnedUserId,
    },
    /// `identities reset`: there is no identity yet.
    #[error("the bot has not logged in yet: its identity is made at its first start")]
    NoSession,
    /// `logout`: the store is not of the account that is configured.
    #[error(
        "the store in CRYPTO_STORE_PATH belongs to {0}, MATRIX_USER is another account: set it to \
         that one"
    )]
    OthersStore(OwnedUserId),
    /// `logout`: the homeserver does not end the session.
    #[error("the session could not be ended: {0}")]
    NotEnded(Box<client::Fault>),
    /// `logout`: nothing here ends the session.
    #[error(
        "the session has expired, and nothing here ends it: start the bot once, which logs in \
         again as the same device, or remove the device with another client of the account"
    )]
    Expired,
}

impl Error {
    /// The exit code: 1 unless the help of the subcommand says otherwise.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(error) => error.code(),
            Self::NoToken(_) => 2,
            Self::BadToken(_) => 3,
            Self::TokenLogin(_) => 4,
            #[cfg(feature = "gateway")]
            Self::Call(fault) => fault.code(),
            _ => 1,
        }
    }

    /// True if the sentence has been logged, so that it need not be written again.
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::Logged)
    }
}

impl From<login::Error> for Error {
    fn from(error: login::Error) -> Self {
        Self::Login(Box::new(error))
    }
}
