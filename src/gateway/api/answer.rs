//! Answers about targets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use tokio::time::Instant;

use crate::control::TargetName;
use crate::gateway::object::Object;
use crate::gateway::proxy;
use crate::gateway::wake::View;
use crate::util::rfc3339;

/// An answer as it is sent.
pub(super) type Answer = Response<proxy::Answer>;

/// The media type of everything that is no problem.
pub(super) const JSON: &str = "application/json";

/// One moment on both clocks: states are timed by the one that does not jump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// The monotonic clock.
    pub(super) instant: Instant,
    /// The wall clock that the replicas have in common.
    pub(super) wall: SystemTime,
}

/// The part of a target's state that an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// That it exists: for a list.
    Name,
    /// Its phase and its numbers: what follows from a start or a stop.
    Phase,
    /// Also the reason, who started it and when it is stopped: for those who may see its
    /// status.
    All,
}

/// An answer with this body and a line break, for those who read it in a terminal. Nothing on
/// the way keeps it.
pub(super) fn response(status: StatusCode, content_type: &'static str, mut body: String) -> Answer {
    if !body.ends_with('\n') {
        body.push('\n');
    }
    let mut answer = Response::new(proxy::Answer::Whole(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The JSON of a target.
pub(super) fn target(name: &TargetName, view: &View, now: Now, detail: Detail) -> String {
    let mut object = Object::new();
    object.text("name", name.as_str());
    if detail == Detail::Name {
        return object.end();
    }
    let age = now.instant.saturating_duration_since(view.since);
    let since = now.wall.checked_sub(age).unwrap_or(UNIX_EPOCH);
    object.text("phase", view.phase.as_str());
    object.text("since", &rfc3339(since));
    let is_all = detail == Detail::All;
    if let Some(reason) = view.reason.as_deref().filter(|_| is_all) {
        object.text("reason", reason);
    }
    if let Some(replicas) = view.desired {
        object.raw("replicas", &replicas);
    }
    object.raw("ready", &view.ready);
    if !is_all {
        return object.end();
    }
    if let Some(by) = &view.started_by {
        object.text("startedBy", by);
    }
    if let Some(left) = view.idle_left {
        object.raw("sleepsIn", &left.as_secs());
    }
    if let Some(ms) = view.keep_until_ms {
        let until = UNIX_EPOCH.checked_add(Duration::from_millis(ms));
        object.text("keepUntil", &rfc3339(until.unwrap_or(UNIX_EPOCH)));
    }
    object.end()
}

/// The JSON of a list of targets, each as [`target`] has it.
pub(super) fn list(targets: &[String]) -> String {
    ["{\"targets\":[", &targets.join(","), "]}"].concat()
}
