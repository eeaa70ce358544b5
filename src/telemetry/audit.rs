//! The audit log: one JSON object a line on standard output for each decision about a
//! command or a timer, and for what came of it.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::util::{printable, rfc3339};

/// Longest text of a field, in bytes: an id of Matrix has 255.
const MAX_FIELD_BYTES: usize = 300;

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditEvent {
    /// A decision about a message.
    Decision,
    /// The end of a command.
    Outcome,
    /// A timer was set, has fired or has ended.
    Timer,
}

/// A decision about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditDecision {
    /// It is executed.
    Executed,
    /// It is refused.
    Denied,
    /// It is asked back whether it is meant.
    Asked,
    /// It confirmed what was asked back, which is executed.
    Confirmed,
}

/// A line without its time. What is empty or `None` is left out. It holds words of the
/// bot, names and ids: nothing that a person or a server has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditRecord<'a> {
    /// Its kind.
    pub event: AuditEvent,
    /// The giver of the command: a user's id, or the words for a timer of theirs.
    pub actor: &'a str,
    /// The room's id.
    pub room: &'a str,
    /// The verb of the command.
    pub command: &'a str,
    /// The target's name.
    pub target: &'a str,
    /// The decision.
    pub decision: Option<AuditDecision>,
    /// The reason of the decision.
    pub reason: &'a str,
    /// The outcome.
    pub outcome: &'a str,
    /// The number of replicas before.
    pub from: Option<i32>,
    /// The number of replicas that was asked for.
    pub to: Option<i32>,
    /// The time it took, in seconds.
    pub seconds: Option<u64>,
    /// The id of the event that carried the command.
    pub message: &'a str,
}

impl AuditRecord<'static> {
    /// A line about this, all of whose other fields are left out.
    pub const fn new(event: AuditEvent) -> Self {
        Self {
            event,
            actor: "",
            room: "",
            command: "",
            target: "",
            decision: None,
            reason: "",
            outcome: "",
            from: None,
            to: None,
            seconds: None,
            message: "",
        }
    }
}

/// The audit log of the process. People who may not ask for anything are not in it: their
/// messages are not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Audit {
    is_on: bool,
}

impl Audit {
    /// The audit log, which writes nothing unless it is on.
    pub const fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// Writes a line about something at this time, in milliseconds since the Unix epoch.
    /// One that standard output does not take is lost.
    pub fn record(self, at_ms: u64, record: &AuditRecord<'_>) {
        if self.is_on {
            let at = UNIX_EPOCH + Duration::from_millis(at_ms);
            write(&line(at, record));
        }
    }
}

/// A line as it is written. The names of its fields are stable.
#[derive(Serialize)]
struct Line {
    time: String,
    event: AuditEvent,
    #[serde(skip_serializing_if = "String::is_empty")]
    actor: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    room: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    command: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<AuditDecision>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// The line with its newline.
fn line(at: SystemTime, record: &AuditRecord<'_>) -> String {
    let field = |text| printable(text, MAX_FIELD_BYTES);
    let line = Line {
        time: rfc3339(at),
        event: record.event,
        actor: field(record.actor),
        room: field(record.room),
        command: field(record.command),
        target: field(record.target),
        decision: record.decision,
        reason: field(record.reason),
        outcome: field(record.outcome),
        from: record.from,
        to: record.to,
        seconds: record.seconds,
        message: field(record.message),
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes a line in one call, so that no other output comes between.
fn write(line: &str) {
    // Nobody could be told that it is lost: the log may have gone the same way.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_795_262_400_123)
    }

    #[test]
    fn a_line_is_one_object_with_the_fields_that_are_known() {
        let record = AuditRecord {
            actor: "@anna:example.org",
            room: "!ops:example.org",
            command: "stop",
            target: "worker",
            decision: Some(AuditDecision::Executed),
            message: "$1",
            ..AuditRecord::new(AuditEvent::Decision)
        };
        assert_eq!(
            line(at(), &record),
            concat!(
                r#"{"time":"2026-11-21T12:00:00.123Z","event":"decision","#,
                r#""actor":"@anna:example.org","room":"!ops:example.org","command":"stop","#,
                r#""target":"worker","decision":"executed","message":"$1"}"#,
                "\n"
            )
        );
        let record = AuditRecord {
            target: "worker",
            outcome: "done",
            from: Some(3),
            to: Some(0),
            seconds: Some(12),
            ..AuditRecord::new(AuditEvent::Outcome)
        };
        assert_eq!(
            line(at(), &record),
            concat!(
                r#"{"time":"2026-11-21T12:00:00.123Z","event":"outcome","target":"worker","#,
                r#""outcome":"done","from":3,"to":0,"seconds":12}"#,
                "\n"
            )
        );
    }

    #[test]
    fn no_text_makes_a_second_line_or_a_long_one() {
        let long = format!("a\n\u{202e}{}", "\"".repeat(5_000));
        let record = AuditRecord {
            actor: &long,
            room: &long,
            command: &long,
            target: &long,
            reason: &long,
            outcome: &long,
            message: &long,
            ..AuditRecord::new(AuditEvent::Timer)
        };
        let line = line(at(), &record);
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert!(line.len() < 4_800, "{}", line.len());
        assert!(!line.contains('\u{202e}'));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["event"], "timer");
    }
}
