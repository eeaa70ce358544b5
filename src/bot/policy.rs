//! From a message to what is done about it, decided before anything is done.

use std::{collections::BTreeSet, time::Duration};

use log::{info, warn};
use ruma::{OwnedUserId, UserId};

use super::{
    command::{Command, strip_reply_fallback},
    replies,
};
use crate::{
    matrix::{Engine, Error, Invite, Message, What},
    store::{JournalEntry, Transaction},
};

/// Who may command, and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Full ids of the people who may.
    pub allowed_users: BTreeSet<OwnedUserId>,
    /// Whether each message is repeated before it is answered.
    pub echo: bool,
    /// The age from which a command is no longer what somebody wants.
    pub command_max_age: Duration,
}

impl Policy {
    /// Whether this user may command.
    pub fn allows(&self, user: &UserId) -> bool {
        self.allowed_users.contains(user)
    }

    /// Takes an invite, or leaves it.
    pub(super) fn judge_invite(&self, tx: &Transaction<'_>, invite: &Invite) -> Result<(), Error> {
        if self.allows(&invite.inviter) {
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
    pub(super) fn judge_message(
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
            What::Text { body, .. } => {
                let command = Command::parse(strip_reply_fallback(body));
                (
                    Some(body),
                    command.map_err(|unknown| replies::unknown(unknown.as_str())),
                )
            }
            What::InClear => (None, Err(replies::PLAINTEXT_REFUSED.to_owned())),
            What::Undecryptable => (None, Err(replies::UNDECRYPTABLE.to_owned())),
            What::UnknownDevice => (None, Err(replies::UNKNOWN_DEVICE.to_owned())),
        };
        let payload = answer.as_ref().map_or("", |command| command.as_str());
        let entry = JournalEntry {
            event_id: message.event_id.clone(),
            room: message.room.clone(),
            sender: message.sender.clone(),
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
                None if command == Command::Help => Some(replies::HELP.to_owned()),
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
        entry: &JournalEntry,
        started_at: u64,
        now: u64,
    ) -> Result<Command, String> {
        let command =
            Command::parse(&entry.payload).map_err(|unknown| replies::unknown(unknown.as_str()))?;
        if !self.allows(&entry.sender) {
            warn!(
                "{} may no longer command: {command} is not run",
                entry.sender
            );
            return Err(replies::NO_LONGER_ALLOWED.to_owned());
        }
        match self.too_late(entry, now) {
            None => Ok(command),
            // It may have been done just before the process ended.
            Some(_) if entry.received_at < started_at => {
                Err(replies::interrupted(command.as_str()))
            }
            Some(late) => Err(late),
        }
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

/// Who and what, never the text.
fn log_receipt(message: &Message, command: &str) {
    let Message {
        event_id,
        room,
        sender,
        ..
    } = message;
    match &message.what {
        What::Text { encrypted, .. } => {
            let how = if *encrypted { "encrypted" } else { "in clear" };
            let what = if command.is_empty() {
                "a message that is no command"
            } else {
                command
            };
            info!("{sender} in {room}: {what} ({how}, {event_id})");
        }
        What::InClear => warn!("{sender} in {room}: in clear in an encrypted room ({event_id})"),
        What::Undecryptable => warn!("{sender} in {room}: cannot be decrypted ({event_id})"),
        What::UnknownDevice => {
            warn!("{sender} in {room}: from a device that is not in their list ({event_id})");
        }
    }
}
