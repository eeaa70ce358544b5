//! Other users' devices, and tombstones of those that are no longer listed.

use ruma::{DeviceId, OwnedDeviceId, UserId};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::columns::device;
use crate::crypto::{Device, DeviceChange, KnownDevice};
use crate::store::{Cap, Error, Transaction, caps, limits};

/// Other users' devices, and the tombstones of those that were signed out.
pub struct Devices<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Devices<'_> {
    /// Everything known of a user's devices, tombstones included.
    pub fn known(&self, user: &UserId) -> Result<Vec<KnownDevice>, Error> {
        self.0.all(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by, deleted FROM devices
             WHERE user_id = ?1",
            [user.as_str()],
            |row| {
                Ok(KnownDevice {
                    device: device(row)?,
                    deleted: row.get(5)?,
                })
            },
        )
    }

    /// One device that is in its owner's list.
    pub fn find(&self, user: &UserId, id: &DeviceId) -> Result<Option<Device>, Error> {
        self.0.one(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by FROM devices
             WHERE user_id = ?1 AND device_id = ?2 AND deleted = 0",
            (user.as_str(), id.as_str()),
            device,
        )
    }

    /// The listed device of `user` with these two keys.
    pub fn find_by_keys(
        &self,
        user: &UserId,
        curve25519: &Curve25519PublicKey,
        ed25519: &Ed25519PublicKey,
    ) -> Result<Option<Device>, Error> {
        self.0.one(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by FROM devices
             WHERE user_id = ?1 AND curve25519 = ?2 AND ed25519 = ?3 AND deleted = 0",
            (user.as_str(), curve25519.as_bytes(), ed25519.as_bytes()),
            device,
        )
    }

    /// The listed device of `user` with this Olm key.
    pub fn find_by_curve25519(
        &self,
        user: &UserId,
        curve25519: &Curve25519PublicKey,
    ) -> Result<Option<Device>, Error> {
        self.0.one(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by FROM devices
             WHERE user_id = ?1 AND curve25519 = ?2 AND deleted = 0",
            (user.as_str(), curve25519.as_bytes()),
            device,
        )
    }

    /// Applies what a query changed.
    pub fn apply(&self, user: &UserId, change: &DeviceChange) -> Result<(), Error> {
        match change {
            DeviceChange::Put(device) => {
                if !self.has_room_for(user, device)? {
                    self.0.note_dropped(Cap::Devices, 1);
                    return Ok(());
                }
                self.0.run(
                    "INSERT OR REPLACE INTO devices
                     (user_id, device_id, curve25519, ed25519, signed_by, deleted)
                     VALUES (?1, ?2, ?3, ?4, ?5, 0)",
                    (
                        user.as_str(),
                        device.id.as_str(),
                        device.curve25519.as_bytes(),
                        device.ed25519.as_bytes(),
                        device.signed_by.as_ref().map(Ed25519PublicKey::as_bytes),
                    ),
                )
            }
            DeviceChange::Delete(id) => {
                self.0.execute(
                    "UPDATE devices SET deleted = 1 WHERE user_id = ?1 AND device_id = ?2",
                    (user.as_str(), id.as_str()),
                )?;
                self.prune_tombstones(user)
            }
            DeviceChange::Refuse(..) => Ok(()),
        }
    }

    /// Returns whether a device can be stored: it is known, or fits. A stranger's signed
    /// device takes the place of an unsigned one. Of a user who may command
    /// nothing is dropped for it.
    fn has_room_for(&self, user: &UserId, device: &Device) -> Result<bool, Error> {
        let known = self.0.exists(
            "SELECT 1 FROM devices WHERE user_id = ?1 AND device_id = ?2",
            (user.as_str(), device.id.as_str()),
        )?;
        if known {
            return Ok(true);
        }
        let (live, all, unsigned): (i64, i64, i64) = self
            .0
            .one(
                "SELECT coalesce(sum(NOT deleted), 0), count(*),
                     coalesce(sum(signed_by IS NULL), 0)
                 FROM devices WHERE user_id = ?1",
                [user.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?
            .unwrap_or_default();
        if self.0.is_kept(user)? {
            let useless =
                device.signed_by.is_none() && self.0.identities().of_user(user)?.master.is_some();
            return Ok(device.id.as_str().len() <= caps::DEVICE_ID
                && all < caps::KEPT_DEVICES
                && !(useless && unsigned >= caps::KEPT_UNSIGNED_DEVICES));
        }
        if device.id.as_str().len() > caps::STRANGER_DEVICE_ID {
            return Ok(false);
        }
        if live < i64::from(caps::STRANGER_DEVICES) {
            return self.0.fits(&limits::DEVICES);
        }
        if device.signed_by.is_none() {
            return Ok(false);
        }
        let gone = self.0.drop_rows(
            Cap::Devices,
            "DELETE FROM devices WHERE user_id = ?1 AND device_id = (
                 SELECT device_id FROM devices
                 WHERE user_id = ?1 AND NOT deleted AND signed_by IS NULL LIMIT 1)",
            [user.as_str()],
        )?;
        Ok(gone == 1)
    }

    /// Forgets deleted devices of a stranger beyond the cap.
    fn prune_tombstones(&self, user: &UserId) -> Result<(), Error> {
        let sql = "DELETE FROM devices WHERE user_id = ?1 AND device_id IN (
                 SELECT device_id FROM devices
                 WHERE user_id = ?1 AND deleted
                 AND user_id NOT IN (SELECT user_id FROM kept_users)
                 ORDER BY signed_by IS NULL, device_id LIMIT -1 OFFSET ?2)";
        let of_user = (user.as_str(), caps::STRANGER_TOMBSTONES);
        self.0.drop_rows(Cap::Devices, sql, of_user).map(drop)
    }

    /// The device of `user` that was signed out and had one of these two keys.
    pub fn signed_out_by_keys(
        &self,
        user: &UserId,
        curve25519: &Curve25519PublicKey,
        ed25519: &Ed25519PublicKey,
    ) -> Result<Option<OwnedDeviceId>, Error> {
        self.0.one(
            "SELECT device_id FROM devices
             WHERE user_id = ?1 AND deleted = 1 AND (ed25519 = ?2 OR curve25519 = ?3)",
            (user.as_str(), ed25519.as_bytes(), curve25519.as_bytes()),
            |row| row.get::<_, String>(0).map(Into::into),
        )
    }

    /// The devices that were signed out of those who command.
    pub fn signed_out(&self) -> Result<Vec<Device>, Error> {
        self.0.all(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by
             FROM devices JOIN commanders USING (user_id) WHERE deleted = 1
             ORDER BY user_id, device_id",
            [],
            device,
        )
    }

    /// Forgets that a device was signed out. False if it was not.
    pub fn forget_signed_out(&self, user: &UserId, id: &DeviceId) -> Result<bool, Error> {
        Ok(self.0.execute(
            "DELETE FROM devices WHERE user_id = ?1 AND device_id = ?2 AND deleted = 1",
            (user.as_str(), id.as_str()),
        )? == 1)
    }
}
