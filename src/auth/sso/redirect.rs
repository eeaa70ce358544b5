//! The redirects that are followed, and the one that ends the login.

use thiserror::Error;
use url::{Origin, Url};

use crate::net::is_private;
use crate::util::Secret;

/// The `redirectUrl` that the homeserver sends the login token to. It is never requested.
/// Synapse shows a page with a "continue" link first, unless its `sso.client_whitelist` names
/// this URL.
pub const REDIRECT_URL: &str = "http://localhost/openclaw-k8s-toggle-operator";

/// The longest login token, in bytes.
const MAX_TOKEN: usize = 4096;

/// The target of a redirect.
#[derive(Debug)]
pub(super) enum Target {
    /// The next page.
    Page(Url),
    /// [`REDIRECT_URL`], which ends the login, with the login token if there is one.
    Ours(Option<Secret>),
}

/// A redirect that is not followed. `Display` is what the server answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RedirectError {
    /// No `Location`, or one that is no URL.
    #[error("a redirect without a usable address")]
    Broken,
    /// Neither `http` nor `https`.
    #[error("a redirect to neither http nor https")]
    Scheme,
    /// From `https` to plain `http`, and not to this machine.
    #[error("a redirect from https down to http")]
    Downgrade,
    /// A user name or password in the URL.
    #[error("a redirect to an address with a user name in it")]
    Credentials,
    /// 307 or 308 in answer to a form, whose fields would be sent again.
    #[error("a redirect that would have the password sent again")]
    Repost,
}

/// Reads the `Location` of an answer of `from`.
///
/// # Errors
/// The redirect is not to be followed.
pub(super) fn target(from: &Url, location: &str) -> Result<Target, RedirectError> {
    let mut to = from.join(location).map_err(|_| RedirectError::Broken)?;
    if let Some(token) = login_token(&to) {
        return Ok(Target::Ours(token));
    }
    if !matches!(to.scheme(), "http" | "https") {
        return Err(RedirectError::Scheme);
    }
    // A homeserver on loopback needs no TLS; anywhere else the authorisation code in the URL
    // could be read on the way.
    if from.scheme() == "https" && !is_private(&to) {
        return Err(RedirectError::Downgrade);
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(RedirectError::Credentials);
    }
    to.set_fragment(None);
    Ok(Target::Page(to))
}

/// The login token in the query of `url`, if any; None if `url` is not [`REDIRECT_URL`]
/// (<https://spec.matrix.org/v1.11/client-server-api/#handling-the-callback-from-the-authentication-server>).
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

/// Scheme, host and port, the only part of a URL that a message may show.
pub(super) fn shown(origin: &Origin) -> String {
    origin.ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, location: &str) -> Result<Target, RedirectError> {
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
            assert_eq!(fault, RedirectError::Downgrade, "{location}");
        }
    }

    #[test]
    fn what_leads_out_of_the_web_is_refused() {
        for location in ["file:///etc/passwd", "javascript:alert(1)", "data:,x"] {
            let fault = follow("http://a.example/", location).unwrap_err();
            assert_eq!(fault, RedirectError::Scheme, "{location}");
        }
        for (location, fault) in [
            ("http://", RedirectError::Broken),
            ("https://[::g]/", RedirectError::Broken),
            ("https://Bü.example/", RedirectError::Broken),
            ("https://B%C3%BC.example/", RedirectError::Broken),
            ("https://me:secret@b.example/", RedirectError::Credentials),
            ("https://me@b.example/", RedirectError::Credentials),
        ] {
            assert_eq!(follow("http://a.example/", location).unwrap_err(), fault);
        }
    }

    #[test]
    fn our_own_address_ends_it_with_the_token() {
        let token = |location: &str| match follow("https://a.example/", location) {
            Ok(Target::Ours(token)) => token.map(|token| token.expose().to_owned()),
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
