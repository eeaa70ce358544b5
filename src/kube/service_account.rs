//! A pod's own account: a token and a CA in files that the kubelet changes while the
//! program runs.
//!
//! Specification:
//! <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api>.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str;
use std::time::{Duration, Instant};

use http::Uri;
use log::{info, warn};
use thiserror::Error;

use super::access::{Access, Identity};
use crate::net::{Authority, BadUrl, Bundle, BundleError, Client, Roots, TlsUnavailable};
use crate::util::{BoundedFile, Clock, FileError, Secret};

/// The age at which the token is read again. The kubelet renews a token when 80 % of its
/// life are over, so a minute is always soon enough
/// (<https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-account-token-projection>).
pub(super) const TOKEN_AGE: Duration = Duration::from_secs(60);

/// The age at which the CA is read again. CAs change rarely, and with an overlap.
pub(super) const CA_AGE: Duration = Duration::from_secs(300);

/// The largest token, in bytes; most are about 1 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// The largest CA file, in bytes.
const MAX_CA: usize = 1024 * 1024;

/// The service account of the pod that the program runs in. The files are read again
/// at the ages above; a file that became unusable is reported in the log, and what was read
/// before stays in use. They are small and in memory (tmpfs), so reading them
/// does not wait.
#[derive(Debug)]
pub struct ServiceAccount {
    base: String,
    directory: PathBuf,
    token: Secret,
    token_read: Instant,
    ca: Vec<u8>,
    ca_read: Instant,
    client: Client,
    clock: Clock,
}

impl ServiceAccount {
    /// Reads `token` and `ca.crt` in `directory`; both must
    /// be there. `host` and `port` are the values of `KUBERNETES_SERVICE_HOST`
    /// and `KUBERNETES_SERVICE_PORT`.
    ///
    /// # Errors
    /// A file or the address is not usable.
    pub fn load(host: &str, port: &str, directory: &Path, clock: Clock) -> Result<Self, LoadError> {
        let now = Instant::now();
        let base = base(host, port).map_err(LoadError::Address)?;
        let (token, _) = read_token(&token_path(directory))?;
        let ca = read(&ca_path(directory), MAX_CA)?.bytes.to_vec();
        let client = client(directory, &ca, clock)?;
        Ok(Self {
            base,
            directory: directory.to_owned(),
            token,
            token_read: now,
            ca,
            ca_read: now,
            client,
            clock,
        })
    }

    pub(super) fn access(&mut self, now: Instant) -> Access {
        if now.saturating_duration_since(self.token_read) >= TOKEN_AGE {
            self.refresh_token(now);
        }
        if now.saturating_duration_since(self.ca_read) >= CA_AGE {
            self.refresh_ca(now);
        }
        Access {
            client: self.client.clone(),
            base: self.base.clone(),
            token: Some(self.token.clone()),
            identity: Identity::ServiceAccount,
        }
    }

    pub(super) fn renew(&mut self, now: Instant) {
        self.refresh_token(now);
        self.refresh_ca(now);
    }

    fn refresh_token(&mut self, now: Instant) {
        self.token_read = now;
        match read_token(&token_path(&self.directory)) {
            Ok((token, _)) => self.token = token,
            Err(error) => warn!("keeping the old service account token: {error}"),
        }
    }

    fn refresh_ca(&mut self, now: Instant) {
        self.ca_read = now;
        let fresh = read(&ca_path(&self.directory), MAX_CA).and_then(|ca| {
            let ca = ca.bytes;
            if *ca == self.ca {
                return Ok(None);
            }
            let client = client(&self.directory, &ca, self.clock)?;
            Ok(Some((ca.to_vec(), client)))
        });
        match fresh {
            Ok(None) => {}
            Ok(Some((ca, client))) => {
                info!("the cluster's CA has changed; using the new one");
                (self.ca, self.client) = (ca, client);
            }
            Err(error) => warn!("keeping the old CA of the cluster: {error}"),
        }
    }
}

fn token_path(directory: &Path) -> PathBuf {
    directory.join("token")
}

fn ca_path(directory: &Path) -> PathBuf {
    directory.join("ca.crt")
}

/// `https://host:port`. TLS verifies this very host, by its IP address if it
/// is one.
fn base(host: &str, port: &str) -> Result<String, BadUrl> {
    if !matches!(port.parse(), Ok(1..=u16::MAX)) {
        return Err(BadUrl::Port);
    }
    let base = match host.parse::<Ipv6Addr>() {
        Ok(host) => format!("https://[{host}]:{port}"),
        Err(_) => format!("https://{host}:{port}"),
    };
    let uri: Uri = base.parse().map_err(|_| BadUrl::Host)?;
    let authority = Authority::of(&uri)?;
    // Nothing but a host may be in the host: no path, no second port.
    if base != format!("https://{authority}") {
        return Err(BadUrl::Host);
    }
    Ok(base)
}

fn client(directory: &Path, ca: &[u8], clock: Clock) -> Result<Client, LoadError> {
    let bundle = Bundle::from_pem(ca).map_err(|fault| LoadError::Ca {
        path: ca_path(directory),
        fault,
    })?;
    Client::new(Roots::Bundle(bundle), clock).map_err(LoadError::Tls)
}

/// Reads a file with a token in it and nothing else, and gives the bits of its mode, too.
pub(super) fn read_token(path: &Path) -> Result<(Secret, u32), LoadError> {
    let BoundedFile { bytes, mode } = read(path, MAX_TOKEN)?;
    let path = path.to_owned();
    // The file may end in a newline, which no header can hold.
    let token = str::from_utf8(&bytes).unwrap_or("\0").trim();
    if token.is_empty() {
        return Err(LoadError::EmptyToken { path });
    }
    if !is_token(token) {
        return Err(LoadError::BadToken { path });
    }
    Ok((Secret::new(token.to_owned()), mode))
}

/// True if a header can hold this text as a token, and it is not too long.
pub(super) fn is_token(text: &str) -> bool {
    text.len() <= MAX_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn read(path: &Path, limit: usize) -> Result<BoundedFile, LoadError> {
    BoundedFile::read(path, limit).map_err(|error| LoadError::File {
        path: path.to_owned(),
        error,
    })
}

/// The reason why there is no usable service account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` make no URL.
    #[error("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address: {0}")]
    Address(BadUrl),
    /// A file cannot be read, or is larger than anything it could be.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: FileError,
    },
    /// The token file has nothing in it.
    #[error("{path}: empty")]
    EmptyToken {
        /// The file.
        path: PathBuf,
    },
    /// The token file holds something else.
    #[error("{path}: not a token")]
    BadToken {
        /// The file.
        path: PathBuf,
    },
    /// The CA file is not usable.
    #[error("{path}: {fault}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        fault: BundleError,
    },
    /// TLS does not work at all.
    #[error(transparent)]
    Tls(TlsUnavailable),
}
