//! Redirects: the address that an answer names instead.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc9110#section-15.4>.

use std::fmt;

use http::header::LOCATION;
use url::Url;

use super::response::Response;
use crate::util::printable;

/// The longest address that is shown, in bytes.
const MAX_SHOWN: usize = 200;

/// A redirect, which is not followed: it would take the request's credentials to
/// wherever somebody says. `Display` is the address
/// that it leads to, safe to show, without user name, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    status: u16,
    to: String,
    is_base: bool,
}

impl Redirect {
    /// Reads the answer to a request for `path` below `base`; None if it is no redirect
    /// to another place.
    pub fn of(response: &Response, base: &str, path: &str) -> Option<Self> {
        let status = response.status;
        if !matches!(status, 301..=303 | 307 | 308) {
            return None;
        }
        let location = response.headers.get(LOCATION)?.to_str().ok()?;
        let asked = Url::parse(&format!("{base}{path}")).ok()?;
        let to = asked.join(location).ok()?;
        if to == asked || !matches!(to.scheme(), "http" | "https") {
            return None;
        }
        let whole = format!(
            "{}{}",
            to.origin().ascii_serialization(),
            to.path().trim_end_matches('/')
        );
        // Where the question itself is asked again elsewhere, what stands before
        // it is the address to write instead.
        let question = path.split('?').next().unwrap_or(path).trim_end_matches('/');
        let found = whole
            .strip_suffix(question)
            .filter(|found| *found != base && !question.is_empty());
        Some(Self {
            status,
            is_base: found.is_some(),
            to: printable(found.unwrap_or(&whole), MAX_SHOWN),
        })
    }

    /// Returns whether it is meant to stay (301 and 308).
    pub const fn is_permanent(&self) -> bool {
        matches!(self.status, 301 | 308)
    }

    /// The sentence that says what to do about it, where `variable` holds the address that was asked.
    pub fn cure(&self, variable: &str) -> String {
        match self.is_base {
            true => format!("write {} into {variable}", self.to),
            false => format!(
                "write into {variable} the address that answers itself; {} may be a login page \
                 or a web site that stands before it",
                self.to
            ),
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn of(status: u16, base: &str, location: &str) -> Option<Redirect> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().ok()?);
        let response = Response {
            status,
            headers,
            body: Vec::new(),
            skipped: Default::default(),
            is_cut: false,
            arrived: std::time::SystemTime::UNIX_EPOCH,
        };
        Redirect::of(&response, base, "/_matrix/client/v3/login?a=b")
    }

    #[test]
    fn the_address_to_write_instead_is_found() {
        for (base, location, address) in [
            (
                "http://hs.example",
                "https://hs.example/_matrix/client/v3/login",
                "https://hs.example",
            ),
            (
                "https://example",
                "https://HS.example:8448/m/_matrix/client/v3/login/?a=b#c",
                "https://hs.example:8448/m",
            ),
            (
                "https://hs.example/old",
                "/new/_matrix/client/v3/login",
                "https://hs.example/new",
            ),
            (
                "https://hs.example",
                "//u:hunter2@other.example/_matrix/client/v3/login?token=hunter2",
                "https://other.example",
            ),
        ] {
            for status in [301, 302, 303, 307, 308] {
                let found = of(status, base, location).unwrap();
                assert_eq!(found.to_string(), address);
                assert_eq!(found.cure("V"), format!("write {address} into V"));
                assert_eq!(found.is_permanent(), matches!(status, 301 | 308));
            }
        }
    }

    #[test]
    fn what_leads_to_another_page_is_no_address_to_write() {
        for (location, shown) in [
            ("/login?to=x", "https://hs.example/login"),
            ("https://sso.example/", "https://sso.example"),
            (
                "https://sso.example/a\u{202e}b",
                "https://sso.example/a%E2%80%AEb",
            ),
        ] {
            let found = of(302, "https://hs.example", location);
            let Some(found) = found else {
                // A header is ASCII.
                assert!(!location.is_ascii());
                continue;
            };
            assert_eq!(found.to_string(), shown);
            assert!(
                found
                    .cure("V")
                    .starts_with("write into V the address that answers")
            );
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_redirect() {
        let same = "https://hs.example/_matrix/client/v3/login?a=b";
        for location in ["ftp://hs.example", "https://", "javascript:x", same] {
            assert_eq!(of(301, "https://hs.example", location), None, "{location}");
        }
        assert_eq!(of(200, "https://hs.example", "https://x"), None);
        assert_eq!(of(304, "https://hs.example", "https://x"), None);
    }
}
