//! Asking the identity provider for its keys
//! (<https://openid.net/specs/openid-connect-discovery-1_0.html>).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, HeaderValue};
use log::{info, warn};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::bearer::digest;
use super::jwks_cache::{JwksCache, Look};
use super::session::{AuthFault, Digest};
use crate::auth::jwt::Jwks;
use crate::net::{Client, Limits, Request, is_private};
use crate::util::{boxed, printable};

/// Of the configuration of the identity provider, and of its keys.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(5),
    body: 64 * 1024,
};

/// The most keys.
const MAX_KEYS: usize = 32;

/// The longest time that a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(12);

/// The longest text of the identity provider that is shown, in bytes.
const MAX_SHOWN: usize = 200;

/// An identity provider and its keys. Clones share them.
#[derive(Clone)]
pub(super) struct Issuer(Arc<Shared>);

struct Shared {
    url: String,
    source: Source,
    cache: Mutex<JwksCache>,
    /// Changed when a question was answered, or was not.
    answered: watch::Sender<()>,
    /// Called when other keys are used than before.
    on_change: Box<dyn Fn() + Send + Sync>,
    is_failing: AtomicBool,
}

/// Keys, and the SHA-256 of the text that they were read from.
pub(super) type Read = (Jwks, Digest);

/// The source of keys.
pub(super) enum Source {
    /// The identity provider.
    Web(Client),
    /// A test.
    #[cfg(test)]
    Test(Box<dyn Fn() -> Result<Read, String> + Send + Sync>),
}

impl Issuer {
    pub(super) fn new(
        url: String,
        source: Source,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            url,
            source,
            cache: Mutex::default(),
            answered: watch::Sender::new(()),
            on_change: Box::new(on_change),
            is_failing: AtomicBool::new(false),
        }))
    }

    /// The keys, among which is one of this id. They are asked for at most once in a while,
    /// whatever ids there are in tokens.
    ///
    /// # Errors
    /// There is no such key, or there are no keys at all.
    pub(super) async fn keys(&self, kid: &str) -> Result<Arc<Jwks>, AuthFault> {
        let mut answered = self.0.answered.subscribe();
        match self.cache().look(kid, Instant::now()) {
            Look::Keys(keys) => return Ok(keys),
            Look::Unknown => return Err(AuthFault::Unauthorized("unknown key")),
            Look::None => return Err(AuthFault::Unavailable),
            Look::Ask => self.ask(),
            Look::Wait => {}
        }
        let _ = timeout(PATIENCE, answered.changed()).await;
        match self.cache().look(kid, Instant::now()) {
            Look::Keys(keys) => Ok(keys),
            Look::Unknown => Err(AuthFault::Unauthorized("unknown key")),
            Look::None | Look::Wait => Err(AuthFault::Unavailable),
            Look::Ask => {
                self.ask();
                Err(AuthFault::Unavailable)
            }
        }
    }

    /// Asks for the keys again if they are old.
    pub(super) fn refresh(&self) {
        if self.cache().is_due(Instant::now()) {
            self.ask();
        }
    }

    /// Asks in a task of its own: a client that leaves does not take the question with it.
    fn ask(&self) {
        let this = self.clone();
        tokio::spawn(boxed(async move {
            let read = read(&this.0.source, &this.0.url).await;
            this.tell(read.as_ref().err());
            let changed = this.cache().answered(read.ok(), Instant::now());
            if changed {
                (this.0.on_change)();
            }
            this.0.answered.send_replace(());
        }));
    }

    /// Says once that there are no keys, and once that there are again.
    fn tell(&self, fault: Option<&String>) {
        let was_failing = self.0.is_failing.swap(fault.is_some(), Relaxed);
        match fault {
            Some(fault) if !was_failing => {
                warn!("no keys of the identity provider: {fault}");
            }
            None if was_failing => info!("the keys of the identity provider are there again"),
            _ => {}
        }
    }

    fn cache(&self) -> MutexGuard<'_, JwksCache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(source: &Source, issuer: &str) -> Result<Read, String> {
    match source {
        Source::Web(http) => fetch(http, issuer).await,
        #[cfg(test)]
        Source::Test(read) => read(),
    }
}

/// Reads the keys of an identity provider: its configuration has to say that it is this one,
/// and leads to them.
///
/// # Errors
/// A sentence for the log, about the part that is wrong.
pub async fn fetch(http: &Client, issuer: &str) -> Result<(Jwks, [u8; 32]), String> {
    let base = issuer.trim_end_matches('/');
    let url = [base, "/.well-known/openid-configuration"].concat();
    let body = get(http, &url).await?;
    let jwks_uri = jwks_uri(&body, issuer).map_err(|fault| format!("{url}: {fault}"))?;
    let body = get(http, &jwks_uri).await?;
    let keys = Jwks::parse(&body).map_err(|error| error.to_string());
    let keys = keys.and_then(|keys| match keys.count() > MAX_KEYS {
        true => Err(format!("has more than {MAX_KEYS} keys")),
        false => Ok(keys),
    });
    let at = printable(&jwks_uri, MAX_SHOWN);
    let keys =
        keys.map_err(|fault| format!("{at}: the key set of the identity provider {fault}"))?;
    Ok((keys, digest(&body)))
}

/// Reads the address of the keys in the configuration of an identity provider.
pub(super) fn jwks_uri(configuration: &[u8], issuer: &str) -> Result<String, String> {
    let configuration: Value = serde_json::from_slice(configuration)
        .map_err(|_| "the configuration of the identity provider is no JSON".to_owned())?;
    let text = |name: &str| {
        configuration
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let named = text("issuer");
    if named != issuer {
        return Err(format!(
            "the identity provider says that it is {} and not {issuer}: set OIDC_ISSUER_URL to what it \
             says, to the byte",
            printable(named, MAX_SHOWN),
        ));
    }
    let uri = text("jwks_uri");
    match may_ask(uri) {
        true => Ok(uri.to_owned()),
        false => Err(format!(
            "the keys of the identity provider are at {}, and only https is believed (http on this \
             machine and at a Service, *.svc)",
            printable(uri, MAX_SHOWN),
        )),
    }
}

/// Returns true if an answer from this address is believed: `https`, or within the machine
/// or the cluster.
fn may_ask(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_service = url.scheme() == "http"
        && matches!(url.host(), Some(Host::Domain(name))
            if name.ends_with(".svc") || name.ends_with(".svc.cluster.local"));
    is_service || is_private(&url) && matches!(url.scheme(), "http" | "https")
}

async fn get(http: &Client, url: &str) -> Result<Vec<u8>, String> {
    if !may_ask(url) {
        return Err(format!("{} is not https", printable(url, MAX_SHOWN)));
    }
    let request = Request::new(Method::GET, url, Vec::new(), LIMITS);
    let request = request.map_err(|error| error.to_string())?;
    let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = http
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    // A redirect would lead to keys of somebody else.
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("{} answers {status}", printable(url, MAX_SHOWN))),
    }
}
