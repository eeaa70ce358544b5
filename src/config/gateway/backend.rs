//! The part of a target that says how requests get to it.

use std::time::Duration;

use super::keys::OF_HOST;
use super::words::{self, HOLD, ON_COLD, ROUTES, WAKE_BY, length};
use super::{Backend, OnCold, Route, WakeBy};
use crate::config::document::{Object, switch, text, word};
use crate::control::ObjectName;

/// The most host names of a target.
pub(super) const MAX_HOSTS: usize = 8;

/// The longest time that a request is held, unless the target says otherwise: below the
/// minute after which most ingresses give up.
const HELD: Duration = Duration::from_secs(50);

/// The requests that are held at the same time, unless the target says otherwise.
const MAX_HELD: u16 = 100;

/// The paths that browsers and robots ask for by themselves.
pub(super) const QUIET_PATHS: [&str; 4] = [
    "/favicon.ico",
    "/robots.txt",
    "/apple-touch-icon*",
    "/.well-known/*",
];

/// Parts of the User-Agents of those that only look whether it is there.
pub(super) const QUIET_AGENTS: [&str; 6] = [
    "kube-probe",
    "GoogleHC",
    "ELB-HealthChecker",
    "Uptime-Kuma",
    "Blackbox",
    "Prometheus",
];

/// The way to a target, as far as it is known, whatever else is wrong with it.
#[derive(Default)]
pub(super) struct Way {
    pub(super) hosts: Vec<String>,
    pub(super) service: Option<ObjectName>,
    /// All of it: nothing where it has a fault, else perhaps none.
    pub(super) backend: Option<Option<Backend>>,
}

/// The way of requests to the target.
pub(super) fn way(object: &mut Object<'_, '_>) -> Way {
    let hosts = hosts(object);
    let service = object.read("service", words::service);
    let port = object.read("port", words::port);
    let route = object.read("route", |content| word(content, &ROUTES));
    let on_cold = object.read("onCold", |content| word(content, &ON_COLD));
    let page_status = object.read("pageStatus", words::page_status);
    let hold = object.read("hold", |content| length(content, &HOLD));
    let max_held = object.read("maxHeld", |content| {
        words::whole(content, (1, 10_000), "write a whole number from 1 to 10000")
    });
    let wake_by = object.read("wakeBy", |content| word(content, &WAKE_BY));
    let paths = object.each("noWakePaths", words::quiet_path);
    let agents = object.each("noWakeAgents", words::quiet_agent);
    let preflight = object.read("preflight", switch);
    let upstream_host = object.read("upstreamHost", words::upstream_host);
    let identity_headers = object.read("identityHeaders", switch);

    if object.take("host").is_none() && object.take("hosts").is_none() {
        let Some(key) = OF_HOST.iter().find(|key| object.take(key).is_some()) else {
            return Way {
                backend: Some(None),
                ..Way::default()
            };
        };
        let cure = match *key {
            "idle" => {
                "give it the host name that requests for it have, or leave the key out and start it \
                 with for: only use of what the proxy leads to is seen"
            }
            _ => "give it the host name that requests for it have, or leave the key out",
        };
        object.flaw(&format!(", which has {key} and no host"), cure);
        return Way::default();
    }
    let known = hosts.clone().unwrap_or_default();
    let known_service = service.clone().flatten();
    for key in ["service", "port"] {
        if object.take(key).is_none() {
            object.flaw(
                &format!(", which has a host and no {key}"),
                "name the Service whose pods answer, in the namespace of the object, and its port",
            );
        }
    }
    let made = || {
        Some(Backend {
            hosts: hosts?,
            service: service??,
            port: port??,
            route: route?.unwrap_or(Route::Pod),
            on_cold: on_cold?.unwrap_or(OnCold::Auto),
            page_status: page_status?.unwrap_or(503),
            hold: hold?.unwrap_or(HELD),
            max_held: max_held?.unwrap_or(MAX_HELD).into(),
            wake_by: wake_by?.unwrap_or(WakeBy::Navigation),
            no_wake_paths: match paths? {
                Some(paths) => paths.into_iter().collect(),
                None => QUIET_PATHS.map(str::to_owned).into(),
            },
            no_wake_agents: match agents? {
                Some(agents) => agents.into_iter().collect(),
                None => QUIET_AGENTS.map(str::to_owned).into(),
            },
            preflight: preflight?.unwrap_or(false),
            upstream_host: upstream_host?,
            identity_headers: identity_headers?.unwrap_or(false),
        })
    };
    Way {
        hosts: known,
        service: known_service,
        backend: made().map(Some),
    }
}

/// The host names of the target, by either key; nothing where they have a fault.
fn hosts(object: &mut Object<'_, '_>) -> Option<Vec<String>> {
    const CURE: &str = "name 1 to 8 hosts, or leave the key out";
    let host = object.read("host", |content| words::host(&text(content)?));
    let hosts = object.some("hosts", CURE, words::host);
    if object.take("host").is_some() && object.take("hosts").is_some() {
        object.flaw(
            ", which has host and hosts",
            "keep one of the two: hosts takes all the names",
        );
        return None;
    }
    let hosts: Vec<String> = match hosts? {
        Some(hosts) => hosts.into_iter().collect(),
        None => host?.into_iter().collect(),
    };
    if hosts.len() > MAX_HOSTS {
        object.flaw(&format!(", whose hosts are {}", hosts.len()), CURE);
        return None;
    }
    Some(hosts)
}
