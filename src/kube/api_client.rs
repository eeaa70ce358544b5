//! The client of the API server: it repeats a call until it is answered, or until the
//! deadline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::access::{Access, Identity};
use super::call::Call;
use super::clock;
use super::credentials::Credentials;
use super::error::{Detail, Error, Operation};
use super::refusal::refusal;
use crate::net::{self, Fault, Remedy, Stage};

/// The time that a call has with all its retries.
const DEADLINE: Duration = Duration::from_secs(10);

/// Retries after a lost connection, a 409, 429 or 5xx. All that is asked here
/// is idempotent, so a retry is safe even if the first attempt was heard.
const MAX_RETRIES: u32 = 2;

/// The wait before a retry if the server does not ask for a longer one.
const RETRY_WAIT: Duration = Duration::from_millis(300);

/// An attempt with less time left than this is not worth making.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);

/// The client of one cluster's API server. Clones share the state.
#[derive(Debug, Clone)]
pub(super) struct ApiClient {
    state: Arc<Mutex<State>>,
    pub(super) deadline: Duration,
    pub(super) retry_wait: Duration,
}

#[derive(Debug)]
struct State {
    credentials: Credentials,
    silence: Silence,
}

/// The time since which the API server has given no answer.
#[derive(Debug, Clone, Copy)]
enum Silence {
    /// The last attempt was answered, or there was none.
    None,
    /// No attempt was answered from this one on.
    Since(SystemTime),
}

/// The reason why an attempt did not succeed, and the next step.
struct Failure {
    error: Error,
    again: Again,
}

enum Again {
    Never,
    /// Once, with credentials that were just read again.
    Renewed,
    /// After a wait, a few times.
    After(Duration),
}

impl ApiClient {
    pub(super) fn new(credentials: Credentials) -> Self {
        let state = State {
            credentials,
            silence: Silence::None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            deadline: DEADLINE,
            retry_wait: RETRY_WAIT,
        }
    }

    /// Makes a call with its retries, and returns the body of a 2xx answer.
    ///
    /// # Errors
    /// The outcome of the last attempt.
    pub(super) async fn call(&self, call: &Call) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let mut retries = 0;
        let mut renewed = false;
        loop {
            let access = self.state().credentials.access(Instant::now());
            let left = self.deadline.saturating_sub(started.elapsed());
            let Failure { error, again } = match self.attempt(call, access, left).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let left = self.deadline.saturating_sub(started.elapsed());
            match again {
                Again::Renewed if !renewed => {
                    renewed = true;
                    self.state().credentials.renew(Instant::now());
                }
                Again::After(wait) if retries < MAX_RETRIES && wait + MIN_ATTEMPT <= left => {
                    retries += 1;
                    log::debug!("trying again in {wait:?}: {}", error.detail());
                    sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        access: Access,
        left: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let request = call.request(&access, left).map_err(|error| Failure {
            error,
            again: Again::Never,
        })?;
        let identity = access.identity;
        let response = match access.client.send_sifted(request, call.sieve()).await {
            Ok(response) => response,
            Err(error) => {
                let now = access.client.clock().now();
                return Err(self.unanswered(call.operation, identity, error, now));
            }
        };
        self.state().silence = Silence::None;
        if (200..300).contains(&response.status) {
            return Ok(response.body);
        }
        let error = refusal(call.operation, identity, &response);
        let again = match response.status {
            401 => Again::Renewed,
            409 => Again::After(self.retry_wait),
            _ if error.is_transient() => {
                Again::After(error.retry_after().unwrap_or_default().max(self.retry_wait))
            }
            _ => Again::Never,
        };
        Err(Failure { error, again })
    }

    fn unanswered(
        &self,
        operation: Operation,
        identity: Identity,
        cause: net::Error,
        now: SystemTime,
    ) -> Failure {
        // An answer of a kind, that a second attempt would not make better.
        if !cause.is_transient() {
            self.state().silence = Silence::None;
            let detail = Detail::new(&cause.to_string());
            return Failure {
                error: Error::Broken { identity, detail },
                again: Again::Never,
            };
        }
        let mut state = self.state();
        let since = match state.silence {
            Silence::None => now,
            Silence::Since(since) => since,
        };
        state.silence = Silence::Since(since);
        let again = match cause.fault {
            Fault::Tls(_) => Again::Renewed,
            Fault::Deadline { .. } => Again::Never,
            _ => Again::After(self.retry_wait),
        };
        let error = match cause.fault {
            Fault::Deadline {
                stage: Stage::Waiting | Stage::Receiving,
                ..
            } => Error::Timeout { operation, cause },
            _ => Error::Unreachable {
                since: clock::utc(since, now).into(),
                identity,
                cause,
            },
        };
        Failure { error, again }
    }

    /// The proof of who asks.
    pub(super) fn identity(&self) -> Identity {
        self.state().credentials.identity()
    }

    /// Locks the state, which is never held across an `await`.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
