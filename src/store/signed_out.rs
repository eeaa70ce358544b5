//! Devices that were signed out, and whose they are that the operator should know
//! of.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{Error, Transaction, devices::device};
use crate::crypto::Device;

impl Transaction<'_> {
    /// The device of `user` that was signed out and had one of these two keys.
    pub fn signed_out_by_keys(
        &self,
        user: &UserId,
        curve25519: &Curve25519PublicKey,
        ed25519: &Ed25519PublicKey,
    ) -> Result<Option<OwnedDeviceId>, Error> {
        self.one(
            "SELECT device_id FROM devices
             WHERE user_id = ?1 AND deleted = 1 AND (ed25519 = ?2 OR curve25519 = ?3)",
            (user.as_str(), ed25519.as_bytes(), curve25519.as_bytes()),
            |row| row.get::<_, String>(0).map(Into::into),
        )
    }

    /// The devices that were signed out of those who command.
    pub fn signed_out_devices(&self) -> Result<Vec<Device>, Error> {
        self.all(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by
             FROM devices JOIN commanders USING (user_id) WHERE deleted = 1
             ORDER BY user_id, device_id",
            [],
            device,
        )
    }

    /// Forgets that a device was signed out. False if it was not.
    pub fn forget_signed_out(&self, user: &UserId, id: &DeviceId) -> Result<bool, Error> {
        let changed = self.execute(
            "DELETE FROM devices WHERE user_id = ?1 AND device_id = ?2 AND deleted = 1",
            (user.as_str(), id.as_str()),
        )?;
        Ok(changed == 1)
    }

    /// Writes down who commands, for whoever looks at the store without the
    /// configuration.
    pub fn put_commanders<'a>(
        &self,
        users: impl IntoIterator<Item = &'a OwnedUserId>,
    ) -> Result<(), Error> {
        self.execute("DELETE FROM commanders", [])?;
        for user in users {
            self.execute(
                "INSERT INTO commanders (user_id) VALUES (?1)",
                [user.as_str()],
            )?;
        }
        Ok(())
    }
}
