//! The client of the API server: it repeats a call until it is answered, or until the
//! deadline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::access::{Access, Identity};
use super::call::Call;
use super::clock;
use super::credentials::Credentials;
use super::error::{Detail, Error};
use super::operation::Operation;
use super::refusal::{owners, refusal};
use super::slots::Slots;
use crate::json::Skipped;
use crate::net::{self, Fault, Opened, Remedy, Response, Stage, Stream};
use crate::util::{Ahead, ClockDifference};

/// The time that a call has with all its retries.
const DEADLINE: Duration = Duration::from_secs(10);

/// The time that a change of a target has: an admission webhook that hangs is given up by
/// the API server after 10 s, and what it says then is better than no answer.
const CHANGE_DEADLINE: Duration = Duration::from_secs(15);

/// Retries after a lost connection, a 409, 429 or 5xx. All that is asked here may be
/// asked again, even if the first attempt was heard.
const MAX_RETRIES: u32 = 2;

/// The wait before a retry if the server does not ask for a longer one.
const RETRY_WAIT: Duration = Duration::from_millis(300);

/// An attempt with less time left than this is not worth making.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);

/// The client of one cluster's API server. Clones share the state.
#[derive(Debug, Clone)]
pub(super) struct ApiClient {
    state: Arc<Mutex<State>>,
    /// The distance to its clock.
    pub(super) ahead: Ahead,
    pub(super) slots: Slots,
    pub(super) deadline: Duration,
    pub(super) change_deadline: Duration,
    pub(super) retry_wait: Duration,
}

#[derive(Debug)]
struct State {
    credentials: Credentials,
    silence: Silence,
    /// The difference between its clock and this machine's, by its last answer.
    difference: Option<ClockDifference>,
}

/// The time since which the API server has given no answer.
#[derive(Debug, Clone, Copy)]
enum Silence {
    /// The last attempt was answered, or there was none.
    None,
    /// No attempt was answered from this one on.
    Since(SystemTime),
}

/// The part that is kept of a 2xx answer.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// The part that was left out of it for want of room.
    pub(super) skipped: Skipped,
}

/// The outcome of the last attempt of a call.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The HTTP status, if there was an answer.
    pub(super) status: Option<u16>,
    /// There were attempts before, any of which may have been heard.
    pub(super) is_repeated: bool,
    /// The field managers that an apply is in conflict with.
    pub(super) owners: Vec<String>,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// The reason why an attempt did not succeed, and the next step.
struct Failure {
    error: Error,
    status: Option<u16>,
    owners: Vec<String>,
    again: Again,
}

enum Again {
    Never,
    /// Once, with credentials that were just read again.
    Renewed,
    /// After a wait, a few times.
    After(Duration),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            status: None,
            owners: Vec::new(),
            again: Again::Never,
        }
    }
}

impl Failure {
    /// The end of the call, which was sent several times or not.
    fn after(self, is_repeated: bool) -> Failed {
        Failed {
            error: self.error,
            status: self.status,
            is_repeated,
            owners: self.owners,
        }
    }
}

impl ApiClient {
    pub(super) fn new(credentials: Credentials) -> Self {
        let state = State {
            credentials,
            silence: Silence::None,
            difference: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            ahead: Ahead::default(),
            slots: Slots::new(),
            deadline: DEADLINE,
            change_deadline: CHANGE_DEADLINE,
            retry_wait: RETRY_WAIT,
        }
    }

    /// The same client with places of its own.
    pub(super) fn beside(&self) -> Self {
        Self {
            slots: Slots::new(),
            ..self.clone()
        }
    }

    /// Makes a call with its retries, and returns what is kept of a 2xx answer. It waits
    /// first until there is a place for it.
    ///
    /// # Errors
    /// The outcome of the last attempt.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, Failed> {
        let _slot = self.slots.take(call.about.namespace()).await;
        let started = Instant::now();
        let deadline = match call.operation {
            Operation::Change | Operation::Apply | Operation::Restart => self.change_deadline,
            _ => self.deadline,
        };
        let mut retries = 0;
        let mut renewed = false;
        loop {
            let access = self.state().credentials.access(Instant::now());
            let begun = started.elapsed();
            let left = deadline.saturating_sub(begun);
            let failure = match self.attempt(call, access, left).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let left = deadline.saturating_sub(started.elapsed());
            let took = started.elapsed().saturating_sub(begun);
            match failure.again {
                Again::Renewed if !renewed => {
                    renewed = true;
                    self.state().credentials.renew(Instant::now());
                }
                Again::After(wait)
                    if retries < MAX_RETRIES && has_time(call.operation, took, wait, left) =>
                {
                    retries += 1;
                    log::debug!("trying again in {wait:?}: {}", failure.error.detail());
                    sleep(wait).await;
                }
                _ => {
                    return Err(failure.after(retries > 0 || renewed));
                }
            }
        }
    }

    /// Asks for an answer that is read as it comes: once, and once more with credentials
    /// that were read again.
    ///
    /// # Errors
    /// It did not begin, or has another status than 2xx.
    pub(super) async fn open(&self, call: &Call) -> Result<Stream, Failed> {
        let _slot = self.slots.take(call.about.namespace()).await;
        let mut renewed = false;
        loop {
            let access = self.state().credentials.access(Instant::now());
            match self.open_once(call, access).await {
                Ok(stream) => return Ok(stream),
                Err(failure) if matches!(failure.again, Again::Renewed) && !renewed => {
                    renewed = true;
                    self.state().credentials.renew(Instant::now());
                }
                Err(failure) => return Err(failure.after(renewed)),
            }
        }
    }

    async fn open_once(&self, call: &Call, access: Access) -> Result<Stream, Failure> {
        let request = call.request(&access, self.deadline)?;
        match access.client.stream(request).await {
            Ok(Opened::Stream(stream)) => {
                self.state().silence = Silence::None;
                Ok(stream)
            }
            Ok(Opened::Refused(response)) => Err(self.refused(call, &access, &response)),
            Err(error) => {
                let now = access.client.clock().now();
                Err(self.unanswered(call, access.identity, error, now))
            }
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        access: Access,
        left: Duration,
    ) -> Result<Answer, Failure> {
        let request = call.request(&access, left)?;
        let identity = access.identity;
        let response = match access.client.send_sifted(request, call.sieve()).await {
            Ok(response) => response,
            Err(error) => {
                let now = access.client.clock().now();
                return Err(self.unanswered(call, identity, error, now));
            }
        };
        if (200..300).contains(&response.status) {
            self.answered(&access, &response);
            return Ok(Answer {
                body: response.body,
                skipped: response.skipped,
            });
        }
        Err(self.refused(call, &access, &response))
    }

    /// Notes that there was an answer, of whatever kind.
    fn answered(&self, access: &Access, response: &Response) {
        let difference = response
            .date()
            .map(|date| ClockDifference::between(date, access.client.clock().now()));
        if let Some(difference) = difference {
            self.ahead.compared(difference);
        }
        let mut state = self.state();
        state.silence = Silence::None;
        state.difference = difference.or(state.difference);
    }

    fn refused(&self, call: &Call, access: &Access, response: &Response) -> Failure {
        self.answered(access, response);
        let error = refusal(call, access.identity, response);
        let owners = match response.status {
            409 if call.operation == Operation::Apply => owners(&response.body),
            _ => Vec::new(),
        };
        let again = match response.status {
            401 => Again::Renewed,
            409 if call.operation.is_compared() => Again::Never,
            409 => Again::After(self.retry_wait),
            _ if error.is_transient() => {
                Again::After(error.retry_after().unwrap_or_default().max(self.retry_wait))
            }
            _ => Again::Never,
        };
        Failure {
            status: Some(response.status),
            owners,
            again,
            ..error.into()
        }
    }

    fn unanswered(
        &self,
        call: &Call,
        identity: Identity,
        cause: net::Error,
        now: SystemTime,
    ) -> Failure {
        // An answer of a kind, that a second attempt would not make better.
        if !cause.is_transient() {
            self.state().silence = Silence::None;
            let detail = Detail::new(&cause.to_string());
            return Error::Broken { identity, detail }.into();
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
            } => Error::Timeout {
                operation: call.operation,
                object: call.about.object(),
                cause,
            },
            _ => Error::Unreachable {
                since: clock::utc(since, now).into(),
                identity,
                cause,
            },
        };
        Failure {
            again,
            ..error.into()
        }
    }

    /// Takes the difference between the API server's clock and this machine's, by its last
    /// answer; None if it has not answered since it was taken.
    pub(super) fn take_clock_difference(&self) -> Option<ClockDifference> {
        self.state().difference.take()
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

/// True if there is time for another attempt after `wait`. What took long will do so
/// again: of a change of a target its answer is better than a deadline.
pub(super) fn has_time(
    operation: Operation,
    took: Duration,
    wait: Duration,
    left: Duration,
) -> bool {
    let attempt = match operation {
        Operation::Change | Operation::Apply => took.max(MIN_ATTEMPT),
        _ => MIN_ATTEMPT,
    };
    wait + attempt <= left
}
