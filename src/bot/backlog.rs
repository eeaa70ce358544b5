//! Answers that are taken in piece by piece, so that no answer keeps the loop from
//! everything else.

use log::error;
use ruma::OwnedUserId;

use super::{pending::Pending, session::Session};
use crate::{
    json::Sifted,
    matrix::{
        client::{Fault, SyncBody},
        e2ee::{self, QueryAnswer, RequestKey, TimeBudget},
        session::SessionEnd,
    },
    net::{self, Stage},
    telemetry::MetricEvents,
};

/// To-device events of a sync that are taken in together with all the rest of it,
/// in one transaction: as many as homeservers usually send at once.
const TOGETHER: usize = 32;

impl Session<'_> {
    /// Takes in the next piece of what waits.
    pub(super) fn handle_backlog(&mut self) -> Result<(), SessionEnd> {
        match self.backlog.pop_front() {
            None => Ok(()),
            Some(Pending::Sync { answer, done }) => self.handle_sync_piece(answer, done),
            Some(Pending::Query {
                key,
                asked,
                answer,
                done,
            }) => self.handle_query_piece(key, asked, answer, done),
        }
    }

    fn handle_sync_piece(&mut self, answer: Sifted, done: usize) -> Result<(), SessionEnd> {
        let parsed: SyncBody<'_> = match serde_json::from_slice(&answer.body) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.requests.sync.failed();
                return self.sync_failed(&format!("a sync is malformed: {error}"), None);
            }
        };
        if parsed.to_device_events() > done + TOGETHER {
            let mut position = done;
            let taken = self.transact(|door| {
                let budget = TimeBudget::start();
                position = door.turn.handle_sync_to_device(&parsed, done, budget)?;
                Ok(())
            });
            return match taken {
                Ok(()) => {
                    drop(parsed);
                    self.backlog.push_back(Pending::Sync {
                        answer,
                        done: position,
                    });
                    Ok(())
                }
                Err(error) => self.sync_not_taken(&error),
            };
        }
        let counts_hold = self.requests.sync.finished();
        let phase_before = self.requests.phase;
        self.requests.phase.sync_taken_in();
        let mut judged = Vec::new();
        let taken = self.transact(|door| {
            let turn = door.turn;
            turn.handle_sync_to_device(&parsed, done, TimeBudget::unlimited())?;
            let received = turn.handle_sync(&parsed, &answer.skipped, counts_hold)?;
            judged = door.judge_invites(received.invites)?;
            door.receive_all(&received.messages)
        });
        match taken {
            Ok(()) => {
                self.log.invites(&judged);
                self.log.clock(self.requests.homeserver.ahead_ms());
                self.requests.sync_backoff.succeed();
                self.health.synced(true);
                if counts_hold {
                    self.health.one_time_keys(parsed.one_time_keys());
                }
                Ok(())
            }
            Err(error) => {
                self.requests.phase = phase_before;
                self.sync_not_taken(&error)
            }
        }
    }

    fn sync_not_taken(&mut self, error: &e2ee::Error) -> Result<(), SessionEnd> {
        self.requests.sync.failed();
        let goes_on = self.goes_on_without(error);
        if goes_on.inspect_err(|_| self.health.synced(false))? {
            return Ok(());
        }
        if let e2ee::Error::Store(error) = error {
            error!("{error}");
        }
        self.sync_failed(error, None)
    }

    fn handle_query_piece(
        &mut self,
        key: RequestKey,
        asked: Vec<(OwnedUserId, i64)>,
        answer: Sifted,
        done: usize,
    ) -> Result<(), SessionEnd> {
        let mut position = done;
        let queried = QueryAnswer {
            asked: &asked,
            done,
            answer: &answer,
        };
        let taken = self.transact(|door| {
            if door.turn.must_split(&queried) {
                position = asked.len();
                door.turn.split_query(&asked)?;
                return Ok(MetricEvents::default());
            }
            let mut messages = Vec::new();
            let budget = TimeBudget::start();
            position = door.turn.handle_query(&queried, budget, &mut messages)?;
            door.receive_all(&messages)
        });
        match taken {
            Ok(()) if position < asked.len() => {
                self.backlog.push_back(Pending::Query {
                    key,
                    asked,
                    answer,
                    done: position,
                });
                Ok(())
            }
            Ok(()) => {
                self.requests.in_flight.finish(&key);
                self.requests.in_flight.succeeded(&key);
                self.has_more = true;
                Ok(())
            }
            Err(error) => {
                self.requests.in_flight.finish(&key);
                self.not_taken(&key, &error)
            }
        }
    }

    /// An answer could not be taken in: it is asked for again later.
    pub(super) fn not_taken(
        &mut self,
        key: &RequestKey,
        error: &e2ee::Error,
    ) -> Result<(), SessionEnd> {
        let goes_on = self.goes_on_without(error)?;
        let wait = self.requests.in_flight.failed(key, None);
        if goes_on {
            return Ok(());
        }
        error!("{key:?}: {error}; trying again in {} s", wait.as_secs());
        self.delay_cross_signing(key);
        Ok(())
    }

    /// Device lists did not come, perhaps for their size, or for one that takes too
    /// long: fewer are asked for together.
    pub(super) fn split_query(&mut self, asked: &[(OwnedUserId, i64)], fault: &Fault) {
        let is_alone = asked.len() == 1;
        let may_help = match fault {
            Fault::Unreachable(error) => matches!(
                error.fault,
                net::Fault::TooLarge { .. }
                    | net::Fault::Deadline {
                        stage: Stage::Waiting | Stage::Receiving,
                        ..
                    }
            ),
            Fault::Broken { .. } => !is_alone,
            _ => false,
        };
        if may_help {
            self.attempt(|door| door.turn.split_query(asked));
        }
    }
}
