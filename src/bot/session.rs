//! From a store to a session on the homeserver: the stored one, or a login.

use std::fmt;

use log::{info, warn};
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::time::sleep;

use crate::{
    http::Backoff,
    matrix::{
        BuildError, Fault, Homeserver, LoginError, is_user, login_call, new_device_id, read_login,
    },
    ops::Secret,
    store::{self, Session, Store},
};

/// Who the bot is and what proves it.
pub struct Access {
    /// Its full id.
    pub user: OwnedUserId,
    /// Its device.
    pub device: OwnedDeviceId,
    /// Its access token.
    pub token: Secret,
}

/// Why there is no session. All of them end the program.
#[derive(Debug)]
pub enum SessionError {
    /// The homeserver refuses the login.
    Refused(Fault),
    /// The homeserver stayed away.
    GaveUp(Fault),
    /// Its answer cannot be used.
    Answer(LoginError),
    /// The store belongs to another account.
    OtherAccount(OwnedUserId),
    /// The store refuses.
    Store(store::Error),
    /// The request cannot be built.
    Build(BuildError),
    /// The system gives no random bytes.
    Randomness(getrandom::Error),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(fault @ Fault::Refused { status: 403, .. }) => write!(
                f,
                "login failed: {fault}; check MATRIX_USER and MATRIX_PASSWORD, and that the \
                 account exists and is not locked"
            ),
            Self::Refused(fault) => write!(f, "login failed: {fault}"),
            Self::GaveUp(fault) => write!(f, "giving up on the login: {fault}"),
            Self::Answer(error) => error.fmt(f),
            Self::OtherAccount(user) => write!(
                f,
                "the store in CRYPTO_STORE_PATH belongs to {user}, MATRIX_USER is another \
                 account: give each account a store of its own"
            ),
            Self::Store(error) => error.fmt(f),
            Self::Build(error) => error.fmt(f),
            Self::Randomness(error) => write!(f, "no randomness: {error}"),
        }
    }
}

impl From<store::Error> for SessionError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// The session of this store, made where there is none. `user` is a localpart or
/// a full id. The device id is stored before the login that creates it; a login
/// with the same id after a crash, a soft logout or a lost answer is the same
/// device again.
pub async fn log_in(
    store: &mut Store,
    homeserver: &Homeserver,
    user: &str,
    password: &Secret,
) -> Result<Access, SessionError> {
    let tx = store.begin()?;
    let stored = tx.session()?;
    let (known_user, device) = match stored {
        Some(Session {
            user: stored_user,
            device,
            access_token,
        }) => {
            if !is_user(&stored_user, user) {
                return Err(SessionError::OtherAccount(stored_user));
            }
            if let Some(token) = access_token {
                info!("going on as {stored_user}, device {device}");
                return Ok(Access {
                    user: stored_user,
                    device,
                    token,
                });
            }
            (Some(stored_user), device)
        }
        None => {
            let device = match tx.pending_device()? {
                Some(device) => device,
                None => {
                    let device = new_device_id().map_err(SessionError::Randomness)?;
                    tx.put_pending_device(&device)?;
                    device
                }
            };
            (None, device)
        }
    };
    tx.commit()?;

    let asked = known_user.as_ref().map_or(user, |user| user.as_str());
    let mut backoff = Backoff::new();
    let body = loop {
        let call = login_call(asked, password, &device).map_err(SessionError::Build)?;
        match homeserver.send(call, None, Default::default()).await {
            Ok(body) => break body,
            Err(fault) if fault.is_transient() => match backoff.fail(fault.retry_after()) {
                Some(wait) => {
                    warn!("login: {fault}; trying again in {} s", wait.as_secs());
                    sleep(wait).await;
                }
                None => return Err(SessionError::GaveUp(fault)),
            },
            Err(fault) => return Err(SessionError::Refused(fault)),
        }
    };
    let (user, token) = read_login(body, asked, &device).map_err(SessionError::Answer)?;
    let tx = store.begin()?;
    tx.put_session(&Session {
        user: user.clone(),
        device: device.clone(),
        access_token: Some(token.clone()),
    })?;
    tx.commit()?;
    info!("logged in as {user}, device {device}");
    Ok(Access {
        user,
        device,
        token,
    })
}
