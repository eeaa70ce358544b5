//! The binary: arguments, exit codes, signals.

use std::{
    future::{Future, poll_fn},
    io::Write,
    pin::pin,
    process::ExitCode,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use log::{error, info, warn};
use openclaw_k8s_toggle_operator::{
    bot::{End, Operator, Policy, log_in},
    cli::{self, IdentitiesCommand, Invocation},
    config::{Settings, store_path},
    crypto::DeviceTrust,
    http::{Backoff, Client, Roots},
    identities,
    kube::{Api, Credentials, ServiceAccount},
    matrix::{Commanders, Homeserver, OwnKeys},
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
        Ok(Invocation::IdentitiesHelp) => {
            let _ = write!(out, "{}", cli::identities_help());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Version) => {
            let _ = writeln!(out, "{}", cli::VERSION);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Identities(command)) => match look_beside(&command) {
            Ok(text) => {
                let _ = write!(out, "{text}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                let _ = writeln!(err, "{why}");
                ExitCode::from(FAILURE)
            }
        },
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

/// `identities`, beside the running bot.
fn look_beside(command: &IdentitiesCommand) -> Result<String, String> {
    let directory = store_path(&|name| std::env::var_os(name))
        .map_err(|faults| format!("configuration error: {faults}"))?;
    identities::run(command, &directory)
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
        commanders: Commanders {
            users: settings.allowed_users.clone(),
            trust: settings.device_trust,
            pins: settings.pinned_identities.clone(),
        },
        allowed_rooms: settings.allowed_rooms.clone(),
        require_encryption: settings.require_encryption,
        echo: settings.echo,
        command_max_age: settings.command_max_age,
    };
    let own_keys = Rc::new(OwnKeys {
        seed: settings.cross_signing_seed.clone(),
        recovery_key: settings.recovery_key.clone(),
        password: Some(settings.password.clone()),
    });
    if settings.device_trust == DeviceTrust::Tofu {
        warn!(
            "DEVICE_TRUST=tofu: whoever can add a device to the account of an allowed user, their \
             homeserver included, can give commands"
        );
    }
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
        let device = access.device.clone();
        let operator = Operator::new(
            store,
            &policy,
            &homeserver,
            &kube,
            &settings.target,
            access,
            Rc::clone(&own_keys),
        );
        let end = operator.run().await;
        match &end {
            End::LoggedOut { .. } | End::Outlived(_) => {
                match &end {
                    End::Outlived(why) => error!(
                        "{why}. Its keys are given up, and the bot goes on as a new device: \
                         remove {device} from the account"
                    ),
                    end => warn!("{end}: logging in again"),
                }
                forget(store, &end).map_err(|error| error.to_string())?;
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
            End::GaveUp(_) | End::Fatal(_) => return Err(end.to_string()),
        }
    }
}

/// After a soft logout the device is still there and only its token is gone;
/// otherwise the device is, and its keys with it. What an older copy of the store
/// wants done was done, or is no longer wanted.
fn forget(store: &mut Store, end: &End) -> Result<(), openclaw_k8s_toggle_operator::store::Error> {
    let tx = store.begin()?;
    match end {
        End::LoggedOut { soft: true } => tx.forget_token()?,
        End::Outlived(_) => {
            tx.forget_device()?;
            tx.forget_unfinished()?;
        }
        _ => tx.forget_device()?,
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
