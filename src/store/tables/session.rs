//! The bot's session on the homeserver: user, device, tokens, and how far it has synced.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::columns::parsed;
use crate::store::{Error, Transaction};
use crate::util::{Secret, Tokens};

/// The device of this store.
pub struct Session {
    /// The bot's full id.
    pub user: OwnedUserId,
    /// Made up by this program before the first login, so that a crash during
    /// the login leaves no second device behind.
    pub device: OwnedDeviceId,
    /// The credential of the device.
    pub proof: LoginCredential,
}

/// Credential by which the device continues its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginCredential {
    /// Tokens that were good when they were last used.
    Tokens(Tokens),
    /// The access token is no longer valid.
    Lost {
        /// The refresh token that may yield another one.
        refresh: Option<Secret>,
        /// The server said that the device is gone: if there is no other token,
        /// it is.
        ended: bool,
    },
}

/// The bot's session on the homeserver.
pub struct SessionRow<'a>(pub(in crate::store) &'a Transaction<'a>);

impl SessionRow<'_> {
    /// The device, once [`SessionRow::put`] made one.
    pub fn load(&self) -> Result<Option<Session>, Error> {
        self.0.one(
            "SELECT user_id, device_id, access_token, refresh_token, refresh_at, ended
             FROM session",
            [],
            |row| {
                let access: Option<String> = row.get(2)?;
                let refresh = row.get::<_, Option<String>>(3)?.map(Secret::new);
                let refresh_at: Option<i64> = row.get(4)?;
                let proof = match access {
                    Some(access) => LoginCredential::Tokens(Tokens {
                        access: Secret::new(access),
                        refresh,
                        refresh_at: refresh_at.and_then(|at| u64::try_from(at).ok()),
                    }),
                    None => LoginCredential::Lost {
                        refresh,
                        ended: row.get(5)?,
                    },
                };
                Ok(Session {
                    user: parsed(row, 0)?,
                    device: row.get::<_, String>(1)?.into(),
                    proof,
                })
            },
        )
    }

    /// Writes the device and its tokens; how far it has synced stays.
    pub fn put(&self, user: &UserId, device: &DeviceId, tokens: &Tokens) -> Result<(), Error> {
        self.0.execute(
            "INSERT INTO session (id, user_id, device_id) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET user_id = ?1, device_id = ?2",
            (user.as_str(), device.as_str()),
        )?;
        self.put_tokens(tokens)?;
        self.0.run("DELETE FROM pending_device", [])
    }

    /// Replaces the tokens of the device.
    pub fn put_tokens(&self, tokens: &Tokens) -> Result<(), Error> {
        self.0.run(
            "UPDATE session
             SET access_token = ?1, refresh_token = ?2, refresh_at = ?3, ended = 0",
            (
                tokens.access.expose(),
                tokens.refresh.as_ref().map(Secret::expose),
                tokens.refresh_at.and_then(|at| i64::try_from(at).ok()),
            ),
        )
    }

    /// The access token is no longer valid; `ended` if the server said that its
    /// device is gone, too.
    pub fn lose_access_token(&self, ended: bool) -> Result<(), Error> {
        self.0.run(
            "UPDATE session SET access_token = NULL, ended = ?1",
            [ended],
        )
    }

    /// The refresh token is no longer valid.
    pub fn lose_refresh_token(&self) -> Result<(), Error> {
        self.0.run(
            "UPDATE session SET refresh_token = NULL, refresh_at = NULL",
            [],
        )
    }

    /// The device id of a login that has not been answered yet.
    pub fn pending_device(&self) -> Result<Option<OwnedDeviceId>, Error> {
        let device: Option<String> = self.0.value("SELECT device_id FROM pending_device", [])?;
        Ok(device.map(Into::into))
    }

    /// Keeps the device id of a login that is about to be sent.
    pub fn put_pending_device(&self, device: &DeviceId) -> Result<(), Error> {
        self.0.run(
            "INSERT OR REPLACE INTO pending_device (id, device_id) VALUES (1, ?1)",
            [device.as_str()],
        )
    }

    /// The `since` of the next sync.
    pub fn next_batch(&self) -> Result<Option<String>, Error> {
        self.0.value("SELECT next_batch FROM session", [])
    }

    /// Stores the `since` of the next sync.
    pub fn set_next_batch(&self, token: &str) -> Result<(), Error> {
        // The same again is not worth a write to the disk.
        self.0.run(
            "UPDATE session SET next_batch = ?1 WHERE next_batch IS NOT ?1",
            [token],
        )
    }

    /// The next sync starts from nothing.
    pub fn forget_next_batch(&self) -> Result<(), Error> {
        self.0.run("UPDATE session SET next_batch = NULL", [])
    }
}
