//! The cluster of a kubeconfig: its API server, and whose word about it is believed.

use http::Uri;
use thiserror::Error;

use super::entry::{Entry, Material};
use super::fault::quoted;
use super::files::Inputs;
use crate::net::{Authority, BadUrl, Bundle, Roots, ServerName};

const SERVER_CURE: &str =
    "write the API server's address, such as https://127.0.0.1:6443, with a path if it has one";

/// The API server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// `https://host:port/path`, without a slash at the end.
    pub(super) base: String,
    /// The name that its certificate has to be for, if it is not the host.
    pub(super) name: Option<ServerName<'static>>,
    /// The cluster's authority; the public ones where none is given.
    pub(super) roots: Roots,
}

impl Server {
    /// Reads the fields of a cluster. None where a fault was noted.
    pub(super) fn read(entry: &Entry<'_>, inputs: &mut Inputs) -> Option<Self> {
        let base = base(entry, inputs);
        let name = entry.text("tls-server-name", inputs).map(|text| {
            let name = ServerName::try_from(text.to_owned());
            if name.is_err() {
                let problem = format!("is not a host: {}", quoted(text));
                let cure = "write the host name that the certificate is for";
                inputs
                    .faults
                    .push(entry.fault("tls-server-name", &problem, cure));
            }
            name
        });
        if entry.is_on("insecure-skip-tls-verify", inputs) {
            inputs.faults.push(entry.fault(
                "insecure-skip-tls-verify",
                "would give commands and credentials to whoever answers, which this program does \
                 not",
                "leave it out, and name the authority of the API server's certificate by \
                 certificate-authority (a PEM file) or certificate-authority-data (its base64)",
            ));
        }
        if entry.get("proxy-url").is_some() {
            inputs.faults.push(entry.fault(
                "proxy-url",
                "asks for a proxy, which is never used for the API server",
                "leave it out, and give a server address that this machine reaches by itself",
            ));
        }
        let roots = match entry.material("certificate-authority", inputs) {
            None => Some(Roots::Mozilla),
            Some(Material { field, bytes, .. }) => match Bundle::from_pem(&bytes) {
                Ok(bundle) => Some(Roots::Bundle(bundle)),
                Err(fault) => {
                    let problem = format!("gives no authority: {fault}");
                    let cure = "give the cluster's certificate authority in PEM";
                    inputs.faults.push(entry.fault(&field, &problem, cure));
                    None
                }
            },
        };
        Some(Self {
            base: base?,
            name: name.transpose().ok()?,
            roots: roots?,
        })
    }
}

fn base(entry: &Entry<'_>, inputs: &mut Inputs) -> Option<String> {
    let known = inputs.faults.len();
    let Some(text) = entry.text("server", inputs) else {
        if inputs.faults.len() == known {
            let fault = entry.fault("server", "is not there", SERVER_CURE);
            inputs.faults.push(fault);
        }
        return None;
    };
    match parse(text) {
        Ok(base) => Some(base),
        Err(fault) => {
            let problem = match fault {
                // The text is a secret, too.
                BadServer::Credentials => fault.to_string(),
                _ => format!("{fault}: {}", quoted(text)),
            };
            inputs
                .faults
                .push(entry.fault("server", &problem, SERVER_CURE));
            None
        }
    }
}

/// The reason why a text is no address of an API server. `Display` is the rest of a
/// sentence that begins with the field.
#[derive(Debug, Error)]
enum BadServer {
    #[error("holds a user name or password")]
    Credentials,
    #[error("has a query or a fragment")]
    Query,
    #[error("is not a URL")]
    Url,
    #[error("does not begin with https://")]
    Scheme,
    #[error("is no address ({0})")]
    Address(BadUrl),
    #[error("is not encrypted, and whoever is on the way could read the credentials")]
    InClear,
}

fn parse(text: &str) -> Result<String, BadServer> {
    if text.contains('@') {
        return Err(BadServer::Credentials);
    }
    if text.contains(['?', '#']) {
        return Err(BadServer::Query);
    }
    let uri: Uri = text.parse().map_err(|_| BadServer::Url)?;
    let authority = Authority::of(&uri).map_err(|fault| match fault {
        BadUrl::Scheme => BadServer::Scheme,
        fault => BadServer::Address(fault),
    })?;
    if uri.scheme_str() != Some("https") {
        return Err(BadServer::InClear);
    }
    Ok(format!(
        "https://{authority}{}",
        uri.path().trim_end_matches('/')
    ))
}
