//! Faults of a kubeconfig: where, what, and what to do.

use std::path::Path;

use crate::util::printable;

/// The longest name or path that is shown, in bytes.
const MAX_SHOWN: usize = 200;

/// The part of what was given that a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The files.
    Files,
    /// The name of the context, given beside them.
    Context,
}

/// One thing wrong with a kubeconfig, without any secret of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The part that it is about.
    pub subject: Subject,
    /// The fault, as the rest of a sentence that begins with the variable of that part.
    pub problem: String,
    /// The change that cures it.
    pub cure: &'static str,
}

impl Fault {
    /// A fault of a file as a whole.
    pub(super) fn of_file(file: &Path, problem: &str, cure: &'static str) -> Self {
        Self {
            subject: Subject::Files,
            problem: format!("names {}, which {problem}", shown(file)),
            cure,
        }
    }

    /// A fault of the field at `path`, such as `users[1].user.exec`.
    pub(super) fn of_field(
        file: &Path,
        path: &str,
        line: usize,
        problem: &str,
        cure: &'static str,
    ) -> Self {
        Self {
            subject: Subject::Files,
            problem: format!(
                "names {}, whose {path} (line {line}) {problem}",
                shown(file)
            ),
            cure,
        }
    }
}

/// A path in quotes, safe to show.
pub(super) fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A name in quotes, safe to show.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", printable(name, MAX_SHOWN))
}
