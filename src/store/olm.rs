//! Olm sessions, messages seen, and what was tried with each peer device.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use vodozemac::Curve25519PublicKey;

use super::{Error, Transaction, database::parsed};
use crate::crypto::{Device, OlmSession};

/// Sessions kept for one peer device; the specification asks for at least 4.
const SESSIONS_PER_PEER: i64 = 8;

impl Transaction<'_> {
    /// All sessions of a peer, the one to send with first: it decrypted a
    /// message most recently, else it is the newest.
    pub fn olm_sessions(&self, peer: &Curve25519PublicKey) -> Result<Vec<OlmSession>, Error> {
        let pickles: Vec<Vec<u8>> = self.all(
            "SELECT pickle FROM olm_sessions WHERE sender_key = ?1
             ORDER BY decrypted_at DESC, created_at DESC, session_id",
            [peer.as_bytes()],
            |row| row.get(0),
        )?;
        pickles
            .iter()
            .map(|pickle| {
                OlmSession::from_pickle(pickle).map_err(|_| Error::Corrupt("an Olm session"))
            })
            .collect()
    }

    /// The session to send with.
    pub fn olm_session_for_sending(
        &self,
        peer: &Curve25519PublicKey,
    ) -> Result<Option<OlmSession>, Error> {
        let pickle: Option<Vec<u8>> = self.one(
            "SELECT pickle FROM olm_sessions WHERE sender_key = ?1
             ORDER BY decrypted_at DESC, created_at DESC, session_id LIMIT 1",
            [peer.as_bytes()],
            |row| row.get(0),
        )?;
        pickle
            .map(|pickle| {
                OlmSession::from_pickle(&pickle).map_err(|_| Error::Corrupt("an Olm session"))
            })
            .transpose()
    }

    /// Stores a session that was made or has advanced; the oldest of this peer
    /// go when there are too many.
    pub fn put_olm_session(
        &self,
        peer: &Curve25519PublicKey,
        session: &OlmSession,
        decrypted: bool,
        now: u64,
    ) -> Result<(), Error> {
        let pickle = session
            .pickle()
            .map_err(|_| Error::Corrupt("an Olm session"))?;
        self.execute(
            "INSERT INTO olm_sessions (session_id, sender_key, pickle, created_at, decrypted_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (session_id) DO UPDATE
             SET pickle = ?3, decrypted_at = max(decrypted_at, ?5)",
            (
                session.id(),
                peer.as_bytes(),
                pickle,
                now.cast_signed(),
                if decrypted { now.cast_signed() } else { 0 },
            ),
        )?;
        self.execute(
            "DELETE FROM olm_sessions WHERE sender_key = ?1 AND session_id NOT IN (
                 SELECT session_id FROM olm_sessions WHERE sender_key = ?1
                 ORDER BY max(decrypted_at, created_at) DESC, session_id LIMIT ?2)",
            (peer.as_bytes(), SESSIONS_PER_PEER),
        )?;
        // A device that can be reached again may be told again, should it
        // become unreachable.
        self.execute(
            "UPDATE olm_peers SET withheld_sent = 0, claim_after = 0 WHERE curve25519 = ?1",
            [peer.as_bytes()],
        )?;
        Ok(())
    }

    /// Remembers a message. False when it was seen before.
    pub fn see_olm_message(&self, hash: &[u8; 32], now: u64) -> Result<bool, Error> {
        let new = self.execute(
            "INSERT OR IGNORE INTO olm_seen (hash, seen_at) VALUES (?1, ?2)",
            (hash, now.cast_signed()),
        )?;
        Ok(new == 1)
    }

    /// Forgets messages seen before `before`, once the fallback key they could
    /// be replayed against is gone.
    pub fn forget_olm_messages(&self, before: u64) -> Result<(), Error> {
        self.execute(
            "DELETE FROM olm_seen WHERE seen_at < ?1",
            [before.cast_signed()],
        )?;
        Ok(())
    }

    /// No claim for this peer before `until`.
    pub fn postpone_claim(&self, peer: &Curve25519PublicKey, until: u64) -> Result<(), Error> {
        self.execute(
            "INSERT INTO olm_peers (curve25519, claim_after) VALUES (?1, ?2)
             ON CONFLICT (curve25519) DO UPDATE SET claim_after = ?2",
            (peer.as_bytes(), until.cast_signed()),
        )?;
        Ok(())
    }

    /// Whether a claim for this peer is worth trying.
    pub fn may_claim(&self, peer: &Curve25519PublicKey, now: u64) -> Result<bool, Error> {
        let after = self.one(
            "SELECT claim_after FROM olm_peers WHERE curve25519 = ?1",
            [peer.as_bytes()],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(after.is_none_or(|after| after <= now.cast_signed()))
    }

    /// Marks that the peer was told `m.no_olm`. False when it had been.
    pub fn mark_withheld(&self, peer: &Curve25519PublicKey) -> Result<bool, Error> {
        let changed = self.execute(
            "INSERT INTO olm_peers (curve25519, withheld_sent) VALUES (?1, 1)
             ON CONFLICT (curve25519) DO UPDATE SET withheld_sent = 1 WHERE withheld_sent = 0",
            [peer.as_bytes()],
        )?;
        Ok(changed == 1)
    }

    /// Asks for a new session with a device whose messages no session opens.
    /// False when that was done after `not_after`: a device that sends rubbish
    /// cannot make the bot claim keys without end.
    pub fn ask_unwedge(&self, device: &Device, not_after: u64, now: u64) -> Result<bool, Error> {
        let changed = self.execute(
            "INSERT INTO olm_peers (curve25519, unwedged_at) VALUES (?1, ?3)
             ON CONFLICT (curve25519) DO UPDATE SET unwedged_at = ?3 WHERE unwedged_at <= ?2",
            (
                device.curve25519.as_bytes(),
                not_after.cast_signed(),
                now.cast_signed(),
            ),
        )?;
        if changed == 1 {
            self.execute(
                "INSERT OR IGNORE INTO unwedge (user_id, device_id) VALUES (?1, ?2)",
                (device.user.as_str(), device.id.as_str()),
            )?;
        }
        Ok(changed == 1)
    }

    /// Devices that wait for a new session.
    pub fn devices_to_unwedge(&self) -> Result<Vec<(OwnedUserId, OwnedDeviceId)>, Error> {
        self.all("SELECT user_id, device_id FROM unwedge", [], |row| {
            let device: String = row.get(1)?;
            Ok((parsed(row, 0)?, device.into()))
        })
    }

    /// A new session was made or given up. True when one had been asked for.
    pub fn finish_unwedge(&self, user: &UserId, device: &DeviceId) -> Result<bool, Error> {
        let removed = self.execute(
            "DELETE FROM unwedge WHERE user_id = ?1 AND device_id = ?2",
            (user.as_str(), device.as_str()),
        )?;
        Ok(removed == 1)
    }
}
