//! Numbers of rows for the metrics.

use super::{Error, Transaction};

/// Numbers of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Olm sessions.
    pub olm_sessions: u64,
    /// Megolm sessions of others.
    pub inbound_groups: u64,
    /// The bot's own Megolm sessions.
    pub outbound_groups: u64,
    /// Requests that wait to be sent, and replies that are not one yet.
    pub outbox: u64,
}

impl Transaction<'_> {
    /// Counts. Reads the pages of whole tables: some milliseconds for 10,000
    /// sessions.
    pub fn counts(&self) -> Result<Counts, Error> {
        let counts = self.one(
            "SELECT (SELECT count(*) FROM olm_sessions), (SELECT count(*) FROM inbound_groups),
                 (SELECT count(*) FROM outbound_groups),
                 (SELECT count(*) FROM outbox) + (SELECT count(*) FROM replies WHERE id NOT IN
                     (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL))",
            [],
            |row| {
                let count = |column| row.get(column).map(i64::cast_unsigned);
                Ok(Counts {
                    olm_sessions: count(0)?,
                    inbound_groups: count(1)?,
                    outbound_groups: count(2)?,
                    outbox: count(3)?,
                })
            },
        )?;
        counts.ok_or(Error::Corrupt("the number of sessions"))
    }
}
