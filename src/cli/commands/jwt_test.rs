//! `jwt-test`: goes through a login with a token step by step.

use std::io::Write;

use super::conntest::end;
use crate::auth::jwt::Unverified;
use crate::cli::{Error, JwtTest};
#[cfg(feature = "keycloak")]
use crate::config::Keycloak;
use crate::config::{Account, Jwt, JwtSource, Method};
use crate::login::{Login, get_token, http_client};
#[cfg(feature = "keycloak")]
use crate::login::{check_token, realm};
use crate::matrix::client::new_device_id;
use crate::net::Client;
use crate::util::{Clock, Secret, printable};

/// Goes through a login and writes down each step.
///
/// # Errors
/// There is no token, it cannot be taken apart, or there is no login with it.
pub(in crate::cli) async fn run(
    account: &Account,
    test: JwtTest,
    clock: Clock,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let Method::Jwt(jwt) = &account.method else {
        step(out, 1, "Keycloak: skipped, since the login is by password");
        step(out, 2, "token: skipped");
        return enter(account, test, None, clock, out).await;
    };
    let client = http_client(account, clock).map_err(no_login)?;
    let token = token(&client, account, jwt, test, out).await?;
    if test.skip_decode {
        step(out, 2, "token: not taken apart (--skip-decode)");
    } else {
        take_apart(&token, out)?;
        #[cfg(feature = "keycloak")]
        if let JwtSource::Keycloak(keycloak) = &jwt.source {
            check(&client, account, jwt, keycloak, &token, out).await;
        }
    }
    enter(account, test, Some((jwt, &token)), clock, out).await
}

/// The first step.
async fn token(
    client: &Client,
    account: &Account,
    jwt: &Jwt,
    test: JwtTest,
    out: &mut dyn Write,
) -> Result<Secret, Error> {
    let user = account.user.localpart();
    match &jwt.source {
        JwtSource::Secret(_) => step(out, 1, "Keycloak: not asked, JWT_SECRET makes the token"),
        #[cfg(feature = "keycloak")]
        JwtSource::Keycloak(keycloak) => {
            let (url, client) = (realm(keycloak).url(), &keycloak.client_id);
            let text = format!("Keycloak: asking {url} as client {client} for a token of {user}");
            step(out, 1, &text);
        }
    }
    let answer = get_token(client, user, jwt).await;
    let answer = answer.map_err(|error| Error::NoToken(Box::new(error)))?;
    let length = answer.token.expose().len();
    let life = answer.expires_in.map_or_else(String::new, |life| {
        format!(", good for {} s", life.as_secs())
    });
    tell(out, &format!("ok: a token of {length} bytes{life}"));
    if test.show_secrets {
        tell(out, &printable(answer.token.expose(), length));
    } else if test.verbose {
        tell(out, "(--show-secrets shows it)");
    }
    Ok(answer.token)
}

/// The second step.
fn take_apart(token: &Secret, out: &mut dyn Write) -> Result<(), Error> {
    step(out, 2, "token: what it says");
    let unverified = Unverified::decode(token).map_err(Error::BadToken)?;
    for part in [unverified.header(), unverified.claims()] {
        for line in part.lines() {
            tell(out, line);
        }
    }
    Ok(())
}

/// Compares the token with the realm. What is wrong here may be right for the
/// homeserver, which has the last word.
#[cfg(feature = "keycloak")]
async fn check(
    client: &Client,
    account: &Account,
    jwt: &Jwt,
    keycloak: &Keycloak,
    token: &Secret,
    out: &mut dyn Write,
) {
    match check_token(client, account.user.localpart(), jwt, keycloak, token).await {
        Err(fault) => tell(out, &format!("not checked: {fault}")),
        Ok(faults) if faults.is_empty() => tell(
            out,
            "ok: signed by the realm, for this user, and not expired",
        ),
        Ok(faults) => {
            for fault in &faults {
                tell(out, &format!("wrong: {fault}"));
            }
        }
    }
}

/// The third step.
async fn enter(
    account: &Account,
    test: JwtTest,
    by: Option<(&Jwt, &Secret)>,
    clock: Clock,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let kind = by.map_or("m.login.password", |(jwt, _)| jwt.login_type.as_str());
    let text = format!("Matrix: logging in to {} by {kind}", account.homeserver);
    step(out, 3, &text);
    let login = Login::find(account, clock).await.map_err(no_login)?;
    let flows = login.offered(kind).await.map_err(no_login)?;
    if test.verbose {
        tell(out, &format!("at {}", login.homeserver.base()));
        tell(out, &format!("offered: {}", flows.kinds.join(", ")));
    }
    let device = new_device_id().map_err(no_login)?;
    let asked = account.user.as_str();
    let logged_in = match by {
        Some((jwt, token)) => login.with_jwt(jwt, token, asked, &device).await,
        None => login.attempt(asked, &device).await,
    };
    let logged_in = logged_in.map_err(no_login)?;
    tell(out, "ok");
    end(&login, &logged_in, out).await.map_err(no_login)
}

/// The homeserver has the last word: each fault of the third step is one of its login.
fn no_login(error: impl Into<Error>) -> Error {
    Error::TokenLogin(Box::new(error.into()))
}

fn step(out: &mut dyn Write, number: u8, text: &str) {
    // Nothing better can be done when standard output is closed.
    let _ = writeln!(out, "step {number}  {text}");
    let _ = out.flush();
}

fn tell(out: &mut dyn Write, text: &str) {
    let _ = writeln!(out, "        {text}");
}
