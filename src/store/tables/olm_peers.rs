//! Claims of one-time keys, `m.no_olm` messages and new sessions that were tried with
//! devices.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::columns::parsed;
use crate::crypto::Device;
use crate::store::{Error, Transaction, caps, limits};

/// One-time key claims, `m.no_olm` messages and new sessions that are due, by device.
pub struct OlmPeers<'a>(pub(in crate::store) &'a Transaction<'a>);

impl OlmPeers<'_> {
    /// A row for what is tried with this device fits: others may go for it.
    fn make_room(&self, device: &Device) -> Result<(), Error> {
        let known = self.0.exists(
            "SELECT 1 FROM olm_peers WHERE user_id = ?1 AND curve25519 = ?2",
            (device.user.as_str(), device.curve25519.as_bytes()),
        )?;
        if !known {
            self.0.fits(&limits::OLM_PEERS)?;
        }
        Ok(())
    }

    /// No claim for this device before `until`.
    pub fn postpone_claim(&self, device: &Device, until: u64) -> Result<(), Error> {
        self.make_room(device)?;
        self.0.run(
            "INSERT INTO olm_peers (user_id, curve25519, claim_after) VALUES (?1, ?2, ?3)
             ON CONFLICT (user_id, curve25519) DO UPDATE SET claim_after = ?3",
            (
                device.user.as_str(),
                device.curve25519.as_bytes(),
                until.cast_signed(),
            ),
        )
    }

    /// Marks that the device was told `m.no_olm`. False when it had been.
    pub fn mark_withheld(&self, device: &Device) -> Result<bool, Error> {
        self.make_room(device)?;
        Ok(self.0.execute(
            "INSERT INTO olm_peers (user_id, curve25519, withheld_sent) VALUES (?1, ?2, 1)
             ON CONFLICT (user_id, curve25519) DO UPDATE
             SET withheld_sent = 1 WHERE withheld_sent = 0",
            (device.user.as_str(), device.curve25519.as_bytes()),
        )? == 1)
    }

    /// Asks for a new session with a device whose messages no session opens.
    /// False when that was done after `not_after`: a device that sends rubbish
    /// cannot make the bot claim keys without end.
    pub fn ask_unwedge(&self, device: &Device, not_after: u64, now: u64) -> Result<bool, Error> {
        let is_full = self.0.value::<i64>("SELECT count(*) FROM unwedge", [])? >= caps::UNWEDGE;
        if is_full && !self.0.is_kept(&device.user)? {
            return Ok(false);
        }
        self.make_room(device)?;
        let changed = self.0.execute(
            "INSERT INTO olm_peers (user_id, curve25519, unwedged_at) VALUES (?1, ?2, ?4)
             ON CONFLICT (user_id, curve25519) DO UPDATE
             SET unwedged_at = ?4 WHERE unwedged_at NOT BETWEEN ?3 + 1 AND ?4",
            (
                device.user.as_str(),
                device.curve25519.as_bytes(),
                not_after.cast_signed(),
                now.cast_signed(),
            ),
        )?;
        if changed == 1 {
            self.0.run(
                "INSERT OR IGNORE INTO unwedge (user_id, device_id) VALUES (?1, ?2)",
                (device.user.as_str(), device.id.as_str()),
            )?;
        }
        Ok(changed == 1)
    }

    /// Devices that wait for a new session.
    pub fn to_unwedge(&self) -> Result<Vec<(OwnedUserId, OwnedDeviceId)>, Error> {
        self.0.all(
            "SELECT user_id, device_id FROM unwedge LIMIT 250",
            [],
            |row| Ok((parsed(row, 0)?, row.get::<_, String>(1)?.into())),
        )
    }

    /// A new session was made or given up. True when one had been asked for.
    pub fn finish_unwedge(&self, user: &UserId, device: &DeviceId) -> Result<bool, Error> {
        Ok(self.0.execute(
            "DELETE FROM unwedge WHERE user_id = ?1 AND device_id = ?2",
            (user.as_str(), device.as_str()),
        )? == 1)
    }
}
