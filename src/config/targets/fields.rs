//! The values of a target's keys.

use std::collections::BTreeSet;
use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId};

use super::list::MOST_REPLICAS;
use crate::config::fault::{Flaw, quoted};
use crate::config::{cluster, policy, values};
use crate::control::time::Schedule;
use crate::control::{Kind, ObjectName, StartCount, TargetName};
use crate::json::{Content, Located};

/// The words of `confirm`: whether every change but a start is asked about.
pub(super) const CONFIRM: [(&str, bool); 2] = [("always", true), ("risky", false)];

/// The words of `data`: whether its volumes may be lost.
pub(super) const DATA: [(&str, bool); 2] = [("keep", false), ("disposable", true)];

/// The words of `details`: whether the room may read the API server's own words.
pub(super) const DETAILS: [(&str, bool); 2] = [("short", false), ("full", true)];

/// The word for a `start` with as many replicas as there were.
pub(super) const PREVIOUS: &str = "previous";

/// The bounds of `readyTimeout`.
const READY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(86_400));

/// The kind of a value, as a noun with its article.
pub(super) fn kind_of(content: &Content<'_>) -> &'static str {
    match content {
        Content::Null => "null",
        Content::Switch(_) => "true or false",
        Content::Number(_) => "a number",
        Content::Text(_) => "a text",
        Content::List(_) => "a list",
        Content::Map(_) => "an object",
    }
}

fn wrong(content: &Content<'_>, wanted: &str, cure: &'static str) -> Flaw {
    Flaw::new(format!("is {} and not {wanted}", kind_of(content)), cure)
}

/// The flaw of a string with half of a character.
pub(super) fn no_text() -> Flaw {
    Flaw::new(
        "has half of a surrogate pair",
        "write the character itself, in UTF-8",
    )
}

pub(super) fn text(content: Content<'_>) -> Result<String, Flaw> {
    match content {
        Content::Text(text) => Ok(text),
        other => Err(wrong(&other, "a text", "write it in double quotes")),
    }
}

pub(super) fn switch(content: Content<'_>) -> Result<bool, Flaw> {
    match content {
        Content::Switch(on) => Ok(on),
        other => Err(wrong(
            &other,
            "a switch",
            "write true or false, without quotes",
        )),
    }
}

pub(super) fn list(content: Content<'_>) -> Result<Vec<Located<'_>>, Flaw> {
    match content {
        Content::List(items) => Ok(items),
        other => Err(wrong(
            &other,
            "a list",
            "write it in brackets: [\"…\", \"…\"]",
        )),
    }
}

pub(super) fn name(content: Content<'_>) -> Result<TargetName, Flaw> {
    let text = text(content)?;
    TargetName::parse(&text).map_err(|fault| {
        Flaw::new(
            fault.to_string(),
            "give it another name, of lower-case letters, digits and dashes",
        )
    })
}

pub(super) fn object(content: Content<'_>) -> Result<ObjectName, Flaw> {
    cluster::name(&text(content)?)
}

pub(super) fn kind(content: Content<'_>) -> Result<Kind, Flaw> {
    super::kind::kind(&text(content)?)
}

/// One of these words.
pub(super) fn word<T: Copy>(content: Content<'_>, words: &[(&str, T); 2]) -> Result<T, Flaw> {
    let [(one, _), (other, _)] = words;
    let text = text(content)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        Flaw::new(
            format!("is neither {one} nor {other}: {}", quoted(&text)),
            "write one of the two",
        )
    })
}

/// A number of replicas, from 1 to [`MOST_REPLICAS`].
pub(super) fn replicas(content: Content<'_>) -> Result<i32, Flaw> {
    const CURE: &str = "write a whole number from 1 to 1000, without quotes";
    match content {
        Content::Number(number) => number
            .parse()
            .ok()
            .filter(|count| (1..=MOST_REPLICAS).contains(count))
            .ok_or_else(|| Flaw::new(format!("is out of range: {}", quoted(number)), CURE)),
        other => Err(wrong(&other, "a number", CURE)),
    }
}

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

/// The time for which a target may run.
pub(super) fn span(content: Content<'_>) -> Result<Duration, Flaw> {
    values::span(&text(content)?)
}

pub(super) fn ready_timeout(content: Content<'_>) -> Result<Duration, Flaw> {
    let text = text(content)?;
    let read = values::time(&text);
    let (least, most) = READY;
    read.filter(|time| (least..=most).contains(time))
        .ok_or_else(|| {
            Flaw::new(
                format!("is no time, or out of range: {}", quoted(&text)),
                "write seconds, minutes or hours, such as 90s, 10m or 2h, from 10s to 24h",
            )
        })
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
    lists: &[Option<&BTreeSet<OwnedUserId>>],
    cure: &'static str,
) -> Result<OwnedUserId, Flaw> {
    let user = policy::full_id(text, "write full ids, such as \"@alice:example.com\"")?;
    let is_listed =
        |list: &Option<&BTreeSet<OwnedUserId>>| list.is_none_or(|users| users.contains(&user));
    if lists.iter().any(is_listed) {
        return Ok(user);
    }
    let problem = format!("names {}, whom the bot does not listen to", quoted(text));
    Err(Flaw::new(problem, cure))
}

/// A room, one of `allowed` where those are known.
pub(super) fn room(
    text: &str,
    allowed: Option<&BTreeSet<OwnedRoomId>>,
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
