//! `conntest`: logs in and out again, and tells what it saw.

use std::io::Write;
use std::time::SystemTime;

use crate::cli::Error;
use crate::config::{Account, Homeserver as Address, Method};
use crate::login::{self, Login};
use crate::matrix::client::{LoggedIn, new_device_id, versions};
use crate::util::{Clock, ClockDifference};

/// Clocks further apart than this, in milliseconds, are worth a warning: tokens are good for
/// minutes, and some servers allow for no more.
const NOTABLE_SKEW_MS: u64 = 5_000;

/// Logs in with a device that does not stay, and writes down what it saw as it
/// goes.
///
/// # Errors
/// The homeserver is not found, does not log in, or not out.
pub(in crate::cli) async fn run(
    account: &Account,
    clock: Clock,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let login = Login::find(account, clock).await?;
    let base = login.homeserver.base();
    match &account.homeserver {
        Address::Url(_) => say(out, "homeserver", base),
        Address::Name(name) => say(
            out,
            "homeserver",
            &format!("{base} (by the .well-known of {name})"),
        ),
    }
    let versions = versions(&login.client, base)
        .await
        .map_err(login::Error::NoHomeserver)?;
    say(out, "versions", &versions.names.join(", "));
    say(out, "clock", &skew(versions.date, clock));
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
        Err(fault) => return Err(fault.into()),
    }
    let device = new_device_id()?;
    let logged_in = login.attempt(account.user.as_str(), &device).await?;
    end(&login, &logged_in, out).await
}

/// Tells who was logged in, and logs out again what was not there before.
///
/// # Errors
/// The device could not be logged out.
pub(super) async fn end(
    login: &Login<'_>,
    logged_in: &LoggedIn,
    out: &mut dyn Write,
) -> Result<(), Error> {
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
    let ended = login.log_out(tokens).await;
    ended.map_err(|why| Error::NotLoggedOut {
        device: device.clone(),
        user: user.clone(),
        why: Box::new(why),
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

/// The difference between the clock here and that of the server.
fn skew(date: Option<SystemTime>, clock: Clock) -> String {
    let Some(there) = date else {
        return "the homeserver does not tell its time".to_owned();
    };
    let apart = ClockDifference::of_date(there, clock.now());
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
