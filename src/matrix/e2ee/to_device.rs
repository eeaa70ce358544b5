//! To-device messages: Olm in, room keys out of them.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#send-to-device-messaging>

use log::{debug, warn};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::time_budget::TimeBudget;
use crate::crypto::{Account, OlmError, OlmEvent, OlmPayload, RoomKey, accept_room_key, decrypt};
use crate::util::shown;

impl Turn<'_> {
    /// Takes in the to-device events of a sync in their order, from number `done`
    /// on, until the budget is spent; returns how many are done.
    pub(super) fn handle_to_device(
        &self,
        events: &[&RawValue],
        done: usize,
        budget: TimeBudget,
    ) -> Result<usize, Error> {
        let mut position = done;
        if position >= events.len() {
            return Ok(position);
        }
        let mut account = self.take_account()?;
        let mut changed = false;
        for raw in events.iter().skip(done) {
            if position > done && budget.is_spent() {
                break;
            }
            position += 1;
            changed |= self.handle_to_device_event(&mut account, raw)?;
        }
        match changed {
            true => self.save_account(account)?,
            false => self.keep_account(account),
        }
        Ok(position)
    }

    /// Takes in one to-device event. True when the account changed. Whatever is
    /// wrong with the event costs that event only.
    fn handle_to_device_event(&self, account: &mut Account, raw: &RawValue) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(borrow, rename = "type")]
            kind: std::borrow::Cow<'a, str>,
        }
        let Ok(Kind { kind }) = serde_json::from_slice(raw.get().as_bytes()) else {
            debug!("a to-device event without a type: dropped");
            return Ok(false);
        };
        // Room keys, secrets and the like count only inside Olm: in clear they
        // are the server's own words.
        match kind.as_ref() {
            "m.room.encrypted" => {}
            "m.room_key.withheld" | "m.room_key_request" => {
                self.handle_key_message(account, raw)?;
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
        let (tx, sender, key) = (self.tx, &event.sender, &event.sender_key);
        let is_commander = self.engine.is_commander(sender);
        // Only people who share a room with the bot, or may command it, can have
        // anything to say to its device; for everybody else's sake no session
        // is kept.
        if !is_commander && !tx.device_lists().is_tracked(sender)? {
            debug!("an encrypted to-device event of a stranger: dropped");
            return Ok(false);
        }
        let is_guarded = event.is_pre_key() && is_commander;
        let mut changed = false;
        if is_guarded {
            if tx.seen_olm_messages().contains(&event.hash)? {
                debug!("an encrypted to-device event of {sender} came twice: dropped");
                return Ok(false);
            }
            changed = self.make_room_for_guards(account)?;
        }
        let sessions = tx.olm_sessions().of_peer(sender, key)?;
        let decrypted = match decrypt(account, sessions, &event) {
            Ok(decrypted) => decrypted,
            Err(fault) => {
                warn!("an encrypted to-device event of {sender} is dropped: {fault}");
                if matches!(fault, OlmError::Wedged | OlmError::NoSession)
                    && let Some(device) = tx.devices().find_by_curve25519(sender, key)?
                {
                    self.unwedge(&device)?;
                }
                return Ok(changed);
            }
        };
        if is_guarded {
            tx.seen_olm_messages().put(&event.hash, self.own_now)?;
        }
        changed |= decrypted.new_session;
        // A new session is worth keeping if it is of a listed device, or of a commander's
        // that is not listed yet and says something sound. Identity keys cost nothing, so
        // without this a room's member could fill the store.
        if decrypted.new_session
            && tx.devices().find_by_curve25519(sender, key)?.is_none()
            && !(decrypted.payload.is_ok() && is_commander)
        {
            // The one-time key is used up; nothing else is kept.
            debug!("a new Olm session of {sender} is of no use: dropped");
            return Ok(changed);
        }
        tx.olm_sessions()
            .put(sender, key, &decrypted.session, true, self.now)?;
        if decrypted.new_session {
            tx.shares().forget_with(sender, key)?;
        }
        // A stranger's messages do nothing whose age matters.
        let sent_before = match is_commander {
            true => tx.olm_sessions().note_position(
                sender,
                key,
                &decrypted.session.id(),
                event.position(),
                self.own_now,
            )?,
            false => None,
        };
        match decrypted.payload {
            Ok(payload) => self.handle_payload(&payload, sent_before)?,
            Err(fault) => {
                warn!("an encrypted to-device event of {sender} is dropped: {fault}");
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
    fn make_room_for_guards(&self, account: &mut Account) -> Result<bool, Error> {
        if !self.tx.seen_olm_messages().is_full()? {
            return Ok(false);
        }
        warn!("too many Olm messages by one key to remember: the fallback key is replaced");
        account.replace_fallback_at_once(self.own_now);
        self.tx.seen_olm_messages().forget_before(u64::MAX)?;
        Ok(true)
    }

    /// Takes in what a device says. It said so before `sent_before`, if it is older
    /// than what came from it by then.
    fn handle_payload(&self, payload: &OlmPayload, sent_before: Option<u64>) -> Result<(), Error> {
        let sender = &payload.sender;
        // m.dummy did its work by being decrypted; forwarded keys and secrets
        // were never asked for.
        if payload.kind != "m.room_key" {
            let (sender, kind) = (shown(sender), shown(&payload.kind));
            debug!("{sender} sent {kind}: nothing to do");
            return Ok(());
        }
        if !self.engine.is_commander(sender) {
            debug!("a room key of {sender}, who commands nothing: dropped");
            return Ok(());
        }
        let key = match RoomKey::parse(payload.content.get()) {
            Ok(key) => key,
            Err(fault) => {
                warn!("a room key of {sender} is dropped: {fault}");
                return Ok(());
            }
        };
        // A key of a device that is not listed: the list may be the older of both.
        // One that was signed out is asked for in vain.
        let (curve25519, ed25519) = (&payload.sender_curve25519, &payload.sender_ed25519);
        let (devices, sessions) = (self.tx.devices(), self.tx.inbound_sessions());
        if devices.find_by_keys(sender, curve25519, ed25519)?.is_none()
            && devices
                .signed_out_by_keys(sender, curve25519, ed25519)?
                .is_none()
        {
            self.tx.device_lists().track(sender)?;
            self.tx.device_lists().mark_outdated(sender)?;
        }
        let (room, session_id) = (key.room.clone(), key.session_id.clone());
        if sessions.is_buried(&room, &session_id, sender)? {
            warn!("a room key of {sender} for a session in {room} that is done with: dropped");
            return Ok(());
        }
        let stored = sessions.find(&room, &session_id, sender, curve25519)?;
        let accepted = match accept_room_key(payload, key, stored) {
            Ok(accepted) => accepted,
            Err(fault) => {
                warn!("a room key of {sender} is dropped: {fault}");
                return Ok(());
            }
        };
        self.handle_proof_of_encryption(&room)?;
        let Some(mut group) = accepted else {
            debug!("a room key of {sender} that is known");
            return Ok(());
        };
        debug!("a room key of {sender} for {room}");
        let next = sessions.next_message_index(&room, &session_id)?;
        group.advance_to(u32::try_from(next).unwrap_or(u32::MAX));
        // A key that was held back is as old as what overtook it.
        let received_at = sent_before.map_or(self.own_now, |at| at.saturating_sub(1));
        sessions.put(&room, &session_id, &group, received_at)?;
        self.expire_sessions(&room, &group)
    }
}
