//! The environment of the gateway.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::table::{
    API_ADDR, DRAIN_TIMEOUT, GATEWAY_CONFIG, GATEWAY_SETTINGS, HEALTH_ADDR, LEASE_PREFIX,
    MAX_CONNECTIONS, MAX_HELD, POD_NAME, POD_NAMESPACE, PROXY_ADDR, TOKEN_AUDIENCE,
    TRUSTED_PROXIES,
};
use super::words::shown;
use super::{Oidc, Subnet, Tls, Vital};
use crate::config::fault::{Faults, Flaw, Flaws, quoted};
use crate::config::policy::each;
use crate::config::reader::{Env, Reader, list};
use crate::config::setting::Setting;
use crate::config::table::SERVICE_ACCOUNT_DIR;
use crate::config::{KubernetesAccess, ListenAddress, Network, cluster, health, log, values};
use crate::control::{Kind, Namespace, ObjectName, Workload};
use crate::telemetry::LogFilter;
use crate::util::BoundedFile;

/// The upper bound of `MAX_CONNECTIONS`, in places of 32 KiB, and of `MAX_HELD`, in requests.
const MOST: usize = 100_000;

/// The longest name of a target, in bytes, behind [`GatewaySettings::lease_prefix`].
const MAX_TARGET_NAME: usize = 63;

/// The longest name of an object, in bytes.
const MAX_OBJECT_NAME: usize = 253;

/// The longest audience, in bytes.
const MAX_AUDIENCE: usize = 255;

/// The longest file taken for the name of the pod's namespace, in bytes.
const MAX_NAMESPACE_FILE: usize = 256;

/// Everything that the gateway was told by its environment, checked.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// The file with roles and targets (`GATEWAY_CONFIG`).
    pub file: PathBuf,
    /// The address for requests to the apps (`PROXY_ADDR`, `:8080`); None for no proxy.
    pub proxy: Option<ListenAddress>,
    /// The address of the API (`API_ADDR`, `:8081`); None for no API, which is so only if
    /// there is a proxy.
    pub api: Option<ListenAddress>,
    /// The address of health and metrics (`HEALTH_ADDR`, `:8082`); None for nowhere.
    pub health: Option<ListenAddress>,
    /// The certificate that both ports show (`TLS_CERT_FILE`, `TLS_KEY_FILE`); None for HTTP
    /// without TLS.
    pub tls: Option<Tls>,
    /// The proxies whose `X-Forwarded-*` is believed (`TRUSTED_PROXIES`).
    pub trusted_proxies: Vec<Subnet>,
    /// The audience that tokens of service accounts have to carry, never empty
    /// (`TOKEN_AUDIENCE`).
    pub audience: String,
    /// The identity provider, if there is one (`OIDC_*`).
    pub oidc: Option<Oidc>,
    /// The gateway's own namespace, which the Leases are in (`POD_NAMESPACE`).
    pub namespace: Namespace,
    /// The beginning of the name of a target's Lease (`LEASE_PREFIX`).
    pub lease_prefix: String,
    /// The name of this replica (`POD_NAME`, else the host's name).
    pub replica: String,
    /// The parts that it cannot work without, which are no targets.
    pub vital: Vital,
    /// Room for connections, in places (`MAX_CONNECTIONS`, 640).
    pub max_connections: usize,
    /// Requests that are held at the same time (`MAX_HELD`, 300).
    pub max_held: usize,
    /// The time that open sockets have after SIGTERM (`DRAIN_TIMEOUT`, 30 s).
    pub drain: Duration,
    /// The way to the identity provider (`SSL_CERT_FILE`, `EXTRA_CA_FILE`, `HTTPS_PROXY`,
    /// `NO_PROXY`).
    pub network: Network,
    /// The API server.
    pub kubernetes: KubernetesAccess,
    /// The log filter.
    pub log_filter: LogFilter,
    summary: String,
}

impl GatewaySettings {
    /// Reads the variables of [`GATEWAY_SETTINGS`].
    ///
    /// # Errors
    /// Every fault there is, so that one look at the log cures them all. The file's own are
    /// told by [`GatewayFile::read`](super::GatewayFile::read).
    pub fn from_env(env: Env<'_>) -> Result<Self, Faults> {
        let mut r = Reader::of(env, GATEWAY_SETTINGS);
        let file = r.read(&GATEWAY_CONFIG, values::path, |path| {
            values::shown_path(path)
        });
        let addresses = addresses(&mut r);
        let tls = Tls::read(&mut r);
        let trusted_proxies = r.optional(&TRUSTED_PROXIES, subnets, |nets| list(nets));
        let audience = audience(&mut r);
        let oidc = Oidc::read(&mut r);
        let namespace = namespace(&mut r);
        let replica = r.optional(&POD_NAME, cluster::name, ObjectName::to_string);
        let host = r.text("HOSTNAME");
        let lease_prefix = r.read(&LEASE_PREFIX, lease_prefix, String::clone);
        let limits = limits(&mut r);
        let drain = r.read(&DRAIN_TIMEOUT, drain, |time| format!("{}s", time.as_secs()));
        let network = Network::read(&mut r);
        let kubernetes = KubernetesAccess::read(&mut r);
        let log_filter = log::filter(&mut r);
        let summary = r.summary();

        let settings = || {
            let (proxy, api, health) = addresses?;
            let (max_connections, max_held) = limits?;
            let namespace = namespace?;
            let replica = replica?.map(|name| name.to_string()).or(host);
            let replica = replica.unwrap_or_else(|| "gateway".to_owned());
            Some(Self {
                file: file?,
                proxy,
                api,
                health,
                tls: tls?,
                trusted_proxies: trusted_proxies?.unwrap_or_default(),
                audience: audience?,
                vital: Vital {
                    own: own(&namespace, &replica),
                    issuer: oidc.as_ref()?.as_ref().map(|oidc| oidc.issuer.clone()),
                },
                oidc: oidc?,
                namespace,
                lease_prefix: lease_prefix?,
                replica,
                max_connections,
                max_held,
                drain: drain?,
                network: network?,
                kubernetes: kubernetes?,
                log_filter: log_filter?,
                summary,
            })
        };
        r.finish(settings())
    }

    /// A sentence for each setting that is allowed and had better be otherwise.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = self.network.warnings();
        warnings.extend(self.tls.as_ref().and_then(|tls| tls.warning(now)));
        warnings.extend(self.kubernetes.warnings(now));
        warnings
    }

    /// The start-up table: the program's version, then a line for each setting. Secrets are
    /// masked, whatever their length.
    pub fn summary(&self) -> &str {
        &self.summary
    }
}

/// The addresses of the proxy, of the API and of health.
type Addresses = (
    Option<ListenAddress>,
    Option<ListenAddress>,
    Option<ListenAddress>,
);

fn addresses(r: &mut Reader<'_>) -> Option<Addresses> {
    let mut read = |setting: &Setting| {
        r.read(setting, address, |address| {
            address.map_or_else(|| "off".to_owned(), |address| address.to_string())
        })
    };
    let (proxy, api, health) = (read(&PROXY_ADDR), read(&API_ADDR), read(&HEALTH_ADDR));
    if let (Some(None), Some(None)) = (&proxy, &api) {
        let flaw = Flaw::new(
            "is off, and so is API_ADDR: there is nothing to serve",
            "give one of them an address",
        );
        r.fault(PROXY_ADDR.name, flaw);
        return None;
    }
    let mut clashes = false;
    for (later, at, earlier, other) in [
        (&API_ADDR, api, &PROXY_ADDR, proxy),
        (&HEALTH_ADDR, health, &PROXY_ADDR, proxy),
        (&HEALTH_ADDR, health, &API_ADDR, api),
    ] {
        if let (Some(Some(at)), Some(Some(other))) = (at, other)
            && at.clashes(other)
        {
            let problem = format!("is {at}, which {} is, too: {other}", earlier.name);
            r.fault(
                later.name,
                Flaw::new(problem, "give each a port of its own"),
            );
            clashes = true;
        }
    }
    Some((proxy?, api?, health?)).filter(|_| !clashes)
}

/// An address, or none.
fn address(text: &str) -> Result<Option<ListenAddress>, Flaw> {
    match text.eq_ignore_ascii_case("off") {
        true => Ok(None),
        false => health::address(text).map(Some),
    }
}

fn subnets(text: &str) -> Result<Vec<Subnet>, Flaws> {
    each(
        text,
        "names no network",
        "write addresses or networks, such as 10.244.0.0/16, separated by commas",
        Subnet::parse,
    )
}

/// The audience. An empty one means the API server's own in a review of tokens, which every
/// pod's default token has: whoever empties it must not be taken for one who left it unset.
fn audience(r: &mut Reader<'_>) -> Option<String> {
    if r.is_blank(&TOKEN_AUDIENCE) {
        let flaw = Flaw::new(
            "is empty, which would let every token of the cluster pass",
            "leave it unset for openclaw-gateway, or give an audience of the gateway's own",
        );
        r.fault(TOKEN_AUDIENCE.name, flaw);
        return None;
    }
    let one = |text: &str| {
        let cure = "write one audience, such as openclaw-gateway";
        match text.contains([',', ' ']) {
            true => Err(Flaw::new(format!("is no audience: {}", quoted(text)), cure)),
            false => shown(text, MAX_AUDIENCE, "audience", cure),
        }
    };
    r.read(&TOKEN_AUDIENCE, one, String::clone)
}

/// The gateway's namespace: that of the variable, or else of its service account.
fn namespace(r: &mut Reader<'_>) -> Option<Namespace> {
    if r.given_by(&POD_NAMESPACE).is_none()
        && let Some(found) = mounted(r)
    {
        r.row(POD_NAMESPACE.name, found.to_string());
        return Some(found);
    }
    r.need = "the service account's directory has no file that says it".to_owned();
    r.read(&POD_NAMESPACE, cluster::namespace, Namespace::to_string)
}

fn mounted(r: &Reader<'_>) -> Option<Namespace> {
    let account = r.text(SERVICE_ACCOUNT_DIR.name);
    let account = account.or_else(|| SERVICE_ACCOUNT_DIR.default().map(str::to_owned))?;
    let path = Path::new(&account).join("namespace");
    let file = BoundedFile::read(&path, MAX_NAMESPACE_FILE).ok()?;
    Namespace::parse(str::from_utf8(&file.bytes).ok()?.trim())
}

/// The Deployment of a replica of this name.
fn own(namespace: &Namespace, replica: &str) -> Option<Workload> {
    Some(Workload {
        kind: Kind::Deployment,
        namespace: namespace.clone(),
        name: ObjectName::parse(cluster::deployment_of(replica)?)?,
    })
}

fn lease_prefix(text: &str) -> Result<String, Flaw> {
    let fits = text.len() <= MAX_OBJECT_NAME.saturating_sub(MAX_TARGET_NAME);
    match fits && ObjectName::parse(&format!("{text}a")).is_some() {
        true => Ok(text.to_owned()),
        false => Err(Flaw::new(
            format!("cannot begin a name of Kubernetes: {}", quoted(text)),
            "write lower-case letters, digits, dashes and dots, a letter or digit first, at most \
             190",
        )),
    }
}

/// The places of one request that is passed on, with TLS.
const MIN_CONNECTIONS: usize = 9;

/// The most connections, and the most held requests.
fn limits(r: &mut Reader<'_>) -> Option<(usize, usize)> {
    let mut read = |setting: &Setting| r.read(setting, count, usize::to_string);
    let (connections, held) = (read(&MAX_CONNECTIONS), read(&MAX_HELD));
    let (connections, held) = (connections?, held?);
    if connections < MIN_CONNECTIONS {
        let problem = format!("is {connections}, and one request needs {MIN_CONNECTIONS}");
        let flaw = Flaw::new(problem, "raise it: 640 fit into 32 MiB of memory");
        r.fault(MAX_CONNECTIONS.name, flaw);
        return None;
    }
    if held > connections {
        let problem = format!("is {held}, and MAX_CONNECTIONS is {connections}");
        let flaw = Flaw::new(problem, "lower it, since each that waits has a connection");
        r.fault(MAX_HELD.name, flaw);
        return None;
    }
    Some((connections, held))
}

fn count(text: &str) -> Result<usize, Flaw> {
    // Rust would take a sign as well.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = text.parse::<usize>().ok();
    read.filter(|count| digits && (1..=MOST).contains(count))
        .ok_or_else(|| {
            Flaw::new(
                format!("is no number, or out of range: {}", quoted(text)),
                "write a whole number from 1 to 100000",
            )
        })
}

fn drain(text: &str) -> Result<Duration, Flaw> {
    values::time(text)
        .filter(|time| time.as_secs() <= 3600)
        .ok_or_else(|| {
            Flaw::new(
                format!("is no time, or out of range: {}", quoted(text)),
                "write seconds or minutes, such as 30s or 2m, up to 1h",
            )
        })
}
