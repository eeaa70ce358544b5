//! From a message to what is done about it, decided before anything is done.

use std::{collections::BTreeSet, time::Duration};

use log::{info, warn};
use ruma::{OwnedRoomId, RoomId, UserId};

use super::{
    command::{Command, strip_reply_fallback},
    replies,
};
use crate::{
    crypto::WithheldCode,
    matrix::{Authorship, Commanders, Engine, Error, Invite, Message, What},
    store::{Encryption, JournalEntry, Transaction},
};

/// Who may command, and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The people who may, and how their devices are believed.
    pub commanders: Commanders,
    /// The only rooms where they may, if there is such a list.
    pub allowed_rooms: Option<BTreeSet<OwnedRoomId>>,
    /// Whether commands in rooms that are not encrypted are refused.
    pub require_encryption: bool,
    /// Whether each message is repeated before it is answered.
    pub echo: bool,
    /// The age from which a command is no longer what somebody wants.
    pub command_max_age: Duration,
}

impl Policy {
    /// Whether this user may command.
    pub fn allows(&self, user: &UserId) -> bool {
        self.commanders.users.contains(user)
    }

    fn allows_room(&self, room: &RoomId) -> bool {
        self.allowed_rooms
            .as_ref()
            .is_none_or(|rooms| rooms.contains(room))
    }

    /// Takes an invite, or leaves it.
    pub fn judge_invite(&self, tx: &Transaction<'_>, invite: &Invite) -> Result<(), Error> {
        if !self.allows_room(&invite.room) {
            warn!(
                "ignoring the invite of {} to {}: the room is not in ALLOWED_ROOMS",
                invite.inviter, invite.room
            );
        } else if self.allows(&invite.inviter) {
            info!(
                "accepting the invite of {} to {}",
                invite.inviter, invite.room
            );
            tx.put_invite(&invite.room, &invite.inviter)?;
        } else {
            warn!(
                "ignoring the invite of {} to {}",
                invite.inviter, invite.room
            );
        }
        Ok(())
    }

    /// Journals a message. What needs the cluster stays unfinished for the loop;
    /// everything else is answered in the same transaction.
    pub fn judge_message(
        &self,
        tx: &Transaction<'_>,
        engine: &Engine,
        message: &Message,
        now: u64,
    ) -> Result<(), Error> {
        // The engine looks at nobody else's messages; that a stranger is not
        // heard does not rest on that alone.
        if !self.allows(&message.sender) {
            return Ok(());
        }
        let (body, answer) = match &message.what {
            _ if !self.allows_room(&message.room) => (None, Err(replies::ROOM_REFUSED.to_owned())),
            What::Text { device: None, .. } if self.require_encryption => {
                (None, Err(replies::ENCRYPTION_REQUIRED.to_owned()))
            }
            What::Text { body, .. } => {
                let command = Command::parse(strip_reply_fallback(body));
                (
                    Some(body),
                    command.map_err(|unknown| replies::unknown(unknown.as_str())),
                )
            }
            What::InClear => (None, Err(replies::PLAINTEXT_REFUSED.to_owned())),
            What::Undecryptable(code) => (None, Err(replies::undecryptable(*code))),
            What::UnknownDevice => (None, Err(replies::UNKNOWN_DEVICE.to_owned())),
            What::UnverifiedDevice(device) => {
                (None, Err(replies::unverified_device(device.as_str())))
            }
            What::IdentityChanged => (
                None,
                Err(replies::identity_changed(message.sender.as_str())),
            ),
        };
        let device = match &message.what {
            What::Text { device, .. } => device.as_deref().copied(),
            _ => None,
        };
        let payload = answer.as_ref().map_or("", |command| command.as_str());
        let entry = JournalEntry {
            event_id: message.event_id.clone(),
            room: message.room.clone(),
            sender: message.sender.clone(),
            device,
            payload: payload.to_owned(),
            received_at: now,
            age_ms: message.age_ms,
        };
        if !tx.journal(&entry)? {
            return Ok(());
        }
        log_receipt(message, payload);
        if let (true, Some(body)) = (self.echo, body) {
            engine.reply(tx, &message.room, &replies::echo(body))?;
        }
        let answer = match answer {
            Ok(command) => match self.too_late(&entry, now) {
                Some(late) => Some(late),
                None if command == Command::Help => Some(help(engine, tx)?),
                None => None,
            },
            Err(answer) => Some(answer),
        };
        if let Some(answer) = answer {
            engine.reply(tx, &message.room, &answer)?;
            tx.finish(&message.event_id)?;
        }
        Ok(())
    }

    /// Judges a journalled command once more before it is done: the process may
    /// have been away since, and started again with another configuration.
    /// `started_at` tells what an earlier process left behind.
    pub(super) fn reconsider(
        &self,
        tx: &Transaction<'_>,
        engine: &Engine,
        entry: &JournalEntry,
        started_at: u64,
        now: u64,
    ) -> Result<Decision, Error> {
        let command = match Command::parse(&entry.payload) {
            Ok(command) => command,
            Err(unknown) => return Ok(Decision::Answer(replies::unknown(unknown.as_str()))),
        };
        if let Some(late) = self.too_late(entry, now) {
            // It may have been done just before the process ended.
            let interrupted = entry.received_at < started_at;
            return Ok(Decision::Answer(match interrupted {
                true => replies::interrupted(command.as_str()),
                false => late,
            }));
        }
        let in_clear = entry.device.is_none()
            && (self.require_encryption || tx.encryption(&entry.room)? != Encryption::Plaintext);
        let author = match entry.device {
            Some(_) if tx.must_ask_for_devices(&entry.sender, now)? => {
                return Ok(Decision::Wait);
            }
            Some(device) => engine.authorship(tx, &entry.sender, &device)?,
            None => Authorship::Proven,
        };
        if !self.allows(&entry.sender)
            || !self.allows_room(&entry.room)
            || in_clear
            || author != Authorship::Proven
        {
            warn!(
                "{} may no longer command: {command} is not run",
                entry.sender
            );
            return Ok(Decision::Answer(replies::NO_LONGER_ALLOWED.to_owned()));
        }
        Ok(Decision::Run(command))
    }

    /// The answer to a command that is older than it may be.
    fn too_late(&self, entry: &JournalEntry, now: u64) -> Option<String> {
        let age = entry
            .age_ms
            .saturating_add(now.saturating_sub(entry.received_at));
        let age = Duration::from_millis(age);
        (age >= self.command_max_age).then(|| {
            warn!(
                "{:?} of {} is {} s old: not run",
                entry.payload,
                entry.sender,
                age.as_secs()
            );
            replies::too_late(&entry.payload, age.as_secs())
        })
    }
}

/// What is to become of a journalled command.
pub(super) enum Decision {
    /// It is run.
    Run(Command),
    /// It is not; this is said instead.
    Answer(String),
    /// Its sender's devices are being asked for.
    Wait,
}

/// The commands, and what the bot can be known by.
fn help(engine: &Engine, tx: &Transaction<'_>) -> Result<String, Error> {
    Ok(replies::help(&engine.fingerprints(tx)?))
}

/// Who and what, never the text.
fn log_receipt(message: &Message, command: &str) {
    let Message {
        event_id,
        room,
        sender,
        ..
    } = message;
    match &message.what {
        What::Text { device, .. } => {
            let how = match device {
                Some(_) => "encrypted",
                None => "in clear",
            };
            let what = if command.is_empty() {
                "a message that is no command"
            } else {
                command
            };
            info!("{sender} in {room}: {what} ({how}, {event_id})");
        }
        What::InClear => warn!("{sender} in {room}: in clear in an encrypted room ({event_id})"),
        What::Undecryptable(code) => warn!(
            "{sender} in {room}: cannot be decrypted, {} ({event_id})",
            code.map_or("its key has not come", WithheldCode::as_str)
        ),
        What::UnverifiedDevice(device) => warn!(
            "{sender} in {room}: from {device}, which their identity has not signed ({event_id})"
        ),
        What::IdentityChanged => {
            warn!("{sender} in {room}: their identity is not the pinned one ({event_id})");
        }
        What::UnknownDevice => {
            warn!("{sender} in {room}: from a device that is not in their list ({event_id})");
        }
    }
}
