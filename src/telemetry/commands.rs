//! Counters of commands by their outcome, and of messages that could not be read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{control::Command, crypto::WithheldCode};

/// The command that somebody gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Scales to one replica.
    Start,
    /// Scales to none.
    Stop,
    /// Asks for the state of the Deployment.
    Status,
    /// Asks for the list of commands.
    Help,
    /// No command, or nobody could read what.
    None,
}

impl CommandKind {
    const ALL: [Self; 5] = [
        Self::Start,
        Self::Stop,
        Self::Status,
        Self::Help,
        Self::None,
    ];

    /// Its label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
            Self::Help => "help",
            Self::None => "none",
        }
    }
}

impl From<Command> for CommandKind {
    fn from(command: Command) -> Self {
        match command {
            Command::Start => Self::Start,
            Command::Stop => Self::Stop,
            Command::Status => Self::Status,
            Command::Help => Self::Help,
        }
    }
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// It was done.
    Done,
    /// The API server did not do it.
    Failed,
    /// This person, room or device may not, or may no longer.
    Refused,
    /// It was too old, or a restart came between.
    Late,
    /// It is no command.
    Unknown,
}

impl CommandOutcome {
    const ALL: [Self; 5] = [
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::Late,
        Self::Unknown,
    ];

    /// Its label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Late => "late",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether a command of this kind can have this outcome.
    fn is_of(self, kind: CommandKind) -> bool {
        match self {
            Self::Done | Self::Late => kind != CommandKind::None,
            Self::Failed => !matches!(kind, CommandKind::Help | CommandKind::None),
            Self::Refused => true,
            Self::Unknown => kind == CommandKind::None,
        }
    }
}

/// The addition of one message to the metrics, made after the commit of its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricEvent {
    /// A command, or what might have been one.
    Command(CommandKind, CommandOutcome),
    /// A message that could not be read: its key has not come, or its sender's
    /// device gave this reason.
    Undecryptable(Option<WithheldCode>),
}

/// The additions of one transaction to the metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MetricEvents(Vec<MetricEvent>);

impl MetricEvents {
    /// The events, in order.
    pub fn iter(&self) -> impl Iterator<Item = &MetricEvent> {
        self.0.iter()
    }
}

/// A transaction that has nothing to do with messages.
impl From<()> for MetricEvents {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl FromIterator<MetricEvent> for MetricEvents {
    fn from_iter<I: IntoIterator<Item = MetricEvent>>(metrics: I) -> Self {
        Self(metrics.into_iter().collect())
    }
}

/// Counters of everything a [`MetricEvent`] can be.
#[derive(Default)]
pub(super) struct MetricCounters {
    commands: [[AtomicU64; CommandOutcome::ALL.len()]; CommandKind::ALL.len()],
    missing_keys: AtomicU64,
    withheld: [AtomicU64; WithheldCode::ALL.len()],
}

impl MetricCounters {
    pub(super) fn add(&self, metric: MetricEvent) {
        let counter = match metric {
            MetricEvent::Command(kind, outcome) => self
                .commands
                .get(kind as usize)
                .and_then(|outcomes| outcomes.get(outcome as usize)),
            MetricEvent::Undecryptable(None) => Some(&self.missing_keys),
            MetricEvent::Undecryptable(Some(code)) => {
                let at = WithheldCode::ALL.iter().position(|known| *known == code);
                at.and_then(|at| self.withheld.get(at))
            }
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Each command with each outcome that it can have.
    pub(super) fn commands(&self) -> impl Iterator<Item = (CommandKind, CommandOutcome, u64)> {
        CommandKind::ALL
            .into_iter()
            .zip(&self.commands)
            .flat_map(|(kind, outcomes)| {
                CommandOutcome::ALL
                    .into_iter()
                    .zip(outcomes)
                    .filter(move |(outcome, _)| outcome.is_of(kind))
                    .map(move |(outcome, count)| (kind, outcome, count.load(Relaxed)))
            })
    }

    /// Each reason why a message could not be read.
    pub(super) fn undecryptable(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let withheld = WithheldCode::ALL.into_iter().zip(&self.withheld);
        [("missing_key", self.missing_keys.load(Relaxed))]
            .into_iter()
            .chain(withheld.map(|(code, count)| (code.as_str(), count.load(Relaxed))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tally_has_a_counter_of_its_own() {
        let counters = MetricCounters::default();
        let mut wanted = Vec::new();
        for kind in CommandKind::ALL {
            for outcome in CommandOutcome::ALL.into_iter().filter(|o| o.is_of(kind)) {
                wanted.push((kind, outcome, wanted.len() as u64 + 1));
                for _ in 0..wanted.len() {
                    counters.add(MetricEvent::Command(kind, outcome));
                }
            }
        }
        assert_eq!(counters.commands().collect::<Vec<_>>(), wanted);
        assert_eq!(wanted.len(), 17);

        counters.add(MetricEvent::Undecryptable(None));
        for (at, code) in WithheldCode::ALL.into_iter().enumerate() {
            for _ in 0..at + 2 {
                counters.add(MetricEvent::Undecryptable(Some(code)));
            }
        }
        let counts = counters.undecryptable().map(|(_, count)| count);
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_cannot_be_is_no_series() {
        let counters = MetricCounters::default();
        let names: Vec<String> = counters
            .commands()
            .map(|(kind, outcome, _)| format!("{} {}", kind.as_str(), outcome.as_str()))
            .collect();
        for missing in ["help failed", "none done", "none late", "start unknown"] {
            assert!(!names.iter().any(|name| name == missing), "{missing}");
        }
    }
}
