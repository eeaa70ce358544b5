//! `logout`: ends the bot's session.

use std::fmt::Write as _;
use std::path::Path;

use crate::cli::Error;
use crate::config::Account;
use crate::login::Login;
use crate::matrix::client::{Fault, is_user, refresh};
use crate::store::{LoginCredential, Session, Store};
use crate::util::{Clock, Secret, Tokens};

/// Ends the session of the store in `directory` and returns what to print,
/// ending in a newline. Nobody is logged in for it.
///
/// # Errors
/// The bot is running, or the session could not be ended. Nothing is removed from the
/// store then.
pub(in crate::cli) async fn run(
    account: &Account,
    directory: &Path,
    clock: Clock,
) -> Result<String, Error> {
    // Where there is none, none is made.
    Store::open_beside(directory)?;
    let mut store = Store::open(directory)?;
    let ended = end(account, &mut store, clock).await;
    store.close()?;
    ended
}

async fn end(account: &Account, store: &mut Store, clock: Clock) -> Result<String, Error> {
    let session = store.begin()?.session().load()?;
    let Some(Session {
        user,
        device,
        proof,
    }) = session
    else {
        return Ok("there is no session to end: the bot has not logged in\n".to_owned());
    };
    if !is_user(&user, account.user.as_str()) {
        return Err(Error::OthersStore(user));
    }
    let how = log_out(account, store, proof, clock).await?;
    let tx = store.begin()?;
    tx.forget_device()?;
    let left = tx.summary()?;
    tx.commit()?;
    let mut text = format!(
        "the session of {user}, device {device}, {how}; the device's keys are removed from the \
         store\nwhat remains there:\n"
    );
    for (what, count) in left {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "  {count:5}  {what}");
    }
    Ok(text)
}

const NOW: &str = "has ended";
const BEFORE: &str = "had ended before";

/// Ends the session of `proof` and says when it ended: [`NOW`] or [`BEFORE`].
async fn log_out(
    account: &Account,
    store: &mut Store,
    proof: LoginCredential,
    clock: Clock,
) -> Result<&'static str, Error> {
    let (tokens, refresh) = match proof {
        LoginCredential::Lost {
            refresh: None,
            ended: true,
        } => return Ok(BEFORE),
        LoginCredential::Lost { refresh, .. } => (None, refresh),
        LoginCredential::Tokens(tokens) => (Some(tokens.clone()), tokens.refresh),
    };
    let login = Login::find(account, clock).await?;
    let mut soft = false;
    if let Some(tokens) = tokens {
        match login.log_out(&tokens).await {
            Ok(()) => return Ok(NOW),
            Err(Fault::UnknownToken { soft_logout }) => soft = soft_logout,
            Err(fault) => return Err(Error::NotEnded(Box::new(fault))),
        }
    }
    // It has expired, perhaps: another one may still end the session.
    if let Some(last) = refresh
        && let Some(tokens) = renew(&login, store, &last).await?
    {
        return match login.log_out(&tokens).await {
            Ok(()) => Ok(NOW),
            Err(Fault::UnknownToken { .. }) => Ok(BEFORE),
            Err(fault) => Err(Error::NotEnded(Box::new(fault))),
        };
    }
    if soft {
        return Err(Error::Expired);
    }
    Ok(BEFORE)
}

/// New tokens, stored before they are used; None if the homeserver gives none.
async fn renew(
    login: &Login<'_>,
    store: &mut Store,
    last: &Secret,
) -> Result<Option<Tokens>, Error> {
    let tokens = match refresh(&login.homeserver, last).await {
        Ok(tokens) => tokens,
        Err(Fault::Malformed) => return Ok(None),
        Err(fault) if fault.is_transient() => return Err(Error::NotEnded(Box::new(fault))),
        Err(_) => return Ok(None),
    };
    let tx = store.begin()?;
    tx.session().put_tokens(&tokens)?;
    tx.commit()?;
    Ok(Some(tokens))
}
