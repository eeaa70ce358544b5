//! Carries a login's requests and answers to and fro.

use std::time::{Duration, SystemTime};

use http::Method;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderValue};

use super::fault::{Fault, Responsible};
use super::flow::{Account, Ask, Flow, Step};
use super::provider::Provider;
use super::redirect::RedirectFault;
use crate::net::{Client, Limits, Request};
use crate::util::Secret;

/// For each of the pages.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(15),
    body: 1024 * 1024,
};

/// For all of them: servers that are slow each time end somewhere too.
const DEADLINE: Duration = Duration::from_secs(60);

/// Logs `account` in through an identity provider of the homeserver whose
/// client-server API is at `base`. The login token is good once, for a login
/// with `m.login.token` within about two minutes.
///
/// `http` must keep no cookies and follow no redirects.
pub async fn login_token(
    http: &Client,
    base: &str,
    provider: &Provider,
    account: &Account<'_>,
) -> Result<Secret, Fault> {
    tokio::time::timeout(DEADLINE, converse(http, base, provider, account))
        .await
        .map_err(|_| Fault::TooLong(DEADLINE))?
}

async fn converse(
    http: &Client,
    base: &str,
    provider: &Provider,
    account: &Account<'_>,
) -> Result<Secret, Fault> {
    let (mut flow, mut ask) = Flow::begin(base, provider, account)?;
    loop {
        let request = request(&ask, flow.party())?;
        let answer = http
            .send(request)
            .await
            .map_err(|error| Fault::Unreachable {
                party: flow.party(),
                error,
            })?;
        match flow.take(answer, SystemTime::now())? {
            Step::Ask(next) => ask = next,
            Step::Done(token) => return Ok(token),
        }
    }
}

/// The request, or a fault of the redirect that asks for it.
fn request(ask: &Ask, party: Responsible) -> Result<Request, Fault> {
    let (method, body) = match &ask.form {
        Some(form) => (Method::POST, form.expose().as_bytes().to_vec()),
        None => (Method::GET, Vec::new()),
    };
    let mut request =
        Request::new(method, ask.url.as_str(), body, LIMITS).map_err(|_| Fault::Redirect {
            party,
            why: RedirectFault::Broken,
        })?;
    // Keycloak's words are repeated in our log, which is English.
    request = request
        .header(ACCEPT, HeaderValue::from_static("text/html"))
        .header(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
    if ask.form.is_some() {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request = request.header(CONTENT_TYPE, kind);
    }
    if let Some(cookies) = &ask.cookies {
        request = request.header(COOKIE, cookies.clone());
    }
    Ok(request)
}
