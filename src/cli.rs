//! The command line: what the program was started to do.

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::bot::replies;
use crate::config::{Presence, VARIABLES};
use crate::ops::printable;

/// Longest part of a wrong argument that is quoted back, in bytes.
const MAX_QUOTED_BYTES: usize = 80;

/// The program's name and version.
pub const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Serve until told to stop.
    Run,
    /// Show [`help`].
    Help,
    /// Show [`VERSION`].
    Version,
}

/// Reads the arguments, those after the program's own name.
///
/// # Errors
/// The first argument that means nothing.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut args = args.into_iter();
    let Some(first) = args.next() else {
        return Ok(Invocation::Run);
    };
    let invocation = match first.to_str() {
        Some("--help" | "-h") => Invocation::Help,
        Some("--version" | "-V") => Invocation::Version,
        _ => return Err(UsageError::new(&first)),
    };
    // None of them takes an argument of its own.
    match args.next() {
        Some(surplus) => Err(UsageError::new(&surplus)),
        None => Ok(invocation),
    }
}

/// An argument that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    argument: String,
}

impl UsageError {
    fn new(argument: &OsStr) -> Self {
        Self {
            argument: printable(&argument.to_string_lossy(), MAX_QUOTED_BYTES),
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = env!("CARGO_PKG_NAME");
        let argument = &self.argument;
        write!(f, "unexpected argument \"{argument}\"; see {name} --help")
    }
}

impl std::error::Error for UsageError {}

/// The help text, ending in a newline.
pub fn help() -> String {
    let mut text = format!(
        "{VERSION}
Scales one Kubernetes Deployment to 1 or 0 replicas on commands from Matrix
rooms, end-to-end encrypted or not. Runs in a pod and is set up by environment
variables alone.

Usage:
  {name}              run until SIGTERM or SIGINT
  {name} -h, --help   show this text
  {name} -V, --version
                                            show the version

Environment (an empty value counts as unset):
",
        name = env!("CARGO_PKG_NAME")
    );
    for variable in &VARIABLES {
        let presence = match variable.presence {
            Presence::Required { .. } => "required".to_owned(),
            Presence::Default(value) => format!("default {value}"),
            Presence::Optional => "optional".to_owned(),
        };
        let (name, meaning) = (variable.name, variable.meaning);
        text.push_str(&format!("  {name} ({presence})\n      {meaning}\n"));
    }
    text.push_str("\nIn the chat:\n");
    for line in replies::HELP.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(
        "
Signals:
  SIGTERM, SIGINT   finish what is being done, then stop

Exit codes:
  0   stopped cleanly
  1   the configuration is wrong, or an error that a retry cannot cure
  2   wrong arguments
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Invocation, String> {
        parse(args.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_there_is() {
        assert_eq!(parsed(&[]), Ok(Invocation::Run));
        assert_eq!(parsed(&["-h"]), Ok(Invocation::Help));
        assert_eq!(parsed(&["--help"]), Ok(Invocation::Help));
        assert_eq!(parsed(&["-V"]), Ok(Invocation::Version));
        assert_eq!(parsed(&["--version"]), Ok(Invocation::Version));
    }

    #[test]
    fn anything_else_is_named() {
        for (args, named) in [
            (vec!["--frob"], "--frob"),
            (vec!["run"], "run"),
            (vec![""], ""),
            (vec!["--help", "me"], "me"),
            (vec!["--HELP"], "--HELP"),
            (vec!["a\nb"], r"a\nb"),
        ] {
            assert_eq!(
                parsed(&args),
                Err(format!(
                    "unexpected argument \"{named}\"; see openclaw-k8s-toggle-operator --help"
                ))
            );
        }
    }

    #[test]
    fn the_help_names_every_variable_with_its_default() {
        let help = help();
        for variable in &VARIABLES {
            assert!(help.contains(&format!("\n  {} (", variable.name)));
            if let Presence::Default(value) = variable.presence {
                assert!(help.contains(&format!("{} (default {value})", variable.name)));
            }
        }
        assert!(help.ends_with('\n'));
    }
}
