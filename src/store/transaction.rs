//! One transaction, and the repositories that read and write in it.

use rusqlite::types::FromSql;

use super::{
    Error,
    capacity::{Capacities, Fullness},
    crash,
    tables::{
        AccountRevision, AccountRow, ClockRow, CrossSigning, DeviceLists, Devices, Gaps,
        Identities, InboundGroupSessions, Invites, Journal, Members, OlmPeers, OlmSessions,
        OutboundGroupSessions, Outbox, Replies, Rooms, SeenOlmMessages, SessionRow, Shares,
        UndecryptedEvents, WithheldKeys,
    },
};

/// Everything between two commits. Dropped without [`Transaction::commit`], it
/// never happened.
pub struct Transaction<'a> {
    pub(super) inner: rusqlite::Transaction<'a>,
    pub(super) capacities: &'a Capacities,
    pub(super) fullness: Fullness,
    pub(super) account: &'a AccountRevision,
    pub(super) changes_before: u64,
}

/// The repositories: one a table, or a group of tables that change together.
impl Transaction<'_> {
    /// Users whose device lists are followed, and how current each list is.
    pub fn device_lists(&self) -> DeviceLists<'_> {
        DeviceLists(self)
    }

    /// Other users' devices, and the tombstones of those that were signed out.
    pub fn devices(&self) -> Devices<'_> {
        Devices(self)
    }

    /// Users' cross-signing identities and their pins.
    pub fn identities(&self) -> Identities<'_> {
        Identities(self)
    }

    /// Megolm sessions that others have shared.
    pub fn inbound_sessions(&self) -> InboundGroupSessions<'_> {
        InboundGroupSessions(self)
    }

    /// The bot's own Megolm sessions, one a room.
    pub fn outbound_sessions(&self) -> OutboundGroupSessions<'_> {
        OutboundGroupSessions(self)
    }

    /// Devices that were given a Megolm session of the bot's, or were told that they will not get it.
    pub fn shares(&self) -> Shares<'_> {
        Shares(self)
    }

    /// Megolm sessions whose owners said that they would not share them.
    pub fn withheld_keys(&self) -> WithheldKeys<'_> {
        WithheldKeys(self)
    }

    /// Olm sessions with others' devices.
    pub fn olm_sessions(&self) -> OlmSessions<'_> {
        OlmSessions(self)
    }

    /// One-time key claims, `m.no_olm` messages and new sessions that are due, by device.
    pub fn olm_peers(&self) -> OlmPeers<'_> {
        OlmPeers(self)
    }

    /// Hashes of the pre-key messages that were decrypted.
    pub fn seen_olm_messages(&self) -> SeenOlmMessages<'_> {
        SeenOlmMessages(self)
    }

    /// Rooms and their encryption.
    pub fn rooms(&self) -> Rooms<'_> {
        Rooms(self)
    }

    /// Rooms' members.
    pub fn members(&self) -> Members<'_> {
        Members(self)
    }

    /// Invites that stand.
    pub fn invites(&self) -> Invites<'_> {
        Invites(self)
    }

    /// Gaps in rooms' timelines.
    pub fn gaps(&self) -> Gaps<'_> {
        Gaps(self)
    }

    /// Events that cannot be classified yet.
    pub fn undecrypted(&self) -> UndecryptedEvents<'_> {
        UndecryptedEvents(self)
    }

    /// Commands from their receipt to their answer.
    pub fn journal(&self) -> Journal<'_> {
        Journal(self)
    }

    /// Messages that have to reach a room.
    pub fn replies(&self) -> Replies<'_> {
        Replies(self)
    }

    /// Requests that are sent until the server takes them.
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox(self)
    }

    /// The bot's session on the homeserver.
    pub fn session(&self) -> SessionRow<'_> {
        SessionRow(self)
    }

    /// The Olm account of the device.
    pub fn account(&self) -> AccountRow<'_> {
        AccountRow(self)
    }

    /// The bot's own cross-signing keys.
    pub fn cross_signing(&self) -> CrossSigning<'_> {
        CrossSigning(self)
    }

    /// The bot's own clock.
    pub fn own_clock(&self) -> ClockRow<'_> {
        ClockRow(self)
    }
}

impl Transaction<'_> {
    /// Makes everything since [`Store::begin`](super::Store::begin) durable: one fsync.
    ///
    /// # Errors
    /// The database refuses: nothing is durable.
    pub fn commit(self) -> Result<(), Error> {
        crash::around(|| self.inner.commit())?;
        self.capacities.commit();
        self.account.commit();
        Ok(())
    }

    /// Returns whether there is anything to commit. A commit of nothing writes nothing,
    /// and so says nothing about the disk.
    pub fn has_changes(&self) -> bool {
        self.inner.total_changes() != self.changes_before
    }

    /// Returns how many rows changed.
    pub(super) fn execute(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<usize, Error> {
        Ok(self.inner.prepare_cached(sql)?.execute(parameters)?)
    }

    pub(super) fn run(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<(), Error> {
        self.execute(sql, parameters).map(drop)
    }

    /// The first row.
    pub(super) fn one<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        map: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        match rows.next()? {
            Some(row) => Ok(Some(map(row)?)),
            None => Ok(None),
        }
    }

    /// The first column of the first row; the default where there is none.
    pub(super) fn value<T: FromSql + Default>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<T, Error> {
        let value = self.one(sql, parameters, |row| row.get(0))?;
        Ok(value.unwrap_or_default())
    }

    /// Returns whether there is a row.
    pub(super) fn exists(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<bool, Error> {
        Ok(self.inner.prepare_cached(sql)?.exists(parameters)?)
    }

    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, map)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
