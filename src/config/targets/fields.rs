//! The values of keys that only targets have.

use ruma::{OwnedRoomId, OwnedUserId};

use crate::config::document::replicas;
use crate::config::fault::{Flaw, quoted};
use crate::config::policy;
use crate::control::StartCount;
use crate::control::time::Schedule;
use crate::json::Content;
use crate::util::SortedSet;

/// The words of `confirm`: whether every change but a start is asked about.
pub(super) const CONFIRM: [(&str, bool); 2] = [("always", true), ("risky", false)];

/// The words of `data`: whether its volumes may be lost.
pub(super) const DATA: [(&str, bool); 2] = [("keep", false), ("disposable", true)];

/// The words of `details`: whether the room may read the API server's own words.
pub(super) const DETAILS: [(&str, bool); 2] = [("short", false), ("full", true)];

/// The word for a `start` with as many replicas as there were.
pub(super) const PREVIOUS: &str = "previous";

/// A number of replicas, or [`PREVIOUS`].
pub(super) fn start(content: Content<'_>) -> Result<StartCount, Flaw> {
    match content {
        Content::Text(text) if text == PREVIOUS => Ok(StartCount::Previous(1)),
        Content::Text(text) => Err(Flaw::new(
            format!("is no number and not previous: {}", quoted(&text)),
            "write a number of replicas without quotes, or \"previous\"",
        )),
        other => Ok(StartCount::Replicas(replicas(other)?)),
    }
}

/// A rule of a schedule, looked at by itself, so that its line is known.
pub(super) fn rule(text: &str) -> Result<String, Flaw> {
    match Schedule::parse(&[text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(fault) => {
            // What to write instead is another part of the sentence.
            let sentence = fault.to_string();
            let (problem, _) = sentence.split_once(": ").unwrap_or((&sentence, ""));
            Err(Flaw::new(
                problem,
                "write rules such as Mon-Fri 08:00-18:00, start weekdays 8:00 or stop daily 20:00",
            ))
        }
    }
}

/// A user who is on one of these lists, of which an unknown one has everybody.
pub(super) fn user(
    text: &str,
    lists: &[Option<&SortedSet<OwnedUserId>>],
    cure: &'static str,
) -> Result<OwnedUserId, Flaw> {
    let user = policy::full_id(text, "write full ids, such as \"@alice:example.com\"")?;
    let is_listed =
        |list: &Option<&SortedSet<OwnedUserId>>| list.is_none_or(|users| users.contains(&user));
    if lists.iter().any(is_listed) {
        return Ok(user);
    }
    let problem = format!("names {}, whom the bot does not listen to", quoted(text));
    Err(Flaw::new(problem, cure))
}

/// A room, one of `allowed` where those are known.
pub(super) fn room(
    text: &str,
    allowed: Option<&SortedSet<OwnedRoomId>>,
) -> Result<OwnedRoomId, Flaw> {
    let room = policy::room(text)?;
    if allowed.is_some_and(|allowed| !allowed.contains(&room)) {
        return Err(Flaw::new(
            format!("names {}, which is not in ALLOWED_ROOMS", quoted(text)),
            "name the room in ALLOWED_ROOMS too",
        ));
    }
    Ok(room)
}
