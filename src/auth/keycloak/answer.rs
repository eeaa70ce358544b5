//! Reading what Keycloak says instead of yes, or what stands in front of it.
//!
//! The pair of `error` and `error_description` decides, not the status: that of
//! `invalid_grant` was 401 and became 400.

use http::header::{CONTENT_TYPE, LOCATION};
use serde::Deserialize;
use url::Url;

use super::fault::Fault;
use super::realm::Realm;
use crate::json::{self, lenient};
use crate::net::Response;
use crate::util::printable;

/// The longest texts of a server that are quoted, in bytes.
const MAX_TITLE_BYTES: usize = 80;
const MAX_SAID_BYTES: usize = 160;

/// Where a page's title is looked for, in bytes from its beginning.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// An error of RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default, deserialize_with = "lenient")]
    error_description: String,
}

/// What an answer to the password grant means that holds no token.
pub(super) fn grant_fault(response: &Response, realm: &Realm, user: &str, one_time: bool) -> Fault {
    let Some(refusal) = refusal(response) else {
        return fault(response, realm);
    };
    let says = |phrase: &str| {
        let said = refusal.error_description.to_ascii_lowercase();
        said.contains(phrase)
    };
    let user = user.to_owned();
    let client = realm.client_id.clone();
    match refusal.error.as_str() {
        "invalid_grant" if says("invalid user credentials") => {
            Fault::Credentials { user, one_time }
        }
        "invalid_grant" if says("disabled") => Fault::UserDisabled { user },
        "invalid_grant" if says("not fully set up") => Fault::NotSetUp { user },
        "unauthorized_client" if says("direct access grants") => Fault::NoDirectGrants { client },
        "unauthorized_client" => Fault::ClientSecret {
            client,
            sent: realm.client_secret.is_some(),
        },
        "invalid_client" if says("consent") => Fault::Consent { client },
        "invalid_client" => Fault::UnknownClient {
            client,
            realm: realm.realm.clone(),
        },
        _ => fault(response, realm),
    }
}

/// What any other answer means.
pub(super) fn fault(response: &Response, realm: &Realm) -> Fault {
    let status = response.status;
    let refusal = refusal(response);
    let retry_after = response.retry_after();
    match (status, refusal) {
        (404, Some(Refusal { error, .. })) if error == "Realm does not exist" => {
            Fault::UnknownRealm {
                realm: realm.realm.clone(),
            }
        }
        (429, _) => Fault::Limited { retry_after },
        (300..=399, _) => Fault::Redirected {
            to: location(response, realm),
        },
        (_, None) if is_html(response) => Fault::Page {
            status,
            title: title(&response.body),
            retry_after,
        },
        (500..=599, _) => Fault::Failing {
            status,
            retry_after,
        },
        // The answer to a path that Keycloak does not have.
        (404, _) => Fault::WrongPath,
        (_, Some(refusal)) if refusal.error_description == "HTTPS required" => Fault::HttpsRequired,
        (_, Some(refusal)) => Fault::Refused {
            status,
            said: said(&refusal),
        },
        (200..=299, None) if is_object(response) => Fault::NoToken,
        (_, None) => Fault::NotKeycloak { status },
    }
}

fn refusal(response: &Response) -> Option<Refusal> {
    json::read(&response.body)
}

fn is_object(response: &Response) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&response.body).is_ok()
}

fn said(refusal: &Refusal) -> String {
    let Refusal {
        error,
        error_description,
    } = refusal;
    let both = match error_description.as_str() {
        "" => error.clone(),
        description => format!("{error}: {description}"),
    };
    printable(&both, MAX_SAID_BYTES)
}

/// Where a redirect leads, without user name and query; where that is the same
/// realm, what stands before it: the address to write instead.
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

/// What a page calls itself, on one line.
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
