//! The trust in the author of a message, as far as keys prove it: devices, identities, pins.

use log::{info, warn};
use ruma::{RoomId, UserId};

use super::engine::Turn;
use super::error::Error;
use super::message::MessageKind;
use crate::crypto::{DeviceTrustState, Identity, InboundGroupSession, Pin, PinSource};
use crate::store::{DeviceKeys, Encryption};

/// A session that another one of its device has followed is forgotten at this
/// age: twice as long as one may command ([`LONGEST_PERIOD_MS`]).
const SESSION_LIFETIME_MS: u64 = 2 * LONGEST_PERIOD_MS;

/// Clients replace a session at the latest after this, or after the room's own
/// period where that is shorter. It is the specification's default. A room can ask
/// for longer, but that is the homeserver's word: with it a session, and whatever
/// was recorded of it, would be good for as long as the homeserver likes.
const LONGEST_PERIOD_MS: u64 = 7 * 24 * 3600 * 1000;

/// A device list that could not be asked for since it became outdated authorises
/// nothing after this, by the bot's own clock.
const OUTDATED_LIST_LIFETIME_MS: u64 = 3600 * 1000;

impl Turn<'_> {
    /// The reason for which the device with these keys is not believed to be one of
    /// `user`'s, by the list that is stored now, as the kind of its messages. None if it
    /// is proven.
    pub fn distrust(&self, user: &UserId, keys: &DeviceKeys) -> Result<Option<MessageKind>, Error> {
        let (devices, lists) = (self.tx.devices(), self.tx.device_lists());
        if let Some(device) = devices.signed_out_by_keys(user, &keys.curve25519, &keys.ed25519)? {
            return Ok(Some(MessageKind::SignedOutDevice(device)));
        }
        let age_ms = |since| self.own_now.saturating_sub(since);
        let since = lists.outdated_since(user)?;
        if since.is_some_and(|since| age_ms(since) >= OUTDATED_LIST_LIFETIME_MS) {
            return Ok(Some(MessageKind::OutdatedList));
        }
        let Some(device) = devices.find_by_keys(user, &keys.curve25519, &keys.ed25519)? else {
            return Ok(Some(MessageKind::UnknownDevice));
        };
        let identity = self.tx.identities().of_user(user)?;
        let standing = identity.standing(&device, self.engine.commanders.trust);
        Ok(match standing {
            DeviceTrustState::Trusted => None,
            DeviceTrustState::Unverified => Some(MessageKind::UnverifiedDevice(device.id)),
            DeviceTrustState::IdentityChanged => Some(MessageKind::IdentityChanged),
        })
    }

    /// Writes the configuration's pins into the store, and takes away those that
    /// it no longer has. Commanders without any are asked for.
    pub(super) fn pin_configured(&self) -> Result<(), Error> {
        let identities = self.tx.identities();
        let commanders = &self.engine.commanders;
        for user in identities.configured_pins()? {
            if !commanders.pins.contains_key(&user) {
                identities.forget_pin(&user)?;
            }
        }
        for (user, master) in commanders.pins.iter() {
            let pin = Pin {
                master: *master,
                source: PinSource::Configuration,
            };
            identities.pin(user, &pin, self.now)?;
        }
        // Whose pin is gone, or who commands only since this start, is looked at
        // now: a change before the next look would go unnoticed.
        for user in &commanders.users {
            if identities.of_user(user)?.pin.is_none() {
                self.tx.device_lists().mark_outdated(user)?;
            }
        }
        Ok(())
    }

    /// Takes in the identity that the homeserver names for a user. A commander's
    /// first one is pinned.
    pub(super) fn handle_identity(&self, user: &UserId, identity: &Identity) -> Result<(), Error> {
        let identities = self.tx.identities();
        let master = identity.master;
        let before = identities.of_user(user)?;
        if before.master != Some(master) {
            identities.put(user, &master)?;
        }
        if !self.engine.is_commander(user) {
            return Ok(());
        }
        match before.pin {
            None => {
                info!(
                    "the identity of {user} is pinned on first use: {}",
                    master.to_base64()
                );
                let pin = Pin {
                    master,
                    source: PinSource::FirstUse,
                };
                identities.pin(user, &pin, self.now)?;
            }
            Some(pin) if pin.master != master && before.master != Some(master) => {
                warn!(
                    "the identity of {user} is now {}, and {} is pinned by {}: no command of \
                     theirs is run. If they have reset it, pin the new one: {}",
                    master.to_base64(),
                    pin.master.to_base64(),
                    pin.source,
                    match pin.source {
                        PinSource::Configuration => "change PINNED_IDENTITIES".to_owned(),
                        PinSource::FirstUse =>
                            format!("{} identities forget {user}", env!("CARGO_PKG_NAME")),
                    }
                );
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A device has shared a new session: those of its sessions that outlived
    /// every rotation are forgotten, so that a recording of long ago opens nothing.
    pub(super) fn expire_sessions(
        &self,
        room: &RoomId,
        newer: &InboundGroupSession,
    ) -> Result<(), Error> {
        let before = self.own_now.saturating_sub(SESSION_LIFETIME_MS);
        let sessions = self.tx.inbound_sessions();
        sessions.expire(room, newer, before, self.own_now)?;
        Ok(())
    }

    /// The time for which a session has been in use that should have been replaced, in
    /// milliseconds: since its key came, by the bot's own clock, and the room's
    /// period has passed.
    pub(super) fn overdue_ms(&self, room: &RoomId, received_at: u64) -> Result<u64, Error> {
        let period = match self.tx.rooms().encryption(room)? {
            Encryption::Megolm(rotation) => rotation.period_ms.min(LONGEST_PERIOD_MS),
            _ => LONGEST_PERIOD_MS,
        };
        let age = self.own_now.saturating_sub(received_at);
        Ok(age.saturating_sub(period))
    }
}
