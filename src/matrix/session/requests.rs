//! The requests of a session to its homeserver, from the moment they are sent until they
//! are answered.

use std::{sync::Arc, time::Duration};

use log::debug;
use tokio::{task::JoinSet, time::Instant};

use super::{InFlight, Phase, SyncState, TokenRefresh};
use crate::{
    json::Sifted,
    matrix::{
        client::{Answer, Audience, Call, Fault, Homeserver, SYNC_TIMEOUT, refresh, sync_call},
        e2ee::{OutgoingRequest, RequestContext, RequestKey},
    },
    net::Backoff,
    util::{Secret, Tokens, boxed},
};

/// Longest wait of the next sync for a command to be executed and its reply to have left.
/// A homeserver with one thread would serve both at once, and the reply later. An API
/// server or a homeserver that hangs holds the sync up for no longer.
const REPLY_FIRST: Duration = Duration::from_millis(250);

/// A request that came to its end.
pub enum Finished {
    /// A sync.
    Sync {
        /// Of the access token it was sent with.
        generation: u32,
        /// The part of the answer that is kept.
        result: Result<Sifted, Fault>,
    },
    /// A request of the engine's.
    Answer {
        /// The request.
        key: RequestKey,
        /// Its context, needed to handle the answer.
        about: RequestContext,
        /// Of the access token it was sent with.
        generation: u32,
        /// The part of the answer that is kept.
        result: Result<Sifted, Fault>,
    },
    /// The request for new tokens.
    Refresh(Result<Tokens, Fault>),
}

/// The requests of one session.
pub struct Requests {
    /// The homeserver that they are sent to.
    pub homeserver: Homeserver,
    /// Its tokens.
    pub tokens: TokenRefresh,
    /// The requests that are under way or delayed.
    pub in_flight: InFlight,
    /// The phase of the session.
    pub phase: Phase,
    /// The state of its sync.
    pub sync: SyncState,
    /// Until then no sync is asked for.
    pub sync_not_before: Instant,
    /// Since when a command is being executed or a reply is leaving.
    answering_since: Option<Instant>,
    /// The failures of syncs in a row.
    pub sync_backoff: Backoff,
    /// The users whose items are kept of answers.
    audience: Arc<Audience>,
    /// The requests under way.
    pub tasks: JoinSet<Finished>,
}

impl Requests {
    /// A session that begins: nothing is sent yet.
    pub fn new(homeserver: Homeserver, tokens: Tokens, audience: Arc<Audience>) -> Self {
        Self {
            tokens: TokenRefresh::new(tokens, homeserver.local_clock()),
            homeserver,
            in_flight: InFlight::default(),
            phase: Phase::Starting {
                keys_uploaded: false,
            },
            sync: SyncState::default(),
            sync_not_before: Instant::now(),
            answering_since: None,
            sync_backoff: Backoff::default(),
            audience,
            tasks: JoinSet::new(),
        }
    }

    /// Sends what may be sent now.
    pub fn send(&mut self, requests: Vec<OutgoingRequest>) {
        for OutgoingRequest { key, call, about } in requests {
            if !self.in_flight.start(&key) {
                continue;
            }
            debug!("asking: {key:?}");
            let answer = about.answer();
            self.spawn(call, Duration::ZERO, answer, |generation, result| {
                Finished::Answer {
                    key,
                    about,
                    generation,
                    result,
                }
            });
        }
    }

    /// Sends a call, whose answer the server may hold back for this long on purpose;
    /// `finished` turns it into what the loop is told.
    fn spawn(
        &mut self,
        call: Call,
        held_back: Duration,
        answer: Answer,
        finished: impl FnOnce(u32, Result<Sifted, Fault>) -> Finished + Send + 'static,
    ) {
        let homeserver = self.homeserver.clone();
        let token = self.tokens.access().clone();
        let generation = self.tokens.generation();
        let sieve = answer.sieve(&self.audience);
        self.tasks.spawn(boxed(async move {
            let sent = homeserver.send(call, Some(&token), held_back, sieve);
            finished(generation, sent.await)
        }));
    }

    /// Returns true if the next sync has only its time to wait for. On a new device the
    /// keys go first. Where they cannot be uploaded the sync goes on, and gives up in
    /// time.
    fn may_sync(&self) -> bool {
        let waits_for_keys = matches!(
            self.phase,
            Phase::Starting {
                keys_uploaded: false
            }
        ) && !self.in_flight.is_delayed(&RequestKey::Upload);
        self.sync.is_idle() && !waits_for_keys
    }

    /// The time at which the next sync is to be asked for.
    fn sync_due(&self) -> Instant {
        match self.answering_since {
            Some(since) => self.sync_not_before.max(since + REPLY_FIRST),
            None => self.sync_not_before,
        }
    }

    /// Asks for the next sync, if its time has come. `is_executing` is true while a
    /// command is under way.
    pub fn sync_if_due(&mut self, since: Option<&str>, is_executing: bool) {
        let is_answering = is_executing || self.in_flight.lanes() > 0;
        self.answering_since = match is_answering && self.phase.has_synced() {
            true => self.answering_since.or_else(|| Some(Instant::now())),
            false => None,
        };
        if !self.may_sync() || Instant::now() < self.sync_due() {
            return;
        }
        // After a failure it is to show at once that the homeserver is back.
        let wait = self.phase.has_synced()
            && !self.sync.skips_long_poll()
            && !self.sync_backoff.has_failed();
        self.sync.started();
        let call = sync_call(since, wait);
        let held_back = if wait { SYNC_TIMEOUT } else { Duration::ZERO };
        self.spawn(call, held_back, Answer::Sync, |generation, result| {
            Finished::Sync { generation, result }
        });
    }

    /// Asks for new tokens.
    pub fn refresh(&mut self, token: Secret) {
        debug!("asking for new tokens");
        let homeserver = self.homeserver.clone();
        self.tasks.spawn(boxed(async move {
            Finished::Refresh(refresh(&homeserver, &token).await)
        }));
    }

    /// The time of the next thing that waits, other than the store's.
    pub fn next_turn(&self) -> Option<Instant> {
        let sync = self.may_sync().then(|| self.sync_due());
        [self.in_flight.next_turn(), self.tokens.due_at(), sync]
            .into_iter()
            .flatten()
            .min()
    }
}
