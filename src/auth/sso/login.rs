//! Sends the requests of a login and hands their answers to its [`Flow`].

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_LANGUAGE, COOKIE};

use super::error::{Error, Server};
use super::flow::{Account, Flow, PageRequest, Step};
use super::redirect::RedirectError;
use crate::auth::form;
use crate::net::{Client, Limits, Request};
use crate::util::Secret;

/// The limits of one page.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(15),
    body: 1024 * 1024,
};

/// The deadline of the whole login.
const DEADLINE: Duration = Duration::from_secs(60);

/// Logs `account` in through an identity provider of the homeserver whose client-server API
/// is at `base`. The login token is good once, for a login with `m.login.token` within about
/// two minutes.
///
/// `http` must keep no cookies and follow no redirects.
///
/// # Errors
/// A server does not answer, refuses, or shows a page that cannot be filled in.
pub async fn login_token(
    http: &Client,
    base: &str,
    provider: &str,
    account: &Account<'_>,
) -> Result<Secret, Error> {
    let login = async {
        let (mut flow, mut next) = Flow::begin(base, provider, account)?;
        loop {
            let request = request(next, flow.server())?;
            let answer = http.send(request).await;
            let answer = answer.map_err(|error| Error::Unreachable {
                server: flow.server(),
                error,
            })?;
            match flow.handle(answer, http.clock().now())? {
                Step::Send(request) => next = request,
                Step::Done(token) => return Ok(token),
            }
        }
    };
    tokio::time::timeout(DEADLINE, login)
        .await
        .map_err(|_| Error::TooLong(DEADLINE))?
}

/// The HTTP request for a page; if its URL cannot be requested, the redirect to it is wrong.
fn request(page: PageRequest, server: Server) -> Result<Request, Error> {
    // Keycloak's words are repeated in the log, which is English.
    let headers = [(ACCEPT, "text/html"), (ACCEPT_LANGUAGE, "en")];
    let request = form::request(page.url.as_str(), page.form, LIMITS, headers);
    let mut request = request.map_err(|_| Error::Redirect {
        server,
        why: RedirectError::Broken,
    })?;
    if let Some(cookies) = page.cookies {
        request = request.header(COOKIE, cookies);
    }
    Ok(request)
}
