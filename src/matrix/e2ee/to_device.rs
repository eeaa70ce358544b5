//! To-device messages: Olm in, room keys out of them.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#send-to-device-messaging>

use log::{debug, warn};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::account::AccountCache;
use super::context::Context;
use super::error::Error;
use super::key_requests::handle_key_message;
use super::olm_sessions::unwedge;
use super::room_state::handle_proof_of_encryption;
use super::time_budget::TimeBudget;
use super::trust::expire_sessions;
use crate::crypto::{Account, OlmError, OlmEvent, OlmPayload, RoomKey, accept_room_key, decrypt};
use crate::store::Transaction;
use crate::util::shown;

/// Takes in the to-device events of a sync in their order, from number `done`
/// on, until the budget is spent; returns how many are done.
pub(super) fn handle_events(
    context: &Context,
    accounts: &AccountCache,
    tx: &Transaction<'_>,
    events: &[&RawValue],
    done: usize,
    now: u64,
    budget: TimeBudget,
) -> Result<usize, Error> {
    let mut position = done;
    if position >= events.len() {
        return Ok(position);
    }
    let mut account = accounts.take(tx)?;
    let mut changed = false;
    for raw in events.iter().skip(done) {
        if position > done && budget.is_spent() {
            break;
        }
        position += 1;
        changed |= handle_event(context, tx, &mut account, raw, now)?;
    }
    match changed {
        true => accounts.save(tx, account)?,
        false => accounts.put_back(tx, account),
    }
    Ok(position)
}

/// Takes in one to-device event. True when the account changed. Whatever is
/// wrong with the event costs that event only.
fn handle_event(
    context: &Context,
    tx: &Transaction<'_>,
    account: &mut Account,
    raw: &RawValue,
    now: u64,
) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: std::borrow::Cow<'a, str>,
    }
    let Ok(Kind { kind }) = serde_json::from_str(raw.get()) else {
        debug!("a to-device event without a type: dropped");
        return Ok(false);
    };
    // Room keys, secrets and the like count only inside Olm: in clear they
    // are the server's own words.
    match kind.as_ref() {
        "m.room.encrypted" => {}
        "m.room_key.withheld" | "m.room_key_request" => {
            handle_key_message(context, tx, account, raw, now)?;
            return Ok(false);
        }
        _ => {
            debug!("a to-device event in clear: ignored");
            return Ok(false);
        }
    }
    let event = match OlmEvent::parse(raw, account.curve25519()) {
        Ok(event) => event,
        Err(fault) => {
            debug!("an encrypted to-device event is dropped: {fault}");
            return Ok(false);
        }
    };
    // Only people who share a room with the bot, or may command it, can have
    // anything to say to its device; for everybody else's sake no session
    // is kept.
    if !context.is_commander(&event.sender) && !tx.device_lists().is_tracked(&event.sender)? {
        debug!("an encrypted to-device event of a stranger: dropped");
        return Ok(false);
    }
    let is_guarded = event.is_pre_key() && context.is_commander(&event.sender);
    let mut changed = false;
    if is_guarded {
        if tx.seen_olm_messages().contains(&event.hash)? {
            debug!(
                "an encrypted to-device event of {} came twice: dropped",
                event.sender
            );
            return Ok(false);
        }
        changed = make_room_for_guards(context, tx, account)?;
    }
    let sessions = tx
        .olm_sessions()
        .of_peer(&event.sender, &event.sender_key)?;
    let decrypted = match decrypt(account, sessions, &event) {
        Ok(decrypted) => decrypted,
        Err(fault) => {
            warn!(
                "an encrypted to-device event of {} is dropped: {fault}",
                event.sender
            );
            if matches!(fault, OlmError::Wedged | OlmError::NoSession)
                && let Some(device) = tx
                    .devices()
                    .find_by_curve25519(&event.sender, &event.sender_key)?
            {
                unwedge(tx, &device, now)?;
            }
            return Ok(changed);
        }
    };
    if is_guarded {
        tx.seen_olm_messages().put(&event.hash, context.own_now())?;
    }
    changed |= decrypted.new_session;
    if decrypted.new_session && !is_welcome(context, tx, &event, decrypted.payload.is_ok())? {
        // The one-time key is used up; nothing else is kept.
        debug!(
            "a new Olm session of {} is of no use: dropped",
            event.sender
        );
        return Ok(changed);
    }
    tx.olm_sessions().put(
        &event.sender,
        &event.sender_key,
        &decrypted.session,
        true,
        now,
    )?;
    if decrypted.new_session {
        tx.shares().forget_with(&event.sender, &event.sender_key)?;
    }
    // A stranger's messages do nothing whose age matters.
    let sent_before = match context.is_commander(&event.sender) {
        true => tx.olm_sessions().note_position(
            &event.sender,
            &event.sender_key,
            &decrypted.session.id(),
            event.position(),
            context.own_now(),
        )?,
        false => None,
    };
    match decrypted.payload {
        Ok(payload) => handle_payload(context, tx, &payload, sent_before)?,
        Err(fault) => {
            warn!(
                "an encrypted to-device event of {} is dropped: {fault}",
                event.sender
            );
        }
    }
    Ok(changed)
}

/// A pre-key message opens as long as the key is there that it was made for,
/// which for a fallback key is long after the session was forgotten: so each one
/// of a commander's is remembered as long. Where no more can be remembered the
/// fallback keys go, and with them all that there is to guard. True when they did.
///
/// Others can achieve nothing by a message played again: no room key of theirs
/// is kept, and the session that they would have the bot send with is between
/// the bot and the device that made it.
fn make_room_for_guards(
    context: &Context,
    tx: &Transaction<'_>,
    account: &mut Account,
) -> Result<bool, Error> {
    if !tx.seen_olm_messages().is_full()? {
        return Ok(false);
    }
    warn!("too many Olm messages by one key to remember: the fallback key is replaced");
    account.replace_fallback_at_once(context.own_now());
    tx.seen_olm_messages().forget_before(u64::MAX)?;
    Ok(true)
}

/// True if a new session is worth keeping: it is of a listed device, or of a
/// commander's that is not listed yet and says something sound. Identity keys
/// cost nothing, so without this a room's member could fill the store.
fn is_welcome(
    context: &Context,
    tx: &Transaction<'_>,
    event: &OlmEvent,
    payload_is_sound: bool,
) -> Result<bool, Error> {
    let listed = tx
        .devices()
        .find_by_curve25519(&event.sender, &event.sender_key)?;
    let is_commander = context.is_commander(&event.sender);
    Ok(listed.is_some() || (payload_is_sound && is_commander))
}

/// Takes in what a device says. It said so before `sent_before`, if it is older
/// than what came from it by then.
fn handle_payload(
    context: &Context,
    tx: &Transaction<'_>,
    payload: &OlmPayload,
    sent_before: Option<u64>,
) -> Result<(), Error> {
    // m.dummy did its work by being decrypted; forwarded keys and secrets
    // were never asked for.
    if payload.kind != "m.room_key" {
        debug!(
            "{} sent {}: nothing to do",
            shown(&payload.sender),
            shown(&payload.kind)
        );
        return Ok(());
    }
    if !context.is_commander(&payload.sender) {
        debug!(
            "a room key of {}, who commands nothing: dropped",
            payload.sender
        );
        return Ok(());
    }
    let key = match RoomKey::parse(payload.content.get()) {
        Ok(key) => key,
        Err(fault) => {
            warn!("a room key of {} is dropped: {fault}", payload.sender);
            return Ok(());
        }
    };
    // A key of a device that is not listed: the list may be the older of both.
    // One that was signed out is asked for in vain.
    let (curve25519, ed25519) = (&payload.sender_curve25519, &payload.sender_ed25519);
    let sender = &payload.sender;
    if tx
        .devices()
        .find_by_keys(sender, curve25519, ed25519)?
        .is_none()
        && tx
            .devices()
            .signed_out_by_keys(sender, curve25519, ed25519)?
            .is_none()
    {
        tx.device_lists().track(&payload.sender)?;
        tx.device_lists().mark_outdated(&payload.sender)?;
    }
    let (room, session_id) = (key.room.clone(), key.session_id.clone());
    if tx
        .inbound_sessions()
        .is_buried(&room, &session_id, &payload.sender)?
    {
        warn!(
            "a room key of {} for a session in {room} that is done with: dropped",
            payload.sender
        );
        return Ok(());
    }
    let stored = tx
        .inbound_sessions()
        .find(&room, &session_id, &payload.sender, curve25519)?;
    let accepted = accept_room_key(payload, key, stored);
    if accepted.is_ok() {
        handle_proof_of_encryption(tx, &room)?;
    }
    match accepted {
        Ok(Some(mut group)) => {
            debug!("a room key of {} for {room}", payload.sender);
            let next = tx
                .inbound_sessions()
                .next_message_index(&room, &session_id)?;
            group.advance_to(u32::try_from(next).unwrap_or(u32::MAX));
            // A key that was held back is as old as what overtook it.
            let received_at = sent_before.map_or(context.own_now(), |at| at.saturating_sub(1));
            tx.inbound_sessions()
                .put(&room, &session_id, &group, received_at)?;
            expire_sessions(context, tx, &room, &group)?;
        }
        Ok(None) => debug!("a room key of {} that is known", payload.sender),
        Err(fault) => warn!("a room key of {} is dropped: {fault}", payload.sender),
    }
    Ok(())
}
