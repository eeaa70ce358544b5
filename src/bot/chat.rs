//! The chat door: from a message to its row in the journal and, unless it is executed,
//! to its answer. [`control::Policy`](crate::control::Policy) decides; what is here
//! follows from the decision.

use std::cell::RefCell;

use log::warn;
use ruma::{OwnedEventId, OwnedRoomId};

use super::{
    denied::{denial_words, denied, log_denial, log_receipt},
    replies,
};
use crate::{
    control::{
        Challenges, Command, Decision, Denial, Distrust, Flood, Policy, Proof, Request, Stage,
        TargetName, Targets, Verb,
    },
    matrix::e2ee::{Error, Message, MessageKind, PlaintextReplies, Turn},
    store::{Cap, JournalEntry, Transaction, Urgency},
    telemetry::{Audit, CommandOutcome, MetricEvent, MetricEvents},
};

/// The chat's rules, and what it remembers of people for as long as the process runs.
#[derive(Debug)]
pub struct Chat {
    /// The rules for who may command.
    pub policy: Policy,
    /// True if each message is repeated before it is answered (`ECHO_MODE`).
    pub echo: bool,
    /// The beginning of a command where several people talk (`COMMAND_PREFIX`).
    pub prefix: Option<String>,
    /// True if what comes of a change is told (`PROGRESS`).
    pub progress: bool,
    /// The audit log, which is written where targets have names.
    pub(super) audit: Audit,
    /// The messages that the current transaction has taken in, where targets have names:
    /// there is a receipt for them.
    pub(super) read: RefCell<Vec<ReadMessage>>,
    /// The questions that wait for an answer.
    pub(super) challenges: RefCell<Challenges>,
    /// The number of things that each person asked for.
    pub(super) flood: RefCell<Flood>,
}

impl Chat {
    /// A chat by this policy, without a prefix, that tells what comes of a change.
    pub fn new(policy: Policy) -> Self {
        let is_named = matches!(policy.targets, Targets::Named(_));
        Self {
            policy,
            audit: Audit::new(is_named),
            read: RefCell::default(),
            echo: false,
            prefix: None,
            progress: true,
            challenges: RefCell::default(),
            flood: RefCell::default(),
        }
    }

    /// The replies that the engine may send where nothing is encrypted.
    pub fn plaintext_replies(&self) -> PlaintextReplies {
        match self.policy.require_encryption {
            true => PlaintextReplies::Only(replies::ENCRYPTION_REQUIRED),
            false => PlaintextReplies::Any,
        }
    }
}

/// A message that was taken in.
#[derive(Debug)]
pub(super) struct ReadMessage {
    pub(super) room: OwnedRoomId,
    pub(super) event_id: OwnedEventId,
    pub(super) thread: Option<OwnedEventId>,
}

/// The chat in one transaction.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// Its rules.
    pub chat: &'a Chat,
    /// The events of the commands that are being executed.
    pub executing: &'a [OwnedEventId],
    /// The engine that messages come and replies leave through.
    pub turn: Turn<'a>,
}

impl Door<'_> {
    /// Receives messages, in order; tells first where some may be missing.
    pub(super) fn receive_all(self, messages: &[Message]) -> Result<MetricEvents, Error> {
        for room in self.turn.rooms_with_missed_messages()? {
            if self.chat.policy.allows_room(&room) {
                self.turn.reply(&room, None, replies::MISSED)?;
            }
        }
        let received = messages.iter().map(|message| self.receive(message));
        received.filter_map(Result::transpose).collect()
    }

    /// Receives what waited for a key or for an answer, where it can be classified now.
    pub(super) fn receive_undecrypted(self) -> Result<MetricEvents, Error> {
        let mut messages = Vec::new();
        self.turn.classify_undecrypted(&mut messages)?;
        self.receive_all(&messages)
    }

    /// Writes a message into the journal. What needs the cluster stays unfinished there,
    /// for [`super::jobs`]; everything else is answered in the same transaction.
    ///
    /// # Errors
    /// The store refuses.
    pub fn receive(self, message: &Message) -> Result<Option<MetricEvent>, Error> {
        let Turn {
            tx, own_now: now, ..
        } = self.turn;
        let Some(text) = self.addressed(message)? else {
            return Ok(None);
        };
        let request = request(message, text, self.turn);
        let decision = self.chat.policy.decide(&request, now);
        if decision == Decision::Ignore {
            return Ok(None);
        }
        if request.overdue_ms > 0 {
            warn!(
                "the session of {} should have been replaced {} s ago",
                message.event_id,
                request.overdue_ms / 1000
            );
        }
        let (was_read, payload) = match &decision {
            Decision::Execute(command)
            | Decision::Ask(command)
            | Decision::Deny(
                Denial::TooLate { command, .. } | Denial::ClocksDiffer { command, .. },
            ) => (true, command.to_string()),
            Decision::Deny(Denial::UnknownCommand(_) | Denial::NotUnderstood(_)) => {
                (true, String::new())
            }
            // Something before the text spoke against it.
            Decision::Ignore | Decision::Deny(_) => (false, String::new()),
        };
        let entry = journal_entry(message, &request, &payload);
        if let MessageKind::TooLong { .. } | MessageKind::Edited { .. } = &message.kind {
            return self.not_read(message, &entry, &decision);
        }
        let decision = match decision {
            Decision::Execute(Command::Confirm { code }) => {
                log_receipt(message, &payload);
                return self.confirm(message, &entry, &code);
            }
            other => other,
        };
        let parts = match &decision {
            Decision::Execute(command) => command.parts(),
            _ => Vec::new(),
        };
        if !self.record(&entry, &parts)? {
            return Ok(None);
        }
        log_receipt(message, &payload);
        self.audit_decision(&entry, &decision);
        if self.is_flooded(&entry)? {
            let refused = CommandOutcome::Refused;
            return Ok(Some(MetricEvent::Command(None, refused)));
        }
        if self.chat.echo
            && was_read
            && let MessageKind::Text { body, .. } = &message.kind
        {
            self.remark(&entry, &replies::echo(body))?;
        }
        if matches!(decision, Decision::Execute(_)) {
            // Whoever goes on with something else has not confirmed what was asked.
            self.chat.challenges.borrow_mut().forget(&entry.sender);
        }
        let (answer, metric) = match decision {
            Decision::Ignore => return Ok(None),
            Decision::Execute(command) if self.may_answer_at_once(&entry, &command)? => {
                let done = MetricEvent::Command(Some(command.verb()), CommandOutcome::Done);
                (self.help(&command)?, done)
            }
            Decision::Execute(command) => {
                return self.take_on(&entry, &command);
            }
            Decision::Ask(command) => {
                self.ask(&entry, command)?;
                return Ok(None);
            }
            Decision::Deny(denial) => {
                log_denial(&denial, &entry);
                let metric = match message.kind {
                    MessageKind::Undecryptable(code) => MetricEvent::Undecryptable(code),
                    _ => denied(&denial, request.text),
                };
                (denial_words(&denial, &entry, Some(&message.kind)), metric)
            }
        };
        self.remark(&entry, &answer)?;
        tx.journal().finish(&entry.event_id)?;
        Ok(Some(metric))
    }

    /// Leaves a command in the journal for its turn, unless too much waits there.
    pub(super) fn take_on(
        self,
        entry: &JournalEntry,
        command: &Command,
    ) -> Result<Option<MetricEvent>, Error> {
        let Turn {
            tx, own_now: now, ..
        } = self.turn;
        if !is_too_much(tx, entry, command.verb())? {
            return Ok(None);
        }
        if tx.rooms().may_tell_busy(&entry.room, now)? {
            self.answer(entry, replies::TOO_MUCH)?;
        }
        tx.journal().finish(&entry.event_id)?;
        let refused = CommandOutcome::Refused;
        Ok(Some(MetricEvent::Command(Some(command.verb()), refused)))
    }

    /// Writes a command down, in a part for each of its targets if it has several. False
    /// if that was done before.
    pub(super) fn record(self, entry: &JournalEntry, parts: &[Command]) -> Result<bool, Error> {
        let journal = self.turn.tx.journal();
        let is_new = match parts.len() {
            0 | 1 => journal.record(entry)?,
            _ => self.record_parts(entry, parts)?,
        };
        if is_new && self.is_named() {
            self.chat.read.borrow_mut().push(ReadMessage {
                room: entry.room.clone(),
                event_id: entry.event_id.clone(),
                thread: entry.thread.clone(),
            });
        }
        Ok(is_new)
    }

    fn record_parts(self, entry: &JournalEntry, parts: &[Command]) -> Result<bool, Error> {
        let payloads: Vec<String> = parts.iter().map(Command::to_string).collect();
        let lanes = parts.iter().map(lane);
        let parts: Vec<(&str, &str)> = payloads.iter().map(String::as_str).zip(lanes).collect();
        Ok(self.turn.tx.journal().record_parts(entry, &parts)?)
    }

    /// Returns true for a `help` that overtakes nothing: what needs no cluster is answered
    /// at once, unless a command of the same room waits for its turn. One that is being
    /// executed is not waited for: the API server may hang.
    fn may_answer_at_once(self, entry: &JournalEntry, command: &Command) -> Result<bool, Error> {
        if command.verb() != Verb::Help {
            return Ok(false);
        }
        let unfinished = self.turn.tx.journal().unfinished()?;
        let mut others = unfinished.iter().filter(|other| {
            other.event_id != entry.event_id && !self.executing.contains(&other.event_id)
        });
        Ok(!others.any(|other| other.room == entry.room))
    }
}

/// The lane of a command in the journal: that of its target.
pub(super) fn lane(command: &Command) -> &str {
    command.targets().first().map_or("", TargetName::as_str)
}

/// A message as the policy sees it, with the text that is addressed to the bot.
fn request<'a>(message: &'a Message, text: &'a str, turn: Turn<'_>) -> Request<'a> {
    let overdue_ms = match &message.kind {
        MessageKind::Text { overdue_ms, .. } => *overdue_ms,
        _ => 0,
    };
    Request {
        principal: &message.sender,
        room: &message.room,
        text,
        proof: proof(&message.kind),
        age: message.age,
        overdue_ms,
        received_at: turn.own_now,
        wall_ms: turn.now,
        stage: Stage::Received,
    }
}

/// The proof that a message of this kind has.
pub(super) fn proof(kind: &MessageKind) -> Proof {
    Proof::Missing(match kind {
        MessageKind::Text { device, .. }
        | MessageKind::TooLong { device }
        | MessageKind::Edited { device, .. } => {
            return match device {
                Some(_) => Proof::Encrypted,
                None => Proof::Unencrypted,
            };
        }
        MessageKind::InClear => Distrust::UnencryptedInEncryptedRoom,
        MessageKind::Undecryptable(_) => Distrust::Undecryptable,
        MessageKind::UnknownDevice => Distrust::UnknownDevice,
        MessageKind::SignedOutDevice(_) => Distrust::SignedOutDevice,
        MessageKind::OutdatedList => Distrust::OutdatedDeviceList,
        MessageKind::UnverifiedDevice(_) => Distrust::UnverifiedDevice,
        MessageKind::IdentityChanged => Distrust::IdentityChanged,
        MessageKind::OlderSession => Distrust::OlderSession,
        MessageKind::SpentSession => Distrust::ExpiredSession,
    })
}

fn journal_entry(message: &Message, request: &Request<'_>, payload: &str) -> JournalEntry {
    let device = match &message.kind {
        MessageKind::Text { device, .. }
        | MessageKind::TooLong { device }
        | MessageKind::Edited { device, .. } => device.as_deref().copied(),
        _ => None,
    };
    JournalEntry {
        event_id: message.event_id.clone(),
        room: message.room.clone(),
        sender: message.sender.clone(),
        device,
        payload: payload.to_owned(),
        received_at: request.received_at,
        // The homeserver's word, and what the bot knows itself.
        age_ms: message.age.ms.max(request.overdue_ms),
        thread: message.thread.clone(),
        part: 0,
        target: match Command::decode(payload) {
            Some(command) => lane(&command).to_owned(),
            None => String::new(),
        },
    }
}

/// Returns true if too much waits to be done before this command.
fn is_too_much(tx: &Transaction<'_>, entry: &JournalEntry, verb: Verb) -> Result<bool, Error> {
    let urgency = match verb.is_change() {
        true => Urgency::Scaling,
        false => Urgency::Question,
    };
    if tx
        .journal()
        .has_room_for(&entry.sender, &entry.room, urgency)?
    {
        return Ok(false);
    }
    warn!(
        "{} in {}: too many commands wait, {verb} is not taken",
        entry.sender, entry.room
    );
    tx.note_dropped(Cap::Commands, 1);
    Ok(true)
}
