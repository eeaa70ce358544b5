//! From a message to what is done about it, decided before anything is done.

use std::{collections::BTreeSet, time::Duration};

use log::{info, warn};
use ruma::{OwnedRoomId, RoomId, UserId};

use super::{
    command::{Command, strip_reply_fallback},
    outcome::in_thread,
    replies,
};
use crate::crypto::WithheldCode;
use crate::matrix::client::Age;
use crate::matrix::e2ee::{
    Authorship, Commanders, Engine, Error, Message, MessageKind, PlaintextReplies,
};
use crate::store::{Cap, Encryption, JournalEntry, Transaction, Urgency};
use crate::telemetry::{CommandKind, CommandOutcome, MetricEvent};
use crate::util::shown;

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

    pub(super) fn allows_room(&self, room: &RoomId) -> bool {
        self.allowed_rooms
            .as_ref()
            .is_none_or(|rooms| rooms.contains(room))
    }

    /// Journals a message. What needs the cluster stays unfinished for the loop;
    /// everything else is answered in the same transaction, and gives what it
    /// adds to the numbers.
    pub fn judge_message(
        &self,
        tx: &Transaction<'_>,
        engine: &Engine,
        message: &Message,
    ) -> Result<Option<MetricEvent>, Error> {
        let now = engine.own_now();
        // The engine looks at nobody else's messages; that a stranger is not
        // heard does not rest on that alone.
        if !self.allows(&message.sender) {
            return Ok(None);
        }
        let (body, answer) = match &message.what {
            _ if !self.allows_room(&message.room) => (None, Err(replies::ROOM_REFUSED.to_owned())),
            MessageKind::Text { device: None, .. } if self.require_encryption => {
                (None, Err(replies::ENCRYPTION_REQUIRED.to_owned()))
            }
            MessageKind::Text { overdue_ms, .. }
                if Duration::from_millis(*overdue_ms) >= self.command_max_age =>
            {
                (None, Err(replies::SPENT_SESSION.to_owned()))
            }
            MessageKind::Text { body, .. } => {
                let command = Command::parse(strip_reply_fallback(body));
                (
                    Some(body),
                    command.map_err(|unknown| replies::unknown(unknown.as_str())),
                )
            }
            MessageKind::InClear => (None, Err(replies::PLAINTEXT_REFUSED.to_owned())),
            MessageKind::Undecryptable(code) => (None, Err(replies::undecryptable(*code))),
            MessageKind::UnknownDevice => (None, Err(replies::UNKNOWN_DEVICE.to_owned())),
            MessageKind::SignedOutDevice(_) => (None, Err(replies::SIGNED_OUT_DEVICE.to_owned())),
            MessageKind::OutdatedList => (None, Err(replies::OUTDATED_LIST.to_owned())),
            MessageKind::UnverifiedDevice(device) => {
                (None, Err(replies::unverified_device(device.as_str())))
            }
            MessageKind::IdentityChanged => (
                None,
                Err(replies::identity_changed(message.sender.as_str())),
            ),
            MessageKind::OlderSession => (None, Err(replies::OLDER_SESSION.to_owned())),
            MessageKind::SpentSession => (None, Err(replies::SPENT_SESSION.to_owned())),
        };
        let (device, overdue_ms) = match &message.what {
            MessageKind::Text {
                device, overdue_ms, ..
            } => (device.as_deref().copied(), *overdue_ms),
            _ => (None, 0),
        };
        if overdue_ms > 0 {
            warn!(
                "the session of {} should have been replaced {} s ago",
                message.event_id,
                overdue_ms / 1000
            );
        }
        let payload = answer.as_ref().map_or("", |command| command.as_str());
        let entry = JournalEntry {
            event_id: message.event_id.clone(),
            room: message.room.clone(),
            sender: message.sender.clone(),
            device,
            payload: payload.to_owned(),
            received_at: now,
            // The server's word, and what the bot knows itself.
            age_ms: message.age.ms.max(overdue_ms),
            thread: message.thread.clone(),
        };
        if !tx.journal().record(&entry)? {
            return Ok(None);
        }
        log_receipt(message, payload);
        let thread = in_thread(message.thread.as_deref(), &message.event_id);
        if let (true, Some(body)) = (self.echo, body) {
            engine.remark(tx, &message.room, thread, &replies::echo(body))?;
        }
        let (answer, metric) = match answer {
            Ok(command) => {
                let (answer, outcome) = match self.too_late(&entry, message.age, now) {
                    Some(late) => (late, CommandOutcome::Late),
                    None if command == Command::Help => (help(engine, tx)?, CommandOutcome::Done),
                    None if self.is_too_much(tx, &entry, command)? => {
                        engine.reply_busy(tx, &message.room, thread, replies::TOO_MUCH)?;
                        tx.journal().finish(&message.event_id)?;
                        let refused = CommandOutcome::Refused;
                        return Ok(Some(MetricEvent::Command(command.into(), refused)));
                    }
                    None => return Ok(None),
                };
                (answer, MetricEvent::Command(command.into(), outcome))
            }
            Err(answer) => (answer, tally_unrun(message, body.is_some())),
        };
        engine.remark(tx, &message.room, thread, &answer)?;
        tx.journal().finish(&message.event_id)?;
        Ok(Some(metric))
    }

    /// What the engine may say where nothing is encrypted.
    pub fn plaintext_replies(&self) -> PlaintextReplies {
        match self.require_encryption {
            true => PlaintextReplies::Only(replies::ENCRYPTION_REQUIRED),
            false => PlaintextReplies::Any,
        }
    }

    /// Tells the people of rooms in which something was missed.
    pub(super) fn tell_missed(&self, tx: &Transaction<'_>, engine: &Engine) -> Result<(), Error> {
        for room in engine.rooms_with_missed_messages(tx)? {
            if self.allows_room(&room) {
                engine.reply(tx, &room, None, replies::MISSED)?;
            }
        }
        Ok(())
    }

    /// Whether too much waits to be done before this command.
    fn is_too_much(
        &self,
        tx: &Transaction<'_>,
        entry: &JournalEntry,
        command: Command,
    ) -> Result<bool, Error> {
        let urgency = match command {
            Command::Status | Command::Help => Urgency::Question,
            Command::Start | Command::Stop => Urgency::Scaling,
        };
        if tx
            .journal()
            .has_room_for(&entry.sender, &entry.room, urgency)?
        {
            return Ok(false);
        }
        warn!(
            "{} in {}: too many commands wait, {command} is not taken",
            entry.sender, entry.room
        );
        tx.note_dropped(Cap::Commands, 1);
        Ok(true)
    }

    /// Judges a journalled command once more before it is done: the process may
    /// have been away since, and started again with another configuration.
    /// `started_at` tells what an earlier process left behind. None while its
    /// sender's devices are being asked for.
    pub(super) fn reconsider(
        &self,
        tx: &Transaction<'_>,
        engine: &Engine,
        entry: &JournalEntry,
        started_at: u64,
        now: u64,
    ) -> Result<Option<Decision>, Error> {
        let command = match Command::parse(&entry.payload) {
            Ok(command) => command,
            Err(unknown) => {
                return Ok(Some(Decision::Answer {
                    answer: replies::unknown(unknown.as_str()),
                    metric: MetricEvent::Command(CommandKind::None, CommandOutcome::Unknown),
                }));
            }
        };
        let instead = |answer, outcome| {
            let metric = MetricEvent::Command(command.into(), outcome);
            Ok(Some(Decision::Answer { answer, metric }))
        };
        if let Some(late) = self.too_late(entry, Age::default(), engine.own_now()) {
            // It may have been done just before the process ended.
            let interrupted = entry.received_at < started_at;
            let answer = match interrupted {
                true => replies::interrupted(command.as_str()),
                false => late,
            };
            return instead(answer, CommandOutcome::Late);
        }
        let in_clear = entry.device.is_none()
            && (self.require_encryption
                || tx.rooms().encryption(&entry.room)? != Encryption::Plaintext);
        let author = match entry.device {
            Some(_) if tx.device_lists().must_query(&entry.sender, now)? => {
                return Ok(None);
            }
            Some(device) => engine.authorship(tx, &entry.sender, &device)?,
            None => Authorship::Proven,
        };
        let may = self.allows(&entry.sender) && self.allows_room(&entry.room) && !in_clear;
        if !may || author != Authorship::Proven {
            warn!(
                "{} may no longer command: {command} is not run",
                entry.sender
            );
            let answer = match author {
                Authorship::OutdatedList if may => replies::OUTDATED_LIST,
                _ => replies::NO_LONGER_ALLOWED,
            };
            return instead(answer.to_owned(), CommandOutcome::Refused);
        }
        Ok(Some(Decision::Run(command)))
    }

    /// The answer to a command that is older than it may be at this time of the
    /// bot's own clock; another one where only the difference of two clocks may
    /// make it so.
    fn too_late(&self, entry: &JournalEntry, told: Age, own_now: u64) -> Option<String> {
        let age = entry
            .age_ms
            .saturating_add(own_now.saturating_sub(entry.received_at));
        let age = Duration::from_millis(age);
        let limit = u64::try_from(self.command_max_age.as_millis()).unwrap_or(u64::MAX);
        if let (true, Some(apart)) = (entry.age_ms >= limit, told.is_doubtful(limit)) {
            warn!(
                "{:?} of {} is {} s old, if the homeserver's clock is right, which is {}: not run; \
                 set both clocks by NTP",
                entry.payload,
                entry.sender,
                age.as_secs(),
                replies::apart(apart)
            );
            return Some(replies::clocks_differ(&entry.payload, apart));
        }
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
    /// It is not.
    Answer {
        /// What is said instead.
        answer: String,
        /// What it adds to the numbers.
        metric: MetricEvent,
    },
}

/// What a message adds to the numbers that is not run: a refused one, or one that
/// `may` command but is no command.
fn tally_unrun(message: &Message, may: bool) -> MetricEvent {
    match &message.what {
        MessageKind::Undecryptable(code) => MetricEvent::Undecryptable(*code),
        MessageKind::Text { .. } if may => {
            MetricEvent::Command(CommandKind::None, CommandOutcome::Unknown)
        }
        MessageKind::Text { body, .. } => {
            let command = Command::parse(strip_reply_fallback(body));
            let kind = command.map_or(CommandKind::None, CommandKind::from);
            MetricEvent::Command(kind, CommandOutcome::Refused)
        }
        MessageKind::InClear
        | MessageKind::UnknownDevice
        | MessageKind::SignedOutDevice(_)
        | MessageKind::OutdatedList
        | MessageKind::UnverifiedDevice(_)
        | MessageKind::IdentityChanged
        | MessageKind::OlderSession
        | MessageKind::SpentSession => {
            MetricEvent::Command(CommandKind::None, CommandOutcome::Refused)
        }
    }
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
    let (event_id, room) = (shown(event_id), shown(room));
    match &message.what {
        MessageKind::Text { device, .. } => {
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
        MessageKind::InClear => {
            warn!("{sender} in {room}: in clear in an encrypted room ({event_id})")
        }
        MessageKind::Undecryptable(code) => warn!(
            "{sender} in {room}: cannot be decrypted, {} ({event_id})",
            code.map_or("its key has not come", WithheldCode::as_str)
        ),
        MessageKind::UnverifiedDevice(device) => warn!(
            "{sender} in {room}: from {}, which their identity has not signed ({event_id})",
            shown(device)
        ),
        MessageKind::IdentityChanged => {
            warn!("{sender} in {room}: their identity is not the pinned one ({event_id})");
        }
        MessageKind::UnknownDevice => {
            warn!("{sender} in {room}: from a device that is not in their list ({event_id})");
        }
        MessageKind::OlderSession => {
            warn!("{sender} in {room}: under an older session than one before ({event_id})");
        }
        MessageKind::SpentSession => {
            warn!("{sender} in {room}: under a session that is done with ({event_id})");
        }
        MessageKind::SignedOutDevice(device) => warn!(
            "{sender} in {room}: from {}, which was signed out ({event_id})",
            shown(device)
        ),
        MessageKind::OutdatedList => warn!(
            "{sender} in {room}: their devices could not be asked for, for too long ({event_id})"
        ),
    }
}
