//! Users' cross-signing identities, and which of them are pinned.

use ruma::{OwnedUserId, UserId};
use vodozemac::Ed25519PublicKey;

use super::columns::{optional_fingerprint, parsed};
use crate::crypto::{KnownIdentity, Pin, PinSource};
use crate::store::{Error, Transaction};

/// Users' cross-signing identities and their pins.
pub struct Identities<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Identities<'_> {
    /// The known identity and pin of a user.
    pub fn of_user(&self, user: &UserId) -> Result<KnownIdentity, Error> {
        Ok(self
            .0
            .one(
                "SELECT master, pinned, pin_source FROM identities WHERE user_id = ?1",
                [user.as_str()],
                |row| known(row, 0),
            )?
            .unwrap_or_default())
    }

    /// Everybody with an identity or a pin.
    pub fn all(&self) -> Result<Vec<(OwnedUserId, KnownIdentity)>, Error> {
        self.0.all(
            "SELECT user_id, master, pinned, pin_source FROM identities ORDER BY user_id",
            [],
            |row| Ok((parsed(row, 0)?, known(row, 1)?)),
        )
    }

    /// Users whose identity the configuration has pinned.
    pub fn configured_pins(&self) -> Result<Vec<OwnedUserId>, Error> {
        self.0.all(
            "SELECT user_id FROM identities WHERE pin_source = 'configuration'",
            [],
            |row| parsed(row, 0),
        )
    }

    /// The homeserver names this master key.
    pub fn put(&self, user: &UserId, master: &Ed25519PublicKey) -> Result<(), Error> {
        self.0.run(
            "INSERT INTO identities (user_id, master) VALUES (?1, ?2)
             ON CONFLICT (user_id) DO UPDATE SET master = ?2",
            (user.as_str(), master.as_bytes()),
        )
    }

    /// Pins an identity. A pin of first use gives way to any that is there, and
    /// the configuration's to none.
    pub fn pin(&self, user: &UserId, pin: &Pin, now: u64) -> Result<(), Error> {
        self.0.run(
            "INSERT INTO identities (user_id, pinned, pin_source, pinned_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (user_id) DO UPDATE SET pinned = ?2, pin_source = ?3, pinned_at = ?4
             WHERE pinned IS NULL OR ?3 = 'configuration'",
            (
                user.as_str(),
                pin.master.as_bytes(),
                pin.source.to_string(),
                now.cast_signed(),
            ),
        )
    }

    /// Takes a pin away: what the homeserver names next is believed. False when
    /// there was none.
    pub fn forget_pin(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self.0.execute(
            "UPDATE identities SET pinned = NULL, pin_source = NULL, pinned_at = NULL
             WHERE user_id = ?1 AND pinned IS NOT NULL",
            [user.as_str()],
        )? == 1)
    }
}

fn known(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<KnownIdentity> {
    let source: Option<String> = row.get(at + 2)?;
    let source = source.map(|source| match source.as_str() {
        "configuration" => PinSource::Configuration,
        _ => PinSource::FirstUse,
    });
    let pinned = optional_fingerprint(row, at + 1)?;
    Ok(KnownIdentity {
        master: optional_fingerprint(row, at)?,
        pin: pinned
            .zip(source)
            .map(|(master, source)| Pin { master, source }),
    })
}
