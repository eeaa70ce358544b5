//! From a store to a session on the homeserver: the stored one, or a login.

use log::{info, warn};
use ruma::{OwnedDeviceId, OwnedUserId};
use thiserror::Error as ThisError;
use tokio::time::sleep;

use super::client::Login;
use super::error::Error;
use crate::config::{Account, Method};
use crate::matrix::client::{LoggedIn, is_user, new_device_id, refresh};
use crate::net::{Backoff, MAX_ATTEMPTS, Remedy};
use crate::store::{self, LoginCredential, Session, Store};
use crate::telemetry::HealthState;
use crate::util::{Clock, Secret, Tokens};

/// The number of attempts to refresh before a login as the same device. Where only another
/// device could log in, there are [`MAX_ATTEMPTS`].
const REFRESH_ATTEMPTS: u32 = 3;

/// There is no session, which ends the program.
#[derive(Debug, ThisError)]
pub enum SessionError {
    /// A login failed, and another attempt would fail, too.
    #[error("login failed: {}", .0.report())]
    Failed(Box<Error>),
    /// A login failed [`MAX_ATTEMPTS`] times.
    #[error("giving up on the login: {}", .0.report())]
    GaveUp(Box<Error>),
    /// The store belongs to another account.
    #[error(
        "the store in CRYPTO_STORE_PATH belongs to {0}, MATRIX_USER is another account: give each \
         account a store of its own"
    )]
    OtherAccount(OwnedUserId),
    /// The store cannot be read or written.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The system gives no random bytes.
    #[error("no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// Finds the homeserver; tries again while that may help.
///
/// # Errors
/// There is none, or it does not answer.
pub async fn connect(account: &Account, clock: Clock) -> Result<Login<'_>, SessionError> {
    retry(async || Login::find(account, clock).await).await
}

/// The ways to a session that are tried, in this order, and the last of which is a login.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// A refresh token to ask for new tokens with, and the number of attempts.
    pub(super) refresh: Option<(Secret, u32)>,
    /// Tokens that may still be good.
    pub(super) resume: Option<Tokens>,
    /// The device to log in as; None for a new one.
    pub(super) device: Option<OwnedDeviceId>,
}

impl Plan {
    /// Decides from the stored session, the configured method and the time.
    ///
    /// The device is given up only if the homeserver said that it is gone, whatever it
    /// answers to a refresh: that keeps keys where the two answers differ.
    pub(super) fn new(session: &Session, method: &Method, now: u64) -> Self {
        let device = Some(session.device.clone());
        match &session.proof {
            // Another access token was configured since.
            LoginCredential::Tokens(tokens) if matches!(method, Method::Token(made) if made.token != tokens.access) => {
                Self {
                    device,
                    ..Self::default()
                }
            }
            LoginCredential::Tokens(tokens) => {
                let is_due = tokens.refresh_at.is_some_and(|at| at <= now);
                let refresh = tokens.refresh.clone().filter(|_| is_due);
                Self {
                    refresh: refresh.map(|last| (last, 1)),
                    resume: Some(tokens.clone()),
                    device,
                }
            }
            LoginCredential::Lost { refresh, ended } => {
                let attempts = if *ended {
                    MAX_ATTEMPTS
                } else {
                    REFRESH_ATTEMPTS
                };
                Self {
                    refresh: refresh.clone().map(|last| (last, attempts)),
                    resume: None,
                    device: device.filter(|_| !ended),
                }
            }
        }
    }
}

/// The session of this store; logs in where there is none. The device id is stored before
/// the login that creates it: a login with the same id after a crash, a soft logout or a lost
/// answer is the same device again
/// (<https://spec.matrix.org/v1.11/client-server-api/#relationship-between-access-tokens-and-devices>).
///
/// # Errors
/// There is no session, and another attempt does not help, or did not.
pub async fn log_in(
    store: &mut Store,
    login: &Login<'_>,
    health: &HealthState,
) -> Result<LoggedIn, SessionError> {
    let Some(session) = stored_session(store, login)? else {
        return start_session(store, login, None, None, health).await;
    };
    let now = login.client.clock().now_ms();
    let plan = Plan::new(&session, &login.account.method, now);
    let Session { user, device, .. } = session;
    if plan.resume.is_some() {
        info!("going on as {user}, device {device}");
    }
    let refreshed = match plan.refresh {
        Some((last, attempts)) => refresh_and_store(store, login, &last, attempts).await?,
        None => None,
    };
    match refreshed.or(plan.resume) {
        Some(tokens) => Ok(LoggedIn {
            user,
            device,
            tokens,
        }),
        None => start_session(store, login, Some((user, device)), plan.device, health).await,
    }
}

/// Logs in as `device`, or as a new one. The stored keys of the known device are deleted when
/// another one has logged in, and not before: until then the known one may come back.
async fn start_session(
    store: &mut Store,
    login: &Login<'_>,
    known: Option<(OwnedUserId, OwnedDeviceId)>,
    device: Option<OwnedDeviceId>,
    health: &HealthState,
) -> Result<LoggedIn, SessionError> {
    let next = match (&login.account.method, device) {
        (Method::Token(made), _) => made.device.clone(),
        (_, Some(device)) => device,
        (_, None) => pending_device(store)?,
    };
    let asked = known
        .as_ref()
        .map_or(login.account.user.as_str(), |(user, _)| user.as_str());
    let logged_in = retry(async || {
        let attempt = login.attempt(asked, &next).await;
        health.login(attempt.is_ok());
        attempt
    })
    .await?;
    let LoggedIn {
        user,
        device,
        tokens,
    } = &logged_in;
    let tx = store.begin()?;
    if let Some((_, old)) = known.filter(|(_, old)| old != device) {
        warn!("device {old} is given up, and its keys with it: remove it from the account");
        tx.forget_device()?;
    }
    tx.session().put(user, device, tokens)?;
    tx.commit()?;
    info!("logged in as {user}, device {device}");
    Ok(logged_in)
}

fn stored_session(store: &mut Store, login: &Login<'_>) -> Result<Option<Session>, SessionError> {
    match store.begin()?.session().load()? {
        Some(session) if !is_user(&session.user, login.account.user.as_str()) => {
            Err(SessionError::OtherAccount(session.user))
        }
        session => Ok(session),
    }
}

/// The device id for the next login, made up and stored where there is none.
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

/// Asks for new tokens, at most `attempts` times, and stores them before they are used. None
/// if the homeserver refuses the refresh token or has trouble each time: other tokens or a
/// login may still do.
async fn refresh_and_store(
    store: &mut Store,
    login: &Login<'_>,
    last: &Secret,
    attempts: u32,
) -> Result<Option<Tokens>, SessionError> {
    let mut backoff = Backoff::default();
    for attempt in 1..=attempts {
        let error = match refresh(&login.homeserver, last).await {
            Ok(tokens) => {
                let tx = store.begin()?;
                tx.session().put_tokens(&tokens)?;
                tx.commit()?;
                info!("the session is refreshed");
                return Ok(Some(tokens));
            }
            Err(error) => error,
        };
        if !error.is_transient() {
            info!("the session cannot be refreshed: {error}");
            return Ok(None);
        }
        warn!("the session cannot be refreshed: {error}");
        match backoff.fail(error.retry_after()) {
            Some(wait) if attempt < attempts => sleep(wait).await,
            _ => break,
        }
    }
    Ok(None)
}

/// Repeats an attempt with growing waits while its error is transient.
async fn retry<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, SessionError> {
    let mut backoff = Backoff::default();
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if !error.is_transient() => return Err(SessionError::Failed(error.into())),
            Err(error) => error,
        };
        let Some(wait) = backoff.fail(error.retry_after()) else {
            return Err(SessionError::GaveUp(error.into()));
        };
        let seconds = wait.as_secs();
        warn!("login: {}; trying again in {seconds} s", error.report());
        sleep(wait).await;
    }
}
