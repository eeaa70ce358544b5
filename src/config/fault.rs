//! What is wrong with the configuration.

use std::fmt;

use crate::util::printable;

/// Longest part of a value that is quoted back, in bytes.
const MAX_QUOTED_BYTES: usize = 80;

/// One thing wrong with one variable, on one line and without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the variable.
    pub variable: &'static str,
    /// What is wrong, as the rest of a sentence that begins with the name.
    pub problem: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.variable, self.problem, self.cure)
    }
}

/// Every fault of a configuration, in the order of the variables' table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, one line each.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a variable is among them.
    pub fn name(&self, variable: &str) -> bool {
        self.iter().any(|fault| fault.variable == variable)
    }

    /// The value, or nothing with its faults noted.
    pub(super) fn keep<T>(&mut self, read: Result<T, Vec<Fault>>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(faults) => {
                self.0.extend(faults);
                None
            }
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

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

    pub(super) fn of(self, variable: &'static str) -> Fault {
        Fault {
            variable,
            problem: self.problem,
            cure: self.cure,
        }
    }
}

/// A value in quotes, cut and escaped; for values that are no secrets.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", printable(value, MAX_QUOTED_BYTES))
}
