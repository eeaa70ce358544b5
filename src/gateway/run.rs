//! The gateway's process: from settings to its listeners, until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::auth::{Authenticator, Means, fetch_keys};
use super::check::{Check, CheckOutcome, audience_fault, tell_faults};
use super::connections::{Places, Port};
use super::context::{Context, Parts};
use super::housekeeping::Housekeeping;
use super::listener::{LAME_DUCK, Open, Serve, Serving, Slot, accept};
use super::wake::Keepers;
use super::{api, proxy};
use crate::config::gateway::{GatewayFile, GatewaySettings};
use crate::config::{CredentialsError, ListenAddress};
use crate::kube::Api;
use crate::net::{Channel, Client, TlsServer, TlsUnavailable, listen};
use crate::telemetry::{self, GatewayAudit, GatewayHealth, GatewayMetrics};
use crate::util::{Clock, boxed, race};

/// The time that connections have to end after the sockets were told to.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A quarter of `MAX_HELD` is the most event streams of waiting pages: a page without one asks
/// every 5 s.
const STREAMS: usize = 4;

/// The receive buffer of a client's connection (`SO_RCVBUF`), in bytes. Linux makes it twice as
/// large and has the other half for itself
/// (<https://man7.org/linux/man-pages/man7/socket.7.html>).
const RECV_BUFFER: usize = 8 * 1024;

/// Its send buffer (`SO_SNDBUF`), in bytes.
const SEND_BUFFER: usize = 16 * 1024;

/// From one look at the connections that are still open to the next.
const POLL: Duration = Duration::from_millis(50);

/// The reason why the gateway does not serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The process cannot be told to stop.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// A port cannot be opened.
    #[error(
        "{variable} {address} cannot be listened on: {error}; set it to an address of this \
         machine and a port that is free"
    )]
    Port {
        /// The setting.
        variable: &'static str,
        /// As it was configured.
        address: ListenAddress,
        /// The cause.
        error: io::Error,
    },
    /// There are no credentials for the API server.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// TLS does not work at all.
    #[error("{0}")]
    Tls(#[from] TlsUnavailable),
    /// The gateway's own token is for the audience that callers' tokens have to have.
    #[error("{0}")]
    OwnAudience(String),
}

/// Serves until SIGTERM or SIGINT, and then until what is open has ended.
///
/// # Errors
/// The gateway cannot begin.
pub async fn serve(
    settings: GatewaySettings,
    file: GatewayFile,
    clock: Clock,
) -> Result<(), GatewayError> {
    let stop = stop_signals()?;
    let cluster = Api::new(settings.kubernetes.credentials(clock)?);
    if let Some(fault) = audience_fault(&settings, &file) {
        return Err(GatewayError::OwnAudience(fault));
    }
    let settings = Arc::new(settings);
    let metrics = Arc::new(GatewayMetrics::default());
    let audit = GatewayAudit::new(file.audit_successes);
    let health = Arc::new(GatewayHealth::new(clock.now(), Arc::clone(&metrics)));
    if let Some(address) = settings.health {
        let state: Arc<GatewayHealth> = Arc::clone(&health);
        telemetry::start(&address.candidates(), state)
            .map_err(|error| port("HEALTH_ADDR", address, error))?;
        info!("/livez, /readyz and /metrics are served on {address}");
    }
    let ports = [
        (
            "PROXY_ADDR",
            settings.proxy,
            (Port::Proxy, proxy_connection as Serve),
        ),
        (
            "API_ADDR",
            settings.api,
            (Port::Api, api_connection as Serve),
        ),
    ];
    let mut listeners = Vec::new();
    for (variable, address, serve) in ports {
        if let Some(address) = address {
            let listener = listen(&address.candidates());
            let listener = listener.map_err(|error| port(variable, address, error))?;
            limit_buffers(&listener);
            info!("{variable}: {address} is listened on");
            listeners.push((listener, serve));
        }
    }
    let authenticator =
        Authenticator::new(means(&settings, &cluster, &audit, &metrics, clock)?, &file);
    let keepers = Keepers::start(
        cluster.clone(),
        &settings,
        &file.targets,
        Arc::clone(&metrics),
        audit.clone(),
        clock,
    );
    let identity = settings.tls.as_ref().map(|tls| &tls.identity);
    let tls = identity.map(TlsServer::new).transpose()?;
    let parts = Parts {
        tls,
        authenticator: authenticator.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        audit,
        metrics,
        clock,
        shared_clock: cluster.clock(clock),
        drain: settings.drain,
        max_streams: settings.max_held.div_ceil(STREAMS),
    };
    let context = Arc::new(Context::new(parts, file.clone(), keepers.handles()));
    tokio::spawn(boxed(authenticator.run()));
    tokio::spawn(boxed(tell_faults(
        cluster.clone(),
        Arc::clone(&settings),
        file,
    )));
    let housekeeping = Housekeeping::new(
        Arc::clone(&context),
        keepers,
        Arc::clone(&health),
        cluster,
        Arc::clone(&settings),
    );
    tokio::spawn(boxed(housekeeping.run()));
    let places = match &settings.tls {
        Some(_) => Places::ENCRYPTED,
        None => Places::PLAIN,
    };
    let open = Open::new(settings.max_connections, places);
    begin(&context, listeners, &open);
    stop.await;
    info!(
        "told to stop: what is open may go on for {} s",
        settings.drain.as_secs()
    );
    health.draining();
    context.drain();
    end(&open, settings.drain).await;
    context.audit.end(clock.now_ms());
    info!("stopped");
    Ok(())
}

/// Everything that the gateway needs of others and lacks. Without a file it is what every file
/// needs.
pub async fn check(
    settings: &GatewaySettings,
    file: Option<&GatewayFile>,
    clock: Clock,
) -> CheckOutcome {
    let mut checked = match settings.kubernetes.credentials(clock) {
        Ok(credentials) => {
            let cluster = Api::new(credentials);
            Check::new(&cluster, settings).run(file).await
        }
        Err(error) => CheckOutcome {
            faults: vec![error.to_string()],
            ..CheckOutcome::default()
        },
    };
    let faults = &mut checked.faults;
    faults.extend(file.and_then(|file| audience_fault(settings, file)));
    if let Some(oidc) = &settings.oidc {
        let fetched = match client(settings, clock) {
            Ok(http) => fetch_keys(&http, &oidc.issuer).await.err(),
            Err(error) => Some(error.to_string()),
        };
        faults.extend(fetched);
    }
    checked
}

fn means(
    settings: &GatewaySettings,
    cluster: &Api,
    audit: &GatewayAudit,
    metrics: &Arc<GatewayMetrics>,
    clock: Clock,
) -> Result<Means, GatewayError> {
    Ok(Means {
        audience: settings.audience.clone(),
        oidc: settings.oidc.clone(),
        http: client(settings, clock)?,
        // Whose token it is must not wait behind what targets do.
        api: cluster.beside(),
        clock: cluster.clock(clock),
        audit: audit.clone(),
        metrics: Arc::clone(metrics),
    })
}

/// The client that asks the identity provider.
fn client(settings: &GatewaySettings, clock: Clock) -> Result<Client, TlsUnavailable> {
    let network = &settings.network;
    Client::with_proxy(network.roots.clone(), network.proxy.clone(), clock)
}

fn begin(context: &Arc<Context>, listeners: Vec<(TcpListener, (Port, Serve))>, open: &Open) {
    for (listener, serve) in listeners {
        tokio::spawn(boxed(accept(
            Arc::clone(context),
            listener,
            open.clone(),
            serve,
        )));
    }
}

/// Waits until no connection is open, for `drain` and [`LAST_WORDS`] at most; sockets are
/// told to close once `drain` is over.
async fn end(open: &Open, drain: Duration) {
    let began = Instant::now();
    loop {
        let left = open.count();
        let passed = began.elapsed();
        if left == 0 && passed >= LAME_DUCK {
            return;
        }
        if passed >= LAME_DUCK.max(drain + LAST_WORDS) {
            warn!("{left} connections are cut off");
            return;
        }
        sleep(POLL).await;
    }
}

/// Has the system keep little of what comes in at a port and leaves by it: it counts as the
/// gateway's memory, too, and by default strangers could have it keep megabytes.
fn limit_buffers(listener: &TcpListener) {
    let socket = SockRef::from(listener);
    // Those that are accepted have the same. Without it they only take more.
    let _ = socket.set_recv_buffer_size(RECV_BUFFER);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
}

fn proxy_connection(
    context: Arc<Context>,
    channel: Channel,
    peer: SocketAddr,
    slot: Arc<Slot>,
) -> Serving {
    Box::pin(proxy::serve_connection(context, channel, peer, slot))
}

fn api_connection(
    context: Arc<Context>,
    channel: Channel,
    peer: SocketAddr,
    slot: Arc<Slot>,
) -> Serving {
    Box::pin(api::serve_connection(context, channel, peer, slot))
}

fn port(variable: &'static str, address: ListenAddress, error: io::Error) -> GatewayError {
    GatewayError::Port {
        variable,
        address,
        error,
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signals() -> Result<impl Future<Output = ()>, GatewayError> {
    let listen = |kind| signal(kind).map_err(GatewayError::Signals);
    let mut terminate: Signal = listen(SignalKind::terminate())?;
    let mut interrupt: Signal = listen(SignalKind::interrupt())?;
    Ok(async move {
        race(terminate.recv(), interrupt.recv()).await;
    })
}
