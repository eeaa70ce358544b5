//! The tokens of a session, renewed while it goes on.
//!
//! Specification: client-server API, "Refreshing access tokens".

use std::time::Duration;

use log::{debug, error, warn};
use tokio::time::Instant;

use super::end::SessionEnd;
use super::operator::{Finished, Operator};
use crate::matrix::client::{Fault, read_refresh, refresh_call};
use crate::net::Backoff;
use crate::util::{Tokens, now_ms};

/// While new tokens are on their way, what the old ones were refused for waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Tokens are not renewed more often than this, however short they live.
const SHORTEST: Duration = Duration::from_secs(1);

/// After this the store, which refused the new tokens, is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// After so long a request for new tokens that failed is made again at most.
const LONGEST: Duration = Duration::from_secs(60);

/// Where the renewal of the tokens stands.
pub(super) struct Renewal {
    state: State,
    /// Until then nothing is asked for.
    not_before: Instant,
    backoff: Backoff,
    /// How many pairs of tokens this loop has had.
    pub(super) generation: u32,
}

enum State {
    Idle,
    UnderWay,
    /// The next tokens are here, and the store has not taken them yet: until
    /// then they must not be used, or a crash would leave none that is good.
    Unsaved(Tokens),
}

/// What a refused access token means.
pub(super) enum Refused {
    /// There is a newer one already.
    Again,
    /// One is on its way: not before this.
    Wait(Duration),
    /// The session is over.
    Over(SessionEnd),
}

impl Default for Renewal {
    fn default() -> Self {
        Self {
            state: State::Idle,
            not_before: Instant::now(),
            backoff: Backoff::new(),
            generation: 0,
        }
    }
}

impl Operator<'_> {
    /// When there is something to do about the tokens; None if they are good for
    /// ever.
    pub(super) fn renew_at(&self) -> Option<Instant> {
        let due = match &self.renewal.state {
            State::UnderWay => return None,
            State::Unsaved(_) => Instant::now(),
            State::Idle => {
                let tokens = &self.access.tokens;
                tokens.refresh.as_ref()?;
                let wait = tokens.refresh_at?.saturating_sub(now_ms());
                Instant::now() + Duration::from_millis(wait).min(LONGEST)
            }
        };
        Some(due.max(self.renewal.not_before))
    }

    /// Does what there is to do about the tokens now.
    pub(super) fn renew(&mut self) {
        if self.renew_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        match std::mem::replace(&mut self.renewal.state, State::Idle) {
            State::Unsaved(tokens) => self.save_tokens(tokens),
            State::Idle
                if self
                    .access
                    .tokens
                    .refresh_at
                    .is_some_and(|at| at <= now_ms()) =>
            {
                self.spawn_renewal();
            }
            state => self.renewal.state = state,
        }
    }

    fn spawn_renewal(&mut self) {
        let Some(token) = self.access.tokens.refresh.clone() else {
            return;
        };
        debug!("asking for new tokens");
        self.renewal.state = State::UnderWay;
        let homeserver = self.homeserver.clone();
        self.tasks.spawn(async move {
            Finished::Renewal(homeserver.ask(refresh_call(&token), None).await)
        });
    }

    pub(super) fn handle_renewal(&mut self, result: Result<Vec<u8>, Fault>) {
        self.renewal.state = State::Idle;
        let Some(last) = self.access.tokens.refresh.clone() else {
            return;
        };
        match result.map(|body| read_refresh(body, &last, now_ms())) {
            Ok(Some(tokens)) => self.save_tokens(tokens),
            Ok(None) => self.renewal_failed("the answer is malformed", None),
            Err(fault) if fault.is_transient() => {
                self.renewal_failed(&fault.to_string(), fault.retry_after());
            }
            Err(fault) => {
                // The access token may live on for a while.
                warn!("the homeserver takes no refresh token any more: {fault}");
                self.access.tokens.refresh = None;
                let lost = self.store.begin().and_then(|tx| {
                    tx.session().lose_refresh_token()?;
                    tx.commit()
                });
                match lost {
                    Ok(()) => self.health.stored(),
                    Err(error) => {
                        error!("{error}");
                        self.health.store_refused();
                    }
                }
            }
        }
    }

    fn renewal_failed(&mut self, why: &str, asked: Option<Duration>) {
        let wait = self.renewal.backoff.fail(asked).unwrap_or(LONGEST);
        self.renewal.not_before = Instant::now() + wait;
        warn!("new tokens: {why}; trying again in {} s", wait.as_secs());
    }

    fn save_tokens(&mut self, tokens: Tokens) {
        let saved = self.store.begin().and_then(|tx| {
            tx.session().put_tokens(&tokens)?;
            tx.commit()
        });
        match saved {
            Ok(()) => {
                debug!("the session is refreshed");
                self.health.stored();
                self.access.tokens = tokens;
                self.renewal.generation = self.renewal.generation.wrapping_add(1);
                self.renewal.backoff.succeed();
                self.renewal.not_before = Instant::now() + SHORTEST;
            }
            Err(error) => {
                error!("{error}");
                self.health.store_refused();
                self.renewal.not_before = Instant::now() + STORE_RETRY;
                self.renewal.state = State::Unsaved(tokens);
            }
        }
    }

    /// A request with the tokens of this generation was refused.
    pub(super) fn token_refused(&self, generation: u32, soft: bool) -> Refused {
        if generation != self.renewal.generation {
            return Refused::Again;
        }
        match self.renewal.state {
            State::Idle => Refused::Over(SessionEnd::LoggedOut { soft }),
            State::UnderWay | State::Unsaved(_) => Refused::Wait(PAUSE),
        }
    }
}
