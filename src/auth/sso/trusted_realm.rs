//! The realm whose login page is trusted with the password.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Origin, Url};

use super::redirect::shown;

/// The segment before the name of a realm in a path of Keycloak's.
const REALMS: &str = "realms";

/// A Keycloak, and a realm of it if one is configured: the host alone is not enough, because
/// the realms of one Keycloak may belong to different people.
#[derive(Debug)]
pub(super) struct TrustedRealm {
    /// None if the configured URL is malformed, which contains no page.
    origin: Option<Origin>,
    /// The segments of the path before `/realms`, decoded.
    base: Vec<String>,
    /// None for any realm.
    realm: Option<String>,
}

impl TrustedRealm {
    /// A realm, or any, of the Keycloak at `url`, which may itself be the URL of a realm where
    /// none is named.
    pub(super) fn new(url: &str, realm: Option<&str>) -> Self {
        let url = Url::parse(url).ok();
        let segments = |url: &Url| {
            let path = url.path().trim_matches('/').to_owned();
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            segments.filter_map(decoded).collect::<Vec<_>>()
        };
        let mut base = url.as_ref().map(segments).unwrap_or_default();
        let mut realm = realm.map(str::to_owned);
        if realm.is_none()
            && let [.., realms, _] = base.as_slice()
            && realms == REALMS
        {
            realm = base.pop();
            base.pop();
        }
        Self {
            origin: url.map(|url| url.origin()),
            base,
            realm,
        }
    }

    /// Returns whether `url` has the scheme, host and port of this Keycloak.
    pub(super) fn has_origin_of(&self, url: &Url) -> bool {
        self.origin == Some(url.origin())
    }

    /// Returns whether `url` is a page of the realm. Its path begins with the realm's, and
    /// nothing in it could be read in another way by a proxy: no encoded slash, no empty
    /// segment, no parameter. ([`Url`] has resolved `.` and `..`, encoded ones too.)
    pub(super) fn contains(&self, url: &Url) -> bool {
        let Some(mut segments) = url.path_segments().filter(|_| self.has_origin_of(url)) else {
            return false;
        };
        let mut next = || segments.next().and_then(decoded);
        for wanted in self.base.iter().map(String::as_str).chain([REALMS]) {
            if next().as_deref() != Some(wanted) {
                return false;
            }
        }
        let is_wanted = match (next(), &self.realm) {
            (Some(found), Some(wanted)) => found == *wanted,
            (Some(found), None) => !found.is_empty() && !found.contains(['/', '\\', ';']),
            (None, _) => false,
        };
        let is_plain = |segment: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !segment.is_empty() && segment.bytes().all(is_plain)
        };
        let mut rest = segments.peekable();
        is_wanted && rest.peek().is_some() && rest.all(is_plain)
    }

    /// The variables that configure it.
    pub(super) fn variables(&self) -> &'static str {
        match self.realm {
            Some(_) => "KEYCLOAK_URL and KEYCLOAK_REALM",
            None => "KEYCLOAK_URL",
        }
    }
}

impl fmt::Display for TrustedRealm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            f.write_str(&shown(origin))?;
        }
        for segment in &self.base {
            write!(f, "/{segment}")?;
        }
        match &self.realm {
            Some(realm) => write!(f, "/{REALMS}/{realm}"),
            None => Ok(()),
        }
    }
}

/// A segment of a path without its percent-encoding; None if it is not text.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(realm: &TrustedRealm, url: &str) -> bool {
        realm.contains(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_page_of_the_realm_is_held_and_no_other() {
        let realm = TrustedRealm::new("https://kc.example", Some("a"));
        for url in [
            "https://kc.example/realms/a/protocol/openid-connect/auth?x=/realms/b",
            "https://kc.example:443/realms/a/login-actions/authenticate?execution=e",
            "https://kc.example/realms/a/login-actions/required-action#x",
            "https://kc.example/realms/b/../a/login-actions/authenticate",
            "https://kc.example/realms/%61/broker/b/login",
        ] {
            assert!(contains(&realm, url), "{url}");
        }
        for url in [
            "https://kc.example/realms/b/login-actions/authenticate",
            "https://kc.example/realms/ab/login-actions/authenticate",
            "https://kc.example/realms/A/login-actions/authenticate",
            "https://kc.example/realms/a",
            "https://kc.example/realms/a/",
            "https://kc.example/realms",
            "https://kc.example/",
            "https://kc.example/auth/realms/a/login-actions/authenticate",
            "https://kc.example//realms/a/login-actions/authenticate",
            "https://kc.example/realms//a/login-actions/authenticate",
            "https://kc.example/realms/a//login-actions/authenticate",
            "https://kc.example/realms/a/../b/login-actions/authenticate",
            "https://kc.example/realms/a/%2e%2e/b/login-actions/authenticate",
            "https://kc.example/realms/a/..%2fb/login-actions/authenticate",
            "https://kc.example/realms/a/%2e%2e%2Fb/login-actions/authenticate",
            "https://kc.example/realms/a/%252e%252e/b/login-actions/authenticate",
            "https://kc.example/realms/a\\..\\b/login-actions/authenticate",
            "https://kc.example/realms/a/..%5cb/login-actions/authenticate",
            "https://kc.example/realms/a%2f..%2fb/login-actions/authenticate",
            "https://kc.example/realms%2fa/login-actions/authenticate",
            "https://kc.example/realms/a;/../b/login-actions/authenticate",
            "https://kc.example/realms/a;x/login-actions/authenticate",
            "https://kc.example/realms/a/..;/b/login-actions/authenticate",
            "https://kc.example/realms/a%00/login-actions/authenticate",
            "https://kc.example/realms/%ff/login-actions/authenticate",
            "https://kc.example:8443/realms/a/login-actions/authenticate",
            "http://kc.example/realms/a/login-actions/authenticate",
            "https://evil.example/realms/a/login-actions/authenticate",
            "data:text/html,/realms/a/x",
        ] {
            assert!(!contains(&realm, url), "{url}");
        }
    }

    #[test]
    fn keycloak_may_have_a_path_and_a_realm_any_name() {
        let realm = TrustedRealm::new("https://kc.example/auth/", Some("größe 1"));
        assert_eq!(realm.to_string(), "https://kc.example/auth/realms/größe 1");
        let page = "https://kc.example/auth/realms/gr%C3%B6%C3%9Fe%201/login-actions/authenticate";
        assert!(contains(&realm, page));
        for url in [
            "https://kc.example/realms/gr%C3%B6%C3%9Fe%201/login-actions/authenticate",
            "https://kc.example/auth2/realms/gr%C3%B6%C3%9Fe%201/login-actions/authenticate",
            "https://kc.example/auth/realms/gr%C3%B6%C3%9Fe+1/login-actions/authenticate",
        ] {
            assert!(!contains(&realm, url), "{url}");
        }
    }

    #[test]
    fn without_a_realm_any_of_this_keycloak_will_do() {
        let realm = TrustedRealm::new("https://kc.example/auth", None);
        for url in [
            "https://kc.example/auth/realms/a/login-actions/authenticate",
            "https://kc.example/auth/realms/b/login-actions/authenticate",
        ] {
            assert!(contains(&realm, url), "{url}");
        }
        for url in [
            "https://kc.example/realms/a/login-actions/authenticate",
            "https://kc.example/auth/login",
            "https://kc.example/auth/realms//login-actions/authenticate",
            "https://kc.example/auth/realms/a%2f../login-actions/authenticate",
        ] {
            assert!(!contains(&realm, url), "{url}");
        }
    }

    #[test]
    fn the_url_of_a_realm_names_it() {
        let realm = TrustedRealm::new("https://kc.example/realms/a", None);
        assert_eq!(realm.to_string(), "https://kc.example/realms/a");
        assert!(contains(&realm, "https://kc.example/realms/a/x"));
        assert!(!contains(&realm, "https://kc.example/realms/b/x"));
        // One that contradicts it fits no page.
        let realm = TrustedRealm::new("https://kc.example/realms/a", Some("b"));
        assert!(!contains(&realm, "https://kc.example/realms/a/x"));
        assert!(!contains(&realm, "https://kc.example/realms/b/x"));
    }

    #[test]
    fn what_is_no_url_holds_nothing() {
        let realm = TrustedRealm::new("nonsense", None);
        assert!(!contains(&realm, "https://kc.example/realms/a/x"));
        assert!(!contains(&TrustedRealm::new("data:x", None), "data:x"));
    }
}
