//! Parses the arguments of `call`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::help::CALL;
use super::usage::{Problem, UsageError, shown};
use crate::config::{BaseUrl, Env, base_url, time};
use crate::control::TargetName;
use crate::control::time::parse_duration;

/// The projected token with `--k8s-trust`, unless another file is named.
pub const TOKEN_FILE: &str = "/var/run/secrets/openclaw-gateway/token";

/// The variable of the gateway's URL.
const URL: &str = "GATEWAY_URL";

/// The variable of the token's file.
const TOKEN: &str = "GATEWAY_TOKEN_FILE";

/// The time that a call may take unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The bounds of `--timeout`.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// The largest number of replicas that can be asked for.
const MOST_REPLICAS: i32 = 1000;

const VERBS: &str = "list, status, start, stop, scale or wait";
const NAME: &str = "the name of a target: lower-case letters, digits and dashes";
const COUNT: &str = "a whole number of replicas from 1 (with scale from 0) to 1000";
const SPAN: &str = "minutes, hours or days with their unit, from 1m to 366d, such as 90m or 8h";
const SECONDS: &str = "seconds, minutes or hours, such as 90s, 5m or 2h, up to 24h";
const ADDRESS: &str = "https://HOST[:PORT], or http:// to *.svc and this machine alone";

/// A call of the gateway's API, as the arguments and two variables ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCommand {
    /// The thing to do.
    pub task: CallTask,
    /// The gateway's address: `https`, or `http` inside the cluster or on this machine.
    pub url: BaseUrl,
    /// The authorities that the gateway's certificate is signed by; None for those that are
    /// built in.
    pub ca: Option<PathBuf>,
    /// The file with the token, read at each call.
    pub token_file: PathBuf,
    /// The time for all of it, retries and waiting included: 1 s to 24 h.
    pub timeout: Duration,
    /// True if the answer is one line of JSON.
    pub json: bool,
}

/// The thing that a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallTask {
    /// Show the targets.
    List,
    /// Show how a target is.
    Status(TargetName),
    /// Wait until a target is ready.
    Wait(TargetName),
    /// Start a target.
    Start {
        /// Its name.
        target: TargetName,
        /// The number of replicas, at least 1; None for the target's own.
        replicas: Option<i32>,
        /// The time for which it is kept; None for as long as it is used.
        run_for: Option<Duration>,
        /// True if the call ends when it is ready.
        wait: bool,
    },
    /// Stop a target.
    Stop(TargetName),
    /// Set the number of replicas of a target.
    Scale {
        /// Its name.
        target: TargetName,
        /// The number, 0 or more.
        replicas: i32,
        /// True if the call ends when it is ready; of no effect with 0 replicas.
        wait: bool,
    },
}

/// The arguments before they are looked at together.
#[derive(Default)]
struct Given {
    /// VERB, TARGET and N, in this order.
    words: Vec<String>,
    run_for: Option<Duration>,
    timeout: Option<Duration>,
    url: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    k8s_trust: bool,
    wait: bool,
    json: bool,
}

/// Reads what follows `call`; None if the help text is asked for.
pub(super) fn call(
    args: &mut impl Iterator<Item = OsString>,
    env: Env<'_>,
) -> Result<Option<CallCommand>, UsageError> {
    let mut given = Given::default();
    while let Some(arg) = args.next() {
        let unexpected = || UsageError::unexpected(Some(&CALL), &arg);
        let text = arg.to_str().ok_or_else(unexpected)?;
        let (option, mut attached) = match text.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.into())),
            _ => (text, None),
        };
        let mut value = |option| {
            let value = attached.take().or_else(|| args.next());
            value.ok_or(Problem::NoValue("call", option).about(&CALL))
        };
        match option {
            "-h" | "--help" => return Ok(None),
            "--for" => given.run_for = Some(span(&value("--for")?)?),
            "--timeout" => given.timeout = Some(timeout(&value("--timeout")?)?),
            "--url" => given.url = Some(plain("--url", &value("--url")?, ADDRESS)?),
            "--ca" => given.ca = Some(PathBuf::from(value("--ca")?)),
            "--token-file" => given.token_file = Some(PathBuf::from(value("--token-file")?)),
            "--k8s-trust" => given.k8s_trust = true,
            "--wait" => given.wait = true,
            "--json" => given.json = true,
            word if !word.starts_with('-') && given.words.len() < 3 => {
                given.words.push(word.to_owned());
            }
            _ => return Err(unexpected()),
        }
        if attached.is_some() {
            return Err(unexpected());
        }
    }
    given.command(env).map(Some)
}

impl Given {
    fn command(self, env: Env<'_>) -> Result<CallCommand, UsageError> {
        let task = self.task()?;
        let of_env = |name: &str| env(name).filter(|value| !value.is_empty());
        let url = match (self.url, of_env(URL)) {
            (Some(url), _) => address("--url", &url)?,
            (None, Some(url)) => address(URL, &url.to_string_lossy())?,
            (None, None) => return Err(Problem::NoUrl.about(&CALL)),
        };
        let token_file = self.token_file.or_else(|| of_env(TOKEN).map(PathBuf::from));
        let token_file = token_file.or_else(|| self.k8s_trust.then(|| PathBuf::from(TOKEN_FILE)));
        Ok(CallCommand {
            task,
            url,
            ca: self.ca,
            token_file: token_file.ok_or(Problem::NoToken.about(&CALL))?,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            json: self.json,
        })
    }

    fn task(&self) -> Result<CallTask, UsageError> {
        let mut words = self.words.iter().map(String::as_str);
        let verb = words.next().ok_or(Problem::NoVerb(VERBS).about(&CALL))?;
        let mut target = || {
            let name = words.next().ok_or(Problem::NoTarget.about(&CALL))?;
            let wrong = |_| UsageError::bad_value(&CALL, "TARGET", name, NAME);
            TargetName::parse(name).map_err(wrong)
        };
        let (run_for, wait) = (self.run_for, self.wait);
        let task = match verb {
            "list" => CallTask::List,
            "status" => CallTask::Status(target()?),
            "wait" => CallTask::Wait(target()?),
            "stop" => CallTask::Stop(target()?),
            "start" => CallTask::Start {
                target: target()?,
                replicas: words.next().map(|text| count(text, 1)).transpose()?,
                run_for,
                wait,
            },
            "scale" => {
                let target = target()?;
                let text = words.next().ok_or(Problem::NoCount.about(&CALL))?;
                let replicas = count(text, 0)?;
                CallTask::Scale {
                    target,
                    replicas,
                    wait,
                }
            }
            other => return Err(UsageError::bad_value(&CALL, "VERB", other, VERBS)),
        };
        if let Some(surplus) = words.next() {
            return Err(UsageError::unexpected(Some(&CALL), OsStr::new(surplus)));
        }
        let is_start = matches!(task, CallTask::Start { .. });
        if run_for.is_some() && !is_start {
            return Err(Problem::OnlyWith("--for", "start").about(&CALL));
        }
        if wait && !is_start && !matches!(task, CallTask::Scale { .. }) {
            return Err(Problem::OnlyWith("--wait", "start and scale").about(&CALL));
        }
        Ok(task)
    }
}

/// The text of a value.
fn plain(option: &'static str, value: &OsStr, known: &'static str) -> Result<String, UsageError> {
    let text = value.to_str().map(str::to_owned);
    text.ok_or_else(|| UsageError::bad_value(&CALL, option, &shown(value), known))
}

fn span(value: &OsStr) -> Result<Duration, UsageError> {
    let read = value.to_str().and_then(|text| parse_duration(text).ok());
    read.ok_or_else(|| UsageError::bad_value(&CALL, "--for", &shown(value), SPAN))
}

fn timeout(value: &OsStr) -> Result<Duration, UsageError> {
    let read = value.to_str().and_then(time);
    read.filter(|time| (TIMEOUTS.0..=TIMEOUTS.1).contains(time))
        .ok_or_else(|| UsageError::bad_value(&CALL, "--timeout", &shown(value), SECONDS))
}

fn count(text: &str, least: i32) -> Result<i32, UsageError> {
    // Rust would take a sign as well.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = text.parse::<i32>().ok();
    read.filter(|count| digits && (least..=MOST_REPLICAS).contains(count))
        .ok_or_else(|| UsageError::bad_value(&CALL, "N", text, COUNT))
}

/// The URL, to which the token may be shown.
fn address(option: &'static str, text: &str) -> Result<BaseUrl, UsageError> {
    let url = base_url(text.trim()).filter(BaseUrl::is_near);
    // The value is not shown, since it may hold a password.
    url.ok_or(Problem::BadUrl(option, ADDRESS).about(&CALL))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL_GIVEN: &str = "https://gateway.openclaw.svc:8081";

    fn parsed(args: &str, env: &[(&str, &str)]) -> Result<Option<CallCommand>, String> {
        let env = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let mut args = args.split_whitespace().map(OsString::from);
        call(&mut args, &env).map_err(|error| {
            assert_eq!(error.code(), 2);
            let said = error.to_string();
            let (said, _) = said.split_once("; see ").unwrap();
            said.to_owned()
        })
    }

    /// With all that is needed beside the verb.
    fn task(args: &str) -> Result<CallTask, String> {
        let env = [("GATEWAY_URL", URL_GIVEN)];
        let read = parsed(&format!("--k8s-trust {args}"), &env);
        read.map(|command| command.unwrap().task)
    }

    fn web() -> TargetName {
        TargetName::parse("web").unwrap()
    }

    #[test]
    fn each_verb_has_its_arguments() {
        let start = |replicas, run_for: Option<u64>, wait| CallTask::Start {
            target: web(),
            replicas,
            run_for: run_for.map(|hours| Duration::from_secs(hours * 3600)),
            wait,
        };
        let scale = |replicas, wait| CallTask::Scale {
            target: web(),
            replicas,
            wait,
        };
        for (args, wanted) in [
            ("list", CallTask::List),
            ("status web", CallTask::Status(web())),
            ("wait web", CallTask::Wait(web())),
            ("stop web", CallTask::Stop(web())),
            ("start web", start(None, None, false)),
            ("start web 3", start(Some(3), None, false)),
            ("--wait start --for 8h web 3", start(Some(3), Some(8), true)),
            ("start web --for=2h", start(None, Some(2), false)),
            ("scale web 0", scale(0, false)),
            ("scale web 1000 --wait", scale(1000, true)),
        ] {
            assert_eq!(task(args), Ok(wanted), "{args}");
        }
    }

    #[test]
    fn wrong_arguments_are_said_with_what_would_be_right() {
        for (args, wanted) in [
            (
                "",
                "call needs one of list, status, start, stop, scale or wait",
            ),
            (
                "restart web",
                "call VERB \"restart\" is unknown: write list, ",
            ),
            ("status", "call needs the name of a target"),
            (
                "status Web",
                "call TARGET \"Web\" is unknown: write the name of",
            ),
            ("status all", "call TARGET \"all\" is unknown"),
            ("list web", "unexpected argument \"web\""),
            ("status web 1", "unexpected argument \"1\""),
            ("stop web 1", "unexpected argument \"1\""),
            ("start web 1 2", "unexpected argument \"2\""),
            (
                "start web 0",
                "call N \"0\" is unknown: write a whole number",
            ),
            ("start web +1", "call N \"+1\" is unknown"),
            ("start web many", "call N \"many\" is unknown"),
            ("scale web", "call scale needs a number of replicas"),
            ("scale web 1001", "call N \"1001\" is unknown"),
            ("scale web 1 --for 1h", "call takes --for only with start"),
            ("stop web --for 1h", "call takes --for only with start"),
            (
                "stop web --wait",
                "call takes --wait only with start and scale",
            ),
            (
                "wait web --wait",
                "call takes --wait only with start and scale",
            ),
            ("start web --for", "call --for needs a value"),
            (
                "start web --for soon",
                "call --for \"soon\" is unknown: write minutes",
            ),
            (
                "start web --timeout 0",
                "call --timeout \"0\" is unknown: write seconds",
            ),
            (
                "start web --timeout 25h",
                "call --timeout \"25h\" is unknown",
            ),
            ("start web --wait=1", "unexpected argument \"--wait=1\""),
            ("start web -w", "unexpected argument \"-w\""),
            ("start web --frob", "unexpected argument \"--frob\""),
            ("list --url", "call --url needs a value"),
        ] {
            let said = task(args).unwrap_err();
            assert!(said.starts_with(wanted), "{args}: {said}");
        }
    }

    #[test]
    fn the_address_is_never_guessed_and_never_in_clear_across_a_network() {
        for url in [
            "https://gateway.example.org",
            "https://10.0.0.1:8443/base",
            "http://gateway.openclaw.svc:8081",
            "http://gateway.openclaw.svc.cluster.local",
            "http://localhost:8081",
            "http://127.0.0.1",
            "http://[::1]:8081",
        ] {
            let args = format!("list --k8s-trust --url {url}");
            let command = parsed(&args, &[]).unwrap().unwrap();
            assert_eq!(command.url.as_str(), url);
        }
        for url in [
            "http://gateway",
            "http://gateway.example.org",
            "http://10.0.0.1:8081",
            "http://gateway.svc.example.org",
            "http://evil.svc.example.org",
            "http://svc",
            "https://user:secret@gateway",
            "gateway:8081",
            "ftp://gateway",
        ] {
            let said = parsed(&format!("list --k8s-trust --url {url}"), &[]).unwrap_err();
            let wanted = "call --url names no address that a token may be sent to: write https:";
            assert!(
                said.starts_with(wanted) && !said.contains("secret"),
                "{said}"
            );
        }
        let said = parsed("list --k8s-trust", &[("GATEWAY_URL", "")]).unwrap_err();
        assert_eq!(
            said,
            "call needs the gateway's address: give --url or GATEWAY_URL"
        );
        let said = parsed("list --k8s-trust", &[("GATEWAY_URL", "http://x")]).unwrap_err();
        assert!(
            said.starts_with("call GATEWAY_URL names no address"),
            "{said}"
        );
    }

    #[test]
    fn the_token_is_of_the_projected_volume_or_of_the_file_that_is_named() {
        let file = |args: &str, env: &[(&str, &str)]| {
            let env = [&[("GATEWAY_URL", URL_GIVEN)], env].concat();
            let read = parsed(&format!("list {args}"), &env)?;
            Ok::<_, String>(read.unwrap().token_file.to_str().unwrap().to_owned())
        };
        let env = [("GATEWAY_TOKEN_FILE", "/e")];
        assert_eq!(file("--k8s-trust", &[]).unwrap(), TOKEN_FILE);
        assert_eq!(file("--k8s-trust --token-file /t", &env).unwrap(), "/t");
        assert_eq!(file("--token-file=/t", &[]).unwrap(), "/t");
        assert_eq!(file("--k8s-trust", &env).unwrap(), "/e");
        assert_eq!(file("", &env).unwrap(), "/e");
        assert_eq!(
            file("", &[]).unwrap_err(),
            "call needs a token: give --k8s-trust in a pod, --token-file or GATEWAY_TOKEN_FILE"
        );
    }

    #[test]
    fn the_rest_has_defaults() {
        let read = |args: &str| {
            let env = [("GATEWAY_URL", URL_GIVEN)];
            parsed(&format!("list --k8s-trust {args}"), &env).unwrap()
        };
        let plain = read("").unwrap();
        assert_eq!(plain.timeout, Duration::from_secs(300));
        assert_eq!((plain.ca, plain.json), (None, false));
        let all = read("--ca /ca.crt --json --timeout 90s").unwrap();
        assert_eq!(all.timeout, Duration::from_secs(90));
        assert_eq!((all.ca, all.json), (Some("/ca.crt".into()), true));
        assert_eq!(read("--help"), None);
    }
}
