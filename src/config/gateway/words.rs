//! The values of keys that only the gateway's file has.

use std::time::Duration;

use http::uri::Authority;

use super::{IdleStop, OnCold, Port, Route, WakeBy};
use crate::config::document::{kind_named, kind_of, text};
use crate::config::fault::{Flaw, quoted};
use crate::config::values::time;
use crate::control::access::Action;
use crate::control::time::parse_duration;
use crate::control::{Kind, Namespace, ObjectName};
use crate::json::Content;
use crate::util::{is_deceptive, nearest};

/// The longest label of a name in DNS, in bytes (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// The longest name of a field manager, in bytes, as the API server has it.
const MAX_MANAGER: usize = 128;

/// The longest path or part of a User-Agent, in bytes.
const MAX_PATTERN: usize = 256;

pub(super) const IDLE_STOPS: [(&str, IdleStop); 3] = [
    ("own", IdleStop::Own),
    ("any", IdleStop::Any),
    ("never", IdleStop::Never),
];

pub(super) const ROUTES: [(&str, Route); 2] = [("pod", Route::Pod), ("service", Route::Service)];

pub(super) const ON_COLD: [(&str, OnCold); 4] = [
    ("auto", OnCold::Auto),
    ("hold", OnCold::Hold),
    ("page", OnCold::Page),
    ("503", OnCold::Refuse),
];

pub(super) const WAKE_BY: [(&str, WakeBy); 2] =
    [("navigation", WakeBy::Navigation), ("any", WakeBy::Any)];

/// The actions that need not be asked about.
pub(super) const OPEN: [Action; 5] = [
    Action::List,
    Action::Status,
    Action::Wait,
    Action::Wake,
    Action::Connect,
];

/// A length of time with its bounds.
pub(super) struct Bounds {
    least: u64,
    most: u64,
    cure: &'static str,
}

const DAY: u64 = 86_400;

/// The bounds of `idle`. Below, what comes and goes with a page's pictures would stop it.
pub(super) static IDLE: Bounds = Bounds {
    least: 10,
    most: 366 * DAY,
    cure: "write seconds, minutes, hours or days, such as 90s, 30m or 8h, from 10s to 366d",
};

/// The bounds of `presence`.
pub(super) static PRESENCE: Bounds = Bounds {
    least: 60,
    most: 366 * DAY,
    cure: "write minutes, hours or days, such as 30m, 8h or 2d, from 1m to 366d",
};

/// The bounds of `minUp`.
pub(super) static MIN_UP: Bounds = Bounds {
    least: 0,
    most: DAY,
    cure: "write seconds, minutes or hours, such as 0s, 90s or 10m, up to 24h",
};

/// The bounds of `hold`.
pub(super) static HOLD: Bounds = Bounds {
    least: 1,
    most: 3600,
    cure: "write seconds or minutes, such as 50s or 5m, from 1s to 1h",
};

/// A length of time within its bounds.
pub(super) fn length(content: Content<'_>, bounds: &Bounds) -> Result<Duration, Flaw> {
    let text = text(content)?;
    let read = time(&text).or_else(|| parse_duration(&text).ok());
    read.filter(|time| (bounds.least..=bounds.most).contains(&time.as_secs()))
        .ok_or_else(|| {
            let problem = format!("is no time, or out of range: {}", quoted(&text));
            Flaw::new(problem, bounds.cure)
        })
}

/// A whole number within bounds.
pub(super) fn whole(
    content: Content<'_>,
    (least, most): (u16, u16),
    cure: &'static str,
) -> Result<u16, Flaw> {
    match content {
        Content::Number(number) => {
            let read = number.parse().ok();
            read.filter(|count| (least..=most).contains(count))
                .ok_or_else(|| Flaw::new(format!("is out of range: {}", quoted(number)), cure))
        }
        other => Err(not_a_number(&other, cure)),
    }
}

fn not_a_number(content: &Content<'_>, cure: &'static str) -> Flaw {
    Flaw::new(format!("is {} and not a number", kind_of(content)), cure)
}

/// A kind: as in the bot's file, or as Kubernetes writes it. One whose count cannot be applied
/// is none for the gateway.
pub(super) fn kind(content: Content<'_>) -> Result<Kind, Flaw> {
    let text = text(content)?;
    match text.as_str() {
        "Deployment" => Ok(Kind::Deployment),
        "StatefulSet" => Ok(Kind::StatefulSet),
        other => match kind_named(other) {
            Ok(kind) if kind.takes_apply() => Ok(kind),
            read => {
                let problem = match read {
                    Ok(_) => "is one whose count cannot be applied",
                    Err(_) => "is none",
                };
                Err(Flaw::new(
                    format!("{problem}: {}", quoted(other)),
                    "write Deployment or StatefulSet, since others are never switched by the \
                     gateway",
                ))
            }
        },
    }
}

/// A host name as requests have it: lower case, without a port.
pub(super) fn host(text: &str) -> Result<String, Flaw> {
    let flaw = |problem: &str, cure| Err(Flaw::new(format!("{problem}: {}", quoted(text)), cure));
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return flaw(
            "is not in lower case",
            "write it in lower case, as clients send it",
        );
    }
    if let Some((_, port)) = text.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return flaw(
            "has a port",
            "leave the port out: targets are told apart by the name alone",
        );
    }
    let mut labels = text.split('.');
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = ObjectName::parse(text).is_some()
        && labels.clone().all(|label| label.len() <= MAX_LABEL)
        && !labels.next_back().is_some_and(is_number);
    match is_name {
        true => Ok(text.to_owned()),
        false => flaw(
            "is no host name",
            "write one name in DNS, such as claw.example.org, without a scheme, path or wildcard",
        ),
    }
}

/// The Host that an app is shown: a name, perhaps with a port.
pub(super) fn upstream_host(content: Content<'_>) -> Result<String, Flaw> {
    let text = text(content)?;
    let authority = text.parse::<Authority>().ok();
    let is_plain = authority.is_some_and(|authority| !authority.as_str().contains('@'));
    match is_plain {
        true => Ok(text),
        false => Err(Flaw::new(
            format!("is no host: {}", quoted(&text)),
            "write a host name, with :PORT if need be",
        )),
    }
}

/// The name of a Service: a label of DNS.
pub(super) fn service(content: Content<'_>) -> Result<ObjectName, Flaw> {
    let text = text(content)?;
    let label = Namespace::parse(&text);
    label
        .and_then(|label| ObjectName::parse(label.as_str()))
        .ok_or_else(|| {
            Flaw::new(
                format!("is not the name of a Service: {}", quoted(&text)),
                "write its name alone, at most 63 lower-case letters, digits and dashes",
            )
        })
}

/// A port of a Service, by its number or by its name.
pub(super) fn port(content: Content<'_>) -> Result<Port, Flaw> {
    const CURE: &str = "write the Service's port: its number, without quotes, or its name, with";
    match content {
        Content::Text(text) => {
            let has_letter = text.bytes().any(|byte| byte.is_ascii_lowercase());
            match has_letter && Namespace::parse(&text).is_some() {
                true => Ok(Port::Name(text)),
                false => Err(Flaw::new(
                    format!("is not the name of a port: {}", quoted(&text)),
                    CURE,
                )),
            }
        }
        other => Ok(Port::Number(whole(other, (1, u16::MAX), CURE)?)),
    }
}

/// The status of the waiting page.
pub(super) fn page_status(content: Content<'_>) -> Result<u16, Flaw> {
    const CURE: &str = "write 503, or 200 where an ingress replaces pages with a 5xx";
    match content {
        Content::Number("503") => Ok(503),
        Content::Number("200") => Ok(200),
        Content::Number(other) => Err(Flaw::new(
            format!("is neither 503 nor 200: {}", quoted(other)),
            CURE,
        )),
        other => Err(not_a_number(&other, CURE)),
    }
}

/// A path that wakes nothing.
pub(super) fn quiet_path(text: &str) -> Result<String, Flaw> {
    let stem = text.strip_suffix('*').unwrap_or(text);
    let is_path = text.len() <= MAX_PATTERN
        && stem.starts_with('/')
        && stem.bytes().all(|byte| byte.is_ascii_graphic())
        && !stem.contains(['*', '?', '#']);
    match is_path {
        true => Ok(text.to_owned()),
        false => Err(Flaw::new(
            format!("holds what is no path: {}", quoted(text)),
            "write paths that begin with /, with a * at the end for any rest, and nothing of a \
             query",
        )),
    }
}

/// A part of a User-Agent that wakes nothing.
pub(super) fn quiet_agent(text: &str) -> Result<String, Flaw> {
    shown(
        text,
        MAX_PATTERN,
        "part of a User-Agent",
        "write a word of it, such as kube-probe",
    )
}

/// The name of a field manager.
pub(super) fn manager(text: &str) -> Result<String, Flaw> {
    shown(
        text,
        MAX_MANAGER,
        "field manager",
        "write its name as managedFields has it, such as kube-controller-manager",
    )
}

/// A text of visible characters.
pub(super) fn shown(
    text: &str,
    most: usize,
    what: &str,
    cure: &'static str,
) -> Result<String, Flaw> {
    let is_shown = !text.trim().is_empty() && text.len() <= most && !text.contains(is_deceptive);
    match is_shown {
        true => Ok(text.to_owned()),
        false => Err(Flaw::new(
            format!("holds what is no {what}: {}", quoted(text)),
            cure,
        )),
    }
}

/// An action.
pub(super) fn action(text: &str) -> Result<Action, Flaw> {
    Action::of_word(text).ok_or_else(|| {
        let mut problem = format!("names {}, which is no verb", quoted(text));
        if let Some(meant) = nearest(text, Action::ALL.map(Action::as_str)) {
            problem.push_str(&format!(" (perhaps {meant})"));
        }
        Flaw::new(
            problem,
            "write list, status, wait, wake, connect, start, stop or scale",
        )
    })
}

/// An action that anybody may do.
pub(super) fn open_action(text: &str) -> Result<Action, Flaw> {
    let action = action(text)?;
    match OPEN.contains(&action) {
        true => Ok(action),
        false => Err(Flaw::new(
            format!("names {action}, which nobody may do without showing who they are"),
            "keep to list, status, wait, wake and connect, and give the rest to roles",
        )),
    }
}
