//! Where a redirect may lead.

use std::fmt;

use url::{Origin, Url};

use crate::net::is_private;
use crate::util::Secret;

/// Where the homeserver sends the login token: an address that is ours by
/// being nobody's. It is never fetched. Synapse shows a page with a "continue"
/// link first, unless its `sso.client_whitelist` names this.
pub const REDIRECT_URL: &str = "http://localhost/openclaw-k8s-toggle-operator";

/// Longer ones are no login tokens, in bytes.
const MAX_TOKEN: usize = 4096;

/// Where an answer's `Location` leads.
#[derive(Debug)]
pub(super) enum Target {
    /// To the next page.
    Page(Url),
    /// To us: the end, with the login token if there is one.
    Us(Option<Secret>),
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectFault {
    /// No `Location`, or one that is no URL.
    Broken,
    /// Neither `http` nor `https`.
    Scheme,
    /// From `https` to plain `http`, and not to this machine.
    Downgrade,
    /// A user name or password in the URL.
    Credentials,
    /// 307 or 308 after a form: what the form held would be sent elsewhere.
    Repost,
}

impl fmt::Display for RedirectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "a redirect without a usable address",
            Self::Scheme => "a redirect to neither http nor https",
            Self::Downgrade => "a redirect from https down to http",
            Self::Credentials => "a redirect to an address with a user name in it",
            Self::Repost => "a redirect that would have the password sent again",
        })
    }
}

/// Reads a `Location` that was answered by `from`.
pub(super) fn target(from: &Url, location: &str) -> Result<Target, RedirectFault> {
    let mut to = from.join(location).map_err(|_| RedirectFault::Broken)?;
    if let Some(token) = login_token(&to) {
        return Ok(Target::Us(token));
    }
    if !matches!(to.scheme(), "http" | "https") {
        return Err(RedirectFault::Scheme);
    }
    // A homeserver beside us on loopback needs no TLS; anywhere else the
    // authorisation code in the address would be there to be read.
    if from.scheme() == "https" && !is_private(&to) {
        return Err(RedirectFault::Downgrade);
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(RedirectFault::Credentials);
    }
    to.set_fragment(None);
    Ok(Target::Page(to))
}

/// Whether `url` is [`REDIRECT_URL`] with whatever query, and the login token
/// in it.
pub(super) fn login_token(url: &Url) -> Option<Option<Secret>> {
    let ours = Url::parse(REDIRECT_URL).ok()?;
    if url.origin() != ours.origin() || url.path() != ours.path() {
        return None;
    }
    let token = url
        .query_pairs()
        .find(|(name, _)| name == "loginToken")
        .map(|(_, value)| Secret::new(value.into_owned()))
        .filter(|token| (1..=MAX_TOKEN).contains(&token.expose().len()));
    Some(token)
}

/// Scheme, host and port: what a message may show of an address.
pub(super) fn shown(origin: &Origin) -> String {
    origin.ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, location: &str) -> Result<Target, RedirectFault> {
        target(&Url::parse(from).unwrap(), location)
    }

    fn page(from: &str, location: &str) -> String {
        match follow(from, location) {
            Ok(Target::Page(url)) => url.into(),
            other => panic!("{location}: {other:?}"),
        }
    }

    #[test]
    fn a_location_is_joined_to_the_page_it_came_from() {
        assert_eq!(
            page("https://a.example/x/y?z", "/w?v=1#u"),
            "https://a.example/w?v=1"
        );
        assert_eq!(page("https://a.example/x/y", "z"), "https://a.example/x/z");
        assert_eq!(
            page("http://synapse:8008/", "https://kc.example/auth"),
            "https://kc.example/auth"
        );
        assert_eq!(
            page("http://a.example/", "//b.example/"),
            "http://b.example/"
        );
    }

    #[test]
    fn https_is_left_for_this_machine_only() {
        for location in [
            "http://127.0.0.1:8008/x",
            "http://[::1]:8008/x",
            "http://localhost:8008/x",
        ] {
            assert_eq!(page("https://a.example/", location), location);
        }
        for location in [
            "http://a.example/",
            "http://10.0.0.1/",
            "http://localhost.evil.example/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            let fault = follow("https://a.example/", location).unwrap_err();
            assert_eq!(fault, RedirectFault::Downgrade, "{location}");
        }
    }

    #[test]
    fn what_leads_out_of_the_web_is_refused() {
        for location in ["file:///etc/passwd", "javascript:alert(1)", "data:,x"] {
            let fault = follow("http://a.example/", location).unwrap_err();
            assert_eq!(fault, RedirectFault::Scheme, "{location}");
        }
        for (location, fault) in [
            ("http://", RedirectFault::Broken),
            ("https://[::g]/", RedirectFault::Broken),
            ("https://Bü.example/", RedirectFault::Broken),
            ("https://B%C3%BC.example/", RedirectFault::Broken),
            ("https://me:secret@b.example/", RedirectFault::Credentials),
            ("https://me@b.example/", RedirectFault::Credentials),
        ] {
            assert_eq!(follow("http://a.example/", location).unwrap_err(), fault);
        }
    }

    #[test]
    fn our_own_address_ends_it_with_the_token() {
        let token = |location: &str| match follow("https://a.example/", location) {
            Ok(Target::Us(token)) => token.map(|token| token.expose().to_owned()),
            other => panic!("{location}: {other:?}"),
        };
        let found = token(&format!("{REDIRECT_URL}?loginToken=a%2Bb&x=y"));
        assert_eq!(found.as_deref(), Some("a+b"));
        assert_eq!(token(&format!("{REDIRECT_URL}?loginToken=")), None);
        assert_eq!(token(REDIRECT_URL), None);
        let long = "x".repeat(MAX_TOKEN + 1);
        assert_eq!(token(&format!("{REDIRECT_URL}?loginToken={long}")), None);
    }

    #[test]
    fn an_address_like_ours_is_another_one() {
        for location in [
            "http://localhost:81/openclaw-k8s-toggle-operator?loginToken=t",
            "https://localhost/openclaw-k8s-toggle-operator?loginToken=t",
            "http://localhost/openclaw-k8s-toggle-operator/x?loginToken=t",
        ] {
            assert!(
                matches!(follow("https://a.example/", location), Ok(Target::Page(_))),
                "{location}"
            );
        }
    }

    #[test]
    fn a_token_is_masked() {
        let end = follow(
            "https://a.example/",
            &format!("{REDIRECT_URL}?loginToken=hunter2"),
        );
        assert!(!format!("{end:?}").contains("hunter2"));
    }
}
