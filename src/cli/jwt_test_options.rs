//! Parses the arguments of `jwt-test`.

use std::ffi::OsString;

use super::help::JWT_TEST;
use super::usage::{Problem, UsageError};
use crate::config::{JwtLoginType, MethodName, Overrides};

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

/// Reads what follows `jwt-test`, the options of the script that came before it; None if the
/// help text is asked for.
pub(super) fn jwt_test(
    mut args: impl Iterator<Item = OsString>,
) -> Result<Option<JwtTest>, UsageError> {
    let mut test = JwtTest::default();
    while let Some(arg) = args.next() {
        let unexpected = || UsageError::unexpected(Some(&JWT_TEST), &arg);
        let text = arg.to_str().ok_or_else(unexpected)?;
        let (option, attached) = match text.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (text, None),
        };
        let flag = match option {
            "-h" | "--help" => return Ok(None),
            "-s" | "--skip-decode" => &mut test.skip_decode,
            "-v" | "--verbose" => &mut test.verbose,
            "--show-secrets" => &mut test.show_secrets,
            "-t" | "--login-type" => {
                let value = value(LOGIN_TYPE, attached, &mut args)?;
                let login_type = JwtLoginType::of(&value);
                let wrong = || UsageError::bad_value(&JWT_TEST, LOGIN_TYPE, &value, LOGIN_TYPES);
                test.overrides.login_type = Some(login_type.ok_or_else(wrong)?);
                continue;
            }
            "-m" | "--auth-method" => {
                let value = value(AUTH_METHOD, attached, &mut args)?;
                test.overrides.method = Some(match value.as_str() {
                    "jwt" => MethodName::Jwt,
                    "password" => MethodName::Password,
                    _ => {
                        return Err(UsageError::bad_value(
                            &JWT_TEST,
                            AUTH_METHOD,
                            &value,
                            METHODS,
                        ));
                    }
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
    Ok(Some(test))
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
    let value = value.ok_or(Problem::NoValue(JWT_TEST.name, option).about(&JWT_TEST))?;
    value
        .into_string()
        .map_err(|value| UsageError::unexpected(Some(&JWT_TEST), &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(args: &[&str]) -> Result<JwtTest, String> {
        let args = args.iter().map(OsString::from);
        match jwt_test(args) {
            Ok(test) => Ok(test.unwrap()),
            Err(error) => Err(error.to_string()),
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
