//! Devices that may have the bot's Megolm sessions, and those that were given them.

use ruma::{RoomId, UserId};
use vodozemac::Curve25519PublicKey;

use super::columns::{device, put_off};
use super::outbound_group_sessions;
use crate::crypto::{Device, DeviceTrust, OutboundGroupSession, Pickle};
use crate::store::{Error, Transaction, limits};

/// [`KnownIdentity::may_have_keys`](crate::crypto::KnownIdentity::may_have_keys) in SQL,
/// of device `d` and identity `i`; a test compares the two in every case. The argument
/// is 1 where devices must be cross-signed.
macro_rules! may_have_keys {
    ($cross_signed:literal) => {
        concat!(
            "((NOT ",
            $cross_signed,
            " OR i.master IS NULL OR d.signed_by IS i.master)
              AND (i.pin_source IS NOT 'configuration' OR d.signed_by IS i.pinned))"
        )
    };
}

/// A device of a room's member.
#[derive(Debug)]
pub struct Recipient {
    /// The device.
    pub device: Device,
    /// True if it may have room keys.
    pub may_have_keys: bool,
    /// True if a one-time key has to be claimed for it first.
    pub needs_claim: bool,
}

/// An outbound session that is shared in a room.
pub struct Sharing<'a> {
    /// The room.
    pub room: &'a RoomId,
    /// The session.
    pub session_id: &'a str,
    /// The bot.
    pub own: &'a UserId,
    /// The rule by which a device may have keys.
    pub trust: DeviceTrust,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

/// Devices that were given a Megolm session of the bot's, or were told that they will not get it.
pub struct Shares<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Shares<'_> {
    /// Up to `limit` devices of a room's members, other than the bot's, that
    /// have neither been given the outbound session nor been told
    /// that they will not, as far as their standing has not changed since. Those
    /// that cannot be reached are left out until they are tried again, those whose
    /// lists are being asked for until they are known, and those that need a claim
    /// come last. `only` names the one user who is looked at.
    pub fn devices_without(
        &self,
        sharing: &Sharing<'_>,
        only: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<Recipient>, Error> {
        self.0.all(
            concat!(
                "SELECT d.user_id, d.device_id, d.curve25519, d.ed25519, d.signed_by, ",
                may_have_keys!("?4"),
                " AS may, NOT ",
                put_off!("coalesce(p.claim_after, 0)", "?5"),
                " AND ",
                may_have_keys!("?4"),
                " AND NOT EXISTS (
                     SELECT 1 FROM olm_sessions AS o
                     WHERE o.user_id = d.user_id AND o.curve25519 = d.curve25519
                         AND o.life = (SELECT life FROM own_clock)) AS claim
                 FROM members AS m JOIN devices AS d ON d.user_id = m.user_id AND d.deleted = 0
                 LEFT JOIN users AS u ON u.user_id = m.user_id
                 LEFT JOIN identities AS i ON i.user_id = d.user_id
                 LEFT JOIN shares AS s ON s.session_id = ?2 AND s.user_id = d.user_id
                     AND s.device_id = d.device_id AND s.curve25519 = d.curve25519
                 LEFT JOIN olm_peers AS p ON p.user_id = d.user_id AND p.curve25519 = d.curve25519
                 WHERE m.room_id = ?1 AND d.user_id <> ?3 AND (?7 IS NULL OR m.user_id = ?7)
                     AND NOT (coalesce(u.outdated, 0) AND NOT ",
                put_off!("u.retry_after", "?5"),
                ") AND (s.session_id IS NULL OR (s.withheld AND may))
                     AND NOT (may AND coalesce(p.withheld_sent, 0) AND ",
                put_off!("coalesce(p.claim_after, 0)", "?5"),
                " AND NOT EXISTS (
                         SELECT 1 FROM olm_sessions AS o
                         WHERE o.user_id = d.user_id AND o.curve25519 = d.curve25519
                             AND o.life = (SELECT life FROM own_clock)))
                 ORDER BY claim, d.user_id, d.device_id LIMIT ?6"
            ),
            (
                sharing.room.as_str(),
                sharing.session_id,
                sharing.own.as_str(),
                sharing.trust == DeviceTrust::CrossSigned,
                sharing.now.cast_signed(),
                limit.cast_signed(),
                only.map(UserId::as_str),
            ),
            |row| {
                Ok(Recipient {
                    device: device(row)?,
                    may_have_keys: row.get(5)?,
                    needs_claim: row.get(6)?,
                })
            },
        )
    }

    /// Returns whether a device that was given `session_id` is no longer among the
    /// devices of the room's members, or no longer one that may have keys: the
    /// next message must not be readable there.
    pub fn has_departed_recipient(
        &self,
        room: &RoomId,
        session_id: &str,
        trust: DeviceTrust,
    ) -> Result<bool, Error> {
        self.0.exists(
            concat!(
                "SELECT 1 FROM shares AS s
                     LEFT JOIN members AS m ON m.room_id = ?1 AND m.user_id = s.user_id
                     LEFT JOIN devices AS d ON d.user_id = s.user_id AND d.device_id = s.device_id
                         AND d.curve25519 = s.curve25519 AND d.deleted = 0
                     LEFT JOIN identities AS i ON i.user_id = s.user_id
                     WHERE s.session_id = ?2 AND NOT s.withheld
                         AND (m.user_id IS NULL OR d.user_id IS NULL OR NOT ",
                may_have_keys!("?3"),
                ") LIMIT 1"
            ),
            (room.as_str(), session_id, trust == DeviceTrust::CrossSigned),
        )
    }

    /// Records that a device was given a session, from which index on, or (none) was
    /// told that it is not. Other sessions of the bot's go for it if there is no room,
    /// the oldest first.
    pub fn put(&self, session_id: &str, device: &Device, from: Option<u32>) -> Result<(), Error> {
        while !self.0.fits(&limits::SHARES)?
            && self.0.outbound_sessions().discard_oldest_but(session_id)?
        {}
        self.0.run(
            "INSERT OR REPLACE INTO shares
             (session_id, user_id, device_id, curve25519, message_index, withheld)
             VALUES (?1, ?2, ?3, ?4, coalesce(?5, 0), ?5 IS NULL)",
            (
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
                from,
            ),
        )
    }

    /// A device that lost a session is given it once more. False when it was.
    pub fn mark_given_again(&self, session_id: &str, device: &Device) -> Result<bool, Error> {
        Ok(self.0.execute(
            "UPDATE shares SET given_again = 1 WHERE session_id = ?1 AND user_id = ?2
             AND device_id = ?3 AND curve25519 = ?4 AND NOT withheld AND NOT given_again",
            (
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
            ),
        )? == 1)
    }

    /// From which index on a device was given the session in use in a room, with
    /// the first state of that session, if it still is in use.
    pub fn find(
        &self,
        room: &RoomId,
        session_id: &str,
        device: &Device,
    ) -> Result<Option<(OutboundGroupSession, u32)>, Error> {
        let row: Option<(Pickle, u32)> = self.0.one(
            "SELECT o.first_pickle, s.message_index
             FROM outbound_groups AS o JOIN shares AS s USING (session_id)
             WHERE o.room_id = ?1 AND o.session_id = ?2 AND o.first_pickle IS NOT NULL
                 AND s.user_id = ?3 AND s.device_id = ?4 AND s.curve25519 = ?5
                 AND NOT s.withheld",
            (
                room.as_str(),
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
            ),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        row.map(|(pickle, index)| Ok((outbound_group_sessions::read(room, &pickle)?, index)))
            .transpose()
    }

    /// A peer opened a new Olm session: what was shared before may have been
    /// lost with the old one, so its device gets the keys in use again.
    pub fn forget_with(&self, user: &UserId, peer: &Curve25519PublicKey) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM shares WHERE user_id = ?1 AND curve25519 = ?2 AND NOT withheld",
            (user.as_str(), peer.as_bytes()),
        )
    }
}
