//! The paths of the API and their methods.

use std::time::Duration;

use http::Method;

use super::problem::{Kind, Problem};
use crate::control::TargetName;
use crate::control::access::Action;

/// The longest time that an answer to `wait` takes, which is also the usual one: what
/// stands between the client and the gateway often gives up after a minute.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(50);

/// The subject of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// All targets.
    List,
    /// The description of the API.
    Description,
    /// One target.
    Target(TargetName, Operation),
}

/// The operation that is asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Its state.
    Status,
    /// That it is ready, for so long.
    Wait(Duration),
    /// A start.
    Start,
    /// A stop.
    Stop,
    /// A number of replicas.
    Scale,
}

impl Operation {
    /// The action that a role has to allow for it.
    pub(super) const fn action(self) -> Action {
        match self {
            Self::Status => Action::Status,
            Self::Wait(_) => Action::Wait,
            Self::Start => Action::Start,
            Self::Stop => Action::Stop,
            Self::Scale => Action::Scale,
        }
    }
}

impl Route {
    /// The method that it is asked by.
    const fn method(&self) -> (Method, &'static str) {
        match self {
            Self::Target(_, Operation::Start | Operation::Stop | Operation::Scale) => {
                (Method::POST, "POST")
            }
            _ => (Method::GET, "GET"),
        }
    }
}

/// Finds out what a request is about. Paths are compared as they come: one that is written
/// in another way, such as with `%2e` or `//`, leads nowhere.
///
/// # Errors
/// There is no such path, or it is not asked like this.
pub(super) fn route(method: &Method, path: &str, query: Option<&str>) -> Result<Route, Problem> {
    let mut route = find(path).ok_or_else(Problem::not_found)?;
    let (expected, allowed) = route.method();
    if *method != expected {
        let detail = ["ask this path by ", allowed].concat();
        return Err(Problem::new(Kind::Method(allowed), detail));
    }
    let query = query.filter(|query| !query.is_empty());
    match (&mut route, query) {
        (_, None) => {}
        (Route::Target(_, Operation::Wait(wait)), Some(query)) => *wait = timeout(query)?,
        _ => return Err(Problem::malformed("this path takes no parameters")),
    }
    Ok(route)
}

fn find(path: &str) -> Option<Route> {
    let rest = path.strip_prefix("/v1/")?;
    let Some(rest) = rest.strip_prefix("targets") else {
        return (rest == "openapi.json").then_some(Route::Description);
    };
    if rest.is_empty() {
        return Some(Route::List);
    }
    let rest = rest.strip_prefix('/')?;
    let (name, operation) = match rest.split_once('/') {
        None => (rest, Operation::Status),
        Some((name, "wait")) => (name, Operation::Wait(MAX_WAIT)),
        Some((name, "start")) => (name, Operation::Start),
        Some((name, "stop")) => (name, Operation::Stop),
        Some((name, "scale")) => (name, Operation::Scale),
        Some(_) => return None,
    };
    let name = TargetName::parse(name).ok()?;
    Some(Route::Target(name, operation))
}

/// Reads `timeout=50s`, the one parameter that there is.
fn timeout(query: &str) -> Result<Duration, Problem> {
    const CURE: &str = "write timeout=50s, whole seconds up to 50, and no other parameter";
    let seconds = query.strip_prefix("timeout=").and_then(|value| {
        let digits = value.strip_suffix('s').unwrap_or(value);
        let is_number =
            (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number)
    });
    seconds
        .map(Duration::from_secs)
        .filter(|wait| *wait <= MAX_WAIT)
        .ok_or_else(|| Problem::malformed(CURE))
}
