//! Serving: from settings to a running bot, until it is told to stop.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use log::{error, info, warn};
use ruma::DeviceId;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::bot::{Operator, Policy, SessionContext, SessionEnd};
use crate::config::{HealthAddress, Method, Settings};
use crate::crypto::DeviceTrust;
use crate::kube::{Api, Credentials, ServiceAccount};
use crate::login::{connect, log_in};
use crate::matrix::e2ee::{Commanders, OwnKeys};
use crate::net::Backoff;
use crate::store::{self, Predecessor, Store};
use crate::telemetry::{self, HealthState};

/// A session that ended before this is counted as a failed one.
const SHORT_SESSION: Duration = Duration::from_secs(60);

/// A homeserver that shows traces of other lives without end gets one new device in
/// this time; in between the bot goes on with the one it has.
const NEW_DEVICE_INTERVAL: Duration = Duration::from_secs(3600);

/// After so many of them in a row, tokens are no longer renewed.
const SHORT_SESSIONS: u32 = 3;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Something that trying again does not cure.
pub async fn serve(settings: &Settings) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let terminate = listen(SignalKind::terminate())?;
    let interrupt = listen(SignalKind::interrupt())?;
    let health = HealthState::new(settings.health.is_some(), settings.health_sync_max_age);
    let health = Arc::new(health);
    if let Some(address) = settings.health {
        tell_health(address, &health)?;
    }
    let mut store = Store::open(&settings.store_path).map_err(|error| error.to_string())?;
    if let Some(found) = Predecessor::find(&settings.store_path, own_device(settings)) {
        warn!("{found}");
    }
    let work = work(settings, &mut store, &health);
    let served = unless_stopped(work, terminate, interrupt).await;
    store.close().map_err(|error| error.to_string())?;
    match served {
        Some(end) => end,
        None => {
            info!("stopped");
            Ok(())
        }
    }
}

/// The device that the configuration names.
fn own_device(settings: &Settings) -> Option<&DeviceId> {
    match &settings.account.method {
        Method::Token(made) => Some(&made.device),
        Method::Password(_) | Method::Jwt(_) | Method::Sso(_) => None,
    }
}

/// Answers probes from now on, while the bot logs in, too.
fn tell_health(address: HealthAddress, health: &Arc<HealthState>) -> Result<(), String> {
    telemetry::start(&address.candidates(), Arc::clone(health)).map_err(|error| {
        format!(
            "HEALTH_ADDR {address} cannot be listened on: {error}; set it to an address of this \
             machine and a port that is free, or unset it"
        )
    })?;
    info!("/livez, /readyz and /metrics are served on {address}");
    Ok(())
}

/// Logs in and serves, again and again as sessions end.
async fn work(
    settings: &Settings,
    store: &mut Store,
    health: &Arc<HealthState>,
) -> Result<(), String> {
    let access = &settings.kubernetes;
    let account = ServiceAccount::load(
        &access.host,
        &access.port.to_string(),
        &access.service_account_dir,
    )
    .map_err(|error| {
        format!(
            "the service account cannot be used: {error}; mount its token and ca.crt at \
             SERVICE_ACCOUNT_DIR, by a projected volume or automountServiceAccountToken"
        )
    })?;
    let kube = Api::new(Credentials::InCluster(account));
    let login = connect(&settings.account)
        .await
        .map_err(|error| error.to_string())?;
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
        // That of another server is not this one's to see.
        password: match &settings.account.method {
            Method::Password(password) => Some(password.clone()),
            Method::Jwt(_) | Method::Sso(_) | Method::Token(_) => None,
        },
    });
    if settings.device_trust == DeviceTrust::Tofu {
        warn!(
            "DEVICE_TRUST=tofu: whoever can add a device to the account of an allowed user, their \
             homeserver included, can give commands"
        );
    }
    let mut logouts = Backoff::new();
    let is_bound = matches!(settings.account.method, Method::Token(_));
    let mut outlived: Option<Instant> = None;
    let mut short_in_a_row = 0;
    loop {
        let started = Instant::now();
        let access = log_in(store, &login, health)
            .await
            .map_err(|error| error.to_string())?;
        let device = access.device.clone();
        let surroundings = SessionContext {
            policy: &policy,
            homeserver: &login.homeserver,
            kube: &kube,
            target: &settings.target,
            own_keys: Rc::clone(&own_keys),
            health: Arc::clone(health),
            keeps_device: is_bound || outlived.is_some_and(|at| at.elapsed() < NEW_DEVICE_INTERVAL),
        };
        let end = Operator::new(store, access, surroundings).run().await;
        match &end {
            SessionEnd::LoggedOut { .. } | SessionEnd::Outlived(_) => {
                match &end {
                    SessionEnd::Outlived(why) => {
                        outlived = Some(Instant::now());
                        error!(
                            "{why}. Its keys are given up, and the bot goes on as a new device: \
                             remove {device} from the account"
                        );
                    }
                    end => warn!("{end}: logging in again"),
                }
                let is_short = started.elapsed() < SHORT_SESSION;
                short_in_a_row = if is_short { short_in_a_row + 1 } else { 0 };
                note(store, &end, short_in_a_row).map_err(|error| error.to_string())?;
                // A server that ends every session at once must not be flooded
                // with logins.
                if !is_short {
                    logouts.succeed();
                } else {
                    let wait = logouts
                        .fail(None)
                        .ok_or("the homeserver ends every session at once: giving up")?;
                    sleep(wait).await;
                }
            }
            SessionEnd::GaveUp(_) | SessionEnd::Fatal(_) => return Err(end.to_string()),
        }
    }
}

/// Writes down how a session ended. After a logout another token may be had for
/// it. What an older copy of the store wants done was done, or is no longer
/// wanted.
fn note(store: &mut Store, end: &SessionEnd, short_in_a_row: u32) -> Result<(), store::Error> {
    let tx = store.begin()?;
    // Tokens that are renewed and then refused: a login may do better.
    if short_in_a_row >= SHORT_SESSIONS {
        tx.session().lose_refresh_token()?;
    }
    match end {
        SessionEnd::LoggedOut { soft } => tx.session().lose_access_token(!soft)?,
        SessionEnd::Outlived(_) => {
            tx.forget_device()?;
            tx.forget_unfinished()?;
        }
        SessionEnd::GaveUp(_) | SessionEnd::Fatal(_) => {}
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
