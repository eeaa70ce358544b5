//! From a request to its answer: the log, the faults, who asks, and the long poll.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::state::{Logged, State};
use super::sync::position;
use crate::support::faults::matches;
use crate::support::monitor::Monitor;
use crate::support::wire::{Answer, Request, Response, http_date};

pub(super) type Shared = Monitor<State>;

pub type Outcome = (u16, Value);

pub fn error(status: u16, code: &str, text: &str) -> Outcome {
    (status, json!({"errcode": code, "error": text}))
}

impl Shared {
    /// Counts an answer that grows for as long as it is being written.
    pub(super) fn watch(self: &Arc<Self>, answer: Answer) -> Answer {
        let Answer::Reply(response) = answer else {
            return answer;
        };
        if response.growing().is_none() {
            return Answer::Reply(response);
        }
        self.lock().growing += 1;
        let shared = Arc::clone(self);
        let written = move || shared.with(|state| state.growing -= 1);
        Answer::Watched(response, Box::new(written))
    }

    pub(super) fn answer(&self, request: &Request) -> Answer {
        let path = request.path();
        let (entry, fault) = self.with(|state| {
            let device = request
                .bearer()
                .and_then(|token| state.tokens.get(token))
                .map(|(_, device)| device.clone());
            state.log.push(Logged {
                at: Instant::now(),
                method: request.method.clone(),
                path: path.clone(),
                target: request.target.clone(),
                body: request.json(),
                device,
                status: None,
                answered: None,
            });
            let fault = state.faults.take(&request.method, &path);
            (state.log.len() - 1, fault)
        });
        let fault = match self.before(fault) {
            Ok(fault) => fault,
            Err(answer) => {
                if let Answer::Reply(response) = &answer {
                    self.finish(entry, response.status);
                }
                return answer;
            }
        };
        let (status, mut body) = self.route(request);
        let date = self.with(|state| {
            let mut rewrites = std::mem::take(&mut state.rewrites);
            for (pattern, edit) in &mut rewrites {
                if status == 200 && matches(pattern, &request.method, &path) {
                    edit(&mut body);
                }
            }
            rewrites.append(&mut state.rewrites);
            state.rewrites = rewrites;
            state.date
        });
        if let Some(answer) = self.after(fault) {
            return answer;
        }
        self.finish(entry, status);
        let response = Response::json(status, &body);
        Answer::Reply(match date {
            Some(offset) => response.header("Date", &http_date(offset)),
            None => response,
        })
    }

    fn finish(&self, entry: usize, status: u16) {
        self.with(|state| {
            state.log[entry].status = Some(status);
            state.log[entry].answered = Some(Instant::now());
        });
    }

    fn route(&self, request: &Request) -> Outcome {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        let (["_matrix", "client", rest @ ..], body) = (path.as_slice(), request.json()) else {
            return error(404, "M_UNRECOGNIZED", "no such path");
        };
        if rest == ["versions"] {
            return (
                200,
                json!({"versions": ["v1.1", "v1.11", "v1.12"], "unstable_features": {}}),
            );
        }
        let [_, rest @ ..] = rest else {
            return error(404, "M_UNRECOGNIZED", "no such path");
        };
        match (method, rest) {
            ("GET", ["login"]) => return (200, self.lock().flows()),
            ("POST", ["login"]) => return self.lock().log_in(&body),
            ("POST", ["refresh"]) => return self.lock().refresh(&body),
            ("GET", ["profile", user]) => return self.lock().profile(user),
            _ => {}
        }
        let Some(token) = request.bearer() else {
            return error(401, "M_MISSING_TOKEN", "a token is needed");
        };
        let (user, device) = match self.lock().who(token) {
            Ok(who) => who,
            Err(outcome) => return outcome,
        };
        if (method, rest) == ("GET", &["sync"]) {
            return self.long_poll(request, &user, &device);
        }
        let mut state = self.lock();
        if method == "PUT"
            && (matches!(rest, ["rooms", _, "send", ..]) || rest.first() == Some(&"sendToDevice"))
        {
            let once = format!("{user} {device} {}", rest.join("/"));
            if let Some(outcome) = state.transactions.get(&once) {
                return outcome.clone();
            }
            let outcome = state.handle(method, rest, request, &body, &user, &device);
            if outcome.0 == 200 {
                state.transactions.insert(once, outcome.clone());
            }
            return outcome;
        }
        state.handle(method, rest, request, &body, &user, &device)
    }

    fn long_poll(&self, request: &Request, user: &str, device: &str) -> Outcome {
        let since = match request.query("since") {
            None => None,
            Some(token) => {
                let Some(parsed) = position(&token) else {
                    return error(400, "M_UNKNOWN", "not a token of mine");
                };
                Some(parsed)
            }
        };
        let filter = request
            .query("filter")
            .and_then(|filter| serde_json::from_str(&filter).ok())
            .unwrap_or(Value::Null);
        let timeout = request
            .query("timeout")
            .and_then(|ms| ms.parse().ok())
            .unwrap_or(0);
        let number = self.with(|state| {
            if let Some((_, seen)) = since
                && let Some(own) = state.devices.get_mut(&(user.to_owned(), device.to_owned()))
            {
                own.to_device.retain(|(pos, _)| *pos > seen);
            }
            let poll = state.polls.entry(device.to_owned()).or_default();
            // One from the beginning is no continuation of another.
            *poll += u64::from(since.is_some());
            *poll
        });
        let news = self.wait_within(Duration::from_millis(timeout), |state| {
            if since.is_some() && state.polls.get(device) != Some(&number) {
                return Some(error(499, "M_UNKNOWN", "nobody waits for this"));
            }
            let nudged = std::mem::take(&mut state.nudged);
            let ends = nudged || state.faults.is_closed();
            let is_quiet = since.is_some_and(|since| state.is_quiet_since(user, device, since));
            if ends || !(is_quiet || state.quiet) {
                let (body, news) = state.sync(user, device, since, &filter);
                if ends || news {
                    return Some((200, body));
                }
            }
            state.who(request.bearer()?).err()
        });
        news.unwrap_or_else(|| (200, self.lock().sync(user, device, since, &filter).0))
    }
}
