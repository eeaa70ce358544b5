//! Olm sessions, messages seen, and what was tried with each peer device.
//!
//! A peer is a user *and* an identity key: a device list proves that its user
//! knows a fingerprint, not that the identity key beside it is theirs, so one
//! user's claim to a key must not touch what is kept for another.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use vodozemac::Curve25519PublicKey;

use super::{
    Error, Transaction, caps,
    caps::Cap,
    database::parsed,
    gauge::{Gauge, Limit},
    prune,
};
use crate::crypto::{Device, OlmSession, Pickle};

/// What holds for the sessions of one user.
struct SessionCaps {
    of_peer: i64,
    bytes: usize,
    gauge: Gauge,
    limit: &'static Limit,
}

/// Pre-key messages remembered. When they are as many, the fallback keys that
/// they could be replayed against are given up, and then so are they.
const OLM_MESSAGES_KEPT: i64 = caps::OLM_SEEN;

impl Transaction<'_> {
    /// All sessions of a peer, the one to send with first: it decrypted a
    /// message most recently, else it is the newest.
    pub fn olm_sessions(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
    ) -> Result<Vec<OlmSession>, Error> {
        let pickles: Vec<Pickle> = self.all(
            "SELECT pickle FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
             ORDER BY decrypted_at DESC, created_at DESC, session_id",
            (user.as_str(), key.as_bytes()),
            |row| row.get(0),
        )?;
        pickles.iter().map(|pickle| read(pickle)).collect()
    }

    /// The session to send with: one that was made since the last start. An older
    /// one may have gone on elsewhere, if this store is a copy put back: its next
    /// key may have been used.
    pub fn olm_session_for_sending(&self, device: &Device) -> Result<Option<OlmSession>, Error> {
        let pickle: Option<Pickle> = self.one(
            "SELECT pickle FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
                 AND life = (SELECT life FROM own_clock)
             ORDER BY decrypted_at DESC, created_at DESC, session_id LIMIT 1",
            (device.user.as_str(), device.curve25519.as_bytes()),
            |row| row.get(0),
        )?;
        pickle.map(|pickle| read(&pickle)).transpose()
    }

    /// Stores a session that was made or has advanced; the oldest of this peer
    /// go when there are too many. One that its other end has made too long is
    /// given up instead.
    pub fn put_olm_session(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
        session: &OlmSession,
        decrypted: bool,
        now: u64,
    ) -> Result<(), Error> {
        let pickle = session
            .pickle()
            .map_err(|_| Error::Corrupt("an Olm session"))?;
        let of_user = self.session_caps(user)?;
        if pickle.len() > of_user.bytes {
            self.note_dropped(Cap::OlmSessions, 1);
            return self.delete_olm_session(user, key, session);
        }
        if !self.has_this_session(user, key, session)? {
            self.fits(of_user.gauge, of_user.limit)?;
        }
        self.execute(
            "INSERT INTO olm_sessions
             (user_id, curve25519, session_id, pickle, created_at, decrypted_at, life)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT life FROM own_clock))
             ON CONFLICT (user_id, curve25519, session_id) DO UPDATE
             SET pickle = ?4, decrypted_at = max(decrypted_at, ?6)",
            (
                user.as_str(),
                key.as_bytes(),
                session.id(),
                pickle,
                now.cast_signed(),
                if decrypted { now.cast_signed() } else { 0 },
            ),
        )?;
        self.execute(
            "DELETE FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
             AND session_id NOT IN (
                 SELECT session_id FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
                 ORDER BY life DESC, max(decrypted_at, created_at) DESC, session_id LIMIT ?3)",
            (user.as_str(), key.as_bytes(), of_user.of_peer),
        )?;
        // A device that can be reached again may be told again, should it
        // become unreachable.
        self.execute(
            "UPDATE olm_peers SET withheld_sent = 0, claim_after = 0
             WHERE user_id = ?1 AND curve25519 = ?2",
            (user.as_str(), key.as_bytes()),
        )?;
        Ok(())
    }

    /// Forgets a session that nothing can be sent with.
    pub fn drop_olm_session(&self, device: &Device, session: &OlmSession) -> Result<(), Error> {
        self.delete_olm_session(&device.user, &device.curve25519, session)
    }

    fn delete_olm_session(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
        session: &OlmSession,
    ) -> Result<(), Error> {
        self.execute(
            "DELETE FROM olm_sessions
             WHERE user_id = ?1 AND curve25519 = ?2 AND session_id = ?3",
            (user.as_str(), key.as_bytes(), session.id()),
        )?;
        Ok(())
    }

    fn has_this_session(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
        session: &OlmSession,
    ) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM olm_sessions
                 WHERE user_id = ?1 AND curve25519 = ?2 AND session_id = ?3",
                (user.as_str(), key.as_bytes(), session.id()),
                |_| Ok(()),
            )?
            .is_some())
    }

    fn session_caps(&self, user: &UserId) -> Result<SessionCaps, Error> {
        Ok(match self.is_kept(user)? {
            true => SessionCaps {
                of_peer: caps::KEPT_SESSIONS_OF_PEER,
                bytes: caps::KEPT_OLM_SESSION_BYTES,
                gauge: Gauge::KeptOlmSessions,
                limit: &prune::KEPT_OLM_SESSIONS,
            },
            false => SessionCaps {
                of_peer: caps::SESSIONS_OF_PEER,
                bytes: caps::OLM_SESSION_BYTES,
                gauge: Gauge::OlmSessions,
                limit: &prune::OLM_SESSIONS,
            },
        })
    }

    /// A row for what is tried with this device fits: others may go for it.
    fn make_room_for_peer(&self, device: &Device) -> Result<(), Error> {
        let known = self.one(
            "SELECT 1 FROM olm_peers WHERE user_id = ?1 AND curve25519 = ?2",
            (device.user.as_str(), device.curve25519.as_bytes()),
            |_| Ok(()),
        )?;
        if known.is_none() {
            self.fits(Gauge::OlmPeers, &prune::OLM_PEERS)?;
        }
        Ok(())
    }

    /// Whether this pre-key message was decrypted before.
    pub fn has_seen_olm_message(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        Ok(self
            .one("SELECT 1 FROM olm_seen WHERE hash = ?1", [hash], |_| Ok(()))?
            .is_some())
    }

    /// Remembers a pre-key message that was decrypted, when by the bot's own clock.
    pub fn see_olm_message(&self, hash: &[u8; 32], own_now: u64) -> Result<(), Error> {
        self.execute(
            "INSERT OR IGNORE INTO olm_seen (hash, seen_at) VALUES (?1, ?2)",
            (hash, own_now.cast_signed()),
        )?;
        Ok(())
    }

    /// Whether no more pre-key messages can be remembered.
    pub fn is_olm_memory_full(&self) -> Result<bool, Error> {
        let seen: Option<i64> = self.one("SELECT count(*) FROM olm_seen", [], |row| row.get(0))?;
        Ok(seen.unwrap_or_default() >= OLM_MESSAGES_KEPT)
    }

    /// Forgets pre-key messages seen before `before`: when the oldest fallback key
    /// was made whose private half is still there.
    pub fn forget_olm_messages(&self, before: u64) -> Result<(), Error> {
        self.execute(
            "DELETE FROM olm_seen WHERE seen_at < ?1",
            [i64::try_from(before).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }

    /// No claim for this device before `until`.
    pub fn postpone_claim(&self, device: &Device, until: u64) -> Result<(), Error> {
        self.make_room_for_peer(device)?;
        self.execute(
            "INSERT INTO olm_peers (user_id, curve25519, claim_after) VALUES (?1, ?2, ?3)
             ON CONFLICT (user_id, curve25519) DO UPDATE SET claim_after = ?3",
            (
                device.user.as_str(),
                device.curve25519.as_bytes(),
                until.cast_signed(),
            ),
        )?;
        Ok(())
    }

    /// Marks that the device was told `m.no_olm`. False when it had been.
    pub fn mark_withheld(&self, device: &Device) -> Result<bool, Error> {
        self.make_room_for_peer(device)?;
        let changed = self.execute(
            "INSERT INTO olm_peers (user_id, curve25519, withheld_sent) VALUES (?1, ?2, 1)
             ON CONFLICT (user_id, curve25519) DO UPDATE
             SET withheld_sent = 1 WHERE withheld_sent = 0",
            (device.user.as_str(), device.curve25519.as_bytes()),
        )?;
        Ok(changed == 1)
    }

    /// Asks for a new session with a device whose messages no session opens.
    /// False when that was done after `not_after`: a device that sends rubbish
    /// cannot make the bot claim keys without end.
    pub fn ask_unwedge(&self, device: &Device, not_after: u64, now: u64) -> Result<bool, Error> {
        let is_full = self.count("SELECT count(*) FROM unwedge")? >= caps::UNWEDGE;
        if is_full && !self.is_kept(&device.user)? {
            return Ok(false);
        }
        self.make_room_for_peer(device)?;
        let changed = self.execute(
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
            self.execute(
                "INSERT OR IGNORE INTO unwedge (user_id, device_id) VALUES (?1, ?2)",
                (device.user.as_str(), device.id.as_str()),
            )?;
        }
        Ok(changed == 1)
    }

    /// Devices that wait for a new session.
    pub fn devices_to_unwedge(&self) -> Result<Vec<(OwnedUserId, OwnedDeviceId)>, Error> {
        self.all(
            "SELECT user_id, device_id FROM unwedge LIMIT 250",
            [],
            |row| {
                let device: String = row.get(1)?;
                Ok((parsed(row, 0)?, device.into()))
            },
        )
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

fn read(pickle: &[u8]) -> Result<OlmSession, Error> {
    OlmSession::from_pickle(pickle).map_err(|_| Error::Corrupt("an Olm session"))
}
