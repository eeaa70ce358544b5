//! Who wrote a message, as far as keys prove it: devices, identities, pins; and
//! whether this store is the one that wrote the bot's own.

use log::{info, warn};
use ruma::{OwnedDeviceId, RoomId, UserId};
use serde::Deserialize;

use super::classify::Candidate;
use super::engine::{Engine, Error};
use crate::matrix::client::Event;
use crate::{
    crypto::{DeviceTrustState, Identity, InboundGroupSession, MegolmEvent, Pin, PinSource},
    store::{DeviceKeys, Encryption, Transaction},
};

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

/// Whether a device speaks for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorship {
    /// It does.
    Proven,
    /// It is not in its user's list.
    UnknownDevice,
    /// It was in its user's list, and then was not.
    SignedOutDevice(OwnedDeviceId),
    /// Its user's list has been outdated for too long: their server does not say
    /// what it is now.
    OutdatedList,
    /// Its user's identity has not signed it.
    UnverifiedDevice(OwnedDeviceId),
    /// Its user has another identity than the pinned one.
    IdentityChanged,
}

/// The device that an encrypted event names, by the server's word.
#[derive(Deserialize)]
struct Author<'a> {
    #[serde(borrow)]
    device_id: std::borrow::Cow<'a, str>,
}

/// A session's id is the public half of a signing key.
fn is_session_id(id: &str) -> bool {
    vodozemac::base64_decode(id).is_ok_and(|key| key.len() == 32)
}

impl Engine {
    /// Whether the device with these keys speaks for `user`, by the list that is
    /// stored now.
    pub fn authorship(
        &self,
        tx: &Transaction<'_>,
        user: &UserId,
        keys: &DeviceKeys,
    ) -> Result<Authorship, Error> {
        if let Some(device) =
            tx.devices()
                .signed_out_by_keys(user, &keys.curve25519, &keys.ed25519)?
        {
            return Ok(Authorship::SignedOutDevice(device));
        }
        let age_ms = |since| self.own_now().saturating_sub(since);
        let since = tx.device_lists().outdated_since(user)?;
        if since.is_some_and(|since| age_ms(since) >= OUTDATED_LIST_LIFETIME_MS) {
            return Ok(Authorship::OutdatedList);
        }
        let Some(device) = tx
            .devices()
            .find_by_keys(user, &keys.curve25519, &keys.ed25519)?
        else {
            return Ok(Authorship::UnknownDevice);
        };
        let identity = tx.identities().of_user(user)?;
        Ok(match identity.standing(&device, self.commanders.trust) {
            DeviceTrustState::Trusted => Authorship::Proven,
            DeviceTrustState::Unverified => Authorship::UnverifiedDevice(device.id),
            DeviceTrustState::IdentityChanged => Authorship::IdentityChanged,
        })
    }

    /// Writes the configuration's pins into the store, and takes away those that
    /// it no longer has. Commanders without any are asked for.
    pub(crate) fn pin_configured(&self, tx: &Transaction<'_>, now: u64) -> Result<(), Error> {
        for user in tx.identities().configured_pins()? {
            if !self.commanders.pins.contains_key(&user) {
                tx.identities().forget_pin(&user)?;
            }
        }
        for (user, master) in &self.commanders.pins {
            let pin = Pin {
                master: *master,
                source: PinSource::Configuration,
            };
            tx.identities().pin(user, &pin, now)?;
        }
        // Whose pin is gone, or who commands only since this start, is looked at
        // now: a change before the next look would go unnoticed.
        for user in &self.commanders.users {
            if tx.identities().of_user(user)?.pin.is_none() {
                tx.device_lists().mark_outdated(user)?;
            }
        }
        Ok(())
    }

    /// Takes in the identity that the homeserver names for a user. A commander's
    /// first one is pinned.
    pub(crate) fn handle_identity(
        &self,
        tx: &Transaction<'_>,
        user: &UserId,
        identity: &Identity,
        now: u64,
    ) -> Result<(), Error> {
        let master = identity.master();
        let before = tx.identities().of_user(user)?;
        if before.master != Some(master) {
            tx.identities().put(user, &master)?;
        }
        if !self.commanders.users.contains(user) {
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
                tx.identities().pin(user, &pin, now)?;
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
    pub(crate) fn expire_sessions(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        newer: &InboundGroupSession,
    ) -> Result<(), Error> {
        let own_now = self.own_now();
        let before = own_now.saturating_sub(SESSION_LIFETIME_MS);
        tx.inbound_sessions().expire(room, newer, before, own_now)?;
        Ok(())
    }

    /// For how long a session has been in use that should have been replaced, in
    /// milliseconds: since its key came, by the bot's own clock, and the room's
    /// period has passed.
    pub(crate) fn overdue_ms(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        received_at: u64,
    ) -> Result<u64, Error> {
        let period = match tx.rooms().encryption(room)? {
            Encryption::Megolm(rotation) => rotation.period_ms().min(LONGEST_PERIOD_MS),
            _ => LONGEST_PERIOD_MS,
        };
        let age = self.own_now().saturating_sub(received_at);
        Ok(age.saturating_sub(period))
    }

    /// Looks at a message of the bot's own account. One that this device sent and
    /// this store does not remember shows that the store is older than the device's
    /// last life, if the homeserver is to be believed:
    /// [`Engine::check_rollback`].
    pub(crate) fn detect_rollback(
        &self,
        tx: &Transaction<'_>,
        event: &Event<'_>,
    ) -> Result<(), Error> {
        if event.kind != "m.room.encrypted" {
            return Ok(());
        }
        let is_ours = serde_json::from_str::<Author<'_>>(event.content.get())
            .is_ok_and(|author| author.device_id == self.device.as_str());
        let Ok(megolm) = MegolmEvent::parse(event.content) else {
            return Ok(());
        };
        if is_ours
            && is_session_id(&megolm.session_id)
            && !tx
                .outbound_sessions()
                .has_sent(&megolm.session_id, megolm.index())?
        {
            self.foreign.borrow_mut().insert(megolm.session_id);
        }
        Ok(())
    }

    /// The key of an event did not come: the Olm session with the device that
    /// the event names may be broken. With a new one its client shares the key
    /// again. The name is the server's word, and only chooses among the sender's
    /// own devices.
    pub(crate) fn open_channel_to_author(
        &self,
        tx: &Transaction<'_>,
        candidate: &Candidate<'_>,
        now: u64,
    ) -> Result<(), Error> {
        let Ok(author) = serde_json::from_str::<Author<'_>>(candidate.event.content.get()) else {
            return Ok(());
        };
        let device = tx
            .devices()
            .find(candidate.sender, author.device_id.as_ref().into())?;
        match device {
            Some(device) => self.unwedge(tx, &device, now),
            None => Ok(()),
        }
    }
}
