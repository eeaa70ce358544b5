//! How the homeserver and Keycloak are reached.

use std::ffi::OsString;
use std::sync::Arc;

use super::fault::{Fault, Faults, Flaw, quoted};
use super::file;
use super::summary::value;
use super::variables::{CERT_FILE, EXTRA_CA_FILE, NO_PROXY, PROXY, PROXY_FILE};
use crate::net::{Bundle, Proxy, Roots};

/// The largest file taken for certificates, in bytes: several times the list
/// of a whole distribution.
const MAX_CERTIFICATES: usize = 2 * 1024 * 1024;

/// Whom to believe, and which way to go.
#[derive(Clone, Debug)]
pub struct Network {
    /// The authorities believed (`SSL_CERT_FILE`, `EXTRA_CA_FILE`).
    pub roots: Roots,
    /// The proxy, if any (`HTTPS_PROXY`, `NO_PROXY`).
    pub proxy: Option<Arc<Proxy>>,
    /// The variables whose files hold authorities that are of no use, and those.
    pub(super) idle: Vec<(&'static str, Vec<String>)>,
    cert_file: Option<String>,
    extra_ca_file: Option<String>,
}

impl Network {
    pub(super) fn read(
        env: &impl Fn(&str) -> Option<OsString>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let certificates = faults.keep(CERT_FILE.read(env, bundle));
        let extra = faults.keep(EXTRA_CA_FILE.read(env, bundle));
        let proxy = faults.keep(proxy(env));
        let (certificates, extra) = (certificates?, extra?);
        let name =
            |bundle: &Option<(String, Bundle)>| bundle.as_ref().map(|(path, _)| path.clone());
        let idle = [
            (CERT_FILE.name, &certificates),
            (EXTRA_CA_FILE.name, &extra),
        ]
        .into_iter()
        .filter_map(|(name, read)| Some((name, read.as_ref()?.1.idle().to_vec())))
        .filter(|(_, idle)| !idle.is_empty())
        .collect();
        Some(Self {
            idle,
            cert_file: name(&certificates),
            extra_ca_file: name(&extra),
            roots: match (certificates, extra) {
                (None, None) => Roots::Mozilla,
                (None, Some((_, extra))) => Roots::MozillaAnd(extra),
                (Some((_, bundle)), None) => Roots::Bundle(bundle),
                (Some((_, bundle)), Some((_, extra))) => Roots::Bundle(bundle.and(extra)),
            },
            proxy: proxy?,
        })
    }

    pub(super) fn rows(&self) -> [(&'static str, String); 3] {
        let proxy = self.proxy.as_ref();
        [
            (CERT_FILE.name, value(self.cert_file.as_ref(), "built in")),
            (
                EXTRA_CA_FILE.name,
                value(self.extra_ca_file.as_ref(), "none"),
            ),
            (
                PROXY.name,
                proxy.map_or("none".to_owned(), |proxy| proxy.to_string()),
            ),
        ]
    }
}

/// The certificates in the file at `path`; nothing if the path is empty.
fn bundle(path: &str) -> Result<Option<(String, Bundle)>, Flaw> {
    if path.is_empty() {
        return Ok(None);
    }
    let pem = file::public(path, MAX_CERTIFICATES)?;
    let bundle = Bundle::from_pem(&pem).map_err(|fault| {
        Flaw::new(
            format!("names {}, and there is {fault}", quoted(path)),
            "give the authorities' certificates in PEM, each between BEGIN CERTIFICATE and END \
             CERTIFICATE",
        )
    })?;
    Ok(Some((path.to_owned(), bundle)))
}

/// The proxy, given under the usual names in upper or lower case.
fn proxy(env: &impl Fn(&str) -> Option<OsString>) -> Result<Option<Arc<Proxy>>, Vec<Fault>> {
    let env = |name: &str| {
        let given =
            |name: &str| env(name).filter(|value| !value.to_string_lossy().trim().is_empty());
        given(name).or_else(|| given(&name.to_ascii_lowercase()))
    };
    let exceptions = NO_PROXY.read(&env, |text| Ok(text.to_owned()))?;
    file::either(&env, &PROXY, &PROXY_FILE, |text| {
        Proxy::parse(text, &exceptions)
            .map(Arc::new)
            .map_err(|fault| {
                Flaw::new(
                    format!("names no proxy that can be used: {fault}"),
                    "write http://host:port, with user:password@ before the host if it wants them",
                )
            })
    })
}
