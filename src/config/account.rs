//! The bot's account: whose it is, where, what proves it, and which way leads there.

use std::sync::Arc;

use super::fault::{Faults, Flaw, quoted};
use super::login::{Method, Overrides};
use super::reader::{Env, Reader, text};
use super::secrets::file;
use super::setting::Setting;
use super::table::{
    EXTRA_CA_FILE, HTTPS_PROXY, MATRIX_HOMESERVER, MATRIX_USER, NO_PROXY, SSL_CERT_FILE,
};
use super::{BotUser, Homeserver};
use crate::net::{Bundle, Proxy, Roots};

/// The largest file taken for certificates, in bytes: several times the list
/// of a whole distribution.
const MAX_CERTIFICATES: usize = 2 * 1024 * 1024;

/// Everything that a login needs, and nothing of the cluster.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address of the homeserver (`MATRIX_HOMESERVER`).
    pub homeserver: Homeserver,
    /// The user of the account (`MATRIX_USER`).
    pub user: BotUser,
    /// The login method (`AUTH_METHOD`) with what it needs.
    pub method: Method,
    /// The way to the homeserver and Keycloak.
    pub network: Network,
}

/// The way to the homeserver and Keycloak: the authorities believed, and the proxy.
#[derive(Clone, Debug)]
pub struct Network {
    /// The authorities believed (`SSL_CERT_FILE`, `EXTRA_CA_FILE`).
    pub roots: Roots,
    /// The proxy, if any (`HTTPS_PROXY`, `NO_PROXY`).
    pub proxy: Option<Arc<Proxy>>,
    /// The authorities whose kind of key is not accepted, by the variable of their file.
    pub(super) idle: Vec<(&'static str, Vec<String>)>,
}

impl Account {
    /// Reads what a login needs.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn from_env(env: Env<'_>, overrides: Overrides) -> Result<Self, Faults> {
        let mut reader = Reader::new(env);
        let account = Self::read(&mut reader, overrides);
        reader.finish(account)
    }

    pub(super) fn read(r: &mut Reader<'_>, overrides: Overrides) -> Option<Self> {
        let homeserver = r.read(&MATRIX_HOMESERVER, Homeserver::parse, Homeserver::to_string);
        let user = r.read(&MATRIX_USER, BotUser::parse, BotUser::to_string);
        let method = Method::read(r, overrides);
        let network = Network::read(r);
        Some(Self {
            homeserver: homeserver?,
            user: user?,
            method: method?,
            network: network?,
        })
    }
}

impl Network {
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let certificates = bundle(r, &SSL_CERT_FILE);
        let extra = bundle(r, &EXTRA_CA_FILE);
        let proxy = proxy(r);
        let (certificates, extra) = (certificates?, extra?);
        let idle = [(&SSL_CERT_FILE, &certificates), (&EXTRA_CA_FILE, &extra)]
            .into_iter()
            .filter_map(|(setting, read)| Some((setting.name, read.as_ref()?.idle().to_vec())))
            .filter(|(_, idle)| !idle.is_empty())
            .collect();
        Some(Self {
            idle,
            roots: match (certificates, extra) {
                (None, None) => Roots::Mozilla,
                (None, Some(extra)) => Roots::MozillaAnd(extra),
                (Some(bundle), None) => Roots::Bundle(bundle),
                (Some(bundle), Some(extra)) => Roots::Bundle(bundle.and(extra)),
            },
            proxy: proxy?,
        })
    }
}

/// The certificates in the file that a setting names, if it does.
fn bundle(r: &mut Reader<'_>, setting: &Setting) -> Option<Option<Bundle>> {
    let parse = |path: &str| {
        let pem = file(path, MAX_CERTIFICATES)?.bytes;
        let bundle = Bundle::from_pem(&pem).map_err(|fault| {
            Flaw::new(
                format!("names {}, and there is {fault}", quoted(path)),
                "give the authorities' certificates in PEM, each between BEGIN CERTIFICATE and \
                 END CERTIFICATE",
            )
        })?;
        Ok::<_, Flaw>((path.to_owned(), bundle))
    };
    let read = r.optional(setting, parse, |(path, _)| path.clone())?;
    Some(read.map(|(_, bundle)| bundle))
}

fn proxy(r: &mut Reader<'_>) -> Option<Option<Arc<Proxy>>> {
    let exceptions = r.optional(&NO_PROXY, text, String::clone)?;
    let exceptions = exceptions.unwrap_or_default();
    let parse = |text: &str| {
        Proxy::parse(text, &exceptions)
            .map(Arc::new)
            .map_err(|fault| {
                Flaw::new(
                    format!("names no proxy that can be used: {fault}"),
                    "write http://host:port, with user:password@ before the host if it wants them",
                )
            })
    };
    r.optional(&HTTPS_PROXY, parse, Arc::<Proxy>::to_string)
}
