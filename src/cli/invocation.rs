//! Parses the arguments.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

use ruma::{OwnedDeviceId, OwnedUserId};

#[cfg(feature = "gateway")]
use super::call_command::{CallCommand, call};
#[cfg(feature = "gateway")]
use super::help::{CALL, GATEWAY, GATEWAY_CHECK};
use super::help::{CHECK_CONFIG, CONNTEST, HEALTHCHECK, IDENTITIES, JWT_TEST, LOGOUT, Page};
use super::jwt_test_options::{JwtTest, jwt_test};
use super::usage::{Problem, UsageError, shown};
use crate::config::{self, Env};
use crate::telemetry::Probe;

/// The end of the program's name when it is called to test the connection.
const CONNTEST_SUFFIX: &str = "-conntest";

/// The task that the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Serve until told to stop.
    Run,
    /// Look at or change what is known of identities, beside the running bot.
    Identities(IdentitiesCommand),
    /// Log in and out again, and tell what was seen.
    ConnTest,
    /// Get a token, take it apart and log in with it.
    JwtTest(JwtTest),
    /// Tell what is wrong with the environment, or what it says.
    CheckConfig,
    /// End the bot's session.
    Logout,
    /// Ask the running bot how it is.
    HealthCheck(Probe),
    /// Serve HTTP until told to stop.
    #[cfg(feature = "gateway")]
    Gateway,
    /// Tell what is wrong with the gateway's environment and file, or what they say.
    #[cfg(feature = "gateway")]
    GatewayCheck,
    /// Ask a running gateway for something.
    #[cfg(feature = "gateway")]
    Call(CallCommand),
    /// Show a help text.
    Help(Option<&'static Page>),
    /// Show the program's version.
    Version,
}

/// An action of `identities`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitiesCommand {
    /// Show whose master keys are known and pinned.
    List,
    /// Take away a user's pin of first use.
    Forget(OwnedUserId),
    /// Believe a user's device again that was signed out, named by its id or as
    /// `list` shows that.
    ForgetDevice(OwnedUserId, OwnedDeviceId),
    /// Give the bot's own account a new cross-signing identity.
    Reset,
}

/// Reads the name that the program was called by and the arguments after it. Of the
/// environment only what stands for options of `call` is looked at.
///
/// # Errors
/// The first argument that means nothing, or what is missing.
pub fn parse(
    program: &OsStr,
    args: impl IntoIterator<Item = OsString>,
    #[cfg_attr(not(feature = "gateway"), expect(unused_variables))] env: Env<'_>,
) -> Result<Invocation, UsageError> {
    let mut args = args.into_iter().peekable();
    let first = match program.to_string_lossy().ends_with(CONNTEST_SUFFIX) {
        true => Some("conntest".into()),
        false => args.next(),
    };
    let Some(first) = first else {
        return Ok(Invocation::Run);
    };
    let mut alone = |page, invocation| (Some(page), or_help(&mut args, page, invocation));
    let (page, invocation) = match first.to_str() {
        Some("--help" | "-h") => (None, Invocation::Help(None)),
        Some("--version" | "-V") => (None, Invocation::Version),
        Some("identities") => (Some(&IDENTITIES), identities(&mut args)?),
        Some("conntest") => alone(&CONNTEST, Invocation::ConnTest),
        Some("jwt-test") => {
            let test = jwt_test(args)?.map(Invocation::JwtTest);
            return Ok(test.unwrap_or(Invocation::Help(Some(&JWT_TEST))));
        }
        Some("check-config") => alone(&CHECK_CONFIG, Invocation::CheckConfig),
        Some("logout") => alone(&LOGOUT, Invocation::Logout),
        Some("healthcheck") => (Some(&HEALTHCHECK), healthcheck(&mut args)?),
        #[cfg(feature = "gateway")]
        Some("gateway") => gateway(&mut args),
        #[cfg(feature = "gateway")]
        Some("call") => {
            let command = call(&mut args, env)?.map(Invocation::Call);
            return Ok(command.unwrap_or(Invocation::Help(Some(&CALL))));
        }
        #[cfg(not(feature = "gateway"))]
        Some("gateway") => return Err(Problem::NotBuilt("gateway").about_the_program()),
        #[cfg(not(feature = "gateway"))]
        Some("call") => return Err(Problem::NotBuilt("call").about_the_program()),
        _ => return Err(UsageError::unexpected(None, &first)),
    };
    match args.next() {
        Some(surplus) => Err(UsageError::unexpected(page, &surplus)),
        None => Ok(invocation),
    }
}

/// Reads what follows `gateway`.
#[cfg(feature = "gateway")]
fn gateway<I: Iterator<Item = OsString>>(
    args: &mut Peekable<I>,
) -> (Option<&'static Page>, Invocation) {
    let (page, invocation) = match args.next_if(|arg| arg == "check") {
        Some(_) => (&GATEWAY_CHECK, Invocation::GatewayCheck),
        None => (&GATEWAY, Invocation::Gateway),
    };
    (Some(page), or_help(args, page, invocation))
}

/// This, unless the next argument asks for the help text of the subcommand instead.
fn or_help<I: Iterator<Item = OsString>>(
    args: &mut Peekable<I>,
    page: &'static Page,
    invocation: Invocation,
) -> Invocation {
    match args.next_if(|arg| is_help(arg)) {
        Some(_) => Invocation::Help(Some(page)),
        None => invocation,
    }
}

fn is_help(arg: &OsStr) -> bool {
    arg == "--help" || arg == "-h"
}

/// Reads what follows `healthcheck`.
fn healthcheck<I: Iterator<Item = OsString>>(
    args: &mut Peekable<I>,
) -> Result<Invocation, UsageError> {
    let invocation = match args.next() {
        None => Invocation::HealthCheck(Probe::Live),
        Some(arg) if arg == "livez" => Invocation::HealthCheck(Probe::Live),
        Some(arg) if arg == "readyz" => Invocation::HealthCheck(Probe::Ready),
        Some(arg) if is_help(&arg) => Invocation::Help(Some(&HEALTHCHECK)),
        Some(arg) => return Err(Problem::UnknownProbe(shown(&arg)).about(&HEALTHCHECK)),
    };
    Ok(or_help(args, &HEALTHCHECK, invocation))
}

/// Reads what follows `identities`.
fn identities<I: Iterator<Item = OsString>>(
    args: &mut Peekable<I>,
) -> Result<Invocation, UsageError> {
    let action = args.next().ok_or(Problem::NoAction.about(&IDENTITIES))?;
    let command = match action.to_str() {
        Some("--help" | "-h") => return Ok(Invocation::Help(Some(&IDENTITIES))),
        // Asked for after an action, too, as most programs have it.
        Some("list" | "forget" | "reset") if args.next_if(|arg| is_help(arg)).is_some() => {
            return Ok(Invocation::Help(Some(&IDENTITIES)));
        }
        Some("list") => IdentitiesCommand::List,
        Some("reset") => IdentitiesCommand::Reset,
        Some("forget") => {
            let user = args.next().ok_or(Problem::NoUser.about(&IDENTITIES))?;
            let id = user.to_str().and_then(config::user_id);
            let id = id.ok_or_else(|| Problem::NotAUser(shown(&user)).about(&IDENTITIES))?;
            // A second user is a slip: no client makes such device ids.
            let device = args.peek().and_then(|arg| arg.to_str());
            let device = device.filter(|device| !device.is_empty() && !device.starts_with('@'));
            match device.map(OwnedDeviceId::from) {
                Some(device) => {
                    args.next();
                    IdentitiesCommand::ForgetDevice(id, device)
                }
                None => IdentitiesCommand::Forget(id),
            }
        }
        _ => return Err(Problem::UnknownAction(shown(&action)).about(&IDENTITIES)),
    };
    Ok(Invocation::Identities(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(program: &str, args: &[&str]) -> Result<Invocation, String> {
        let args = args.iter().map(OsString::from);
        parse(OsStr::new(program), args, &|_| None).map_err(|error| error.to_string())
    }

    fn parsed(args: &[&str]) -> Result<Invocation, String> {
        called("/openclaw-k8s-toggle-operator", args)
    }

    #[test]
    fn what_there_is() {
        assert_eq!(parsed(&[]), Ok(Invocation::Run));
        assert_eq!(parsed(&["-h"]), Ok(Invocation::Help(None)));
        assert_eq!(parsed(&["--help"]), Ok(Invocation::Help(None)));
        assert_eq!(parsed(&["-V"]), Ok(Invocation::Version));
        assert_eq!(parsed(&["--version"]), Ok(Invocation::Version));
    }

    #[test]
    fn identities() {
        let user = config::user_id("@alice:example.com").unwrap();
        let alice = user.clone();
        for (args, command) in [
            (&["list"][..], IdentitiesCommand::List),
            (
                &["forget", "@alice:example.com"],
                IdentitiesCommand::Forget(user),
            ),
            (
                &["forget", "@alice:example.com", "ABCDEFGHIJ"],
                IdentitiesCommand::ForgetDevice(alice, "ABCDEFGHIJ".into()),
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
            assert_eq!(
                parsed(&args),
                Ok(Invocation::Help(Some(&IDENTITIES))),
                "{args:?}"
            );
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
            (&["forget", "@a:x", ""], "unexpected argument \"\""),
            (&["forget", "@a:x", "A", "B"], "unexpected argument \"B\""),
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
    fn the_subcommands_of_a_login() {
        for (args, invocation) in [
            (&["conntest"][..], Invocation::ConnTest),
            (&["conntest", "-h"], Invocation::Help(Some(&CONNTEST))),
            (&["check-config"], Invocation::CheckConfig),
            (
                &["check-config", "--help"],
                Invocation::Help(Some(&CHECK_CONFIG)),
            ),
            (&["logout"], Invocation::Logout),
            (&["logout", "--help"], Invocation::Help(Some(&LOGOUT))),
            (&["healthcheck"], Invocation::HealthCheck(Probe::Live)),
            (
                &["healthcheck", "livez"],
                Invocation::HealthCheck(Probe::Live),
            ),
            (
                &["healthcheck", "readyz"],
                Invocation::HealthCheck(Probe::Ready),
            ),
            (
                &["healthcheck", "--help"],
                Invocation::Help(Some(&HEALTHCHECK)),
            ),
            (
                &["healthcheck", "readyz", "-h"],
                Invocation::Help(Some(&HEALTHCHECK)),
            ),
            (
                &["jwt-test", "-v", "--help"],
                Invocation::Help(Some(&JWT_TEST)),
            ),
        ] {
            assert_eq!(parsed(args), Ok(invocation), "{args:?}");
        }
        for args in [&["conntest", "x"][..], &["logout", "-h", "x"]] {
            let hint = format!("\"x\"; see openclaw-k8s-toggle-operator {} --help", args[0]);
            assert!(parsed(args).unwrap_err().ends_with(&hint));
        }
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn the_gateway_and_its_check() {
        for (args, invocation) in [
            (&["gateway"][..], Invocation::Gateway),
            (&["gateway", "-h"], Invocation::Help(Some(&GATEWAY))),
            (&["gateway", "check"], Invocation::GatewayCheck),
            (
                &["gateway", "check", "--help"],
                Invocation::Help(Some(&GATEWAY_CHECK)),
            ),
            (&["call", "--help"], Invocation::Help(Some(&CALL))),
            (&["call", "list", "-h"], Invocation::Help(Some(&CALL))),
        ] {
            assert_eq!(parsed(args), Ok(invocation), "{args:?}");
        }
        for (args, hint) in [
            (&["gateway", "chek"][..], "gateway"),
            (&["gateway", "check", "chek"], "gateway check"),
            (&["call", "list", "--chek"], "call"),
        ] {
            let said = parsed(args).unwrap_err();
            let hint = format!("; see openclaw-k8s-toggle-operator {hint} --help");
            assert!(said.contains("chek\"") && said.ends_with(&hint), "{said}");
        }
    }

    #[cfg(not(feature = "gateway"))]
    #[test]
    fn a_build_without_the_gateway_says_so() {
        for name in ["gateway", "call"] {
            let said = parsed(&[name, "list"]).unwrap_err();
            assert!(said.starts_with(&format!("{name} is not in this build")));
        }
    }

    #[test]
    fn the_program_has_a_second_name() {
        let program = "/usr/bin/openclaw-k8s-toggle-operator-conntest";
        assert_eq!(called(program, &[]), Ok(Invocation::ConnTest));
        let help = Invocation::Help(Some(&CONNTEST));
        assert_eq!(called(program, &["--help"]), Ok(help));
        assert!(called(program, &["jwt-test"]).is_err());
    }
}
