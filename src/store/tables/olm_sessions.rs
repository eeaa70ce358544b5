//! Olm sessions.
//!
//! A peer is a user *and* an identity key: a device list proves that its user
//! knows a fingerprint, not that the identity key beside it is theirs, so one
//! user's claim to a key must not touch what is kept for another.

use ruma::UserId;
use vodozemac::Curve25519PublicKey;

use super::olm_order::{self, Chain};
use crate::crypto::{Device, OlmPosition, OlmSession, Pickle};
use crate::store::{Cap, Error, Transaction, caps, limits};

/// Olm sessions with others' devices.
pub struct OlmSessions<'a>(pub(in crate::store) &'a Transaction<'a>);

impl OlmSessions<'_> {
    /// All sessions of a peer, the one to send with first: it decrypted a
    /// message most recently, else it is the newest.
    pub fn of_peer(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
    ) -> Result<Vec<OlmSession>, Error> {
        let pickles: Vec<Pickle> = self.0.all(
            "SELECT pickle FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
             ORDER BY decrypted_at DESC, created_at DESC, session_id",
            (user.as_str(), key.as_bytes()),
            |row| row.get(0),
        )?;
        let sessions = pickles.iter().map(|pickle| OlmSession::from_pickle(pickle));
        sessions.collect::<Result<_, _>>().map_err(corrupt)
    }

    /// The session to send with: one that was made since the last start. An older
    /// one may have gone on elsewhere, if this store is a copy put back: its next
    /// key may have been used.
    pub fn for_sending(&self, device: &Device) -> Result<Option<OlmSession>, Error> {
        let pickle: Option<Pickle> = self.0.value(
            "SELECT pickle FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
                 AND life = (SELECT life FROM own_clock)
             ORDER BY decrypted_at DESC, created_at DESC, session_id LIMIT 1",
            (device.user.as_str(), device.curve25519.as_bytes()),
        )?;
        let session = pickle.map(|pickle| OlmSession::from_pickle(&pickle));
        session.transpose().map_err(corrupt)
    }

    /// Stores a session that was made or has advanced; the oldest of this peer
    /// go when there are too many. One that its other end has made too long is
    /// given up instead.
    pub fn put(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
        session: &OlmSession,
        decrypted: bool,
        now: u64,
    ) -> Result<(), Error> {
        let pickle = session.pickle().map_err(corrupt)?;
        let is_kept = self.0.is_kept(user)?;
        let (sessions, bytes) = match is_kept {
            true => (caps::KEPT_SESSIONS_OF_PEER, caps::KEPT_OLM_SESSION_BYTES),
            false => (caps::SESSIONS_OF_PEER, caps::OLM_SESSION_BYTES),
        };
        if pickle.len() > bytes {
            self.0.note_dropped(Cap::OlmSessions, 1);
            return self.delete(user, key, session);
        }
        let known = self.0.exists(
            "SELECT 1 FROM olm_sessions
             WHERE user_id = ?1 AND curve25519 = ?2 AND session_id = ?3",
            (user.as_str(), key.as_bytes(), session.id()),
        )?;
        if !known {
            self.0.fits(match is_kept {
                true => &limits::KEPT_OLM_SESSIONS,
                false => &limits::OLM_SESSIONS,
            })?;
        }
        self.0.execute(
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
        self.0.execute(
            "DELETE FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
             AND session_id NOT IN (
                 SELECT session_id FROM olm_sessions WHERE user_id = ?1 AND curve25519 = ?2
                 ORDER BY life DESC, max(decrypted_at, created_at) DESC, session_id LIMIT ?3)",
            (user.as_str(), key.as_bytes(), sessions),
        )?;
        // A device that can be reached again may be told again, should it
        // become unreachable.
        self.0.run(
            "UPDATE olm_peers SET withheld_sent = 0, claim_after = 0
             WHERE user_id = ?1 AND curve25519 = ?2",
            (user.as_str(), key.as_bytes()),
        )
    }

    /// Forgets a session that nothing can be sent with.
    pub fn delete(
        &self,
        user: &UserId,
        key: &Curve25519PublicKey,
        session: &OlmSession,
    ) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM olm_sessions
             WHERE user_id = ?1 AND curve25519 = ?2 AND session_id = ?3",
            (user.as_str(), key.as_bytes(), session.id()),
        )
    }

    /// Notes that a message of this session at this place was opened. The time at
    /// which a later one had come, if one had: it was sent before that.
    pub fn note_position(
        &self,
        user: &UserId,
        peer: &Curve25519PublicKey,
        session_id: &str,
        position: OlmPosition,
        own_now: u64,
    ) -> Result<Option<u64>, Error> {
        let text: Option<String> = self.0.value(
            "SELECT chains FROM olm_sessions
             WHERE user_id = ?1 AND curve25519 = ?2 AND session_id = ?3",
            (user.as_str(), peer.as_bytes(), session_id),
        )?;
        let corrupt = |_| Error::Corrupt("the order of Olm messages");
        let mut chains: Vec<Chain> = text
            .map_or(Ok(Vec::new()), |text| {
                serde_json::from_slice(text.as_bytes())
            })
            .map_err(corrupt)?;
        let sent_before = olm_order::note(&mut chains, position, own_now);
        let text = serde_json::to_string(&chains).map_err(corrupt)?;
        self.0.execute(
            "UPDATE olm_sessions SET chains = ?4
             WHERE user_id = ?1 AND curve25519 = ?2 AND session_id = ?3",
            (user.as_str(), peer.as_bytes(), session_id, text),
        )?;
        Ok(sent_before)
    }
}

fn corrupt(_: serde_json::Error) -> Error {
    Error::Corrupt("an Olm session")
}
