//! Counters of commands by their outcome, and of messages that could not be read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{control::Verb, crypto::WithheldCode};

/// All that a message can be taken for; None is no command.
const COMMANDS: [Option<Verb>; 11] = [
    Some(Verb::Start),
    Some(Verb::Stop),
    Some(Verb::Status),
    Some(Verb::Help),
    Some(Verb::Scale),
    Some(Verb::Restart),
    Some(Verb::List),
    Some(Verb::Extend),
    Some(Verb::History),
    Some(Verb::Confirm),
    None,
];

/// All outcomes with their labels, in the order of the enum.
const OUTCOMES: [(CommandOutcome, &str); 5] = [
    (CommandOutcome::Done, "done"),
    (CommandOutcome::Failed, "failed"),
    (CommandOutcome::Refused, "refused"),
    (CommandOutcome::Late, "late"),
    (CommandOutcome::Unknown, "unknown"),
];

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
    /// Returns whether this can be the outcome of such a command.
    fn is_of(self, command: Option<Verb>) -> bool {
        match self {
            Self::Done | Self::Late => command.is_some(),
            Self::Failed => command.is_some_and(Verb::needs_cluster),
            Self::Refused => true,
            Self::Unknown => command.is_none(),
        }
    }
}

/// The addition of one message to the metrics, made after the commit of its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricEvent {
    /// A command; None where it is none, or nobody could read which.
    Command(Option<Verb>, CommandOutcome),
    /// A message that could not be read: its key has not come, or its sender's
    /// device gave this reason.
    Undecryptable(Option<WithheldCode>),
}

/// The additions of one transaction to the metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MetricEvents(pub(super) Vec<MetricEvent>);

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
    commands: [[AtomicU64; OUTCOMES.len()]; COMMANDS.len()],
    missing_keys: AtomicU64,
    withheld: [AtomicU64; WithheldCode::ALL.len()],
}

impl MetricCounters {
    pub(super) fn add(&self, metric: MetricEvent) {
        let counter = match metric {
            MetricEvent::Command(command, outcome) => {
                let at = COMMANDS.iter().position(|known| *known == command);
                at.and_then(|at| self.commands.get(at)?.get(outcome as usize))
            }
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

    /// Each command with each outcome that it can have, by their labels.
    pub(super) fn commands(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let rows = COMMANDS.into_iter().zip(&self.commands);
        rows.flat_map(|(command, counts)| {
            let name = command.map_or("none", Verb::as_str);
            let outcomes = OUTCOMES.into_iter().zip(counts);
            outcomes
                .filter(move |((outcome, _), _)| outcome.is_of(command))
                .map(move |((_, label), count)| (name, label, count.load(Relaxed)))
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
        for command in COMMANDS {
            let name = command.map_or("none", Verb::as_str);
            for (outcome, label) in OUTCOMES.into_iter().filter(|(o, _)| o.is_of(command)) {
                wanted.push((name, label, wanted.len() as u64 + 1));
                for _ in 0..wanted.len() {
                    counters.add(MetricEvent::Command(command, outcome));
                }
            }
        }
        assert_eq!(counters.commands().collect::<Vec<_>>(), wanted);
        assert_eq!(wanted.len(), 38);

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
            .map(|(command, outcome, _)| format!("{command} {outcome}"))
            .collect();
        for missing in ["help failed", "none done", "none late", "start unknown"] {
            assert!(!names.iter().any(|name| name == missing), "{missing}");
        }
    }
}
