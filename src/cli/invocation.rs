//! Parses the arguments.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

use ruma::{OwnedDeviceId, OwnedUserId};

use super::help::{CHECK_CONFIG, CONNTEST, HEALTHCHECK, IDENTITIES, JWT_TEST, LOGOUT, Page};
use super::usage::{Problem, UsageError, shown};
use crate::config::{self, JwtLoginType, MethodName, Overrides};
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

/// The options of `jwt-test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JwtTest {
    /// The settings that they give instead of the environment.
    pub overrides: Overrides,
    /// The token is not taken apart.
    pub skip_decode: bool,
    /// Whole answers are shown.
    pub verbose: bool,
    /// Tokens are shown, too.
    pub show_secrets: bool,
}

/// Reads the name that the program was called by and the arguments after it.
///
/// # Errors
/// The first argument that means nothing, or what is missing.
pub fn parse(
    program: &OsStr,
    args: impl IntoIterator<Item = OsString>,
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
        Some("jwt-test") => return jwt_test(args),
        Some("check-config") => alone(&CHECK_CONFIG, Invocation::CheckConfig),
        Some("logout") => alone(&LOGOUT, Invocation::Logout),
        Some("healthcheck") => (Some(&HEALTHCHECK), healthcheck(&mut args)?),
        _ => return Err(UsageError::unexpected(None, &first)),
    };
    match args.next() {
        Some(surplus) => Err(UsageError::unexpected(page, &surplus)),
        None => Ok(invocation),
    }
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

/// Reads the options of `jwt-test`: those of the script that came before it.
fn jwt_test(mut args: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut test = JwtTest::default();
    while let Some(arg) = args.next() {
        let unexpected = || UsageError::unexpected(Some(&JWT_TEST), &arg);
        let text = arg.to_str().ok_or_else(unexpected)?;
        let (option, attached) = match text.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (text, None),
        };
        let flag = match option {
            "-h" | "--help" => return Ok(Invocation::Help(Some(&JWT_TEST))),
            "-s" | "--skip-decode" => &mut test.skip_decode,
            "-v" | "--verbose" => &mut test.verbose,
            "--show-secrets" => &mut test.show_secrets,
            "-t" | "--login-type" => {
                let value = value(LOGIN_TYPE, attached, &mut args)?;
                let login_type = JwtLoginType::of(&value);
                let wrong = || UsageError::bad_value(LOGIN_TYPE, &value, LOGIN_TYPES);
                test.overrides.login_type = Some(login_type.ok_or_else(wrong)?);
                continue;
            }
            "-m" | "--auth-method" => {
                let value = value(AUTH_METHOD, attached, &mut args)?;
                test.overrides.method = Some(match value.as_str() {
                    "jwt" => MethodName::Jwt,
                    "password" => MethodName::Password,
                    _ => return Err(UsageError::bad_value(AUTH_METHOD, &value, METHODS)),
                });
                continue;
            }
            _ => return Err(unexpected()),
        };
        if attached.is_some() {
            return Err(unexpected());
        }
        *flag = true;
    }
    // It tests tokens unless told otherwise, whatever the environment says.
    test.overrides.method.get_or_insert(MethodName::Jwt);
    Ok(Invocation::JwtTest(test))
}

const LOGIN_TYPE: &str = "--login-type";
const LOGIN_TYPES: &str =
    "com.famedly.login.token.oauth, com.famedly.login.token or org.matrix.login.jwt";
const AUTH_METHOD: &str = "--auth-method";
const METHODS: &str = "password or jwt";

/// The value of an option: behind its "=", or the next argument.
fn value(
    option: &'static str,
    attached: Option<String>,
    args: &mut impl Iterator<Item = OsString>,
) -> Result<String, UsageError> {
    let value = attached.map(OsString::from).or_else(|| args.next());
    let value = value.ok_or(Problem::NoValue(option).about(&JWT_TEST))?;
    value
        .into_string()
        .map_err(|value| UsageError::unexpected(Some(&JWT_TEST), &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(program: &str, args: &[&str]) -> Result<Invocation, String> {
        let args = args.iter().map(OsString::from);
        parse(OsStr::new(program), args).map_err(|error| error.to_string())
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

    #[test]
    fn the_program_has_a_second_name() {
        let program = "/usr/bin/openclaw-k8s-toggle-operator-conntest";
        assert_eq!(called(program, &[]), Ok(Invocation::ConnTest));
        let help = Invocation::Help(Some(&CONNTEST));
        assert_eq!(called(program, &["--help"]), Ok(help));
        assert!(called(program, &["jwt-test"]).is_err());
    }

    fn tested(args: &[&str]) -> Result<JwtTest, String> {
        match parsed(&[&["jwt-test"], args].concat())? {
            Invocation::JwtTest(test) => Ok(test),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_options_of_jwt_test() {
        let plain = tested(&[]).unwrap();
        assert_eq!(plain.overrides.method, Some(MethodName::Jwt));
        assert_eq!(plain.overrides.login_type, None);
        assert!(!plain.skip_decode && !plain.verbose && !plain.show_secrets);
        let all = tested(&["-s", "--verbose", "--show-secrets"]).unwrap();
        assert!(all.skip_decode && all.verbose && all.show_secrets);
        for args in [
            &["-t", "org.matrix.login.jwt", "-m", "password"][..],
            &[
                "--login-type=org.matrix.login.jwt",
                "--auth-method=password",
            ],
        ] {
            let test = tested(args).unwrap();
            assert_eq!(test.overrides.method, Some(MethodName::Password));
            assert_eq!(test.overrides.login_type, Some(JwtLoginType::Native));
        }
        for (args, said) in [
            (&["-t"][..], "jwt-test --login-type needs a value"),
            (
                &["-m", "sso"],
                "jwt-test --auth-method \"sso\" is unknown: write password or jwt",
            ),
            (
                &["-t", "jwt"],
                "jwt-test --login-type \"jwt\" is unknown: write com.famedly",
            ),
            (&["-v=1"], "unexpected argument \"-v=1\""),
            (&["--verbose=1"], "unexpected argument \"--verbose=1\""),
            (&["token"], "unexpected argument \"token\""),
        ] {
            let error = tested(args).unwrap_err();
            assert!(error.starts_with(said), "{error}");
            assert!(error.ends_with("; see openclaw-k8s-toggle-operator jwt-test --help"));
        }
    }
}
