//! Warnings of what is allowed and had better be otherwise.

use url::Url;

use super::fault::quoted;
#[cfg(any(feature = "keycloak", feature = "sso"))]
use super::table::KEYCLOAK_URL;
use super::table::{MATRIX_HOMESERVER, NO_PROXY};
use super::{Account, BaseUrl, Homeserver, Method, Network};
#[cfg(feature = "keycloak")]
use super::{Jwt, JwtSource};
#[cfg(feature = "sso")]
use super::{Sso, table::KEYCLOAK_REALM};
use crate::net::{Proxy, is_private};

/// Entries of a list that are named; there may be hundreds.
const MAX_NAMED: usize = 5;

impl Account {
    /// A sentence for each setting that lets others read or use what a login
    /// takes, or that has no effect: the name of the variable, what is at stake,
    /// and what to do.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Homeserver::Url(url) = &self.homeserver {
            let at_stake = homeserver_stake(&self.method);
            let danger = "read them, use them and change the answers";
            warnings.extend(of_clear_text(MATRIX_HOMESERVER.name, url, at_stake, danger));
        }
        match &self.method {
            #[cfg(feature = "keycloak")]
            Method::Jwt(Jwt {
                source: JwtSource::Keycloak(keycloak),
                ..
            }) => {
                let at_stake = "the password, the client's secret, one-time passwords and tokens";
                let (name, url) = (KEYCLOAK_URL.name, &keycloak.url);
                warnings.extend(of_clear_text(name, url, at_stake, "read and use them"));
            }
            #[cfg(feature = "sso")]
            Method::Sso(sso) => warnings.extend(of_login_page(sso)),
            _ => {}
        }
        warnings.extend(self.network.warnings());
        warnings
    }
}

impl Network {
    /// A sentence for each of its settings that has no effect.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.proxy.as_deref().and_then(of_exceptions));
        warnings.extend(self.idle.iter().map(|(name, idle)| {
            format!(
                "{name} holds {}, whose kind of key is not accepted: no certificate that it \
                 signed is believed. Make the authority anew with a key of P-256, P-384, Ed25519, \
                 or RSA of 2048 bits or more (docs/certificates.md)",
                few(idle.iter().cloned())
            )
        }));
        warnings
    }
}

/// The URL at which all of this can be read on the way.
fn of_clear_text(name: &str, url: &BaseUrl, at_stake: &str, danger: &str) -> Option<String> {
    is_in_clear(url).then(|| {
        format!(
            "{name} is {url}, which is not encrypted: {at_stake} go there in clear, and whoever is \
             on the way can {danger}. Give an https:// URL, or keep that way within one cluster \
             whose network encrypts it or that you trust"
        )
    })
}

/// The secrets that a login of this method gives the homeserver.
fn homeserver_stake(method: &Method) -> &'static str {
    match method {
        Method::Password(_) => "the password, access tokens and the contents of unencrypted rooms",
        Method::Token(_) => "the access token and the contents of unencrypted rooms",
        _ => "login tokens, access tokens and the contents of unencrypted rooms",
    }
}

#[cfg(feature = "sso")]
fn of_login_page(sso: &Sso) -> Option<String> {
    let (url_name, realm_name) = (KEYCLOAK_URL.name, KEYCLOAK_REALM.name);
    let Some(url) = &sso.url else {
        return Some(format!(
            "{url_name} is not set: the password is told to whatever login page the homeserver \
             leads to"
        ));
    };
    if is_in_clear(url) {
        return Some(format!(
            "{url_name} is {url}, which is not encrypted: a login page there is not told the \
             password. Give Keycloak a certificate, and its https:// URL here"
        ));
    }
    let names_realm = url.as_str().contains("/realms/");
    (sso.realm.is_none() && !names_realm).then(|| {
        format!(
            "{realm_name} is not set: the password is told to the login page of any realm of \
             {url} that the homeserver leads to. Give the name of the realm that the bot's \
             account is in"
        )
    })
}

/// The first of these, and how many more there are.
fn few(mut names: impl Iterator<Item = String>) -> String {
    let named: Vec<String> = names.by_ref().take(MAX_NAMED).collect();
    match names.count() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The exceptions that leave out nobody.
fn of_exceptions(proxy: &Proxy) -> Option<String> {
    let idle = proxy.idle_exceptions();
    // What looks like credentials may be some.
    let named = idle.iter().map(|entry| match entry.contains('@') {
        true => "\"[masked]\"".to_owned(),
        false => quoted(entry),
    });
    (!idle.is_empty()).then(|| {
        format!(
            "{} holds {}, which can match no server and has no effect: write hosts, domains \
             or IP addresses, each with :port if need be, or networks such as 10.0.0.0/8, \
             separated by commas",
            NO_PROXY.name,
            few(named)
        )
    })
}

/// True if what is sent there can be read on the way.
fn is_in_clear(url: &BaseUrl) -> bool {
    Url::parse(url.as_str()).is_ok_and(|url| !is_private(&url))
}
