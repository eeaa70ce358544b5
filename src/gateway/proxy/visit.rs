//! The visitor of a target, as far as it matters while it is off: a person who waits before a
//! page, a script of a tab that was left open, a program, or somebody who only looks.
//! Nothing is granted by it.
//!
//! Specification: <https://www.w3.org/TR/fetch-metadata/>.

use http::header::{ACCEPT, HeaderName, HeaderValue, ORIGIN, UPGRADE, USER_AGENT};
use http::{HeaderMap, Method};

use crate::config::gateway::{Backend, OnCold, WakeBy};

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const PURPOSES: [HeaderName; 2] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
];

/// The kind of a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visit {
    /// A browser, for a page that somebody looks at.
    Navigation,
    /// A browser, with a form that somebody has filled in.
    Form,
    /// A browser, for something that a page needs.
    Script,
    /// Something else.
    Program,
}

/// The answer to somebody whose target is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// It waits.
    Hold,
    /// The waiting page.
    Page,
    /// A 503 at once.
    Refuse,
}

impl Visit {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        match headers.get(FETCH_MODE) {
            Some(mode) if mode == "navigate" => match *method {
                Method::GET => Self::Navigation,
                _ => Self::Form,
            },
            Some(_) => Self::Script,
            None if headers.contains_key(FETCH_SITE) => Self::Script,
            // A browser says more only where the connection is secure, and never of a
            // WebSocket.
            None if wants_html(headers) && !headers.contains_key(UPGRADE) => match *method {
                Method::GET => Self::Navigation,
                _ => Self::Form,
            },
            None if is_browser(headers) => Self::Script,
            None => Self::Program,
        }
    }

    /// Returns true if such a visit wakes a target; one with a bearer token always does.
    pub(super) fn wakes(self, by: WakeBy, has_token: bool) -> bool {
        has_token || by == WakeBy::Any || self != Self::Script
    }

    /// Returns true if somebody is there: the page of a tab that was left open looks for news
    /// by itself, and changes nothing. Where scripts wake, they are as good as somebody.
    pub(super) fn is_client(self, by: WakeBy, method: &Method, has_token: bool) -> bool {
        self.wakes(by, has_token) || !method.is_safe()
    }

    /// The answer that it gets.
    pub(super) fn plan(self, on_cold: OnCold, method: &Method) -> Plan {
        match on_cold {
            OnCold::Refuse => Plan::Refuse,
            OnCold::Auto if self == Self::Navigation => Plan::Page,
            OnCold::Page if *method == Method::GET => Plan::Page,
            OnCold::Auto | OnCold::Page | OnCold::Hold => Plan::Hold,
        }
    }
}

/// Returns true for a browser, which says so, or from which page a WebSocket is opened.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let is_of_page = headers.contains_key(UPGRADE) && headers.contains_key(ORIGIN);
    is_of_page || agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"))
}

/// Returns true if the answer may be a page.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// Returns true if the answer had better be JSON.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    accepts(headers, "json")
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains(kind)))
}

/// Returns true for a request that wakes nothing and is no use of its target: it only
/// looks, looks ahead, or comes from something that asks all the time.
pub(super) fn is_quiet(
    method: &Method,
    headers: &HeaderMap,
    path: &str,
    backend: &Backend,
) -> bool {
    if *method == Method::HEAD || *method == Method::OPTIONS {
        return true;
    }
    let is_ahead = |name: &HeaderName| {
        headers.get(name).is_some_and(|value| {
            value
                .to_str()
                .is_ok_and(|value| value.contains("prefetch") || value.contains("prerender"))
        })
    };
    if PURPOSES.iter().any(is_ahead) {
        return true;
    }
    let is_path = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == pattern,
    };
    if backend.no_wake_paths.iter().any(is_path) {
        return true;
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| {
        let mut parts = backend.no_wake_agents.iter();
        parts.any(|part| agent.contains(part.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::gateway::{Port, Route};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn visits_are_told_apart() {
        let html = ("accept", "text/html,*/*;q=0.8");
        for (method, lines, expected) in [
            (
                Method::GET,
                vec![("sec-fetch-mode", "navigate"), html],
                Visit::Navigation,
            ),
            (
                Method::POST,
                vec![("sec-fetch-mode", "navigate"), html],
                Visit::Form,
            ),
            (
                Method::GET,
                vec![("sec-fetch-mode", "cors"), html],
                Visit::Script,
            ),
            (
                Method::GET,
                vec![("sec-fetch-mode", "websocket")],
                Visit::Script,
            ),
            (
                Method::GET,
                vec![("sec-fetch-site", "same-origin")],
                Visit::Script,
            ),
            (Method::GET, vec![html], Visit::Navigation),
            (Method::POST, vec![html], Visit::Form),
            (Method::GET, vec![("accept", "*/*")], Visit::Program),
            (
                Method::GET,
                vec![
                    ("accept", "*/*"),
                    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
                ],
                Visit::Script,
            ),
            (
                Method::GET,
                vec![("upgrade", "websocket"), ("origin", "http://app")],
                Visit::Script,
            ),
            (
                Method::GET,
                vec![("upgrade", "websocket"), html],
                Visit::Program,
            ),
            (Method::GET, vec![("upgrade", "websocket")], Visit::Program),
            (
                Method::POST,
                vec![("origin", "http://app"), ("user-agent", "curl/8.5.0")],
                Visit::Program,
            ),
            (Method::GET, vec![], Visit::Program),
        ] {
            assert_eq!(
                Visit::of(&method, &headers(&lines)),
                expected,
                "{method} {lines:?}"
            );
        }
    }

    #[test]
    fn scripts_of_tabs_wake_nothing_unless_that_is_wanted() {
        for (visit, by, has_token, expected) in [
            (Visit::Navigation, WakeBy::Navigation, false, true),
            (Visit::Form, WakeBy::Navigation, false, true),
            (Visit::Program, WakeBy::Navigation, false, true),
            (Visit::Script, WakeBy::Navigation, false, false),
            (Visit::Script, WakeBy::Any, false, true),
            (Visit::Script, WakeBy::Navigation, true, true),
        ] {
            assert_eq!(
                visit.wakes(by, has_token),
                expected,
                "{visit:?} {by:?} {has_token}"
            );
        }
    }

    #[test]
    fn scripts_that_only_read_are_nobody() {
        let (get, post) = (&Method::GET, &Method::POST);
        for (visit, method, has_token, expected) in [
            (Visit::Navigation, get, false, true),
            (Visit::Form, post, false, true),
            (Visit::Program, get, false, true),
            (Visit::Script, get, false, false),
            (Visit::Script, get, true, true),
            (Visit::Script, post, false, true),
            (Visit::Script, &Method::DELETE, false, true),
        ] {
            let is_client = visit.is_client(WakeBy::Navigation, method, has_token);
            assert_eq!(is_client, expected, "{visit:?} {method} {has_token}");
            assert!(visit.is_client(WakeBy::Any, method, has_token));
        }
    }

    #[test]
    fn a_page_is_for_somebody_who_looks() {
        let get = &Method::GET;
        for (on_cold, visit, method, expected) in [
            (OnCold::Auto, Visit::Navigation, get, Plan::Page),
            (OnCold::Auto, Visit::Form, &Method::POST, Plan::Hold),
            (OnCold::Auto, Visit::Program, get, Plan::Hold),
            (OnCold::Page, Visit::Program, get, Plan::Page),
            (OnCold::Page, Visit::Form, &Method::POST, Plan::Hold),
            (OnCold::Hold, Visit::Navigation, get, Plan::Hold),
            (OnCold::Refuse, Visit::Navigation, get, Plan::Refuse),
        ] {
            assert_eq!(
                visit.plan(on_cold, method),
                expected,
                "{on_cold:?} {visit:?}"
            );
        }
    }

    #[test]
    fn those_who_only_look_are_quiet() {
        let backend = Backend {
            hosts: vec!["a".to_owned()],
            service: crate::control::ObjectName::parse("a").unwrap(),
            port: Port::Number(80),
            route: Route::Pod,
            on_cold: OnCold::Auto,
            page_status: 503,
            hold: std::time::Duration::from_secs(50),
            max_held: 100,
            wake_by: WakeBy::Navigation,
            no_wake_paths: vec!["/favicon.ico".to_owned(), "/.well-known/*".to_owned()],
            no_wake_agents: vec!["kube-probe".to_owned()],
            preflight: false,
            upstream_host: None,
            identity_headers: false,
        };
        for (method, path, lines, expected) in [
            (Method::GET, "/", vec![], false),
            (Method::POST, "/", vec![], false),
            (Method::HEAD, "/", vec![], true),
            (Method::OPTIONS, "/", vec![], true),
            (Method::GET, "/favicon.ico", vec![], true),
            (Method::GET, "/favicon.icon", vec![], false),
            (Method::GET, "/.well-known/x", vec![], true),
            (
                Method::GET,
                "/",
                vec![("user-agent", "kube-probe/1.36")],
                true,
            ),
            (Method::GET, "/", vec![("user-agent", "Mozilla/5.0")], false),
            (
                Method::GET,
                "/",
                vec![("sec-purpose", "prefetch;prerender")],
                true,
            ),
            (Method::GET, "/", vec![("purpose", "prefetch")], true),
        ] {
            let quiet = is_quiet(&method, &headers(&lines), path, &backend);
            assert_eq!(quiet, expected, "{method} {path} {lines:?}");
        }
    }
}
