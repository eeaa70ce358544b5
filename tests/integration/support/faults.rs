//! Scripted misbehaviour of a server, by request.

use std::time::Duration;

use serde_json::Value;

use super::bot::Victim;
use super::monitor::Monitor;
use super::wire::{Answer, Response};

/// The fate of a request instead of, or after, its proper handling.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This response; the request has no effect.
    Answer(Response),
    /// The connection closes; the request has no effect.
    Cut,
    /// The request takes effect, then the connection closes with no answer.
    CutAfter,
    /// No answer until the faults are cleared; the request has no effect.
    Hang,
    /// The request takes effect; no answer until the faults are cleared.
    HangAfter,
    /// Bytes that need not be HTTP.
    Raw(Vec<u8>),
    /// The proper answer, later.
    Delay(Duration),
    /// The bot is killed; the request has no effect.
    Kill(Victim),
    /// The request takes effect, then the bot is killed before it is answered.
    KillAfter(Victim),
    /// The request takes effect and is answered when the faults are cleared.
    Hold,
}

impl Fault {
    /// A Matrix or Kubernetes error body with its status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(Response::json(status, body))
    }

    pub fn matrix(status: u16, errcode: &str) -> Self {
        Self::json(
            status,
            &serde_json::json!({"errcode": errcode, "error": "scripted"}),
        )
    }

    pub fn html(status: u16) -> Self {
        Self::Answer(Response::text(
            status,
            "text/html",
            "<html><body><h1>Bad gateway</h1></body></html>",
        ))
    }

    /// A rate limit with its `Retry-After`, as a homeserver words it.
    pub fn limited(seconds: u64) -> Self {
        let body = serde_json::json!({
            "errcode": "M_LIMIT_EXCEEDED",
            "error": "Too Many Requests",
            "retry_after_ms": seconds * 1000,
        });
        Self::Answer(Response::json(429, &body).header("Retry-After", &seconds.to_string()))
    }
}

/// A pattern is a fragment of the decoded path, with the method and a space
/// before it where that matters: `"PUT /send/"`, `"/keys/query"`.
pub fn matches(pattern: &str, method: &str, path: &str) -> bool {
    match pattern.split_once(' ') {
        Some((wanted, fragment)) => wanted == method && path.contains(fragment),
        None => path.contains(pattern),
    }
}

/// Faults to come, each for a number of requests.
#[derive(Default)]
pub struct Faults {
    rules: Vec<(String, usize, Fault)>,
    /// The fault of one request out of all: how many requests come before it, and
    /// the fault.
    at: Option<(usize, Fault)>,
    /// Grows when hanging requests are let go.
    released: u64,
    /// The test is over.
    closed: bool,
}

impl Faults {
    pub fn add(&mut self, pattern: &str, times: usize, fault: Fault) {
        self.rules.push((pattern.to_owned(), times, fault));
    }

    /// The fault of the `nth` request from now on, counted from 1, whatever it is.
    pub fn at(&mut self, nth: usize, fault: Fault) {
        self.at = Some((nth - 1, fault));
    }

    /// Forgets all rules and lets hanging requests go.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.at = None;
        self.released += 1;
    }

    /// Forgets all rules for good: nothing hangs any more.
    pub fn close(&mut self) {
        self.closed = true;
        self.clear();
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The fault for this request, used up by one.
    pub fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        match &mut self.at {
            Some((0, _)) => return self.at.take().map(|(_, fault)| fault),
            Some((before, _)) => *before -= 1,
            None => {}
        }
        let rule = self
            .rules
            .iter_mut()
            .find(|(pattern, times, _)| *times > 0 && matches(pattern, method, path))?;
        rule.1 -= 1;
        Some(rule.2.clone())
    }
}

/// The state of a server that misbehaves when it is told to.
pub trait Faulty {
    fn faults(&mut self) -> &mut Faults;
}

impl<T: Faulty> Monitor<T> {
    /// Carries out the fault of a request before it takes effect. An error is the
    /// request's answer; the value is the fault that is left for later.
    pub fn before(&self, fault: Option<Fault>) -> Result<Option<Fault>, Answer> {
        match fault {
            Some(Fault::Answer(response)) => return Err(Answer::Reply(response)),
            Some(Fault::Cut) => return Err(Answer::Cut),
            Some(Fault::Kill(victim)) => {
                victim.kill();
                return Err(Answer::Cut);
            }
            Some(Fault::Raw(bytes)) => return Err(Answer::Raw(bytes)),
            Some(Fault::Hang) => {
                self.hang();
                return Err(Answer::Cut);
            }
            Some(Fault::Delay(time)) => std::thread::sleep(time),
            Some(Fault::Hold) => self.hang(),
            left => return Ok(left),
        }
        Ok(None)
    }

    /// Carries out the fault of a request that took effect: None for its proper answer.
    pub fn after(&self, fault: Option<Fault>) -> Option<Answer> {
        match fault? {
            Fault::KillAfter(victim) => victim.kill(),
            Fault::HangAfter => self.hang(),
            _ => {}
        }
        Some(Answer::Cut)
    }

    /// Waits until the faults are cleared.
    fn hang(&self) {
        let before = self.lock().faults().released;
        self.wait_while(|state| {
            let faults = state.faults();
            faults.released == before && !faults.closed
        });
    }
}
