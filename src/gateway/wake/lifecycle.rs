//! The phases of a target and the ways between them: what is seen, what is done, and the
//! time. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::view::Phase;

/// The time that a failure is remembered; then it is tried once more.
pub(super) const FAILED: Duration = Duration::from_secs(30);

/// The time that a refusal is remembered: a person may switch it on again.
pub(super) const REFUSED: Duration = Duration::from_secs(10);

/// The time in which another replica's wake has to show in the cluster.
pub(super) const OTHERS_WAKE: Duration = Duration::from_secs(10);

/// The state of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// There are no pods.
    Off,
    /// It has pods, or will have.
    Starting {
        /// The beginning of its wake; None if this replica did not wake it.
        woken: Option<Instant>,
        /// The end of its patience.
        deadline: Instant,
        /// The time at which there are pods at the latest; None once there were.
        pods_by: Option<Instant>,
    },
    /// It can be reached.
    Ready,
    /// A replica is stopping it.
    Stopping,
    /// It did not come up.
    Failed {
        /// The reason, a short sentence.
        reason: String,
        /// It is not to be woken.
        is_refused: bool,
        /// The time until which this is remembered.
        until: Instant,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// This replica has set the number of replicas, or found it set, and began that then.
    Woken(Instant),
    /// Another replica says that it wakes it.
    WokenByOther,
    /// It was not woken, or has been stopped since: it is tried again.
    NotWoken,
    /// It cannot be woken, for this reason.
    Failed(String),
    /// It is not to be woken, for this reason.
    Refused(String),
    /// These pods are there, and so many of them can be reached.
    Seen {
        /// The pods.
        pods: usize,
        /// Those that can be reached.
        ready: usize,
    },
    /// A replica claims to stop it.
    Stopping,
    /// It was stopped.
    Stopped,
    /// It was not stopped, after all.
    Kept,
    /// Time goes by.
    Time,
}

/// The consequence of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// None.
    None,
    /// It is another phase.
    Changed,
    /// It can be reached, so long after this replica has woken it.
    Ready(Option<Duration>),
    /// Sockets have to close.
    Closing,
    /// What is known of its pods is of before a stop.
    Stopped,
}

/// A target's state and its times.
#[derive(Debug)]
pub(super) struct Lifecycle {
    state: State,
    since: Instant,
    ready_timeout: Duration,
    /// The reason why it is not ready yet.
    reason: Option<String>,
    /// The state that was seen last.
    seen: (usize, usize),
}

impl Lifecycle {
    /// It is off, as far as is known.
    pub(super) const fn new(ready_timeout: Duration, now: Instant) -> Self {
        Self {
            state: State::Off,
            since: now,
            ready_timeout,
            reason: None,
            seen: (0, 0),
        }
    }

    /// Takes another time in which it has to become ready, from the next start on.
    pub(super) const fn set_ready_timeout(&mut self, ready_timeout: Duration) {
        self.ready_timeout = ready_timeout;
    }

    /// Takes the reason why it is not ready yet, a short sentence.
    pub(super) fn set_reason(&mut self, reason: Option<String>) {
        self.reason = reason;
    }

    /// The reason why it is not ready yet, while it starts.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Nothing is too late before this time.
    pub(super) fn postpone(&mut self, to: Instant) {
        if let State::Starting {
            deadline, pods_by, ..
        } = &mut self.state
        {
            *deadline = to.max(*deadline);
            *pods_by = pods_by.map(|by| to.max(by));
        }
    }

    /// Its state.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// The pods that were seen last, and those of them that can be reached.
    pub(super) const fn seen(&self) -> (usize, usize) {
        self.seen
    }

    /// The time since which it has its phase.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// Returns true while it is on its way up, and has shown no pods yet.
    pub(super) const fn is_without_pods(&self) -> bool {
        matches!(
            self.state,
            State::Starting {
                pods_by: Some(_),
                ..
            }
        )
    }

    /// Its phase.
    pub(super) const fn phase(&self) -> Phase {
        match self.state {
            State::Off => Phase::Off,
            State::Starting { .. } => Phase::Starting,
            State::Ready => Phase::Ready,
            State::Stopping => Phase::Stopping,
            State::Failed { .. } => Phase::Failed,
        }
    }

    /// Returns true if it may be woken now.
    pub(super) fn may_wake(&self, now: Instant) -> bool {
        match &self.state {
            State::Off => true,
            State::Failed { until, .. } => now >= *until,
            State::Starting { .. } | State::Ready | State::Stopping => false,
        }
    }

    /// The time at which [`Event::Time`] changes something.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Starting {
                deadline, pods_by, ..
            } => Some(pods_by.map_or(*deadline, |by| by.min(*deadline))),
            _ => None,
        }
    }

    /// Takes in what happened.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Effect {
        let phase = self.phase();
        match event {
            Event::Seen { pods, ready } => self.seen = (pods, ready),
            Event::Stopped => self.seen = (0, 0),
            _ => {}
        }
        let (next, effect) = self.next(event, now);
        if let Some(next) = next {
            self.state = next;
        }
        let is_other = self.phase() != phase;
        if is_other {
            self.since = now;
            self.reason = None;
        }
        match effect {
            Effect::None if is_other => Effect::Changed,
            effect => effect,
        }
    }

    fn next(&self, event: Event, now: Instant) -> (Option<State>, Effect) {
        let (pods, ready) = self.seen;
        match (&self.state, event) {
            (State::Ready, Event::Woken(_) | Event::WokenByOther) => (None, Effect::None),
            (State::Starting { .. }, Event::WokenByOther) => (None, Effect::None),
            (_, Event::Woken(_)) if ready > 0 => (Some(State::Ready), Effect::Ready(None)),
            (_, Event::Woken(begun)) => (Some(self.starting(Some(begun), None, now)), Effect::None),
            (_, Event::WokenByOther) if ready > 0 => (Some(State::Ready), Effect::Ready(None)),
            (_, Event::WokenByOther) => {
                let pods_by = (pods == 0).then(|| now + OTHERS_WAKE);
                (Some(self.starting(None, pods_by, now)), Effect::None)
            }
            (
                State::Starting {
                    pods_by: Some(_), ..
                },
                Event::NotWoken,
            ) => (Some(State::Off), Effect::None),
            (_, Event::NotWoken) => (None, Effect::None),
            (_, Event::Failed(reason)) => (Some(failed(reason, false, now)), Effect::Changed),
            (_, Event::Refused(reason)) => (Some(failed(reason, true, now)), Effect::Changed),
            (State::Stopping, Event::Stopping) => (None, Effect::None),
            (_, Event::Stopping) => (Some(State::Stopping), Effect::Closing),
            (State::Off, Event::Stopped) => (None, Effect::None),
            (_, Event::Stopped) => (Some(State::Off), Effect::Stopped),
            (State::Stopping, Event::Kept) => self.seen_now(&State::Off, now),
            (_, Event::Kept) => (None, Effect::None),
            (state, Event::Seen { .. }) => self.seen_now(state, now),
            (state, Event::Time) => self.late(state, now),
        }
    }

    /// The state after what is seen now.
    fn seen_now(&self, state: &State, now: Instant) -> (Option<State>, Effect) {
        let (pods, ready) = self.seen;
        let (next, effect) = match (state, pods, ready) {
            (State::Stopping, ..) => return (None, Effect::None),
            (State::Ready, _, 1..) => return (None, Effect::None),
            (State::Starting { woken, .. }, _, 1..) => {
                let after = woken.map(|woken| now.saturating_duration_since(woken));
                (State::Ready, Effect::Ready(after))
            }
            (State::Off | State::Failed { .. }, _, 1..) => (State::Ready, Effect::Ready(None)),
            (State::Off, 0, 0) => (State::Off, Effect::None),
            // It was stopped, or its pod is replaced: its Scale says which.
            (State::Ready, 0, 0) => {
                let pods_by = Some(now + self.ready_timeout);
                (self.starting(None, pods_by, now), Effect::None)
            }
            (State::Off | State::Ready, ..) => (self.starting(None, None, now), Effect::None),
            (
                State::Starting {
                    woken,
                    deadline,
                    pods_by: None,
                },
                0,
                0,
            ) => {
                let (woken, deadline) = (*woken, *deadline);
                let next = State::Starting {
                    woken,
                    deadline,
                    pods_by: Some(deadline),
                };
                (next, Effect::None)
            }
            (State::Starting { .. }, 0, 0) => return (None, Effect::None),
            (
                State::Starting {
                    woken, deadline, ..
                },
                ..,
            ) => {
                let (woken, deadline) = (*woken, *deadline);
                let next = State::Starting {
                    woken,
                    deadline,
                    pods_by: None,
                };
                (next, Effect::None)
            }
            (
                State::Failed {
                    is_refused: true, ..
                },
                1..,
                0,
            ) => (self.starting(None, None, now), Effect::None),
            (State::Failed { .. }, ..) => return (None, Effect::None),
        };
        (Some(next), effect)
    }

    /// The state where the time of the present one is over.
    fn late(&self, state: &State, now: Instant) -> (Option<State>, Effect) {
        let State::Starting {
            deadline, pods_by, ..
        } = state
        else {
            return (None, Effect::None);
        };
        if now >= *deadline {
            let minutes = self.ready_timeout.as_secs() / 60;
            let mut reason = match minutes {
                0 => format!("not ready after {} s", self.ready_timeout.as_secs()),
                minutes => format!("not ready after {minutes} min"),
            };
            if let Some(why) = &self.reason {
                reason.push_str(": ");
                reason.push_str(why);
            }
            return (Some(failed(reason, false, now)), Effect::Changed);
        }
        match pods_by {
            // Whoever said that they wake it did not: this replica may.
            Some(by) if now >= *by => (Some(State::Off), Effect::Changed),
            _ => (None, Effect::None),
        }
    }

    fn starting(&self, woken: Option<Instant>, pods_by: Option<Instant>, now: Instant) -> State {
        // A wake of this replica shows pods when its controller has made them.
        let deadline = now + self.ready_timeout;
        let awaited = woken.filter(|_| self.seen.0 == 0).map(|_| deadline);
        State::Starting {
            woken,
            deadline,
            pods_by: pods_by.or(awaited),
        }
    }
}

fn failed(reason: String, is_refused: bool, now: Instant) -> State {
    let remembered = match is_refused {
        true => REFUSED,
        false => FAILED,
    };
    State::Failed {
        reason,
        is_refused,
        until: now + remembered,
    }
}
