//! Replies: queued, and moved to the outbox when their room's devices have the key.

use std::time::Duration;

use log::warn;
use ruma::RoomId;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::key_sharing::Lacking;
use super::outbox::transaction_id;
use super::request::{Outgoing, RequestKey};
use super::speech::{KIND, Speech, content_of};
use crate::crypto::{Device, Rotation};
use crate::matrix::client::{InThread, relate, take_relation};
use crate::store::{self, Encryption, InClear, Reply};
use crate::util::patience;

/// A reply waits so long for people who command nothing: for their devices to be
/// known, for keys to reach them, and for the list of who is in the room. However
/// many they are and whatever their servers do, a command is answered after that.
/// Those who could not be reached by then can read the next reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// [`PATIENCE`] in milliseconds.
fn patience_ms() -> u64 {
    u64::try_from(patience(PATIENCE).as_millis()).unwrap_or(u64::MAX)
}

impl Turn<'_> {
    /// Queues a text for a room, or for a thread in it; it leaves when the room's
    /// devices have its key.
    pub fn reply(
        &self,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        self.say(room, &Speech::new(text, thread.into()), true)
    }

    /// Queues a text that answers no command that ran. It is left unsaid where too much
    /// else waits to be said.
    pub fn remark(
        &self,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        self.say(room, &Speech::new(text, thread.into()), false)
    }

    /// Queues a message for a room; it leaves when the room's devices have its key. One
    /// that is not `owed` is left unsaid where too much else waits to be said.
    pub fn say(&self, room: &RoomId, speech: &Speech, owed: bool) -> Result<(), Error> {
        let (id, content) = (transaction_id()?, speech.content().to_string());
        let replies = self.tx.replies();
        let is_queued = replies.put(room, &id, KIND, &content, self.own_now, owed)?;
        match &speech.anchor {
            Some(anchor) if is_queued => Ok(replies.name(&id, anchor)?),
            _ => Ok(()),
        }
    }

    /// Moves what can be moved from the replies to the outbox, and notes in `outgoing`
    /// when to go on with the rest. Returns the devices whose one-time keys have to be
    /// claimed first, but for those that are asked for in a claim that is `busy`.
    pub(super) fn prepare_replies(
        &self,
        busy: &dyn Fn(&RequestKey) -> bool,
        outgoing: &mut Outgoing,
    ) -> Result<Vec<Device>, Error> {
        let mut claims = Vec::new();
        self.tx.replies().drop_lost_edits()?;
        for room in self.tx.replies().rooms()? {
            if !self.tx.rooms().is_joined(&room)? {
                let dropped = self.tx.replies().drop_room(&room)?;
                warn!("not in {room} any more: {dropped} replies dropped");
                continue;
            }
            let replies = self.tx.replies().unprepared(&room)?;
            match self.tx.rooms().encryption(&room)? {
                // It is being asked for.
                Encryption::Unknown => {}
                Encryption::Unsupported => {
                    let dropped = self.tx.replies().drop_room(&room)?;
                    warn!(
                        "{room} has an encryption this program does not know: {dropped} replies dropped"
                    );
                }
                Encryption::Plaintext => self.put_in_clear(&replies)?,
                Encryption::Megolm(rotation) => {
                    let queued_at = replies.iter().map(|reply| reply.queued_at).min();
                    let ends = queued_at
                        .map(|queued_at| queued_at.saturating_add(patience_ms()))
                        .filter(|ends| self.own_now < *ends);
                    let is_patient = ends.is_some();
                    if let Some(lacking) =
                        self.prepare_encrypted(&room, rotation, &replies, is_patient, busy)?
                    {
                        let earliest = outgoing.patience_ends.into_iter().chain(ends).min();
                        outgoing.patience_ends = earliest;
                        outgoing.has_more |= lacking.has_more;
                        claims.extend(lacking.claims);
                    }
                }
            }
        }
        Ok(claims)
    }

    /// Moves the replies of an encrypted room to the outbox, unless they have to wait: for
    /// devices that lack the key, or for an answer that is being asked for anyway (members,
    /// devices, keys of the bot's own), and then none are named.
    fn prepare_encrypted(
        &self,
        room: &RoomId,
        rotation: Rotation,
        replies: &[Reply],
        is_patient: bool,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Option<Lacking>, Error> {
        let must_wait = match is_patient {
            true => {
                !self.tx.members().are_complete(room)?
                    || self
                        .tx
                        .device_lists()
                        .has_outdated_members(room, self.now)?
            }
            false => self.has_outdated_commanders(room)?,
        };
        if must_wait {
            return Ok(Some(Lacking::default()));
        }
        let account = self.account()?;
        if !account.device_keys_uploaded() || !self.is_cross_signing_done()? {
            // Nobody could make sense of a message from an unknown device, and
            // who insists on signed devices would throw away the key.
            return Ok(Some(Lacking::default()));
        }
        for reply in replies {
            let mut group = self.outbound_group(room, rotation)?;
            if let Some(lacking) = self.share(&account, room, &group, busy)?
                && (is_patient || lacking.is_about_commanders)
            {
                return Ok(Some(lacking));
            }
            let content = content_of(reply)?;
            let (content, relation) = match take_relation(&content) {
                Some((content, relation)) => (content, Some(relation)),
                None => (content, None),
            };
            let content =
                RawValue::from_string(content).map_err(|_| store::Error::Corrupt("a reply"))?;
            let mut content = group
                .encrypt(&account, &reply.kind, &content)
                .map_err(|_| Error::Account)?;
            if let Some(relation) = relation {
                content = beside(&content, relation)?;
            }
            self.tx.outbound_sessions().put(room, &group)?;
            self.put_reply(reply, "m.room.encrypted", content, InClear::No)?;
        }
        Ok(None)
    }

    /// True if the devices of somebody in this room who may command have to be asked for.
    fn has_outdated_commanders(&self, room: &RoomId) -> Result<bool, Error> {
        let (members, lists) = (self.tx.members(), self.tx.device_lists());
        for user in &self.engine.commanders.users {
            if members.contains(room, user)? && lists.must_query(user, self.now)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Puts a relation beside a ciphertext, where servers and clients look for it.
fn beside(content: &RawValue, relation: serde_json::Value) -> Result<Box<RawValue>, Error> {
    let content: Result<serde_json::Value, _> = serde_json::from_slice(content.get().as_bytes());
    let mut content = content.map_err(|_| Error::Account)?;
    relate(&mut content, relation);
    serde_json::value::to_raw_value(&content).map_err(|_| Error::Account)
}
