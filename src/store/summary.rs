//! Contents of a store besides its device, for people.

use super::{Error, Transaction};

/// Names and counting queries of the lines of the summary.
const COUNTS: [(&str, &str); 7] = [
    (
        "cross-signing identity of the bot",
        "SELECT count(*) FROM own_identity WHERE seed IS NOT NULL OR self_signing IS NOT NULL",
    ),
    (
        "pinned identities of users",
        "SELECT count(*) FROM identities WHERE pinned IS NOT NULL",
    ),
    ("rooms", "SELECT count(*) FROM rooms"),
    ("known devices of others", "SELECT count(*) FROM devices"),
    (
        "commands that are not done",
        "SELECT count(*) FROM journal WHERE done = 0",
    ),
    (
        "messages whose keys are missing",
        "SELECT count(*) FROM held",
    ),
    ("replies that are not sent", "SELECT count(*) FROM replies"),
];

impl Transaction<'_> {
    /// Counts what outlives the device, as pairs of name and number.
    pub fn summary(&self) -> Result<Vec<(&'static str, i64)>, Error> {
        let counts = COUNTS.into_iter();
        counts
            .map(|(what, query)| Ok((what, self.value(query, [])?)))
            .collect()
    }
}
