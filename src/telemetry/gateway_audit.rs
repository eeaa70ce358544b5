//! The audit log of the gateway: one JSON object a line on standard output.

#[cfg(not(test))]
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use super::denials::Denials;
use crate::util::{printable, rfc3339};

/// The longest text of a field, in bytes.
const MAX_FIELD_BYTES: usize = 300;

/// The kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayEvent {
    /// `k8s-auth-success`
    ServiceAccountTaken,
    /// `k8s-auth-failed`
    ServiceAccountRefused,
    /// `oidc-auth-success`
    PersonTaken,
    /// `oidc-auth-failed`
    PersonRefused,
    /// `denied`
    Denied,
    /// `changed`: by the API.
    Changed,
    /// `wake`
    Wake,
    /// `ready`
    Ready,
    /// `idle-stop`
    IdleStop,
    /// `kept`: an idle stop that was not made.
    Kept,
    /// `session-start`: a socket was opened.
    SessionStart,
    /// `session-end`
    SessionEnd,
}

/// The three sorts of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Somebody was let in.
    Success,
    /// Somebody was not.
    Denial,
    /// Something happened to a target.
    Change,
}

/// All events, in the order of the enum.
const EVENTS: [(GatewayEvent, &str, Of); 12] = [
    (
        GatewayEvent::ServiceAccountTaken,
        "k8s-auth-success",
        Of::Success,
    ),
    (
        GatewayEvent::ServiceAccountRefused,
        "k8s-auth-failed",
        Of::Denial,
    ),
    (GatewayEvent::PersonTaken, "oidc-auth-success", Of::Success),
    (GatewayEvent::PersonRefused, "oidc-auth-failed", Of::Denial),
    (GatewayEvent::Denied, "denied", Of::Denial),
    (GatewayEvent::Changed, "changed", Of::Change),
    (GatewayEvent::Wake, "wake", Of::Change),
    (GatewayEvent::Ready, "ready", Of::Change),
    (GatewayEvent::IdleStop, "idle-stop", Of::Change),
    (GatewayEvent::Kept, "kept", Of::Change),
    (GatewayEvent::SessionStart, "session-start", Of::Success),
    (GatewayEvent::SessionEnd, "session-end", Of::Success),
];

impl GatewayEvent {
    /// Its name, which is stable.
    fn as_str(self) -> &'static str {
        EVENTS.get(self as usize).map_or("", |(_, name, _)| name)
    }

    fn kind(self) -> Of {
        EVENTS.get(self as usize).map_or(Of::Change, |(.., of)| *of)
    }
}

/// A line without its time. What is empty or `None` is left out.
#[derive(Debug, Clone, Copy)]
pub struct GatewayRecord<'a> {
    /// Its kind.
    pub event: GatewayEvent,
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account's name.
    pub service_account: &'a str,
    /// The uid of its pod.
    pub pod_uid: &'a str,
    /// The node that its pod runs on.
    pub node_name: &'a str,
    /// A name for people to read, which can change: that of its pod, or a person's
    /// (`displayName`).
    pub display_name: &'a str,
    /// The role or roles, separated by commas.
    pub role: &'a str,
    /// The client's address: the one that a trusted proxy names, else the connection's.
    pub remote_ip: &'a str,
    /// The subject of a person.
    pub sub: &'a str,
    /// The target.
    pub target: &'a str,
    /// The action.
    pub verb: &'a str,
    /// `allowed`, `denied`, or `failed` for what was allowed and could not be done.
    pub decision: &'a str,
    /// The reason.
    pub reason: &'a str,
    /// The id of the credential.
    pub credential_id: &'a str,
    /// The id of the request.
    pub request_id: &'a str,
    /// The time it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl GatewayRecord<'static> {
    /// A line about this, all of whose other fields are left out.
    pub const fn new(event: GatewayEvent) -> Self {
        Self {
            event,
            namespace: "",
            service_account: "",
            pod_uid: "",
            node_name: "",
            display_name: "",
            role: "",
            remote_ip: "",
            sub: "",
            target: "",
            verb: "",
            decision: "",
            reason: "",
            credential_id: "",
            request_id: "",
            duration_ms: None,
        }
    }
}

/// The audit log of the gateway. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct GatewayAudit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tells_successes: AtomicBool,
    denials: Mutex<Denials>,
    /// The lines that a test has written, instead of standard output.
    #[cfg(test)]
    written: Mutex<Vec<String>>,
}

impl GatewayAudit {
    /// The log, which tells of successes if that is wanted (`k8sTrust.auditLog`), and of
    /// everything else in any case.
    pub fn new(tells_successes: bool) -> Self {
        let audit = Self::default();
        audit.tell_successes(tells_successes);
        audit
    }

    /// Changes whether successes are told, as the file that was read again says.
    pub fn tell_successes(&self, tells_successes: bool) {
        self.0.tells_successes.store(tells_successes, Relaxed);
    }

    /// Writes a line about something at this time, in milliseconds since the Unix epoch.
    /// What is refused is written at once, and again of the same identity after a minute at
    /// the earliest, with the number of those between (`folded`). A line that standard
    /// output does not take is lost.
    pub fn record(&self, at_ms: u64, record: &GatewayRecord<'_>) {
        if let Some(line) = self.line(at_ms, record) {
            self.write(&line);
        }
    }

    /// Writes the numbers of what was refused since it was told last: to be called every few
    /// seconds.
    pub fn flush(&self, at_ms: u64) {
        self.tell_untold(at_ms, false);
    }

    /// Writes what is left to be told, at the end of the process.
    pub fn end(&self, at_ms: u64) {
        self.tell_untold(at_ms, true);
    }

    fn tell_untold(&self, at_ms: u64, all: bool) {
        for (identity, count) in self.denials().untold(at_ms, all) {
            self.write(&line(at_ms, &identity, count));
        }
    }

    /// Writes a line in one call, so that no other output comes between.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "the log of a test is its own")]
    fn write(&self, line: &str) {
        // Nobody could be told that it is lost: the log may have gone the same way.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    #[cfg(test)]
    fn write(&self, line: &str) {
        self.0.written.lock().unwrap().push(line.to_owned());
    }

    /// Takes the lines that were written so far.
    #[cfg(test)]
    pub(crate) fn take_written(&self) -> Vec<serde_json::Value> {
        let written = std::mem::take(&mut *self.0.written.lock().unwrap());
        let read = written.iter().map(|line| serde_json::from_str(line));
        read.collect::<Result<_, _>>().unwrap()
    }

    fn denials(&self) -> MutexGuard<'_, Denials> {
        self.0
            .denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The line, if one is to be written now.
    fn line(&self, at_ms: u64, record: &GatewayRecord<'_>) -> Option<String> {
        let mut folded = 0;
        match record.event.kind() {
            Of::Success if !self.0.tells_successes.load(Relaxed) => return None,
            Of::Success | Of::Change => {}
            Of::Denial => {
                let mut others = String::new();
                field(&mut others, "event", record.event.as_str());
                let identity = record.identity();
                folded = self.denials().take(&identity, &others, at_ms)?;
            }
        }
        Some(line(at_ms, &record.fields(), folded))
    }
}

impl GatewayRecord<'_> {
    /// All fields but the time.
    fn fields(&self) -> String {
        let mut fields = String::with_capacity(256);
        for (name, text) in [
            ("event", self.event.as_str()),
            ("namespace", self.namespace),
            ("serviceAccount", self.service_account),
            ("podUid", self.pod_uid),
            ("nodeName", self.node_name),
            ("role", self.role),
            ("remoteIp", self.remote_ip),
            ("displayName", self.display_name),
            ("sub", self.sub),
            ("target", self.target),
            ("verb", self.verb),
            ("decision", self.decision),
            ("reason", self.reason),
            ("credentialId", self.credential_id),
            ("requestId", self.request_id),
        ] {
            field(&mut fields, name, text);
        }
        if let Some(ms) = self.duration_ms {
            number(&mut fields, "durationMs", ms);
        }
        fields
    }

    /// The fields that say who it is: somebody who is known, or else an address.
    fn identity(&self) -> String {
        let mut fields = String::new();
        field(&mut fields, "event", self.event.as_str());
        field(&mut fields, "namespace", self.namespace);
        field(&mut fields, "serviceAccount", self.service_account);
        field(&mut fields, "sub", self.sub);
        if self.service_account.is_empty() && self.sub.is_empty() {
            field(&mut fields, "remoteIp", self.remote_ip);
        }
        fields
    }
}

/// Adds a field, unless it is empty.
fn field(fields: &mut String, name: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let text = serde_json::to_string(printable(text, MAX_FIELD_BYTES).as_str()).unwrap_or_default();
    for part in [",\"", name, "\":", &text] {
        fields.push_str(part);
    }
}

fn number(fields: &mut String, name: &str, value: u64) {
    for part in [",\"", name, "\":", &value.to_string()] {
        fields.push_str(part);
    }
}

/// A line with its newline, about fields that begin with a comma.
fn line(at_ms: u64, fields: &str, folded: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at_ms);
    let mut line = ["{\"timestamp\":\"", &rfc3339(at), "\"", fields].concat();
    if folded > 0 {
        number(&mut line, "folded", folded);
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOON: u64 = 1_795_262_400_000;

    fn taken() -> GatewayRecord<'static> {
        GatewayRecord {
            namespace: "openclaw",
            service_account: "openclaw-worker",
            pod_uid: "abc123-def456",
            role: "node",
            remote_ip: "10.244.1.5",
            display_name: "openclaw-workers-7b8c9-xkl2m",
            ..GatewayRecord::new(GatewayEvent::ServiceAccountTaken)
        }
    }

    fn denied<'a>(service_account: &'a str, remote_ip: &'a str) -> GatewayRecord<'a> {
        GatewayRecord {
            service_account,
            remote_ip,
            ..GatewayRecord::new(GatewayEvent::Denied)
        }
    }

    #[test]
    fn a_line_has_the_names_that_dashboards_know() {
        let line = GatewayAudit::new(true).line(NOON, &taken());
        assert_eq!(
            line.as_deref(),
            Some(concat!(
                r#"{"timestamp":"2026-11-21T12:00:00.000Z","event":"k8s-auth-success","#,
                r#""namespace":"openclaw","serviceAccount":"openclaw-worker","#,
                r#""podUid":"abc123-def456","role":"node","remoteIp":"10.244.1.5","#,
                r#""displayName":"openclaw-workers-7b8c9-xkl2m"}"#,
                "\n"
            ))
        );
    }

    #[test]
    fn every_field_and_event_has_a_name() {
        let record = GatewayRecord {
            sub: "s",
            target: "t",
            verb: "v",
            decision: "d",
            reason: "r",
            credential_id: "c",
            request_id: "q",
            node_name: "n",
            duration_ms: Some(7),
            ..taken()
        };
        let line = GatewayAudit::new(true).line(NOON, &record).unwrap();
        let read: Value = serde_json::from_str(&line).unwrap();
        let tail = [
            "sub",
            "target",
            "verb",
            "decision",
            "reason",
            "credentialId",
            "requestId",
            "nodeName",
        ];
        for name in tail {
            assert!(read[name].is_string(), "{name}");
        }
        assert_eq!(read["durationMs"], json!(7));
        assert_eq!(read.as_object().unwrap().len(), 17);
        let names = EVENTS.map(|(_, name, _)| name);
        assert_eq!(
            names,
            [
                "k8s-auth-success",
                "k8s-auth-failed",
                "oidc-auth-success",
                "oidc-auth-failed",
                "denied",
                "changed",
                "wake",
                "ready",
                "idle-stop",
                "kept",
                "session-start",
                "session-end",
            ]
        );
        for (event, name, _) in EVENTS {
            assert_eq!(event.as_str(), name);
        }
    }

    #[test]
    fn without_successes_all_else_is_told() {
        let audit = GatewayAudit::new(false);
        for (event, _, of) in EVENTS {
            let line = audit.line(NOON, &GatewayRecord::new(event));
            assert_eq!(line.is_some(), of != Of::Success, "{event:?}");
        }
        audit.tell_successes(true);
        assert!(audit.line(NOON, &taken()).is_some());
    }

    #[test]
    fn refusals_are_folded_by_identity() {
        let audit = GatewayAudit::new(false);
        let line = |at, record: &GatewayRecord<'_>| audit.line(NOON + at, record);
        assert!(line(0, &denied("a", "10.0.0.1")).is_some());
        assert!(line(1, &denied("a", "10.0.0.2")).is_none(), "the same one");
        assert!(line(1, &denied("b", "10.0.0.1")).is_some());
        assert!(line(1, &denied("", "10.0.0.1")).is_some());
        assert!(line(2, &denied("", "10.0.0.1")).is_none());
        assert!(line(2, &denied("", "10.0.0.2")).is_some());
        let later = line(60_000, &denied("a", "10.0.0.1")).unwrap();
        assert!(later.ends_with(",\"folded\":1}\n"), "{later}");
    }

    #[test]
    fn no_text_makes_a_second_line_or_a_long_one() {
        let long = format!("a\n\u{202e}\"{}", "\"".repeat(5_000));
        let record = GatewayRecord {
            namespace: &long,
            service_account: &long,
            pod_uid: &long,
            role: &long,
            remote_ip: &long,
            display_name: &long,
            sub: &long,
            target: &long,
            verb: &long,
            decision: &long,
            reason: &long,
            credential_id: &long,
            request_id: &long,
            node_name: &long,
            ..GatewayRecord::new(GatewayEvent::Denied)
        };
        let line = GatewayAudit::new(true).line(NOON, &record).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert!(line.len() < 9_000, "{}", line.len());
        assert!(!line.contains('\u{202e}'));
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["event"], "denied");
    }
}
