//! The tokens of a session, refreshed while it goes on.
//!
//! <https://spec.matrix.org/v1.11/client-server-api/#refreshing-access-tokens>

use std::{mem, time::Duration};

use log::warn;
use tokio::time::Instant;

use super::end::SessionEnd;
use crate::{
    matrix::client::Fault,
    net::Backoff,
    util::{Clock, Secret, Tokens},
};

/// While new tokens are on their way, what the old ones were refused for waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Lower bound on the delay between two refreshes, however short the tokens live.
const SHORTEST: Duration = Duration::from_secs(1);

/// After this the store, which refused the new tokens, is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Upper bound on the delay between two attempts to refresh.
const LONGEST: Duration = Duration::from_secs(60);

/// The tokens, and the state of their refresh.
pub struct TokenRefresh {
    clock: Clock,
    tokens: Tokens,
    state: State,
    /// Until then nothing is asked for.
    not_before: Instant,
    backoff: Backoff,
    /// Number of pairs of tokens that this session has had.
    generation: u32,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    UnderWay,
    /// The next tokens are here, and the store has not taken them yet: until
    /// then they must not be used, or a crash would leave none that is good.
    Unsaved(Tokens),
}

/// A thing to do about the tokens.
pub enum RefreshAction {
    /// Nothing now.
    Nothing,
    /// The homeserver is to be asked for new ones, with this refresh token.
    Ask(Secret),
    /// These are to be stored; [`TokenRefresh::saved`] or [`TokenRefresh::not_saved`]
    /// follows.
    Save(Tokens),
    /// The refresh token is of no use any more, and is to be forgotten.
    Forget,
}

impl TokenRefresh {
    /// The tokens of a session that begins.
    pub fn new(tokens: Tokens, clock: Clock) -> Self {
        Self {
            clock,
            tokens,
            state: State::Idle,
            not_before: Instant::now(),
            backoff: Backoff::default(),
            generation: 0,
        }
    }

    /// The access token to send requests with.
    pub fn access(&self) -> &Secret {
        &self.tokens.access
    }

    /// The generation of that token: a request keeps it, so that its refusal can be told
    /// from one of an older token.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The time at which there is something to do; None if the tokens are good for ever.
    pub fn due_at(&self) -> Option<Instant> {
        let due = match &self.state {
            State::UnderWay => return None,
            State::Unsaved(_) => Instant::now(),
            State::Idle => {
                self.tokens.refresh.as_ref()?;
                let wait = self.tokens.refresh_at?.saturating_sub(self.clock.now_ms());
                Instant::now() + Duration::from_millis(wait).min(LONGEST)
            }
        };
        Some(due.max(self.not_before))
    }

    /// The thing to do about the tokens now.
    pub fn next_action(&mut self) -> RefreshAction {
        if self.due_at().is_none_or(|at| at > Instant::now()) {
            return RefreshAction::Nothing;
        }
        match (mem::take(&mut self.state), &self.tokens.refresh) {
            (State::Unsaved(tokens), _) => RefreshAction::Save(tokens),
            (_, Some(token)) => {
                self.state = State::UnderWay;
                RefreshAction::Ask(token.clone())
            }
            (_, None) => RefreshAction::Nothing,
        }
    }

    /// Takes in the answer to the request for new tokens.
    pub fn answered(&mut self, result: Result<Tokens, Fault>) -> RefreshAction {
        self.state = State::Idle;
        match result {
            Ok(tokens) => RefreshAction::Save(tokens),
            Err(error) if error.is_transient() => {
                let wait = self.backoff.fail(error.retry_after()).unwrap_or(LONGEST);
                self.not_before = Instant::now() + wait;
                warn!("new tokens: {error}; trying again in {} s", wait.as_secs());
                RefreshAction::Nothing
            }
            Err(error) => {
                // The access token may live on for a while.
                warn!("the homeserver takes no refresh token any more: {error}");
                self.tokens.refresh = None;
                RefreshAction::Forget
            }
        }
    }

    /// The store has taken the new tokens: they are used from now on.
    pub fn saved(&mut self, tokens: Tokens) {
        self.tokens = tokens;
        self.generation = self.generation.wrapping_add(1);
        self.backoff.succeed();
        self.not_before = Instant::now() + SHORTEST;
    }

    /// The store has not taken the new tokens; it is tried again.
    pub fn not_saved(&mut self, tokens: Tokens) {
        self.not_before = Instant::now() + STORE_RETRY;
        self.state = State::Unsaved(tokens);
    }

    /// A request with the access token of this generation was refused. Returns the wait
    /// until it is sent again, if there is any: while new tokens are on their way.
    ///
    /// # Errors
    /// The session is over.
    pub fn refused(&self, generation: u32, soft: bool) -> Result<Option<Duration>, SessionEnd> {
        match self.state {
            _ if generation != self.generation => Ok(None),
            State::UnderWay | State::Unsaved(_) => Ok(Some(PAUSE)),
            State::Idle => Err(SessionEnd::LoggedOut { soft }),
        }
    }
}
