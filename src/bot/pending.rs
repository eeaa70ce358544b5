//! Answers that wait to be taken in piece by piece.

use ruma::OwnedUserId;

use crate::{json::Sifted, matrix::e2ee::RequestKey};

/// An answer, and how far it is taken in.
pub(super) enum Pending {
    /// A sync, and how many of its to-device events are done.
    Sync { answer: Sifted, done: usize },
    /// Device lists, and for how many of the users who were asked about.
    Query {
        key: RequestKey,
        asked: Vec<(OwnedUserId, i64)>,
        answer: Sifted,
        done: usize,
    },
}
