//! `logout`: ends the bot's session.

use std::fmt::Write as _;
use std::path::Path;

use super::conntest::blamed;
use crate::config::Account;
use crate::login::{Login, RefreshError, refresh};
use crate::matrix::client::{Fault, is_user};
use crate::store::{self, LoginCredential, Session, Store};
use crate::util::{Secret, Tokens};

/// Ends the session of the store in `directory` and returns what to print,
/// ending in a newline. Nobody is logged in for it.
///
/// # Errors
/// A sentence: the bot is running, or the session could not be ended. Nothing
/// is removed from the store then.
pub async fn run(account: &Account, directory: &Path) -> Result<String, String> {
    // Where there is none, none is made.
    Store::open_beside(directory).map_err(|error| error.to_string())?;
    let mut store = Store::open(directory).map_err(|error| error.to_string())?;
    let ended = end(account, &mut store).await;
    store.close().map_err(|error| error.to_string())?;
    ended
}

/// How the session came to its end.
enum Ended {
    Now,
    Before,
}

async fn end(account: &Account, store: &mut Store) -> Result<String, String> {
    let Some(session) = session(store).map_err(|error| error.to_string())? else {
        return Ok("there is no session to end: the bot has not logged in\n".to_owned());
    };
    let Session {
        user,
        device,
        proof,
    } = session;
    if !is_user(&user, account.user.as_str()) {
        return Err(format!(
            "the store in CRYPTO_STORE_PATH belongs to {user}, MATRIX_USER is another account: set \
             it to that one"
        ));
    }
    let how = match log_out(account, store, proof).await? {
        Ended::Now => "has ended",
        Ended::Before => "had ended before",
    };
    let tx = store.begin().map_err(|error| error.to_string())?;
    let left = tx.forget_device().and_then(|()| tx.summary());
    let left = left.map_err(|error| error.to_string())?;
    tx.commit().map_err(|error| error.to_string())?;
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

async fn log_out(
    account: &Account,
    store: &mut Store,
    proof: LoginCredential,
) -> Result<Ended, String> {
    let (tokens, refresh) = match proof {
        LoginCredential::Lost {
            refresh: None,
            ended: true,
        } => return Ok(Ended::Before),
        LoginCredential::Lost { refresh, .. } => (None, refresh),
        LoginCredential::Tokens(tokens) => (Some(tokens.clone()), tokens.refresh),
    };
    let login = Login::find(account).await.map_err(blamed)?;
    let failed = |fault: Fault| format!("the session could not be ended: {fault}");
    let mut soft = false;
    if let Some(tokens) = tokens {
        match login.log_out(&tokens).await {
            Ok(()) => return Ok(Ended::Now),
            Err(Fault::UnknownToken { soft_logout }) => soft = soft_logout,
            Err(fault) => return Err(failed(fault)),
        }
    }
    // It has expired, perhaps: another one may still end the session.
    if let Some(last) = refresh
        && let Some(tokens) = renew(&login, store, &last).await?
    {
        return match login.log_out(&tokens).await {
            Ok(()) => Ok(Ended::Now),
            Err(Fault::UnknownToken { .. }) => Ok(Ended::Before),
            Err(fault) => Err(failed(fault)),
        };
    }
    if soft {
        return Err(
            "the session has expired, and nothing here ends it: start the bot once, which logs in \
             again as the same device, or remove the device with another client of the account"
                .to_owned(),
        );
    }
    Ok(Ended::Before)
}

/// New tokens, stored before they are used; None if the homeserver gives none.
async fn renew(
    login: &Login<'_>,
    store: &mut Store,
    last: &Secret,
) -> Result<Option<Tokens>, String> {
    let tokens = match refresh(&login.homeserver, last).await {
        Ok(tokens) => tokens,
        Err(RefreshError::Homeserver(fault)) if fault.is_transient() => {
            return Err(format!("the session could not be ended: {fault}"));
        }
        Err(_) => return Ok(None),
    };
    let put = store.begin().and_then(|tx| {
        tx.session().put_tokens(&tokens)?;
        tx.commit()
    });
    put.map_err(|error| error.to_string())?;
    Ok(Some(tokens))
}

fn session(store: &mut Store) -> Result<Option<Session>, store::Error> {
    store.begin()?.session().load()
}
