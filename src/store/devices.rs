//! Users whose devices are followed, and those devices.

use ruma::{DeviceId, OwnedUserId, UserId};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{Error, Transaction, caps, caps::Cap, database::parsed, gauge::Gauge, prune};
use crate::crypto::{Device, DeviceChange, DeviceTrust, KnownDevice};

/// Whether device `d` of a user with identity `i` may have room keys: its user
/// has no identity, or that has signed it, and so has the one the configuration
/// pins. Somebody whose identity changed since first use can still read why
/// their commands are refused. The argument says whether signatures matter.
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

/// Whether something is put off at this time. Nothing is for more than an hour:
/// what seems to be was put off by a clock that has gone back since.
macro_rules! put_off {
    ($until:literal, $now:literal) => {
        concat!(
            "(",
            $until,
            " BETWEEN ",
            $now,
            " + 1 AND ",
            $now,
            " + 3600000)"
        )
    };
}

/// A device of a room's member.
#[derive(Debug)]
pub struct Recipient {
    /// The device.
    pub device: Device,
    /// Whether its standing allows it to read.
    pub may_have_keys: bool,
    /// Whether a one-time key has to be claimed for it before anything else.
    pub needs_claim: bool,
}

/// An outbound session that is shared in a room.
#[derive(Clone, Copy)]
pub struct Sharing<'a> {
    /// Where.
    pub room: &'a ruma::RoomId,
    /// The session.
    pub session_id: &'a str,
    /// The bot.
    pub own: &'a UserId,
    /// The rule by which a device may have keys.
    pub trust: DeviceTrust,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

/// A user whose devices have to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct OutdatedUser {
    /// Who.
    pub user: OwnedUserId,
    /// The question that the next answer is for.
    pub generation: i64,
    /// The most users that are asked for together with this one, after an answer
    /// was too large.
    pub together: Option<usize>,
}

impl OutdatedUser {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let together: i64 = row.get(2)?;
        Ok(Self {
            user: parsed(row, 0)?,
            generation: row.get(1)?,
            together: usize::try_from(together).ok().filter(|most| *most > 0),
        })
    }
}

impl Transaction<'_> {
    /// Follows a user's devices from now on, unless too many strangers are
    /// followed. The generation starts anywhere, so that an answer to a question
    /// from before does not match it.
    pub fn track_user(&self, user: &UserId) -> Result<(), Error> {
        if self.is_tracked(user)? {
            return Ok(());
        }
        if !self.is_kept(user)? && !self.fits(Gauge::Users, &prune::USERS)? {
            self.note_dropped(Cap::TrackedUsers, 1);
            return Ok(());
        }
        self.execute(
            "INSERT OR IGNORE INTO users (user_id, outdated, generation)
             VALUES (?1, 1, abs(random() % 1000000007))",
            [user.as_str()],
        )?;
        Ok(())
    }

    /// Whether this user's devices are followed.
    pub fn is_tracked(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM users WHERE user_id = ?1",
                [user.as_str()],
                |_| Ok(()),
            )?
            .is_some())
    }

    /// Stops following. A stranger is forgotten; the devices of a user who may
    /// command stay as tombstones of their keys.
    pub fn untrack_user(&self, user: &UserId) -> Result<(), Error> {
        self.execute("DELETE FROM users WHERE user_id = ?1", [user.as_str()])?;
        if !self.is_kept(user)? {
            self.forget_stranger(user)?;
        }
        Ok(())
    }

    /// The user's list may have changed. A query that is under way answers an
    /// older question: the generation tells.
    pub fn mark_outdated(&self, user: &UserId) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET outdated = 1, retry_after = 0, generation = generation + 1
             WHERE user_id = ?1",
            [user.as_str()],
        )?;
        Ok(())
    }

    /// Every list may have changed.
    pub fn mark_all_outdated(&self) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET outdated = 1, retry_after = 0, generation = generation + 1",
            [],
        )?;
        Ok(())
    }

    /// Up to `limit` users to query now; who was asked for together with many
    /// first, so that one whose list is too large comes last.
    pub fn outdated_users(&self, now: u64, limit: usize) -> Result<Vec<OutdatedUser>, Error> {
        self.all(
            concat!(
                "SELECT user_id, generation, alone FROM users WHERE outdated = 1 AND NOT ",
                put_off!("retry_after", "?1"),
                " ORDER BY alone = 0 DESC, alone DESC, user_id LIMIT ?2"
            ),
            (now.cast_signed(), limit.cast_signed()),
            OutdatedUser::read,
        )
    }

    /// This user, if they are to be queried now.
    pub fn outdated_user(&self, user: &UserId, now: u64) -> Result<Option<OutdatedUser>, Error> {
        self.one(
            concat!(
                "SELECT user_id, generation, alone FROM users
                 WHERE user_id = ?2 AND outdated = 1 AND NOT ",
                put_off!("retry_after", "?1"),
            ),
            (now.cast_signed(), user.as_str()),
            OutdatedUser::read,
        )
    }

    /// The answer with this user's devices was too large: at most `together` users
    /// are asked for with them next time.
    pub fn limit_query(&self, user: &UserId, together: usize) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET alone = ?2 WHERE user_id = ?1",
            (user.as_str(), together.cast_signed()),
        )?;
        Ok(())
    }

    /// A room's members include one whose devices must be asked for
    /// first. A user whose server cannot be reached does not hold others up.
    pub fn has_outdated_members(&self, room: &ruma::RoomId, now: u64) -> Result<bool, Error> {
        Ok(self
            .one(
                concat!(
                    "SELECT 1 FROM members JOIN users USING (user_id)
                     WHERE room_id = ?1 AND outdated = 1 AND NOT ",
                    put_off!("retry_after", "?2"),
                    " LIMIT 1"
                ),
                (room.as_str(), now.cast_signed()),
                |_| Ok(()),
            )?
            .is_some())
    }

    /// Whether this user's devices have to be asked for before they are believed:
    /// the list may have changed, and their server can be reached as far as is
    /// known.
    pub fn must_ask_for_devices(&self, user: &UserId, now: u64) -> Result<bool, Error> {
        Ok(self
            .one(
                concat!(
                    "SELECT outdated = 1 AND NOT ",
                    put_off!("retry_after", "?2"),
                    " FROM users WHERE user_id = ?1"
                ),
                (user.as_str(), now.cast_signed()),
                |row| row.get(0),
            )?
            .unwrap_or(true))
    }

    /// Whether this user's list is not known to be current.
    pub fn is_outdated(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT outdated FROM users WHERE user_id = ?1",
                [user.as_str()],
                |row| row.get(0),
            )?
            .unwrap_or(true))
    }

    /// The answer for this user was taken in. One to an older question than the
    /// latest leaves the list outdated, but only from now on.
    pub fn mark_current(&self, user: &UserId, generation: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET outdated = generation <> ?2, outdated_since = 0, alone = 0,
                 retry_after = CASE generation WHEN ?2 THEN 0 ELSE retry_after END
             WHERE user_id = ?1",
            (user.as_str(), generation),
        )?;
        Ok(())
    }

    /// Writes down when lists became outdated, those that did since the last call:
    /// at `own_now` by the bot's own clock, in milliseconds.
    pub fn date_outdated(&self, own_now: u64) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET outdated_since = ?1 WHERE outdated = 1 AND outdated_since = 0",
            [own_now.cast_signed()],
        )?;
        Ok(())
    }

    /// Since when this user's list has been outdated without an answer, by the
    /// bot's own clock in milliseconds; none while it is current, and until
    /// [`Transaction::date_outdated`].
    pub fn outdated_since(&self, user: &UserId) -> Result<Option<u64>, Error> {
        self.one(
            "SELECT outdated_since FROM users
             WHERE user_id = ?1 AND outdated = 1 AND outdated_since <> 0",
            [user.as_str()],
            |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()),
        )
    }

    /// The user's server did not answer: ask again after `until`.
    pub fn postpone_query(&self, user: &UserId, until: u64) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET retry_after = ?2 WHERE user_id = ?1",
            (user.as_str(), until.cast_signed()),
        )?;
        Ok(())
    }

    /// Everything known of a user's devices, tombstones included.
    pub fn known_devices(&self, user: &UserId) -> Result<Vec<KnownDevice>, Error> {
        self.all(
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
    pub fn device(&self, user: &UserId, id: &DeviceId) -> Result<Option<Device>, Error> {
        self.one(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by FROM devices
             WHERE user_id = ?1 AND device_id = ?2 AND deleted = 0",
            (user.as_str(), id.as_str()),
            device,
        )
    }

    /// The listed device of `user` with these two keys.
    pub fn device_by_keys(
        &self,
        user: &UserId,
        curve25519: &Curve25519PublicKey,
        ed25519: &Ed25519PublicKey,
    ) -> Result<Option<Device>, Error> {
        self.one(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by FROM devices
             WHERE user_id = ?1 AND curve25519 = ?2 AND ed25519 = ?3 AND deleted = 0",
            (user.as_str(), curve25519.as_bytes(), ed25519.as_bytes()),
            device,
        )
    }

    /// The listed device of `user` with this Olm key.
    pub fn device_by_curve25519(
        &self,
        user: &UserId,
        curve25519: &Curve25519PublicKey,
    ) -> Result<Option<Device>, Error> {
        self.one(
            "SELECT user_id, device_id, curve25519, ed25519, signed_by FROM devices
             WHERE user_id = ?1 AND curve25519 = ?2 AND deleted = 0",
            (user.as_str(), curve25519.as_bytes()),
            device,
        )
    }

    /// Applies what a query changed.
    pub fn apply_device_change(&self, user: &UserId, change: &DeviceChange) -> Result<(), Error> {
        match change {
            DeviceChange::Put(device) => {
                if !self.has_room_for(user, device)? {
                    self.note_dropped(Cap::Devices, 1);
                    return Ok(());
                }
                self.execute(
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
                )?;
            }
            DeviceChange::Delete(id) => {
                self.execute(
                    "UPDATE devices SET deleted = 1 WHERE user_id = ?1 AND device_id = ?2",
                    (user.as_str(), id.as_str()),
                )?;
                self.prune_tombstones(user)?;
            }
            DeviceChange::Refuse(..) => {}
        }
        Ok(())
    }

    /// Whether a device can be stored: it is known, or fits. A stranger's signed
    /// device takes the place of an unsigned one. Of a user who may command
    /// nothing is dropped for it.
    fn has_room_for(&self, user: &UserId, device: &Device) -> Result<bool, Error> {
        let known = self.one(
            "SELECT 1 FROM devices WHERE user_id = ?1 AND device_id = ?2",
            (user.as_str(), device.id.as_str()),
            |_| Ok(()),
        )?;
        if known.is_some() {
            return Ok(true);
        }
        let (live, all, unsigned): (i64, i64, i64) = self
            .one(
                "SELECT coalesce(sum(NOT deleted), 0), count(*), coalesce(sum(signed_by IS NULL), 0)
                 FROM devices WHERE user_id = ?1",
                [user.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?
            .unwrap_or_default();
        if self.is_kept(user)? {
            let useless = device.signed_by.is_none() && self.identity(user)?.master.is_some();
            return Ok(device.id.as_str().len() <= caps::DEVICE_ID
                && all < caps::KEPT_DEVICES
                && !(useless && unsigned >= caps::KEPT_UNSIGNED_DEVICES));
        }
        if device.id.as_str().len() > caps::STRANGER_DEVICE_ID {
            return Ok(false);
        }
        if live < caps::STRANGER_DEVICES {
            return self.fits(Gauge::Devices, &prune::DEVICES);
        }
        if device.signed_by.is_none() {
            return Ok(false);
        }
        let gone = self.execute(
            "DELETE FROM devices WHERE user_id = ?1 AND device_id = (
                 SELECT device_id FROM devices
                 WHERE user_id = ?1 AND NOT deleted AND signed_by IS NULL LIMIT 1)",
            [user.as_str()],
        )?;
        self.note_dropped(Cap::Devices, gone);
        Ok(gone == 1)
    }

    /// Forgets deleted devices of a stranger beyond the cap.
    fn prune_tombstones(&self, user: &UserId) -> Result<(), Error> {
        let gone = self.execute(
            "DELETE FROM devices WHERE user_id = ?1 AND device_id IN (
                 SELECT device_id FROM devices
                 WHERE user_id = ?1 AND deleted
                 AND user_id NOT IN (SELECT user_id FROM kept_users)
                 ORDER BY signed_by IS NULL, device_id LIMIT -1 OFFSET ?2)",
            (user.as_str(), caps::STRANGER_TOMBSTONES),
        )?;
        self.note_dropped(Cap::Devices, gone);
        Ok(())
    }

    /// Up to `limit` devices of a room's members, other than the bot's, that
    /// have neither been given the outbound session nor been told
    /// that they will not, as far as their standing has not changed since. Those
    /// that cannot be reached are left out until they are tried again, those whose
    /// lists are being asked for until they are known, and those that need a claim
    /// come last. `only` names the one user who is looked at.
    pub fn devices_without_share(
        &self,
        sharing: &Sharing<'_>,
        only: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<Recipient>, Error> {
        let Sharing {
            room,
            session_id,
            own,
            trust,
            now,
        } = *sharing;
        self.all(
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
                room.as_str(),
                session_id,
                own.as_str(),
                trust == DeviceTrust::CrossSigned,
                now.cast_signed(),
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

    /// Whether a device that was given `session_id` is no longer among the
    /// devices of the room's members, or no longer one that may have keys: the
    /// next message must not be readable there.
    pub fn has_departed_recipient(
        &self,
        room: &ruma::RoomId,
        session_id: &str,
        trust: DeviceTrust,
    ) -> Result<bool, Error> {
        Ok(self
            .one(
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
                |_| Ok(()),
            )?
            .is_some())
    }
}

pub(super) fn device(row: &rusqlite::Row<'_>) -> rusqlite::Result<Device> {
    let id: String = row.get(1)?;
    Ok(Device {
        user: parsed(row, 0)?,
        id: id.into(),
        curve25519: Curve25519PublicKey::from_bytes(row.get(2)?),
        ed25519: fingerprint(row, 3)?,
        signed_by: optional_fingerprint(row, 4)?,
    })
}

pub(super) fn optional_fingerprint(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<Ed25519PublicKey>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => fingerprint(row, column).map(Some),
    }
}

pub(super) fn fingerprint(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Ed25519PublicKey> {
    Ed25519PublicKey::from_slice(&row.get(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Blob,
            Box::new(error),
        )
    })
}
