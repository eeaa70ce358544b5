//! The values of keys, as people write them.

use std::time::Duration;

use super::kind::kind_named;
use crate::config::fault::{Flaw, quoted};
use crate::config::{cluster, values};
use crate::control::{Kind, ObjectName, TargetName};
use crate::json::{Content, Located};

/// The largest number of replicas that may be allowed.
pub(in crate::config) const MOST_REPLICAS: i32 = 1000;

/// The bounds of `readyTimeout`.
const READY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(86_400));

/// The kind of a value, as a noun with its article.
pub(in crate::config) fn kind_of(content: &Content<'_>) -> &'static str {
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
pub(in crate::config) fn no_text() -> Flaw {
    Flaw::new(
        "has half of a surrogate pair",
        "write the character itself, in UTF-8",
    )
}

pub(in crate::config) fn text(content: Content<'_>) -> Result<String, Flaw> {
    match content {
        Content::Text(text) => Ok(text),
        other => Err(wrong(&other, "a text", "write it in double quotes")),
    }
}

pub(in crate::config) fn switch(content: Content<'_>) -> Result<bool, Flaw> {
    match content {
        Content::Switch(on) => Ok(on),
        other => Err(wrong(
            &other,
            "a switch",
            "write true or false, without quotes",
        )),
    }
}

pub(in crate::config) fn list(content: Content<'_>) -> Result<Vec<Located<'_>>, Flaw> {
    match content {
        Content::List(items) => Ok(items),
        other => Err(wrong(
            &other,
            "a list",
            "write it in brackets: [\"…\", \"…\"]",
        )),
    }
}

pub(in crate::config) fn name(content: Content<'_>) -> Result<TargetName, Flaw> {
    let text = text(content)?;
    TargetName::parse(&text).map_err(|fault| {
        Flaw::new(
            fault.to_string(),
            "give it another name, of lower-case letters, digits and dashes",
        )
    })
}

pub(in crate::config) fn object(content: Content<'_>) -> Result<ObjectName, Flaw> {
    cluster::name(&text(content)?)
}

pub(in crate::config) fn kind(content: Content<'_>) -> Result<Kind, Flaw> {
    kind_named(&text(content)?)
}

/// One of these words.
pub(in crate::config) fn word<T: Copy>(
    content: Content<'_>,
    words: &[(&str, T)],
) -> Result<T, Flaw> {
    let text = text(content)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let problem = match words.as_slice() {
            [one, other] => format!("is neither {one} nor {other}: {}", quoted(&text)),
            words => format!("is none of {}: {}", words.join(", "), quoted(&text)),
        };
        let cure = match words.len() {
            2 => "write one of the two",
            _ => "write one of these words",
        };
        Flaw::new(problem, cure)
    })
}

/// A number of replicas, from 1 to [`MOST_REPLICAS`].
pub(in crate::config) fn replicas(content: Content<'_>) -> Result<i32, Flaw> {
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

/// The time for which a target may run.
pub(in crate::config) fn span(content: Content<'_>) -> Result<Duration, Flaw> {
    values::span(&text(content)?)
}

pub(in crate::config) fn ready_timeout(content: Content<'_>) -> Result<Duration, Flaw> {
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
