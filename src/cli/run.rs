//! Does what the arguments ask for.

use std::ffi::{OsStr, OsString};
use std::future::Future;
#[cfg(feature = "gateway")]
use std::io;
use std::io::Write;

use log::{LevelFilter, error, info, warn};

#[cfg(feature = "gateway")]
use super::commands::{call, gateway};
use super::commands::{check_config, conntest, healthcheck, identities, jwt_test, logout};
use super::error::Error;
use super::help::{VERSION, help};
use super::invocation::{Invocation, parse};
use crate::bot::supervisor;
use crate::config::{Account, Env, Overrides, Settings, health_address, store_path};
use crate::telemetry::{self, LogFilter};
use crate::util::Clock;

/// Does what the arguments ask for, and writes what there is to say to `out`: `program`
/// is the name that the program was called by.
///
/// # Errors
/// The arguments or the environment are wrong, or what was asked for fails.
pub fn run(
    program: &OsStr,
    args: impl IntoIterator<Item = OsString>,
    env: Env<'_>,
    clock: Clock,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let text = match parse(program, args, env)? {
        Invocation::Run => return operate(env, clock),
        Invocation::Help(page) => help(page),
        Invocation::Version => format!("{VERSION}\n"),
        Invocation::CheckConfig => check_config::run(env, clock.now())?,
        Invocation::Identities(command) => identities::run(&command, &store_path(env)?)?,
        Invocation::HealthCheck(probe) => {
            let address = health_address(env)?;
            wait_for(healthcheck::run(address, probe, clock))??
        }
        Invocation::Logout => {
            let account = account(env, Overrides::default())?;
            wait_for(logout::run(&account, &store_path(env)?, clock))??
        }
        #[cfg(feature = "gateway")]
        Invocation::Gateway => return operate_gateway(env, clock),
        #[cfg(feature = "gateway")]
        Invocation::GatewayCheck => wait_for(gateway::check(env, clock))??,
        #[cfg(feature = "gateway")]
        Invocation::Call(command) => {
            return wait_for(call::run(&command, clock, out, &mut io::stderr()))?;
        }
        Invocation::ConnTest => {
            let account = account(env, Overrides::default())?;
            return wait_for(conntest::run(&account, clock, out))?;
        }
        Invocation::JwtTest(test) => {
            let account = account(env, test.overrides)?;
            return wait_for(jwt_test::run(&account, test, clock, out))?;
        }
    };
    // Nothing better can be done when standard output is closed.
    let _ = write!(out, "{text}");
    Ok(())
}

/// Serves until it is told to stop. Everything before there is a logger is an error to
/// be written as it is; everything after is logged.
fn operate(env: Env<'_>, clock: Clock) -> Result<(), Error> {
    let settings = Settings::from_env(env)?;
    telemetry::init(&settings.log_filter)?;
    for line in settings.summary().lines() {
        info!("{line}");
    }
    warn_of(settings.warnings(clock.now()));
    wait_for(supervisor::serve(&settings, clock))?.map_err(|why| {
        error!("{why}");
        Error::Logged
    })
}

/// Serves as the gateway until it is told to stop.
#[cfg(feature = "gateway")]
fn operate_gateway(env: Env<'_>, clock: Clock) -> Result<(), Error> {
    let (settings, file) = gateway::read(env)?;
    telemetry::init(&settings.log_filter)?;
    for line in settings.summary().lines() {
        info!("{line}");
    }
    warn_of(settings.warnings(clock.now()));
    warn_of(file.warnings.clone());
    wait_for(crate::gateway::serve(settings, file, clock))?.map_err(|why| {
        error!("{why}");
        Error::Logged
    })
}

/// The account that a subcommand logs in with; what happens on the way is logged.
fn account(env: Env<'_>, overrides: Overrides) -> Result<Account, Error> {
    let account = Account::from_env(env, overrides)?;
    telemetry::init(&LogFilter::level(LevelFilter::Info))?;
    warn_of(account.warnings());
    Ok(account)
}

fn warn_of(warnings: Vec<String>) {
    for warning in warnings {
        warn!("{warning}");
    }
}

fn wait_for<T>(work: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let done = runtime.block_on(work);
    // Name look-ups that hang must not hold up the exit.
    runtime.shutdown_background();
    Ok(done)
}
