//! The command line: what the program was started to do.

use std::ffi::{OsStr, OsString};
use std::fmt;

use ruma::OwnedUserId;

use crate::bot::replies;
use crate::config::{self, Presence, VARIABLES};
use crate::ops::printable;

/// Longest part of a wrong argument that is quoted back, in bytes.
const MAX_QUOTED_BYTES: usize = 80;

/// The program's name and version.
pub const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Serve until told to stop.
    Run,
    /// Look at or change what is known of identities, beside the running bot.
    Identities(IdentitiesCommand),
    /// Show [`help`].
    Help,
    /// Show [`identities_help`].
    IdentitiesHelp,
    /// Show [`VERSION`].
    Version,
}

/// What is to be done about identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitiesCommand {
    /// Show whose master keys are known and pinned.
    List,
    /// Take away a user's pin of first use.
    Forget(OwnedUserId),
    /// Give the bot's own account a new cross-signing identity.
    Reset,
}

/// Reads the arguments, those after the program's own name.
///
/// # Errors
/// The first argument that means nothing, or what is missing.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut args = args.into_iter();
    let Some(first) = args.next() else {
        return Ok(Invocation::Run);
    };
    let invocation = match first.to_str() {
        Some("--help" | "-h") => Invocation::Help,
        Some("--version" | "-V") => Invocation::Version,
        Some("identities") => return identities(args),
        _ => return Err(UsageError::Unexpected(shown(&first))),
    };
    // None of them takes an argument of its own.
    match args.next() {
        Some(surplus) => Err(UsageError::Unexpected(shown(&surplus))),
        None => Ok(invocation),
    }
}

/// Reads what follows `identities`.
fn identities(mut args: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let action = args.next().ok_or(UsageError::NoAction)?;
    let mut next = args.next();
    let invocation = match action.to_str() {
        Some("--help" | "-h") => Invocation::IdentitiesHelp,
        // Asked for after an action, too, as most programs have it.
        Some("list" | "forget" | "reset")
            if next
                .as_ref()
                .is_some_and(|arg| arg == "--help" || arg == "-h") =>
        {
            next = args.next();
            Invocation::IdentitiesHelp
        }
        Some("list") => Invocation::Identities(IdentitiesCommand::List),
        Some("reset") => Invocation::Identities(IdentitiesCommand::Reset),
        Some("forget") => {
            let user = next.ok_or(UsageError::NoUser)?;
            let id = user.to_str().and_then(config::user_id);
            let id = id.ok_or_else(|| UsageError::NotAUser(shown(&user)))?;
            next = args.next();
            Invocation::Identities(IdentitiesCommand::Forget(id))
        }
        _ => return Err(UsageError::UnknownAction(shown(&action))),
    };
    match next {
        Some(surplus) => Err(UsageError::Surplus(shown(&surplus))),
        None => Ok(invocation),
    }
}

/// What is wrong with the arguments. The texts are those given, cut and
/// escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// An argument that means nothing.
    Unexpected(String),
    /// `identities` alone.
    NoAction,
    /// `identities` with something else than it can do.
    UnknownAction(String),
    /// `identities forget` alone.
    NoUser,
    /// `identities forget` with something else than a user id.
    NotAUser(String),
    /// One argument too many for `identities`.
    Surplus(String),
}

fn shown(argument: &OsStr) -> String {
    printable(&argument.to_string_lossy(), MAX_QUOTED_BYTES)
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME: &str = env!("CARGO_PKG_NAME");
        const ACTIONS: &str = "list, forget @user:server or reset";
        const USER: &str = "full Matrix id, such as @alice:example.com";
        match self {
            Self::Unexpected(argument) => {
                return write!(f, "unexpected argument \"{argument}\"; see {NAME} --help");
            }
            Self::NoAction => write!(f, "identities needs one of {ACTIONS}"),
            Self::UnknownAction(action) => {
                write!(f, "identities \"{action}\" is unknown: write {ACTIONS}")
            }
            Self::NoUser => write!(f, "identities forget needs a user: a {USER}"),
            Self::NotAUser(user) => {
                write!(
                    f,
                    "identities forget \"{user}\" names no user: write a {USER}"
                )
            }
            Self::Surplus(argument) => write!(f, "unexpected argument \"{argument}\""),
        }?;
        write!(f, "; see {NAME} identities --help")
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
  {name} identities list|forget|reset
                                            whose devices are believed; see
                                            identities --help
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

/// The help text of `identities`, ending in a newline.
pub fn identities_help() -> String {
    format!(
        "Usage:
  {name} identities list
  {name} identities forget @user:server
  {name} identities reset

Works beside the running bot, on the store in CRYPTO_STORE_PATH; no other
variable is needed.

  list     Shows the users whose identity the bot has seen: the master key that
           the homeserver shows now, the pinned one, and whether the
           configuration or the first use pinned it.
  forget   Takes a pin of first use away, so that the identity which the
           homeserver shows next is pinned. Ask the person first whether it is
           theirs, over another way than this homeserver! A pin of the
           configuration is changed in PINNED_IDENTITIES.
  reset    Gives the bot's own account a new cross-signing identity, for when
           the keys of the old one are lost. Everybody who verified the bot has
           to do it again.

Exit codes:
  0   done
  1   not done; the reason is on standard error
  2   wrong arguments
",
        name = env!("CARGO_PKG_NAME")
    )
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
    fn identities() {
        let user = config::user_id("@alice:example.com").unwrap();
        for (args, command) in [
            (&["list"][..], IdentitiesCommand::List),
            (
                &["forget", "@alice:example.com"],
                IdentitiesCommand::Forget(user),
            ),
            (&["reset"], IdentitiesCommand::Reset),
        ] {
            let args = [&["identities"], args].concat();
            assert_eq!(parsed(&args), Ok(Invocation::Identities(command)));
        }
        for args in [
            &["--help"][..],
            &["-h"],
            &["list", "--help"],
            &["forget", "-h"],
            &["reset", "--help"],
        ] {
            let args = [&["identities"], args].concat();
            assert_eq!(parsed(&args), Ok(Invocation::IdentitiesHelp), "{args:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_identities_is_said_with_what_would_be_right() {
        for (args, said) in [
            (
                &[][..],
                "identities needs one of list, forget @user:server or reset",
            ),
            (
                &["lst"],
                "identities \"lst\" is unknown: write list, forget @user:server or reset",
            ),
            (
                &["forget"],
                "identities forget needs a user: a full Matrix id, such as @alice:example.com",
            ),
            (
                &["forget", "alice"],
                "identities forget \"alice\" names no user: write a full Matrix id, such as \
                 @alice:example.com",
            ),
            (
                &["forget", "@a\n:x"],
                "identities forget \"@a\\n:x\" names no user: write a full Matrix id, such as \
                 @alice:example.com",
            ),
            (&["list", "all"], "unexpected argument \"all\""),
            (&["reset", "@a:x"], "unexpected argument \"@a:x\""),
            (&["forget", "@a:x", "@b:x"], "unexpected argument \"@b:x\""),
            (&["list", "--help", "me"], "unexpected argument \"me\""),
            (&["--help", "list"], "unexpected argument \"list\""),
        ] {
            let args = [&["identities"], args].concat();
            let hint = "; see openclaw-k8s-toggle-operator identities --help";
            assert_eq!(parsed(&args), Err(format!("{said}{hint}")), "{args:?}");
        }
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
