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

use crate::json::{Shape, Sieve};

pub use budgets::Audience;
use budgets::Budgets;
pub(in crate::matrix) use shapes::item_kind;
use shapes::{
    ACCOUNT_DATA, CONTENT, DEVICES, INVITES, KIB, MEMBERS, MESSAGES, NOTHING, ONE_TIME_KEYS, SENT,
    SIGNATURES, SYNC,
};

/// The most bytes kept of account data, and of other small answers.
const MAX_SMALL: usize = 64 * KIB;

/// The endpoints, as far as their answers differ in what is kept of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is read of it.
    Nothing,
    /// `/rooms/{}/send/{}/{}`, or `/sendToDevice/{}/{}`.
    Sent,
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
        let (shape, most) = self.kept();
        Sieve::new(shape, most, Box::new(Budgets::new(Arc::clone(audience))))
    }

    /// The shape of what is kept, and the most bytes of it: where items have budgets, more
    /// than these together.
    fn kept(self) -> (&'static Shape, usize) {
        match self {
            Self::Nothing => (&NOTHING, 0),
            Self::Sent => (&SENT, MAX_SMALL),
            Self::Sync => (&SYNC, 3584 * KIB),
            Self::Invites => (&INVITES, 192 * KIB),
            Self::Devices => (&DEVICES, 1024 * KIB),
            Self::OneTimeKeys => (&ONE_TIME_KEYS, 512 * KIB),
            Self::Members => (&MEMBERS, 768 * KIB),
            Self::Messages => (&MESSAGES, 1280 * KIB),
            Self::RoomEncryption => (&CONTENT, MAX_SMALL),
            Self::Signatures => (&SIGNATURES, MAX_SMALL),
            Self::AccountData => (&ACCOUNT_DATA, MAX_SMALL),
        }
    }
}

#[cfg(test)]
mod tests;
