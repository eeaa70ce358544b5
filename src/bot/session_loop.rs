//! The loop of one session: one task that waits for whatever comes next and hands it on.

use std::{future::poll_fn, task::Poll, time::Duration};

use log::{debug, warn};
use tokio::{
    task::JoinError,
    time::{Instant, timeout_at},
};

use super::{jobs::Ended, session::Session};
use crate::control::Targets;
use crate::matrix::{
    e2ee::key_grace_ms,
    session::{self, RefreshAction, SessionEnd},
};

/// Upper bound on the time between two turns of the loop.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// A turn of the loop that takes so long is logged: others wait meanwhile.
const LOGGED_TURN: Duration = Duration::from_millis(10);

/// A thing that the loop waits for.
enum Event {
    /// A request came to its end.
    Request(session::Finished),
    /// A task about the cluster came to its end.
    Ended(Ended),
    /// It is time for something that waited.
    Due,
}

impl Session<'_> {
    /// Serves until the session ends. May be dropped at any time: what was not
    /// committed never happened, and what was is taken up at the next start.
    pub async fn run(mut self) -> SessionEnd {
        self.health.session_began();
        self.jobs.spawn_preflight();
        let mut invites = Vec::new();
        let started = self.transact(|door| {
            door.turn.prepare_account()?;
            let targets = match &door.chat.policy.targets {
                Targets::Named(targets) => targets.as_slice(),
                Targets::Reference(_) => &[],
            };
            let names = targets.iter().map(|target| target.name.as_str());
            let stop_no_more = door.turn.tx.keep_only_targets(&names.collect::<Vec<_>>())?;
            for name in stop_no_more {
                warn!("{name} is no target any more: what was to stop it at a time is forgotten");
            }
            invites = door.judge_standing_invites()?;
            Ok(())
        });
        if let Err(error) = started {
            return SessionEnd::Fatal(error.to_string());
        }
        self.log.invites(&invites);
        self.started_at = self.engine.own_now();
        self.take_up_followed(None);
        loop {
            let event = self.next_event().await;
            self.health.loop_alive();
            let began = Instant::now();
            let handled = self.handle(event);
            self.check_timers();
            self.check_announcements();
            self.show_signals();
            self.storage.empty_log_if_due();
            let handled = handled.and_then(|()| self.handle_backlog());
            let took = began.elapsed();
            if took >= LOGGED_TURN {
                debug!("a turn of the loop took {} ms", took.as_millis());
            }
            if let Err(end) = handled {
                match end {
                    SessionEnd::Outlived(_) => self.jobs.abandon(),
                    _ => self.settle().await,
                }
                return end;
            }
            if !self.backlog.is_empty() {
                // Requests that are under way have their turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// The next thing that comes to an end.
    async fn next_event(&mut self) -> Result<Event, JoinError> {
        let wake_at = self.wake_at();
        let (requests, jobs) = (&mut self.requests.tasks, &mut self.jobs.tasks);
        // Jobs first: they are few, while a homeserver can have an answer ready
        // whenever it is asked.
        let next = poll_fn(|context| {
            if let Poll::Ready(Some(finished)) = jobs.poll_join_next(context) {
                return Poll::Ready(finished.map(Event::Ended));
            }
            match requests.poll_join_next(context) {
                Poll::Ready(Some(finished)) => Poll::Ready(finished.map(Event::Request)),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        });
        timeout_at(wake_at, next).await.unwrap_or(Ok(Event::Due))
    }

    fn handle(&mut self, event: Result<Event, JoinError>) -> Result<(), SessionEnd> {
        let broken = |error| SessionEnd::Fatal(format!("a task broke: {error}"));
        match event.map_err(broken)? {
            Event::Request(session::Finished::Sync { generation, result }) => {
                self.handle_sync(generation, result)?;
            }
            Event::Request(session::Finished::Answer {
                key,
                about,
                generation,
                result,
            }) => self.handle_answer(key, about, generation, result)?,
            Event::Request(session::Finished::Refresh(result)) => {
                let action = self.requests.tokens.answered(result);
                self.refresh_tokens(action);
            }
            Event::Ended(Ended::Job(answered)) => {
                self.jobs.unsaved.push_back(*answered);
                self.save_answer();
            }
            Event::Ended(Ended::Looked(looked)) => self.looked(*looked),
            Event::Ended(Ended::Fired(fired)) => self.fired(*fired),
            Event::Ended(Ended::Scheduled(scheduled)) => self.scheduled(&scheduled),
            Event::Ended(Ended::Heard(heard)) => {
                let now = self.cluster_now();
                self.jobs.heard(*heard, now);
            }
            Event::Ended(Ended::Aside) => {}
            Event::Due => self.poll_due(),
        }
        Ok(())
    }

    /// Time for something that waited.
    fn poll_due(&mut self) {
        let action = self.requests.tokens.next_action();
        self.refresh_tokens(action);
        if !self.jobs.unsaved.is_empty() {
            self.save_answer();
        } else if self.jobs.follows.has_untold() {
            self.tell_followed();
        } else {
            self.attempt(|door| door.receive_undecrypted());
        }
    }

    fn refresh_tokens(&mut self, action: RefreshAction) {
        match action {
            RefreshAction::Nothing => {}
            RefreshAction::Ask(token) => self.requests.refresh(token),
            RefreshAction::Save(tokens) => {
                match self.write_down(|turn| Ok(turn.tx.session().put_tokens(&tokens)?)) {
                    Some(()) => {
                        debug!("the session is refreshed");
                        self.requests.tokens.saved(tokens);
                    }
                    None => self.requests.tokens.not_saved(tokens),
                }
            }
            RefreshAction::Forget => {
                self.write_down(|turn| Ok(turn.tx.session().lose_refresh_token()?));
            }
        }
    }

    fn wake_at(&mut self) -> Instant {
        let now = Instant::now();
        let has_unsaved = !self.jobs.unsaved.is_empty() || self.jobs.follows.has_untold();
        if self.has_more || !self.backlog.is_empty() || has_unsaved {
            return now.max(self.not_before);
        }
        let held = self.held_until.map(|held| {
            // The clock may have gone back since.
            let wait = held.saturating_sub(self.clock.now_ms()).min(key_grace_ms());
            now + Duration::from_millis(wait)
        });
        let patience = self
            .patience_ends
            .and_then(|ends| self.storage.until(ends, self.clock.now_ms()))
            .map(|wait| now + wait);
        let due = [
            self.requests.next_turn(),
            self.storage.empty_log_at(),
            held,
            patience,
            self.jobs.timers.next(),
            self.announces_at(),
            self.signals_due(),
        ];
        let at = due.into_iter().flatten().min();
        at.map_or(now + MAX_SLEEP, |at| at.min(now + MAX_SLEEP))
            .max(self.not_before)
    }
}
