//! The bodies of requests.

use std::time::Duration;

use super::problem::{Kind, Problem};
use super::route::Operation;
use crate::control::time::{MAX_DURATION, parse_duration};
use crate::gateway::wake::Change;
use crate::json::{Content, Document, Located};
use crate::util::{printable, rfc3339_ms};

/// The longest name of a member that is repeated, in bytes.
const MAX_QUOTED: usize = 40;

/// The members of a body that were read.
#[derive(Default)]
struct Fields {
    replicas: Option<i32>,
    run_for: Option<Duration>,
}

/// Reads the change that a body asks for; one that is empty asks for nothing in particular.
/// `now_ms` is the time in milliseconds since the Unix epoch, from which `until` is
/// counted. None if the operation changes nothing.
///
/// # Errors
/// The first fault of the body.
pub(super) fn change(
    operation: Operation,
    body: &[u8],
    now_ms: u64,
) -> Result<Option<Change>, Problem> {
    let known: &[&str] = match operation {
        Operation::Start => &["replicas", "for", "until"],
        Operation::Scale => &["replicas"],
        Operation::Stop => &[],
        Operation::Status | Operation::Wait(_) if body.is_empty() => return Ok(None),
        Operation::Status | Operation::Wait(_) => {
            return Err(Problem::malformed("a GET has no body"));
        }
    };
    let least = i32::from(operation == Operation::Start);
    let Fields { replicas, run_for } = fields(body, known, least, now_ms)?;
    Ok(Some(match operation {
        Operation::Start => Change::Start { replicas, run_for },
        Operation::Scale => {
            let missing = || Problem::malformed("\"replicas\" is missing");
            Change::Scale(replicas.ok_or_else(missing)?)
        }
        _ => Change::Stop,
    }))
}

/// Compares the media type of a body with the one that is taken: JSON, with any parameters.
///
/// # Errors
/// It is another one, or there is none.
pub(super) fn media_type(content_type: Option<&[u8]>) -> Result<(), Problem> {
    let essence = content_type
        .unwrap_or_default()
        .split(|b| *b == b';')
        .next();
    let essence = essence.unwrap_or_default().trim_ascii();
    match essence.eq_ignore_ascii_case(super::answer::JSON.as_bytes()) {
        true => Ok(()),
        false => Err(Problem::new(
            Kind::MediaType,
            "say Content-Type: application/json",
        )),
    }
}

fn fields(body: &[u8], known: &[&str], least: i32, now_ms: u64) -> Result<Fields, Problem> {
    let mut fields = Fields::default();
    if body.is_empty() {
        return Ok(fields);
    }
    let no_json = || Problem::malformed("the body is not JSON");
    let document = Document::new(str::from_utf8(body).map_err(|_| no_json())?);
    let root = document.root().map_err(|_| no_json())?;
    let Content::Map(members) = root.content().map_err(|_| no_json())? else {
        return Err(Problem::malformed("the body is not a JSON object"));
    };
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &members {
        let Some(name) = known.iter().find(|known| *known == name) else {
            let name = printable(name, MAX_QUOTED);
            let detail = format!("there is no member \"{name}\" here");
            return Err(Problem::malformed(detail));
        };
        if seen.contains(name) {
            return Err(wrong(name, "is there twice"));
        }
        seen.push(name);
        match *name {
            "replicas" => fields.replicas = Some(replicas(*value, least)?),
            name => {
                if fields.run_for.is_some() {
                    return Err(wrong("until", "and \"for\" exclude each other"));
                }
                fields.run_for = Some(length(name, *value, now_ms)?);
            }
        }
    }
    Ok(fields)
}

/// The fault of a member that is known.
fn wrong(name: &str, fault: &str) -> Problem {
    Problem::malformed(["\"", name, "\" ", fault].concat())
}

/// A number of replicas, which is limited by the target and the roles.
fn replicas(value: Located<'_>, least: i32) -> Result<i32, Problem> {
    let read = match value.content() {
        Ok(Content::Number(text)) => text.parse().ok(),
        _ => None,
    };
    let fault = match least {
        0 => "has to be a whole number",
        _ => "has to be a whole number, at least 1",
    };
    read.filter(|read| *read >= least)
        .ok_or_else(|| wrong("replicas", fault))
}

/// A length of time, or the one until a moment.
fn length(name: &str, value: Located<'_>, now_ms: u64) -> Result<Duration, Problem> {
    let text = match value.content() {
        Ok(Content::Text(text)) => text,
        _ => return Err(wrong(name, "has to be a text")),
    };
    if name == "for" {
        let length = parse_duration(&text);
        return length.map_err(|_| wrong(name, "has to be from 1m to 366d, such as 90m or 2h"));
    }
    let at = rfc3339_ms(&text);
    let at = at.ok_or_else(|| wrong(name, "has to be such as 2026-11-21T18:00:00Z"))?;
    let left = at.checked_sub(now_ms).filter(|left| *left > 0);
    let left = left.ok_or_else(|| wrong(name, "is over"))?;
    Some(Duration::from_millis(left))
        .filter(|left| *left <= MAX_DURATION)
        .ok_or_else(|| wrong(name, "is more than 366 days ahead"))
}
