//! The meaning of an answer without a token, of Keycloak or of a server in front of it.
//!
//! The pair of `error` and `error_description`
//! (<https://www.rfc-editor.org/rfc/rfc6749#section-5.2>) decides, and not the status: that of
//! `invalid_grant` was 401 and became 400.

use http::header::{CONTENT_TYPE, LOCATION};
use serde::Deserialize;
use url::Url;

use super::error::Error;
use super::realm::Realm;
use crate::json::{self, lenient};
use crate::net::Response;
use crate::util::printable;

/// The longest title of a page that is quoted, in bytes.
const MAX_TITLE_BYTES: usize = 80;

/// The longest text of a server that is quoted, in bytes.
const MAX_SAID_BYTES: usize = 160;

/// The part of a page that its title is searched in, in bytes from the beginning.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// An error answer of OAuth 2.0.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default, deserialize_with = "lenient")]
    error_description: String,
}

/// The error of an answer to the password grant without a token.
pub(super) fn grant_error(response: &Response, realm: &Realm, user: &str, one_time: bool) -> Error {
    let Some(refusal) = refusal(response) else {
        return error(response, realm);
    };
    let said = refusal.error_description.to_ascii_lowercase();
    let says = |phrase: &str| said.contains(phrase);
    let user = user.to_owned();
    let client = realm.client_id.clone();
    match refusal.error.as_str() {
        "invalid_grant" if says("invalid user credentials") => {
            Error::Credentials { user, one_time }
        }
        "invalid_grant" if says("disabled") => Error::UserDisabled(user),
        "invalid_grant" if says("not fully set up") => Error::NotSetUp(user),
        "unauthorized_client" if says("direct access grants") => Error::NoDirectGrants(client),
        "unauthorized_client" if realm.client_secret.is_some() => Error::WrongClientSecret(client),
        "unauthorized_client" => Error::NoClientSecret(client),
        "invalid_client" if says("consent") => Error::Consent(client),
        "invalid_client" => Error::UnknownClient {
            client,
            realm: realm.realm.clone(),
        },
        _ => error(response, realm),
    }
}

/// The error of any other answer.
pub(super) fn error(response: &Response, realm: &Realm) -> Error {
    let status = response.status;
    let refusal = refusal(response);
    let retry_after = response.retry_after();
    match (status, refusal) {
        (404, Some(Refusal { error, .. })) if error == "Realm does not exist" => {
            Error::UnknownRealm(realm.realm.clone())
        }
        (429, _) => Error::Limited(retry_after),
        (300..=399, _) => Error::Redirected(location(response, realm)),
        (_, None) if is_html(response) => Error::Page {
            status,
            title: title(&response.body),
            retry_after,
        },
        (500..=599, _) => Error::Failing {
            status,
            retry_after,
        },
        // The answer to a path that Keycloak does not have.
        (404, _) => Error::WrongPath,
        (_, Some(refusal)) if refusal.error_description == "HTTPS required" => Error::HttpsRequired,
        (_, Some(refusal)) => Error::Refused {
            status,
            said: said(&refusal),
        },
        (200..=299, None) if is_object(response) => Error::NoToken,
        (_, None) => Error::NotKeycloak(status),
    }
}

fn refusal(response: &Response) -> Option<Refusal> {
    json::read(&response.body)
}

fn is_object(response: &Response) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&response.body).is_ok()
}

fn said(refusal: &Refusal) -> String {
    let both = match refusal.error_description.as_str() {
        "" => refusal.error.clone(),
        description => format!("{}: {description}", refusal.error),
    };
    printable(&both, MAX_SAID_BYTES)
}

/// The target of a redirect, without user name and query. If it is the same realm, the URL
/// before `/realms/`: that is what to configure.
fn location(response: &Response, realm: &Realm) -> String {
    let to = response
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let to = Url::parse(&realm.url()).and_then(|asked| asked.join(to));
    let to = to.map_or_else(
        |_| String::new(),
        |to| format!("{}{}", to.origin().ascii_serialization(), to.path()),
    );
    let base = to.split_once("/realms/").map(|(base, _)| base);
    let address = base.filter(|base| *base != realm.base).unwrap_or(&to);
    printable(address, MAX_SAID_BYTES)
}

fn is_html(response: &Response) -> bool {
    let named = response
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    named || response.body.trim_ascii_start().starts_with(b"<")
}

/// The title of a page, on one line.
fn title(page: &[u8]) -> Option<String> {
    let head = page.get(..MAX_HEAD_BYTES).unwrap_or(page);
    let head = String::from_utf8_lossy(head);
    // Of the same length as `head`, byte for byte.
    let lower = head.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let start = open + lower.get(open..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find("</title")?;
    let words: Vec<&str> = head.get(start..end)?.split_whitespace().collect();
    let title = printable(&words.join(" "), MAX_TITLE_BYTES);
    (!title.is_empty()).then_some(title)
}
