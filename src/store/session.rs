//! Who the bot is on the homeserver, its account, and how far it has synced.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::{Error, Transaction, database::parsed};
use crate::crypto::Pickle;
use crate::util::{Secret, Tokens};

/// The device of this store.
pub struct Session {
    /// The bot's full id.
    pub user: OwnedUserId,
    /// Made up by this program before the first login, so that a crash during
    /// the login leaves no second device behind.
    pub device: OwnedDeviceId,
    /// What proves that it is the bot's.
    pub proof: LoginCredential,
}

/// What there is to prove who the bot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginCredential {
    /// Tokens that were good when they were last used.
    Tokens(Tokens),
    /// The access token is no longer valid.
    Lost {
        /// What may make another one.
        refresh: Option<Secret>,
        /// The server said that the device is gone: if there is no other token,
        /// it is.
        ended: bool,
    },
}

impl Transaction<'_> {
    /// The device, once [`Transaction::put_session`] made one.
    pub fn session(&self) -> Result<Option<Session>, Error> {
        self.one(
            "SELECT user_id, device_id, access_token, refresh_token, refresh_at, ended
             FROM session",
            [],
            |row| {
                let device: String = row.get(1)?;
                let access: Option<String> = row.get(2)?;
                let refresh: Option<String> = row.get(3)?;
                let refresh = refresh.map(Secret::new);
                let refresh_at: Option<i64> = row.get(4)?;
                let ended = row.get(5)?;
                let proof = match access {
                    Some(access) => LoginCredential::Tokens(Tokens {
                        access: Secret::new(access),
                        refresh,
                        refresh_at: refresh_at.and_then(|at| u64::try_from(at).ok()),
                    }),
                    None => LoginCredential::Lost { refresh, ended },
                };
                Ok(Session {
                    user: parsed(row, 0)?,
                    device: device.into(),
                    proof,
                })
            },
        )
    }

    /// Writes the device and its tokens; how far it has synced stays.
    pub fn put_session(
        &self,
        user: &UserId,
        device: &DeviceId,
        tokens: &Tokens,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT INTO session (id, user_id, device_id) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET user_id = ?1, device_id = ?2",
            (user.as_str(), device.as_str()),
        )?;
        self.put_tokens(tokens)?;
        self.execute("DELETE FROM pending_device", [])?;
        Ok(())
    }

    /// Replaces the tokens of the device.
    pub fn put_tokens(&self, tokens: &Tokens) -> Result<(), Error> {
        self.execute(
            "UPDATE session
             SET access_token = ?1, refresh_token = ?2, refresh_at = ?3, ended = 0",
            (
                tokens.access.expose(),
                tokens.refresh.as_ref().map(Secret::expose),
                tokens.refresh_at.and_then(|at| i64::try_from(at).ok()),
            ),
        )?;
        Ok(())
    }

    /// The access token is no longer valid; `ended` if the server said that its
    /// device is gone, too.
    pub fn lose_access_token(&self, ended: bool) -> Result<(), Error> {
        self.execute(
            "UPDATE session SET access_token = NULL, ended = ?1",
            [ended],
        )?;
        Ok(())
    }

    /// The refresh token is no longer valid.
    pub fn lose_refresh_token(&self) -> Result<(), Error> {
        self.execute(
            "UPDATE session SET refresh_token = NULL, refresh_at = NULL",
            [],
        )?;
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
    pub fn account_pickle(&self) -> Result<Option<Pickle>, Error> {
        self.one("SELECT pickle FROM account", [], |row| row.get(0))
    }

    /// Replaces the stored account.
    pub fn put_account_pickle(&self, pickle: &Pickle) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO account (id, pickle) VALUES (1, ?1)",
            [pickle],
        )?;
        self.account.written();
        Ok(())
    }

    /// Forgets what this device has agreed on with others, and what it was about to
    /// send; it stays the same device. Sessions of others are buried, not forgotten:
    /// [`Transaction::bury_inbound_groups`].
    pub fn forget_sessions(&self) -> Result<(), Error> {
        self.discard_outbound_groups()?;
        self.inner.execute_batch(
            "DELETE FROM olm_sessions; DELETE FROM olm_seen; DELETE FROM olm_peers;
             DELETE FROM unwedge; DELETE FROM refused_keys;
             DELETE FROM held; DELETE FROM replies; DELETE FROM outbox;",
        )?;
        Ok(())
    }

    /// Forgets the device: a hard logout made its keys worthless. What is known
    /// of rooms and of others' devices stays (encrypted rooms stay encrypted,
    /// device ids keep their keys), the bot's own identity and the pins stay, and
    /// so do commands and replies: what was encrypted and not yet taken by the
    /// server is encrypted anew. Messages that wait stay too: their keys are gone,
    /// and their senders must be told. The keys' rooms stay encrypted, those too
    /// that the bot is not in yet. Gaps are not read any further.
    pub fn forget_device(&self) -> Result<(), Error> {
        self.account.written();
        self.inner.execute_batch(
            "INSERT INTO rooms (room_id, joined, algorithm)
             SELECT DISTINCT room_id, 0, 'm.megolm.v1.aes-sha2' FROM inbound_groups WHERE true
             ON CONFLICT (room_id) DO UPDATE SET algorithm = coalesce(algorithm, excluded.algorithm);
             UPDATE held SET reason = 1 WHERE reason = 2;
             UPDATE gaps SET token = '', missed = 1 WHERE token <> '';
             DELETE FROM session; DELETE FROM pending_device; DELETE FROM account; DELETE FROM olm_sessions;
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
