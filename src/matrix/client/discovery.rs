//! Discovery: the homeserver of a server name, and a look whether it is one.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#server-discovery>

use std::time::{Duration, SystemTime};

use http::header::LOCATION;
use http::{HeaderMap, Method};
use ruma::ServerName;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::discovery_error::{
    BaseUrlFault, BaseUrlOrigin, DiscoveryError, DiscoveryFault, Hint, VersionsFault,
    well_known_url,
};
use crate::net::{BadUrl, Client, Limits, Redirect, Request, is_private};
use crate::util::printable;

/// For each of the requests made here.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(30),
    body: 64 * 1024,
};

/// Redirects of the well-known file that are followed.
const MAX_REDIRECTS: usize = 5;

/// Versions listed beyond this are not kept; there are some twenty.
const MAX_VERSIONS: usize = 100;

/// The longest name of a version kept, in bytes.
const MAX_VERSION: usize = 32;

/// The longest piece of a server's URL that is shown, in bytes.
const MAX_SHOWN: usize = 200;

/// The versions of the specification that a homeserver speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// As it lists them: at most 100, safe to show.
    pub names: Vec<String>,
    /// The time on its clock when it answered, to the second.
    pub date: Option<SystemTime>,
}

/// Finds the homeserver of `server`, the part of a Matrix id behind its first
/// colon, by the file that `server` publishes for clients. Without such a file
/// (404) the homeserver is taken to be at `https://<server>`. Either way it
/// has to answer before it is believed.
///
/// Returns its URL, `http` or `https`, without a slash at the end.
///
/// Identity servers in the file are not looked at: nobody here would ask one.
///
/// Specification: <https://spec.matrix.org/v1.11/client-server-api/#well-known-uri>
///
/// # Errors
/// The file cannot be read, names no homeserver, or what it names is none.
pub async fn discover(http: &Client, server: &ServerName) -> Result<String, DiscoveryError> {
    let failed = |fault| DiscoveryError {
        server: server.to_owned(),
        fault,
    };
    let (base, from) = match well_known(http, server).await.map_err(failed)? {
        Some(base) => (base, BaseUrlOrigin::WellKnown),
        None => (
            format!("https://{server}"),
            BaseUrlOrigin::ServerName(server.to_owned()),
        ),
    };
    match versions(http, &base).await {
        Ok(_) => Ok(base),
        Err(fault) => Err(failed(DiscoveryFault::NoHomeserver { from, fault })),
    }
}

/// Asks the homeserver at `base` for the versions it speaks, which also shows
/// that it is one. `base` has no slash at the end.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientversions>
///
/// # Errors
/// There is no answer, or it is not a homeserver's.
pub async fn versions(http: &Client, base: &str) -> Result<Versions, VersionsFault> {
    #[derive(Deserialize)]
    struct Answer {
        versions: Vec<String>,
    }
    const PATH: &str = "/_matrix/client/versions";
    let url = format!("{base}{PATH}");
    let request = Request::new(Method::GET, &url, Vec::new(), LIMITS)?;
    let response = http.send(request).await?;
    let url = printable(&url, MAX_SHOWN);
    let status = response.status;
    if let Some(to) = Redirect::of(&response, base, PATH) {
        return Err(VersionsFault::Redirected { url, to });
    }
    match serde_json::from_slice::<Answer>(&response.body) {
        Ok(Answer { versions }) if status == 200 => {
            let names = versions.iter().take(MAX_VERSIONS);
            Ok(Versions {
                names: names.map(|name| printable(name, MAX_VERSION)).collect(),
                date: response.date(),
            })
        }
        _ => {
            let hint = Hint::of(base, &response);
            Err(VersionsFault::Status { url, status, hint })
        }
    }
}

/// The homeserver's URL from the server's file; `None` if there is no file.
async fn well_known(http: &Client, server: &ServerName) -> Result<Option<String>, DiscoveryFault> {
    let mut url = Url::parse(&well_known_url(server)).map_err(|_| BadUrl::Host)?;
    for _ in 0..=MAX_REDIRECTS {
        let request = Request::new(Method::GET, url.as_str(), Vec::new(), LIMITS)?;
        let response = http.send(request).await?;
        match response.status {
            200 => return base_url_of(&response.body).map(Some),
            404 => return Ok(None),
            301..=303 | 307 | 308 => url = redirected(&url, &response.headers)?,
            status => return Err(DiscoveryFault::Status(status)),
        }
    }
    Err(DiscoveryFault::Redirects)
}

fn redirected(from: &Url, headers: &HeaderMap) -> Result<Url, DiscoveryFault> {
    let to = headers
        .get(LOCATION)
        .and_then(|location| from.join(location.to_str().ok()?).ok())
        .ok_or(DiscoveryFault::RedirectNowhere)?;
    match to.scheme() {
        "https" => Ok(to),
        other => Err(DiscoveryFault::RedirectScheme(printable(other, MAX_SHOWN))),
    }
}

/// The base URL that the file names.
fn base_url_of(body: &[u8]) -> Result<String, DiscoveryFault> {
    let file: Value = serde_json::from_slice(body).map_err(|_| DiscoveryFault::NotJson)?;
    let text = file
        .get("m.homeserver")
        .and_then(|homeserver| homeserver.get("base_url")?.as_str())
        .ok_or(DiscoveryFault::NoBaseUrl)?;
    base_url(text).map_err(|why| DiscoveryFault::BaseUrl {
        // It may hold a password.
        text: match why {
            BaseUrlFault::Credentials => "[masked]".to_owned(),
            _ => printable(text, MAX_SHOWN),
        },
        why,
    })
}

fn base_url(text: &str) -> Result<String, BaseUrlFault> {
    let url = Url::parse(text).map_err(|_| BaseUrlFault::Syntax)?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(BaseUrlFault::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BaseUrlFault::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BaseUrlFault::Extra);
    }
    // An address that was looked up by TLS must not lead to plaintext on the network.
    if !is_private(&url) {
        return Err(BaseUrlFault::Plaintext);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
