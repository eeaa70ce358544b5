//! A request as the policy sees it, whichever door it came through.

use ruma::{RoomId, UserId};

use super::Age;

/// One request for something to be done.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The user who is said to ask. [`Proof`] says what stands behind that.
    pub principal: &'a UserId,
    /// The room it was asked in.
    pub room: &'a RoomId,
    /// The text of the request; empty where it could not be read.
    pub text: &'a str,
    /// The proof that the principal wrote it.
    pub proof: Proof,
    /// Its age when it was received.
    pub age: Age,
    /// The time since the session that encrypted it should have been replaced, in
    /// milliseconds: the request is at least as old, or its client is slow to replace
    /// sessions.
    pub overdue_ms: u64,
    /// The time of its receipt, by this process's own clock, in milliseconds.
    pub received_at: u64,
    /// The time of day at its receipt, in milliseconds since the Unix epoch: what times in
    /// its text are counted from.
    pub wall_ms: u64,
    /// The stage it is at: looked at for the first time, or about to be executed.
    pub stage: Stage,
}

/// The proof that the principal wrote a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It was encrypted end to end by a device that speaks for the principal.
    Encrypted,
    /// It came without encryption where none ever was: the transport's word.
    Unencrypted,
    /// It is not proven, for this reason.
    Missing(Distrust),
}

/// Reason why a request is not believed to be the principal's, or not to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// It came unencrypted in a room that is or was encrypted.
    UnencryptedInEncryptedRoom,
    /// It could not be decrypted.
    Undecryptable,
    /// The device that encrypted it is not in the principal's list.
    UnknownDevice,
    /// The device that encrypted it was signed out.
    SignedOutDevice,
    /// The principal's identity has not signed the device that encrypted it.
    UnverifiedDevice,
    /// The principal's devices could not be asked for, for too long.
    OutdatedDeviceList,
    /// The principal's identity is not the pinned one.
    IdentityChanged,
    /// A newer message of the same device came under another session before.
    OlderSession,
    /// Its session has expired.
    ExpiredSession,
}

/// The stage of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has just been received.
    Received,
    /// It was accepted before, and its turn has come.
    Due {
        /// It was accepted by an earlier process, which may have begun to execute it.
        interrupted: bool,
    },
}
