//! `conntest`: logs in and out again, and tells what it saw.

use std::io::Write;
use std::time::SystemTime;

use crate::config::{Account, Homeserver as Address, Method};
use crate::login::{Error, Login};
use crate::matrix::client::{LoggedIn, new_device_id, versions};
use crate::util::ClockDifference;

/// Clocks further apart than this, in milliseconds, are worth a warning: tokens are good for
/// minutes, and some servers allow for no more.
const NOTABLE_SKEW_MS: u64 = 5_000;

/// Logs in with a device that does not stay, and writes down what it saw as it
/// goes.
///
/// # Errors
/// A sentence about what went wrong, and who is at fault.
pub async fn run(account: &Account, out: &mut dyn Write) -> Result<(), String> {
    let login = Login::find(account).await.map_err(blamed)?;
    let base = login.homeserver.base();
    match &account.homeserver {
        Address::Url(_) => say(out, "homeserver", base),
        Address::Name(name) => say(
            out,
            "homeserver",
            &format!("{base} (by the .well-known of {name})"),
        ),
    }
    let versions = versions(login.client(), base)
        .await
        .map_err(|fault| blamed(Error::NoHomeserver(fault)))?;
    say(out, "versions", &versions.to_string());
    say(out, "clock", &skew(versions.date()));
    match login.flows().await {
        Ok(flows) => {
            say(out, "logins", &flows.kinds.join(", "));
            if !flows.providers.is_empty() {
                say(out, "providers", &flows.providers.join(", "));
            }
        }
        // Whoever has a token needs none.
        Err(fault) if matches!(account.method, Method::Token(_)) => {
            say(out, "logins", &fault.to_string());
        }
        Err(fault) => return Err(blamed(fault)),
    }
    let device = new_device_id().map_err(|error| format!("no randomness: {error}"))?;
    let logged_in = login.attempt(account.user.as_str(), &device).await;
    end(&login, &logged_in.map_err(blamed)?, out).await
}

/// Tells who was logged in, and logs out again what was not there before.
///
/// # Errors
/// The device could not be logged out.
pub(super) async fn end(
    login: &Login<'_>,
    logged_in: &LoggedIn,
    out: &mut dyn Write,
) -> Result<(), String> {
    let LoggedIn {
        user,
        device,
        tokens,
    } = logged_in;
    say(out, "logged in", &format!("{user}, device {device}"));
    if matches!(login.account.method, Method::Token(_)) {
        say(
            out,
            "session",
            "left as it is, since MATRIX_ACCESS_TOKEN is of it",
        );
        return Ok(());
    }
    login.log_out(tokens).await.map_err(|why| {
        format!("device {device} could not be logged out again ({why}): remove it from {user}")
    })?;
    say(out, "logged out", &format!("device {device} is gone again"));
    Ok(())
}

/// A line of what was seen.
pub(super) fn say(out: &mut dyn Write, what: &str, seen: &str) {
    // Nothing better can be done when standard output is closed.
    let _ = writeln!(out, "{what:10}  {seen}");
    let _ = out.flush();
}

/// A fault with who has to change something.
pub(super) fn blamed(error: Error) -> String {
    error.report()
}

/// How far the clock here is from that of the server.
fn skew(date: Option<SystemTime>) -> String {
    let Some(there) = date else {
        return "the homeserver does not tell its time".to_owned();
    };
    let apart = ClockDifference::of_date(there, SystemTime::now());
    let which = match apart.server_is_ahead {
        true => "behind",
        false => "ahead of",
    };
    if apart.ms < NOTABLE_SKEW_MS {
        return "as the homeserver's".to_owned();
    }
    format!(
        "{} s {which} the homeserver's: set the clock of this machine or of that one, since tokens \
         are good for minutes",
        apart.ms / 1000
    )
}
