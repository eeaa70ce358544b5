//! The chat door where targets have names: who is spoken to, what is asked back, and where
//! an answer stands.

use log::warn;
use ruma::UserId;

use super::{chat::Door, replies, reply_fallback::strip_reply_fallback, words};
use crate::{
    control::{
        Challenge, Command, Confirmed, Decision, Denial, Flow, Request, Stage, TargetName, Targets,
        Verb,
    },
    matrix::{
        client::{Html, in_thread},
        e2ee::{Error, Message, MessageKind, Place, Speech},
    },
    store::{Anchor, JournalEntry},
    telemetry::{AuditDecision, AuditEvent, AuditRecord, CommandOutcome, MetricEvent},
};

/// The subject in the name of a question.
pub(super) const QUESTION: &str = "question";

/// Members of a room from which on what is said there is not always meant for the bot.
const A_CROWD: i64 = 3;

impl Door<'_> {
    /// Returns true where targets have names.
    pub(super) const fn is_named(self) -> bool {
        matches!(self.chat.policy.targets, Targets::Named(_))
    }

    /// The text of a message that is meant for the bot; empty where it could not be read.
    /// None for what is not to be heard of: what people say to each other in a room of
    /// three or more, where a command has a prefix, and what the Python program ignores.
    pub(super) fn addressed(self, message: &Message) -> Result<Option<&str>, Error> {
        let body = match &message.kind {
            MessageKind::Text { body, .. } => strip_reply_fallback(body),
            MessageKind::Edited { .. } | MessageKind::TooLong { .. } if !self.is_named() => {
                return Ok(None);
            }
            _ => return Ok(Some("")),
        };
        if !self.is_named() {
            return Ok(Some(body));
        }
        let own = self.turn.own_user();
        let text = match message.mentions_bot {
            true => without_name(body, own),
            false => body.trim(),
        };
        let Some(prefix) = &self.chat.prefix else {
            return Ok(Some(text));
        };
        if let Some(rest) = strip_prefix(text, prefix) {
            return Ok(Some(rest));
        }
        let is_crowd = self
            .turn
            .tx
            .members()
            .are_at_least(&message.room, A_CROWD)?;
        Ok((message.mentions_bot || !is_crowd).then_some(text))
    }

    /// Writes a decision into the audit log.
    pub(super) fn audit_decision(self, entry: &JournalEntry, decision: &Decision) {
        let (decided, command, reason) = match decision {
            Decision::Ignore => return,
            Decision::Execute(command) => (AuditDecision::Executed, Some(command), ""),
            Decision::Ask(command) => (AuditDecision::Asked, Some(command), ""),
            Decision::Deny(denial) => (AuditDecision::Denied, None, denial.label()),
        };
        self.audit(
            entry,
            command,
            &AuditRecord {
                decision: Some(decided),
                reason,
                ..AuditRecord::new(AuditEvent::Decision)
            },
        );
    }

    /// Writes a line about a command into the audit log, for each of its targets.
    pub(super) fn audit(
        self,
        entry: &JournalEntry,
        command: Option<&Command>,
        record: &AuditRecord<'_>,
    ) {
        let targets = command.map_or(&[][..], Command::targets);
        let names = targets.iter().map(TargetName::as_str);
        let names: Vec<&str> = match targets.is_empty() {
            true => vec![""],
            false => names.collect(),
        };
        for target in names {
            self.chat.audit.record(
                self.turn.now,
                &AuditRecord {
                    actor: entry.sender.as_str(),
                    room: entry.room.as_str(),
                    command: command.map_or("", |command| command.verb().as_str()),
                    target,
                    message: entry.event_id.as_str(),
                    ..*record
                },
            );
        }
    }

    /// Tells in a sentence that a message was not read: it is too long, or the edit of a
    /// command.
    pub(super) fn not_read(
        self,
        message: &Message,
        entry: &JournalEntry,
        decision: &Decision,
    ) -> Result<Option<MetricEvent>, Error> {
        // Who may not be heard in this room is told so when they write a command.
        let is_heard = matches!(decision, Decision::Deny(Denial::NotUnderstood(_)));
        let journal = self.turn.tx.journal();
        let sentence = match &message.kind {
            MessageKind::Edited { of, .. } if !journal.is_known(of)? => return Ok(None),
            MessageKind::Edited { .. } => words::EDITED,
            _ => words::TOO_LONG,
        };
        if !is_heard || !self.record(entry, &[])? {
            return Ok(None);
        }
        if !self.is_flooded(entry)? {
            self.remark(entry, sentence)?;
            journal.finish(&entry.event_id)?;
        }
        let unknown = CommandOutcome::Unknown;
        Ok(Some(MetricEvent::Command(None, unknown)))
    }

    /// Returns true for one command too many of a person, which is answered once.
    pub(super) fn is_flooded(self, entry: &JournalEntry) -> Result<bool, Error> {
        if !self.is_named() {
            return Ok(false);
        }
        let mut flood = self.chat.flood.borrow_mut();
        match flood.take(&entry.sender, self.turn.own_now) {
            Flow::Pass => return Ok(false),
            Flow::Tell => self.remark(entry, words::TOO_FAST)?,
            Flow::Drop => {}
        }
        warn!("{} asks for too much at once", entry.sender);
        self.record(entry, &[])?;
        self.turn.tx.journal().finish(&entry.event_id)?;
        Ok(true)
    }

    /// The list of commands, or what one of them is for.
    pub(super) fn help(self, command: &Command) -> Result<String, Error> {
        let has_gateway = self.chat.policy.has_gateway;
        match command {
            Command::Help { about: Some(verb) } => Ok(words::help_about(*verb, has_gateway)),
            _ if self.is_named() => {
                let fingerprints = self.turn.fingerprints()?;
                Ok(replies::with_fingerprints(
                    &words::help(has_gateway),
                    &fingerprints,
                ))
            }
            _ => Ok(replies::help(&self.turn.fingerprints()?)),
        }
    }

    /// Asks back before a command is executed. The question before is void.
    pub(super) fn ask(self, entry: &JournalEntry, command: Command) -> Result<(), Error> {
        let mut random = [0_u8; 3];
        getrandom::fill(&mut random).map_err(Error::from)?;
        let challenge = Challenge::new(
            entry.room.clone(),
            entry.event_id.clone(),
            command,
            random,
            self.turn.own_now,
        );
        let question = words::question(&challenge.command, challenge.code());
        let mut speech = self.speech(entry, &question);
        speech.anchor = Some(Anchor::new(&entry.event_id, QUESTION));
        speech.mentions = vec![entry.sender.clone()];
        self.turn.say(&entry.room, &speech, true)?;
        self.turn.tx.journal().finish(&entry.event_id)?;
        let mut challenges = self.chat.challenges.borrow_mut();
        challenges.ask(entry.sender.clone(), challenge);
        Ok(())
    }

    /// Takes an answer to a question. What it confirms is a command of this message.
    pub(super) fn confirm(
        self,
        message: &Message,
        entry: &JournalEntry,
        code: &str,
    ) -> Result<Option<MetricEvent>, Error> {
        let journal = self.turn.tx.journal();
        if journal.is_known(&entry.event_id)? {
            return Ok(None);
        }
        let refused = MetricEvent::Command(Some(Verb::Confirm), CommandOutcome::Refused);
        if self.is_flooded(entry)? {
            return Ok(Some(refused));
        }
        let confirmed = self.chat.challenges.borrow_mut().answer(
            &entry.sender,
            &entry.room,
            code,
            self.turn.own_now,
        );
        let (sentence, reason) = match confirmed {
            Confirmed::Command(command) => {
                return self.confirmed(message, entry, &command.confirmed());
            }
            Confirmed::Wrong => (words::WRONG_CODE, "wrong code"),
            Confirmed::WrongTooOften => (words::WRONG_TOO_OFTEN, "third wrong code"),
            Confirmed::TooLate => (words::CONFIRMED_TOO_LATE, "too late"),
            Confirmed::Nothing => (words::NOTHING_TO_CONFIRM, "nothing to confirm"),
        };
        self.record(entry, &[])?;
        let record = AuditRecord {
            decision: Some(AuditDecision::Denied),
            reason,
            ..AuditRecord::new(AuditEvent::Decision)
        };
        self.audit(entry, None, &record);
        self.remark(entry, sentence)?;
        journal.finish(&entry.event_id)?;
        Ok(Some(refused))
    }

    /// Takes on a command that was confirmed, if it may still be given.
    fn confirmed(
        self,
        message: &Message,
        asked: &JournalEntry,
        command: &Command,
    ) -> Result<Option<MetricEvent>, Error> {
        let payload = command.to_string();
        let request = Request {
            principal: &message.sender,
            room: &message.room,
            text: &payload,
            proof: super::chat::proof(&message.kind),
            age: message.age,
            overdue_ms: 0,
            received_at: asked.received_at,
            wall_ms: self.turn.now,
            stage: Stage::Due { interrupted: false },
        };
        let decision = self.chat.policy.decide(&request, self.turn.own_now);
        let entry = JournalEntry {
            payload,
            target: super::chat::lane(command).to_owned(),
            event_id: asked.event_id.clone(),
            room: asked.room.clone(),
            sender: asked.sender.clone(),
            device: asked.device,
            thread: asked.thread.clone(),
            ..*asked
        };
        if !self.record(&entry, &command.parts())? {
            return Ok(None);
        }
        self.audit(
            &entry,
            Some(command),
            &AuditRecord {
                decision: Some(match decision {
                    Decision::Deny(_) => AuditDecision::Denied,
                    _ => AuditDecision::Confirmed,
                }),
                ..AuditRecord::new(AuditEvent::Decision)
            },
        );
        if let Decision::Deny(denial) = decision {
            self.remark(&entry, &super::denied::denial_words(&denial, &entry, None))?;
            self.turn.tx.journal().finish(&entry.event_id)?;
            return Ok(Some(super::denied::denied(&denial, &entry.payload)));
        }
        self.take_on(&entry, command)
    }

    /// Says something that answers a command which ran.
    pub(super) fn answer(self, entry: &JournalEntry, text: &str) -> Result<(), Error> {
        let speech = self.speech(entry, text);
        self.turn.say(&entry.room, &speech, true)
    }

    /// Says something that answers no command that ran: it may be left unsaid.
    pub(super) fn remark(self, entry: &JournalEntry, text: &str) -> Result<(), Error> {
        let speech = self.speech(entry, text);
        self.turn.say(&entry.room, &speech, false)
    }

    /// A text in the place where what it answers stands: a reply where targets have names,
    /// and in its thread in any case.
    pub(super) fn speech(self, entry: &JournalEntry, text: &str) -> Speech {
        let place = match self.is_named() {
            true => Place::answering(entry.thread.as_deref(), &entry.event_id),
            false => in_thread(entry.thread.as_deref(), &entry.event_id).into(),
        };
        Speech {
            html: self.is_named().then(|| formatted(text)).flatten(),
            ..Speech::new(text, place)
        }
    }
}

/// The same for clients that show HTML, of a text of several lines: what is before a
/// line's colon is bold.
fn formatted(text: &str) -> Option<Html> {
    if !text.contains('\n') {
        return None;
    }
    let mut html = Html::default();
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            html = html.line_break();
        }
        html = match line.split_once(": ") {
            Some((before, rest)) => html.bold(before.trim_start()).text(": ").text(rest),
            None => html.text(line),
        };
    }
    Some(html)
}

/// A text without the name of the bot, whom it mentions, in front of it.
fn without_name<'t>(text: &'t str, own: &UserId) -> &'t str {
    let text = text.trim();
    let names = [
        own.as_str(),
        &format!("@{}", own.localpart()),
        own.localpart(),
    ];
    let rest = names.iter().find_map(|name| strip_prefix(text, name));
    rest.map_or(text, |rest| rest.trim_start_matches([':', ',', ' ']))
}

/// The rest of a text behind a prefix in any case, which is no part of a longer word.
fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (front, rest) = text.split_at_checked(prefix.len())?;
    let is_prefix = front.eq_ignore_ascii_case(prefix);
    let ends = prefix.ends_with(|c: char| !c.is_alphanumeric())
        || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
    (is_prefix && ends).then_some(rest.trim_start())
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn a_prefix_is_a_word_of_its_own_or_ends_like_none() {
        for (text, prefix, rest) in [
            ("!start", "!", Some("start")),
            ("! start", "!", Some("start")),
            ("bot start", "bot", Some("start")),
            ("Bot: start", "bot", Some(": start")),
            ("botany", "bot", None),
            ("bot-2 start", "bot", None),
            ("start", "!", None),
            ("é", "!", None),
            ("", "!", None),
        ] {
            assert_eq!(strip_prefix(text, prefix), rest, "{text}");
        }
    }

    #[test]
    fn the_name_of_the_bot_is_no_part_of_a_command() {
        let own = user_id!("@claw:example.org");
        for (text, rest) in [
            ("@claw:example.org: start", "start"),
            ("claw, stop all", "stop all"),
            ("@claw start", "start"),
            ("Claw: start", "start"),
            ("start worker", "start worker"),
            ("clawdbot start", "clawdbot start"),
        ] {
            assert_eq!(without_name(text, own), rest, "{text}");
        }
    }
}
