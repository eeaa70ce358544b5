//! The engine's error.

use ruma::OwnedDeviceId;
use thiserror::Error as ThisError;

use crate::crypto::SignatureError;
use crate::matrix::client::BuildError;
use crate::store;

/// An answer could not be taken in, or a request not be made. The transaction must be
/// dropped.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The store refuses or is damaged.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The answer is not what the specification asks for.
    #[error("the homeserver's answer is malformed: {0}")]
    Malformed(&'static str),
    /// Part of the answer would have to go into a later request, and cannot.
    #[error(
        "the {what} fits into no request: it has {bytes} bytes, and up to {max} of printable \
         ASCII can be sent back"
    )]
    NotCarried {
        /// The part.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that can, in bytes.
        max: usize,
    },
    /// A request could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The bot's own keys have no signed form, which a sound account has.
    #[error("the stored account cannot sign")]
    Account,
    /// The server holds other keys for this very device.
    #[error(
        "the homeserver holds other keys for the bot's device {0} than the store in \
         CRYPTO_STORE_PATH: the store is a copy, or restored, or another program uses this \
         device, or the homeserver was restored or lies. Nothing was changed. Put the device's \
         own store back; or remove the device from the account (in Element: Settings, Sessions), \
         and the bot logs in as a new one and keeps its identity (with AUTH_METHOD=token, given \
         the token of a new one)"
    )]
    OwnKeys(OwnedDeviceId),
    /// The homeserver shows messages of this device, under these sessions, that this
    /// store does not remember.
    #[error(
        "the store in CRYPTO_STORE_PATH is an older copy: this device has sent messages that it \
         does not remember"
    )]
    RolledBack(Vec<String>),
}

impl From<SignatureError> for Error {
    fn from(_: SignatureError) -> Self {
        Self::Account
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Build(BuildError::randomness(&error.to_string()))
    }
}
