//! The supervisor: from settings to a running bot, session after session, until it is
//! told to stop.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use super::{Chat, Context, Jobs, Session, announced::Announcements, rollback::warn_anew};
use crate::{
    config::{CredentialsError, ListenAddress, Method, Settings},
    control::{Command, Policy},
    crypto::DeviceTrust,
    kube::Api,
    login::{SessionError, connect, log_in},
    matrix::{
        e2ee::{Commanders, OwnKeys},
        session::SessionEnd,
    },
    net::Backoff,
    store::{self, Predecessor, Store},
    telemetry::{self, HealthState},
    util::{Clock, gathered},
};
use log::{error, info, warn};
use ruma::DeviceId;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// A session that ended before this is counted as a failed one.
const SHORT_SESSION: Duration = Duration::from_secs(60);

/// A homeserver that shows traces of other lives without end gets one new device in
/// this time; in between the bot goes on with the one it has.
const NEW_DEVICE_INTERVAL: Duration = Duration::from_secs(3600);

/// After so many of them in a row, tokens are no longer renewed.
const SHORT_SESSIONS: u32 = 3;

/// Reason why the program stopped serving: something that trying again does not cure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The process cannot be told to stop.
    #[error("signals: {0}")]
    Signals(std::io::Error),
    /// The health port cannot be opened.
    #[error(
        "HEALTH_ADDR {address} cannot be listened on: {error}; set it to an address of this \
         machine and a port that is free, or unset it"
    )]
    HealthPort {
        /// As it was configured.
        address: ListenAddress,
        /// The cause.
        error: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("{0}")]
    OpenStore(#[from] store::OpenError),
    /// The store refuses.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// There are no credentials for the API server.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// There is no session to be had.
    #[error("{0}")]
    Login(#[from] SessionError),
    /// Sessions end as soon as they begin.
    #[error("the homeserver ends every session at once: giving up")]
    ShortSessions,
    /// A session ended for good.
    #[error("{0}")]
    Ended(SessionEnd),
}

/// Serves by this clock until SIGTERM or SIGINT.
///
/// # Errors
/// Something that trying again does not cure.
pub async fn serve(settings: &Settings, clock: Clock) -> Result<(), ServeError> {
    let listen = |kind| signal(kind).map_err(ServeError::Signals);
    let terminate = listen(SignalKind::terminate())?;
    let interrupt = listen(SignalKind::interrupt())?;
    let health = HealthState::new(
        settings.health.is_some(),
        settings.health_sync_max_age,
        clock.now(),
    );
    let health = Arc::new(health);
    // Probes are answered from now on, while the bot logs in, too.
    if let Some(address) = settings.health {
        telemetry::start(&address.candidates(), health.clone())
            .map_err(|error| ServeError::HealthPort { address, error })?;
        info!("/livez, /readyz and /metrics are served on {address}");
    }
    let mut store = Store::open(&settings.store_path)?;
    if let Some(found) = Predecessor::find(&settings.store_path, own_device(settings)) {
        warn!("{found}");
    }
    let serving = serve_sessions(settings, &mut store, &health, clock);
    let served = unless_stopped(serving, terminate, interrupt).await;
    store.close()?;
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
        _ => None,
    }
}

/// Logs in and serves, again and again as sessions end.
async fn serve_sessions(
    settings: &Settings,
    store: &mut Store,
    health: &Arc<HealthState>,
    clock: Clock,
) -> Result<(), ServeError> {
    let kube = Api::new(settings.kubernetes.credentials(clock)?);
    let mut jobs = Jobs::new(kube, settings.targets.clone(), Arc::clone(health));
    jobs.traces = settings.traces;
    if let Some(gateway) = &settings.gateway {
        jobs.cluster.leases = Some(gateway.leases.clone());
        jobs.announcements = Announcements::of(gateway);
    }
    let login = connect(&settings.account, clock).await?;
    let chat = Chat {
        echo: settings.echo,
        prefix: settings.command_prefix.clone(),
        progress: settings.progress,
        ..Chat::new(Policy {
            users: settings.allowed_users.clone(),
            viewers: settings.viewers.clone(),
            rooms: settings.allowed_rooms.clone(),
            require_encryption: settings.require_encryption,
            max_age: settings.command_max_age,
            targets: settings.targets.clone(),
            zone: settings.zone.clone(),
            max_for: settings.max_for,
            has_gateway: settings.gateway.is_some(),
        })
    };
    let commanders = Commanders {
        users: gathered(
            settings
                .allowed_users
                .iter()
                .chain(&settings.viewers)
                .cloned(),
        ),
        trust: settings.device_trust,
        pins: settings.pinned_identities.clone(),
    };
    let own_keys = Rc::new(OwnKeys {
        seed: settings.cross_signing_seed.clone(),
        recovery_key: settings.recovery_key.clone(),
        // That of another server is not this one's to see.
        password: match &settings.account.method {
            Method::Password(password) => Some(password.clone()),
            _ => None,
        },
    });
    if settings.device_trust == DeviceTrust::Tofu {
        warn!(
            "DEVICE_TRUST=tofu: whoever can add a device to the account of an allowed user, their \
             homeserver included, can give commands"
        );
    }
    let mut logouts = Backoff::default();
    let is_bound = matches!(settings.account.method, Method::Token(_));
    let mut outlived: Option<Instant> = None;
    let mut short_in_a_row = 0;
    loop {
        let started = Instant::now();
        let access = log_in(store, &login, health).await?;
        let device = access.device.clone();
        let context = Context {
            chat: &chat,
            commanders: commanders.clone(),
            homeserver: &login.homeserver,
            own_keys: Rc::clone(&own_keys),
            health: Arc::clone(health),
            keeps_device: is_bound || outlived.is_some_and(|at| at.elapsed() < NEW_DEVICE_INTERVAL),
        };
        let end = Session::new(store, &mut jobs, access, context).run().await;
        match &end {
            SessionEnd::GaveUp(_) | SessionEnd::Fatal(_) => return Err(ServeError::Ended(end)),
            SessionEnd::LoggedOut { .. } => warn!("{end}: logging in again"),
            SessionEnd::Outlived(why) => {
                outlived = Some(Instant::now());
                error!(
                    "{why}. Its keys are given up, and the bot goes on as a new device: remove \
                     {device} from the account"
                );
            }
        }
        let is_short = started.elapsed() < SHORT_SESSION;
        short_in_a_row = if is_short { short_in_a_row + 1 } else { 0 };
        note(store, &end, short_in_a_row, clock.now_ms())?;
        // A server that ends every session at once must not be flooded with logins.
        if is_short {
            sleep(logouts.fail(None).ok_or(ServeError::ShortSessions)?).await;
        } else {
            logouts.succeed();
        }
    }
}

/// Writes down how a session ended. After a logout another token may be had for
/// it. What an older copy of the store wants done was done, or is no longer
/// wanted, but for restarts that have to come back. `wall_ms` is the time of the wall
/// clock, in milliseconds since the Unix epoch.
fn note(
    store: &mut Store,
    end: &SessionEnd,
    short_in_a_row: u32,
    wall_ms: u64,
) -> Result<(), store::Error> {
    let tx = store.begin()?;
    // Tokens that are renewed and then refused: a login may do better.
    if short_in_a_row >= SHORT_SESSIONS {
        tx.session().lose_refresh_token()?;
    }
    match end {
        SessionEnd::LoggedOut { soft } => tx.session().lose_access_token(!soft)?,
        SessionEnd::Outlived(_) => {
            tx.forget_device()?;
            let is_half_done = |payload: &str| {
                Command::decode(payload).is_some_and(|command| command.is_half_done())
            };
            tx.forget_unfinished(is_half_done)?;
            warn_anew(&tx, wall_ms)?;
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
