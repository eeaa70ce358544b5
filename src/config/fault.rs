//! Faults of the configuration.

use thiserror::Error;

use crate::util::printable;

/// The most flaws of one value that are told. A file with a hundred thousand of them would
/// take more memory than the bot has, and then nothing would be told.
const MAX_FLAWS: usize = 100;

/// Longest part of a value that is quoted back, in bytes.
const MAX_QUOTED_BYTES: usize = 80;

/// One thing wrong with one variable, on one line and without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable} {problem}: {cure}")]
pub struct Fault {
    /// The name of the variable.
    pub variable: &'static str,
    /// The fault, as the rest of a sentence that begins with the name.
    pub problem: String,
    /// The change that cures it.
    pub cure: &'static str,
}

/// Every fault of a configuration, in the order in which the settings are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
#[error("{}", self.lines())]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// True if nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in those of something else.
    #[cfg(feature = "gateway")]
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    fn lines(&self) -> String {
        let lines = self
            .iter()
            .map(|fault| format!("configuration error: {fault}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A fault of a value, by somebody who does not know the variable's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    problem: String,
    cure: &'static str,
}

impl Flaw {
    pub(super) fn new(problem: impl Into<String>, cure: &'static str) -> Self {
        Self {
            problem: problem.into(),
            cure,
        }
    }

    /// The flaw as that of a part of the value: `part` is the beginning of the sentence.
    pub(super) fn within(self, part: &str) -> Self {
        Self {
            problem: format!("{part} {}", self.problem),
            ..self
        }
    }

    pub(super) fn of(self, variable: &'static str) -> Fault {
        Fault {
            variable,
            problem: self.problem,
            cure: self.cure,
        }
    }
}

/// All that is wrong with a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flaws(pub(super) Vec<Flaw>);

impl Flaws {
    /// Takes a flaw in while there is room, and then says that there are more.
    pub(super) fn note(&mut self, flaw: Flaw) {
        match self.0.len() {
            ..MAX_FLAWS => self.0.push(flaw),
            MAX_FLAWS => self.0.push(Flaw::new(
                "has more faults than these",
                "mend these, and the others are told",
            )),
            _ => {}
        }
    }

    /// Returns true if no more are taken in.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() > MAX_FLAWS
    }
}

impl From<Flaw> for Flaws {
    fn from(flaw: Flaw) -> Self {
        Self(vec![flaw])
    }
}

/// A value in quotes, cut and escaped; for values that are no secrets.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", printable(value, MAX_QUOTED_BYTES))
}
