//! The binary: arguments, exit codes.

use std::{
    ffi::{OsStr, OsString},
    future::Future,
    io::Write,
    process::ExitCode,
};

use log::{LevelFilter, error, info, warn};
use openclaw_k8s_toggle_operator::bot::supervisor;
use openclaw_k8s_toggle_operator::cli::commands::{
    check_config, conntest, identities, jwt_test, logout,
};
use openclaw_k8s_toggle_operator::cli::{self, Invocation, JwtTest, Topic, UsageError};
use openclaw_k8s_toggle_operator::config::{
    Account, Faults, Overrides, Settings, health_address, store_path,
};

use openclaw_k8s_toggle_operator::telemetry::{self, LogFilter};

/// A configuration or another fatal error.
const FAILURE: u8 = 1;

/// An argument that means nothing.
const USAGE: u8 = 2;

/// What is written to standard error, and the exit code.
type Failure = (String, u8);

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let done = cli::parse(&program, args)
        .map_err(|error| usage(&error))
        .and_then(|invocation| run(invocation, &mut std::io::stdout()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((why, code)) => {
            if !why.is_empty() {
                // Nothing better can be done when standard error is closed.
                let _ = writeln!(std::io::stderr(), "{}", why.trim_end());
            }
            ExitCode::from(code)
        }
    }
}

/// The codes of these subcommands are taken.
fn usage(error: &UsageError) -> Failure {
    let code = match error.topic() {
        Topic::Program | Topic::Identities | Topic::HealthCheck => USAGE,
        Topic::ConnTest | Topic::JwtTest | Topic::CheckConfig | Topic::Logout => FAILURE,
    };
    (error.to_string(), code)
}

fn run(invocation: Invocation, out: &mut dyn Write) -> Result<(), Failure> {
    let print = |out: &mut dyn Write, text: String| {
        // Nothing better can be done when standard output is closed.
        let _ = write!(out, "{text}");
    };
    match invocation {
        Invocation::Run => operate()?,
        Invocation::Help(topic) => print(out, topic.text()),
        Invocation::Version => print(out, format!("{}\n", cli::VERSION)),
        Invocation::Identities(command) => {
            let directory = store_path(&env).map_err(misconfigured)?;
            print(out, identities::run(&command, &directory).map_err(failed)?);
        }
        Invocation::CheckConfig => print(out, check_config::run(&env).map_err(misconfigured)?),
        Invocation::ConnTest => {
            let account = account(Overrides::default())?;
            wait_for(conntest::run(&account, out))?.map_err(failed)?;
        }
        Invocation::JwtTest(test) => try_token(test, out)?,
        Invocation::HealthCheck(probe) => {
            let address = health_address(&env).map_err(misconfigured)?;
            let answer = wait_for(telemetry::ask(&address.local(), probe))?
                .map_err(|error| failed(error.to_string()))?;
            if !answer.ok {
                return Err(failed(answer.text));
            }
            print(out, answer.text);
        }
        Invocation::Logout => {
            let account = account(Overrides::default())?;
            let directory = store_path(&env).map_err(misconfigured)?;
            let text = wait_for(logout::run(&account, &directory))?.map_err(failed)?;
            print(out, text);
        }
    }
    Ok(())
}

fn try_token(test: JwtTest, out: &mut dyn Write) -> Result<(), Failure> {
    let account = account(test.overrides)?;
    wait_for(jwt_test::run(&account, test, out))?
        .map_err(|failure| (failure.why().to_owned(), failure.code()))
}

/// Everything before there is a logger is written as it is; everything after is
/// logged.
fn operate() -> Result<(), Failure> {
    let settings = Settings::from_env(&env).map_err(misconfigured)?;
    telemetry::init(&settings.log_filter).map_err(|error| failed(error.to_string()))?;
    for line in settings.summary().lines() {
        info!("{line}");
    }
    warn_of(&settings.account);
    wait_for(supervisor::serve(&settings))?.map_err(|why| {
        error!("{why}");
        (String::new(), FAILURE)
    })
}

fn env(name: &str) -> Option<OsString> {
    std::env::var_os(OsStr::new(name))
}

/// What a subcommand logs in with; what happens on the way is logged.
fn account(overrides: Overrides) -> Result<Account, Failure> {
    let account = Account::from_env(&env, overrides).map_err(misconfigured)?;
    let filter = LogFilter::level(LevelFilter::Info);
    telemetry::init(&filter).map_err(|error| failed(error.to_string()))?;
    warn_of(&account);
    Ok(account)
}

fn warn_of(account: &Account) {
    for warning in account.warnings() {
        warn!("{warning}");
    }
}

fn misconfigured(faults: Faults) -> Failure {
    failed(faults.to_string())
}

fn failed(why: String) -> Failure {
    (why, FAILURE)
}

fn wait_for<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("the runtime cannot be started: {error}")))?;
    let done = runtime.block_on(work);
    // Name look-ups that hang must not hold up the exit.
    runtime.shutdown_background();
    Ok(done)
}
