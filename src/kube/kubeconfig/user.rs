//! The user of a kubeconfig: who asks the API server, and what proves it.

use std::path::PathBuf;

use super::entry::{Entry, Material};
use super::files::{EVERYBODY_WRITES, Inputs};
use crate::kube::service_account::{is_token, read_token};
use crate::net::{Chain, Identity, KeyFault, PrivateKey};
use crate::util::Secret;

/// The way out for whoever logs in by what this program does not do.
const TOKEN_CURE: &str = "give the user a token of a service account instead, as token: with the \
    output of kubectl create token NAME --duration=8760h, or with one that does not end, of a \
    Secret of type kubernetes.io/service-account-token (README.md, Outside a cluster)";

/// Fields whose effect is left out, and why.
const REFUSED: [(&str, &str); 8] = [
    (
        "exec",
        "has a program run for credentials, which this one does not",
    ),
    (
        "auth-provider",
        "asks for a login that kubectl itself gave up in 1.26",
    ),
    (
        "username",
        "is for a password, which no API server takes since 1.19",
    ),
    (
        "password",
        "is a password, which no API server takes since 1.19",
    ),
    (
        "as",
        "asks to act as somebody else, which this program does not",
    ),
    (
        "as-uid",
        "asks to act as somebody else, which this program does not",
    ),
    (
        "as-groups",
        "asks to act as somebody else, which this program does not",
    ),
    (
        "as-user-extra",
        "asks to act as somebody else, which this program does not",
    ),
];

/// The proof of who asks: a client certificate, a token, or both.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) certificate: Option<Identity>,
    pub(super) token: Option<Token>,
}

/// A bearer token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: Secret,
    /// The file that it is in by itself.
    pub(super) file: Option<PathBuf>,
}

impl User {
    /// Reads the fields of a user. None where a fault was noted.
    pub(super) fn read(entry: &Entry<'_>, inputs: &mut Inputs) -> Option<Self> {
        let known = inputs.faults.len();
        for (field, problem) in REFUSED {
            if entry.get(field).is_some() {
                inputs.faults.push(entry.fault(field, problem, TOKEN_CURE));
            }
        }
        let token = token(entry, inputs);
        let certificate = certificate(entry, inputs);
        if inputs.faults.len() > known {
            return None;
        }
        if token.is_none() && certificate.is_none() {
            let problem =
                "is not there, and neither is client-certificate: nothing proves who asks";
            inputs
                .faults
                .push(entry.fault("token", problem, TOKEN_CURE));
            return None;
        }
        Some(Self { certificate, token })
    }
}

/// The token; of the two ways the file, as kubectl prefers it.
fn token(entry: &Entry<'_>, inputs: &mut Inputs) -> Option<Token> {
    if let Some(named) = entry.text("tokenFile", inputs) {
        let path = entry.resolve(named);
        return match read_token(&path) {
            Ok((_, mode)) if mode & EVERYBODY_WRITES != 0 => {
                let problem = format!("names a file that everybody can write to (mode {mode:04o})");
                let cure = "chmod 600 it, since whoever writes to it decides who the bot is";
                inputs.faults.push(entry.fault("tokenFile", &problem, cure));
                None
            }
            Ok((secret, mode)) => {
                inputs.holds_secret(&path, mode);
                Some(Token {
                    secret,
                    file: Some(path),
                })
            }
            Err(fault) => {
                let problem = format!("gives no token: {fault}");
                let cure = "put the token there by itself, and let the program's user read it";
                inputs.faults.push(entry.fault("tokenFile", &problem, cure));
                None
            }
        };
    }
    let text = entry.text("token", inputs)?;
    if !is_token(text) {
        let problem = "is not a token: it has a space, or is too long";
        inputs
            .faults
            .push(entry.fault("token", problem, TOKEN_CURE));
        return None;
    }
    inputs.holds_secret(entry.file, entry.mode);
    Some(Token {
        secret: Secret::new(text.to_owned()),
        file: None,
    })
}

fn certificate(entry: &Entry<'_>, inputs: &mut Inputs) -> Option<Identity> {
    let known = inputs.faults.len();
    let certificate = entry.material("client-certificate", inputs);
    let key = entry.material("client-key", inputs);
    if inputs.faults.len() > known {
        return None;
    }
    let (certificate, key) = match (certificate, key) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        (certificate, _) => {
            let (there, missing) = match certificate {
                Some(_) => ("client-certificate", "client-key"),
                None => ("client-key", "client-certificate"),
            };
            let problem = format!("is not there, and {there} is");
            let cure = "give both, each by itself or as …-data";
            inputs.faults.push(entry.fault(missing, &problem, cure));
            return None;
        }
    };
    let Material { field, bytes, .. } = certificate;
    let chain = Chain::from_pem(&bytes).map_err(|fault| {
        let problem = format!("gives no certificate: {fault}");
        let cure = "give the client's certificate in PEM, between BEGIN CERTIFICATE and END \
                    CERTIFICATE";
        inputs.faults.push(entry.fault(&field, &problem, cure));
    });
    inputs.holds_secret(&key.file, key.mode);
    let mut refuse = |fault: KeyFault| {
        let cure = fault.cure("have the user a certificate with another kind of key");
        let problem = format!("gives no key that can be used: {fault}");
        inputs.faults.push(entry.fault(&key.field, &problem, cure));
    };
    let read = PrivateKey::from_pem(&key.bytes).map_err(&mut refuse);
    Identity::new(chain.ok()?, read.ok()?).map_err(refuse).ok()
}
