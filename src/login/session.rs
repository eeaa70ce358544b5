//! From a store to a session on the homeserver: the stored one, or a login.

use std::fmt;

use log::{info, warn};
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::time::sleep;

use super::attempt::Login;
use super::fault::Fault;
use crate::config::{Account, Method};
use crate::matrix::client::{LoggedIn, is_user, new_device_id, read_refresh, refresh_call};
use crate::net::{Backoff, MAX_ATTEMPTS};
use crate::store::{self, LoginCredential, Session, Store};
use crate::telemetry::HealthState;
use crate::util::{Secret, Tokens, now_ms};

/// So often a refresh is tried before a login as the same device is; where only
/// another device could log in, trouble is waited for as long as ever.
const TRIES: u32 = 3;

/// Who the bot is and what proves it.
pub struct Access {
    /// Its full id.
    pub user: OwnedUserId,
    /// Its device.
    pub device: OwnedDeviceId,
    /// Its access token, and what makes the next one.
    pub tokens: Tokens,
}

/// Why there is no session. All of them end the program.
#[derive(Debug)]
pub enum SessionError {
    /// A login failed, and the same again would.
    Failed(Box<Fault>),
    /// A login failed too often.
    GaveUp(Box<Fault>),
    /// The store belongs to another account.
    OtherAccount(OwnedUserId),
    /// The store refuses.
    Store(store::Error),
    /// The system gives no random bytes.
    Randomness(getrandom::Error),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(fault) => {
                write!(f, "login failed, at fault is {}: {fault}", fault.party())
            }
            Self::GaveUp(fault) => write!(
                f,
                "giving up on the login, at fault is {}: {fault}",
                fault.party()
            ),
            Self::OtherAccount(user) => write!(
                f,
                "the store in CRYPTO_STORE_PATH belongs to {user}, MATRIX_USER is another \
                 account: give each account a store of its own"
            ),
            Self::Store(error) => error.fmt(f),
            Self::Randomness(error) => write!(f, "no randomness: {error}"),
        }
    }
}

impl From<store::Error> for SessionError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// Finds the homeserver, tried again while that may help.
///
/// # Errors
/// There is none to be found.
pub async fn connect(account: &Account) -> Result<Login<'_>, SessionError> {
    patiently(async || Login::find(account).await).await
}

/// The session of this store, made where there is none. The device id is stored
/// before the login that creates it; a login with the same id after a crash, a
/// soft logout or a lost answer is the same device again.
///
/// # Errors
/// There is no session, and trying again does not help, or did not.
pub async fn log_in(
    store: &mut Store,
    login: &Login<'_>,
    health: &HealthState,
) -> Result<Access, SessionError> {
    let (known, device) = match stored(store, login)? {
        Some(Session {
            user,
            device,
            proof,
        }) => {
            let kept = match proof {
                LoginCredential::Tokens(tokens) if replaced(&login.account.method, &tokens) => None,
                LoginCredential::Tokens(tokens) => {
                    info!("going on as {user}, device {device}");
                    Some(overdue(store, login, tokens).await?)
                }
                LoginCredential::Lost { refresh, ended } => {
                    let tries = if ended { MAX_ATTEMPTS } else { TRIES };
                    let renewed = match &refresh {
                        Some(last) => renew(store, login, last, tries).await?,
                        None => None,
                    };
                    if renewed.is_none() && ended {
                        let known = Some((user, device));
                        return enter(store, login, known, None, health).await;
                    }
                    renewed
                }
            };
            if let Some(tokens) = kept {
                return Ok(Access {
                    user,
                    device,
                    tokens,
                });
            }
            (Some((user, device.clone())), Some(device))
        }
        None => (None, None),
    };
    enter(store, login, known, device, health).await
}

/// Logs in: as the device, if there is one to log in as again, else as a new
/// one. What the store knows of the last device goes when there is another, and
/// no sooner: until then the last one may come back.
async fn enter(
    store: &mut Store,
    login: &Login<'_>,
    known: Option<(OwnedUserId, OwnedDeviceId)>,
    device: Option<OwnedDeviceId>,
    health: &HealthState,
) -> Result<Access, SessionError> {
    let next = match (&login.account.method, device) {
        (Method::Token(made), _) => made.device.clone(),
        (_, Some(device)) => device,
        (_, None) => pending_device(store)?,
    };
    let asked = known
        .as_ref()
        .map_or(login.account.user.as_str(), |(user, _)| user.as_str());
    let LoggedIn {
        user,
        device,
        tokens,
    } = patiently(async || {
        let attempt = login.attempt(asked, &next).await;
        health.login(attempt.is_ok());
        attempt
    })
    .await?;
    let tx = store.begin()?;
    if let Some((_, old)) = known.filter(|(_, old)| *old != device) {
        warn!("device {old} is given up, and its keys with it: remove it from the account");
        tx.forget_device()?;
    }
    tx.session().put(&user, &device, &tokens)?;
    tx.commit()?;
    info!("logged in as {user}, device {device}");
    Ok(Access {
        user,
        device,
        tokens,
    })
}

fn stored(store: &mut Store, login: &Login<'_>) -> Result<Option<Session>, SessionError> {
    let tx = store.begin()?;
    let session = tx.session().load()?;
    match session {
        Some(session) if !is_user(&session.user, login.account.user.as_str()) => {
            Err(SessionError::OtherAccount(session.user))
        }
        session => Ok(session),
    }
}

/// Whether the configuration holds another ready-made token than the store.
fn replaced(method: &Method, tokens: &Tokens) -> bool {
    matches!(method, Method::Token(made) if made.token != tokens.access)
}

fn pending_device(store: &mut Store) -> Result<OwnedDeviceId, SessionError> {
    let tx = store.begin()?;
    let device = match tx.session().pending_device()? {
        Some(device) => device,
        None => {
            let device = new_device_id().map_err(SessionError::Randomness)?;
            tx.session().put_pending_device(&device)?;
            device
        }
    };
    tx.commit()?;
    Ok(device)
}

/// The tokens, or the next ones where these were to be renewed while nobody was
/// there to do it. Where there are none now, these may be good for a while.
async fn overdue(
    store: &mut Store,
    login: &Login<'_>,
    tokens: Tokens,
) -> Result<Tokens, SessionError> {
    let due = tokens.refresh_at.is_some_and(|at| at <= now_ms());
    let Some(last) = tokens.refresh.as_ref().filter(|_| due) else {
        return Ok(tokens);
    };
    let renewed = renew(store, login, last, 1).await?;
    Ok(renewed.unwrap_or(tokens))
}

/// The next tokens, written down before they are used: until then the old
/// refresh token stays good. None if it is not, or if the homeserver has trouble
/// each time it is tried: a login may still do.
///
/// What becomes of the device then depends on how its access token ended, not on
/// how the refresh does: that keeps keys where the two differ.
async fn renew(
    store: &mut Store,
    login: &Login<'_>,
    last: &Secret,
    tries: u32,
) -> Result<Option<Tokens>, SessionError> {
    let mut backoff = Backoff::new();
    for again in 1..=tries {
        let answer = login.homeserver.ask(refresh_call(last), None).await;
        let (why, asked) = match answer {
            Ok(body) => match read_refresh(body, last, now_ms()) {
                Some(tokens) => {
                    let tx = store.begin()?;
                    tx.session().put_tokens(&tokens)?;
                    tx.commit()?;
                    info!("the session is refreshed");
                    return Ok(Some(tokens));
                }
                None => ("the answer is malformed".to_owned(), None),
            },
            Err(fault) if fault.is_transient() => (fault.to_string(), fault.retry_after()),
            Err(fault) => {
                info!("the session cannot be refreshed: {fault}");
                return Ok(None);
            }
        };
        warn!("the session cannot be refreshed: {why}");
        match backoff.fail(asked) {
            Some(wait) if again < tries => sleep(wait).await,
            _ => break,
        }
    }
    Ok(None)
}

/// Does it again, later and later, while that may help.
async fn patiently<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, Fault>,
) -> Result<T, SessionError> {
    let mut backoff = Backoff::new();
    loop {
        let fault = match attempt().await {
            Ok(done) => return Ok(done),
            Err(fault) if !fault.is_transient() => return Err(SessionError::Failed(fault.into())),
            Err(fault) => fault,
        };
        let Some(wait) = backoff.fail(fault.retry_after()) else {
            return Err(SessionError::GaveUp(fault.into()));
        };
        warn!(
            "login, at fault is {}: {fault}; trying again in {} s",
            fault.party(),
            wait.as_secs()
        );
        sleep(wait).await;
    }
}
