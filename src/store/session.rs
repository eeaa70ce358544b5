//! Who the bot is on the homeserver, its account, and how far it has synced.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId};

use super::{Error, Transaction, database::parsed};
use crate::ops::Secret;

/// The device of this store.
pub struct Session {
    /// The bot's full id.
    pub user: OwnedUserId,
    /// Made up by this program before the first login, so that a crash during
    /// the login leaves no second device behind.
    pub device: OwnedDeviceId,
    /// None before the first login and after a logout.
    pub access_token: Option<Secret>,
}

impl Transaction<'_> {
    /// The device, once [`Transaction::put_session`] made one.
    pub fn session(&self) -> Result<Option<Session>, Error> {
        self.one(
            "SELECT user_id, device_id, access_token FROM session",
            [],
            |row| {
                let device: String = row.get(1)?;
                let token: Option<String> = row.get(2)?;
                Ok(Session {
                    user: parsed(row, 0)?,
                    device: device.into(),
                    access_token: token.map(Secret::new),
                })
            },
        )
    }

    /// Writes the device and its token; how far it has synced stays.
    pub fn put_session(&self, session: &Session) -> Result<(), Error> {
        self.execute(
            "INSERT INTO session (id, user_id, device_id, access_token) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET user_id = ?1, device_id = ?2, access_token = ?3",
            (
                session.user.as_str(),
                session.device.as_str(),
                session.access_token.as_ref().map(Secret::expose),
            ),
        )?;
        self.execute("DELETE FROM pending_device", [])?;
        Ok(())
    }

    /// The access token is no longer valid; the device is.
    pub fn forget_token(&self) -> Result<(), Error> {
        self.execute("UPDATE session SET access_token = NULL", [])?;
        Ok(())
    }

    /// The device id of a login that has not been answered yet.
    pub fn pending_device(&self) -> Result<Option<OwnedDeviceId>, Error> {
        self.one("SELECT device_id FROM pending_device", [], |row| {
            let device: String = row.get(0)?;
            Ok(device.into())
        })
    }

    /// Keeps the device id of a login that is about to be sent.
    pub fn put_pending_device(&self, device: &DeviceId) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO pending_device (id, device_id) VALUES (1, ?1)",
            [device.as_str()],
        )?;
        Ok(())
    }

    /// The `since` of the next sync.
    pub fn next_batch(&self) -> Result<Option<String>, Error> {
        Ok(self
            .one("SELECT next_batch FROM session", [], |row| row.get(0))?
            .flatten())
    }

    /// How far this transaction brings the store.
    pub fn set_next_batch(&self, token: &str) -> Result<(), Error> {
        // The same again is not worth a write to the disk.
        self.execute(
            "UPDATE session SET next_batch = ?1 WHERE next_batch IS NOT ?1",
            [token],
        )?;
        Ok(())
    }

    /// The next sync starts from nothing.
    pub fn forget_next_batch(&self) -> Result<(), Error> {
        self.execute("UPDATE session SET next_batch = NULL", [])?;
        Ok(())
    }

    /// The stored account.
    pub fn account_pickle(&self) -> Result<Option<Vec<u8>>, Error> {
        self.one("SELECT pickle FROM account", [], |row| row.get(0))
    }

    /// Replaces the stored account.
    pub fn put_account_pickle(&self, pickle: &[u8]) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO account (id, pickle) VALUES (1, ?1)",
            [pickle],
        )?;
        Ok(())
    }

    /// Forgets the device: a hard logout made its keys worthless. What is known
    /// of rooms and of others' devices stays (encrypted rooms stay encrypted,
    /// device ids keep their keys), the bot's own identity and the pins stay, and
    /// so do commands and replies: what was encrypted and not yet taken by the
    /// server is encrypted anew. Messages that wait stay too: their keys are gone,
    /// and their senders must be told.
    pub fn forget_device(&self) -> Result<(), Error> {
        self.inner.execute_batch(
            "DELETE FROM session; DELETE FROM pending_device; DELETE FROM account; DELETE FROM olm_sessions;
             DELETE FROM olm_seen; DELETE FROM olm_peers; DELETE FROM unwedge;
             DELETE FROM inbound_groups; DELETE FROM refused_keys;
             DELETE FROM outbound_groups; DELETE FROM sent_groups; DELETE FROM shares;
             UPDATE own_identity SET state = 'unknown', detail = '';
             DELETE FROM outbox; UPDATE users SET outdated = 1, generation = generation + 1;
             UPDATE rooms SET members_complete = 0, members_generation = members_generation + 1;",
        )?;
        Ok(())
    }
}
