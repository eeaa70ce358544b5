//! The trust in the author of a message, as far as keys prove it: devices, identities, pins.

use log::{info, warn};
use ruma::{OwnedDeviceId, RoomId, UserId};

use super::context::Context;
use super::error::Error;
use crate::crypto::{DeviceTrustState, Identity, InboundGroupSession, Pin, PinSource};
use crate::store::{DeviceKeys, Encryption, Transaction};

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

/// The trust in a device as the author of a message.
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

/// The trust in the device with these keys as one of `user`'s, by the list that is
/// stored now.
pub(super) fn authorship(
    context: &Context,
    tx: &Transaction<'_>,
    user: &UserId,
    keys: &DeviceKeys,
) -> Result<Authorship, Error> {
    if let Some(device) = tx
        .devices()
        .signed_out_by_keys(user, &keys.curve25519, &keys.ed25519)?
    {
        return Ok(Authorship::SignedOutDevice(device));
    }
    let age_ms = |since| context.own_now().saturating_sub(since);
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
    Ok(match identity.standing(&device, context.commanders.trust) {
        DeviceTrustState::Trusted => Authorship::Proven,
        DeviceTrustState::Unverified => Authorship::UnverifiedDevice(device.id),
        DeviceTrustState::IdentityChanged => Authorship::IdentityChanged,
    })
}

/// Writes the configuration's pins into the store, and takes away those that
/// it no longer has. Commanders without any are asked for.
pub(super) fn pin_configured(
    context: &Context,
    tx: &Transaction<'_>,
    now: u64,
) -> Result<(), Error> {
    for user in tx.identities().configured_pins()? {
        if !context.commanders.pins.contains_key(&user) {
            tx.identities().forget_pin(&user)?;
        }
    }
    for (user, master) in &context.commanders.pins {
        let pin = Pin {
            master: *master,
            source: PinSource::Configuration,
        };
        tx.identities().pin(user, &pin, now)?;
    }
    // Whose pin is gone, or who commands only since this start, is looked at
    // now: a change before the next look would go unnoticed.
    for user in &context.commanders.users {
        if tx.identities().of_user(user)?.pin.is_none() {
            tx.device_lists().mark_outdated(user)?;
        }
    }
    Ok(())
}

/// Takes in the identity that the homeserver names for a user. A commander's
/// first one is pinned.
pub(super) fn handle_identity(
    context: &Context,
    tx: &Transaction<'_>,
    user: &UserId,
    identity: &Identity,
    now: u64,
) -> Result<(), Error> {
    let master = identity.master;
    let before = tx.identities().of_user(user)?;
    if before.master != Some(master) {
        tx.identities().put(user, &master)?;
    }
    if !context.is_commander(user) {
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
pub(super) fn expire_sessions(
    context: &Context,
    tx: &Transaction<'_>,
    room: &RoomId,
    newer: &InboundGroupSession,
) -> Result<(), Error> {
    let own_now = context.own_now();
    let before = own_now.saturating_sub(SESSION_LIFETIME_MS);
    tx.inbound_sessions().expire(room, newer, before, own_now)?;
    Ok(())
}

/// The time for which a session has been in use that should have been replaced, in
/// milliseconds: since its key came, by the bot's own clock, and the room's
/// period has passed.
pub(super) fn overdue_ms(
    context: &Context,
    tx: &Transaction<'_>,
    room: &RoomId,
    received_at: u64,
) -> Result<u64, Error> {
    let period = match tx.rooms().encryption(room)? {
        Encryption::Megolm(rotation) => rotation.period_ms.min(LONGEST_PERIOD_MS),
        _ => LONGEST_PERIOD_MS,
    };
    let age = context.own_now().saturating_sub(received_at);
    Ok(age.saturating_sub(period))
}
