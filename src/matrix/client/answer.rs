//! The part of each answer that is kept, endpoint by endpoint.
//!
//! An answer is as large as others make it: members, strangers on other servers,
//! the homeserver itself. It is read piece by piece, only the fields that this program
//! reads are kept ([`shapes`]), and each kind of item has a size, a number and a budget
//! ([`budgets`]), so that none takes the room of another. Allowed users have budgets of
//! their own.

mod budgets;
mod shapes;

use std::sync::Arc;

use crate::json::{Open, Sieve};

pub use budgets::Audience;
use budgets::Budgets;
pub(in crate::matrix) use shapes::item_kind;
use shapes::{
    ACCOUNT_DATA, CONTENT, DEVICES, INVITES, KIB, MEMBERS, MESSAGES, NOTHING, ONE_TIME_KEYS,
    SIGNATURES, SYNC,
};

/// The most bytes kept of a sync: more than all its budgets together.
const MAX_SYNC: usize = 3584 * KIB;
/// Of an answer about devices.
const MAX_DEVICES: usize = 1024 * KIB;
/// Of a list of invites: more than its budgets together.
const MAX_INVITES: usize = 192 * KIB;
/// Of an answer with one-time keys.
const MAX_ONE_TIME_KEYS: usize = 512 * KIB;
/// Of a list of members.
const MAX_MEMBERS: usize = 768 * KIB;
/// Of a page of messages: more than its budgets together.
const MAX_MESSAGES: usize = 1280 * KIB;
/// Of account data, and of other small answers.
const MAX_ACCOUNT_DATA: usize = 64 * KIB;

/// The endpoints, as far as their answers differ in what is kept of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is read of it.
    Nothing,
    /// `/sync`.
    Sync,
    /// `/sync` from the beginning, for the invites that stand.
    Invites,
    /// `/keys/query`.
    Devices,
    /// `/keys/claim`.
    OneTimeKeys,
    /// `/rooms/{}/members`.
    Members,
    /// `/rooms/{}/messages`.
    Messages,
    /// `/rooms/{}/state/m.room.encryption`.
    RoomEncryption,
    /// `/keys/signatures/upload`.
    Signatures,
    /// `/user/{}/account_data/{}`.
    AccountData,
}

impl Answer {
    /// The sieve for one answer of this endpoint.
    pub fn sieve(self, audience: &Arc<Audience>) -> Sieve {
        let gate = || Box::new(Budgets::new(Arc::clone(audience)));
        match self {
            Self::Nothing => Sieve::new(&NOTHING, 0, Box::new(Open)),
            Self::Sync => Sieve::new(&SYNC, MAX_SYNC, gate()),
            Self::Invites => Sieve::new(&INVITES, MAX_INVITES, gate()),
            Self::Devices => Sieve::new(&DEVICES, MAX_DEVICES, gate()),
            Self::OneTimeKeys => Sieve::new(&ONE_TIME_KEYS, MAX_ONE_TIME_KEYS, Box::new(Open)),
            Self::Members => Sieve::new(&MEMBERS, MAX_MEMBERS, gate()),
            Self::Messages => Sieve::new(&MESSAGES, MAX_MESSAGES, gate()),
            Self::RoomEncryption => Sieve::new(&CONTENT, MAX_ACCOUNT_DATA, Box::new(Open)),
            Self::Signatures => Sieve::new(&SIGNATURES, MAX_ACCOUNT_DATA, Box::new(Open)),
            Self::AccountData => Sieve::new(&ACCOUNT_DATA, MAX_ACCOUNT_DATA, Box::new(Open)),
        }
    }
}

#[cfg(test)]
mod tests;
