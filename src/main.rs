//! The binary: arguments, exit codes, signals.

use std::{
    future::{Future, poll_fn},
    io::Write,
    pin::pin,
    process::ExitCode,
    task::Poll,
    time::{Duration, Instant},
};

use log::{error, info, warn};
use openclaw_k8s_toggle_operator::{
    bot::{End, Operator, Policy, log_in},
    cli::{self, Invocation},
    config::Settings,
    http::{Backoff, Client, Roots},
    kube::{Api, Credentials, ServiceAccount},
    matrix::Homeserver,
    ops,
    store::Store,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// A session that ended before this is counted as a failed one.
const SHORT_SESSION: Duration = Duration::from_secs(60);

/// A configuration or another fatal error.
const FAILURE: u8 = 1;

/// An argument that means nothing.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let mut err = std::io::stderr();
    // Nothing better can be done when standard output or error is closed.
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help) => {
            let _ = write!(out, "{}", cli::help());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Version) => {
            let _ = writeln!(out, "{}", cli::VERSION);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Run) => match run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(lines) => {
                for line in lines {
                    let _ = writeln!(err, "{line}");
                }
                ExitCode::from(FAILURE)
            }
        },
        Err(error) => {
            let _ = writeln!(err, "{error}");
            ExitCode::from(USAGE)
        }
    }
}

/// Everything before there is a logger is returned as lines; everything after is
/// logged.
fn run() -> Result<(), Vec<String>> {
    let settings = Settings::from_env(&|name| std::env::var_os(name)).map_err(|faults| {
        faults
            .iter()
            .map(|fault| format!("configuration error: {fault}"))
            .collect::<Vec<_>>()
    })?;
    ops::init(&settings.log_filter).map_err(|error| vec![error.to_string()])?;
    for line in settings.summary().lines() {
        info!("{line}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| vec![format!("the runtime cannot be started: {error}")])?;
    let served = runtime.block_on(serve(&settings));
    // Name look-ups that hang must not hold up the exit.
    runtime.shutdown_background();
    served.map_err(|why| {
        error!("{why}");
        Vec::new()
    })
}

async fn serve(settings: &Settings) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let terminate = listen(SignalKind::terminate())?;
    let interrupt = listen(SignalKind::interrupt())?;
    let mut store = Store::open(&settings.store_path).map_err(|error| error.to_string())?;
    let served = unless_stopped(work(settings, &mut store), terminate, interrupt).await;
    store.close().map_err(|error| error.to_string())?;
    match served {
        Some(end) => end,
        None => {
            info!("stopped");
            Ok(())
        }
    }
}

/// Logs in and serves, again and again as sessions end.
async fn work(settings: &Settings, store: &mut Store) -> Result<(), String> {
    let access = &settings.kubernetes;
    let account = ServiceAccount::load(
        &access.host,
        &access.port.to_string(),
        &access.service_account_dir,
    )
    .map_err(|error| format!("the service account cannot be used: {error}"))?;
    let kube = Api::new(Credentials::InCluster(account));
    let client = Client::new(Roots::Mozilla).map_err(|error| error.to_string())?;
    let homeserver = Homeserver::new(client, settings.homeserver.as_str().to_owned());
    let policy = Policy {
        allowed_users: settings.allowed_users.clone(),
        echo: settings.echo,
        command_max_age: settings.command_max_age,
    };
    let mut logouts = Backoff::new();
    loop {
        let started = Instant::now();
        let access = log_in(
            store,
            &homeserver,
            settings.user.as_str(),
            &settings.password,
        )
        .await
        .map_err(|error| error.to_string())?;
        let operator = Operator::new(store, &policy, &homeserver, &kube, &settings.target, access);
        match operator.run().await {
            End::LoggedOut { soft } => {
                warn!("{}: logging in again", End::LoggedOut { soft });
                forget(store, soft).map_err(|error| error.to_string())?;
                // A server that ends every session at once must not be flooded
                // with logins.
                if started.elapsed() >= SHORT_SESSION {
                    logouts.succeed();
                } else {
                    let wait = logouts
                        .fail(None)
                        .ok_or("the homeserver ends every session at once: giving up")?;
                    sleep(wait).await;
                }
            }
            end @ (End::GaveUp(_) | End::Fatal(_)) => return Err(end.to_string()),
        }
    }
}

/// After a soft logout the device is still there and only its token is gone;
/// otherwise the device is, and its keys with it.
fn forget(store: &mut Store, soft: bool) -> Result<(), openclaw_k8s_toggle_operator::store::Error> {
    let tx = store.begin()?;
    if soft {
        tx.forget_token()?;
    } else {
        tx.forget_device()?;
    }
    tx.commit()
}

/// Runs `work` until it ends or a signal comes; then it is dropped where it
/// stands, which it is made for.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    mut terminate: Signal,
    mut interrupt: Signal,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if terminate.poll_recv(context).is_ready() || interrupt.poll_recv(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}
