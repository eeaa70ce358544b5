//! The cluster: which Deployment is scaled, and how the API server is reached.

use std::path::PathBuf;

use super::fault::{Flaw, quoted};
use crate::control::{DeploymentName, Namespace};
use crate::net::is_host;

/// The address of the API server, and the directory of the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesAccess {
    /// An IP address (IPv6 without brackets) or a host name.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
    /// The directory of `token` and `ca.crt`.
    pub service_account_dir: PathBuf,
}

pub(super) fn namespace(text: &str) -> Result<Namespace, Flaw> {
    Namespace::parse(text).ok_or_else(|| {
        no_name(
            text,
            "use at most 63 lower-case letters, digits and dashes, no dash first or last",
        )
    })
}

pub(super) fn name(text: &str) -> Result<DeploymentName, Flaw> {
    DeploymentName::parse(text).ok_or_else(|| {
        no_name(
            text,
            "use at most 253 lower-case letters, digits, dashes and dots, a letter or digit first \
             and last and beside each dot",
        )
    })
}

fn no_name(text: &str, cure: &'static str) -> Flaw {
    let problem = format!("is not a name that Kubernetes allows: {}", quoted(text));
    Flaw::new(problem, cure)
}

pub(super) fn host(text: &str) -> Result<String, Flaw> {
    if is_host(text) {
        return Ok(text.to_owned());
    }
    Err(Flaw::new(
        format!("is not a host: {}", quoted(text)),
        "write an IP address (IPv6 without brackets) or a host name, without a scheme or port",
    ))
}

pub(super) fn port(text: &str) -> Result<u16, Flaw> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(Flaw::new(
            format!("is not a port: {}", quoted(text)),
            "write a number from 1 to 65535, most often 443",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_allows() {
        for text in ["clawdbot", "a", "0", "a-b--c9", &"a".repeat(63)] {
            assert_eq!(namespace(text).unwrap().as_str(), text);
            assert_eq!(name(text).unwrap().as_str(), text);
        }
        for text in ["a.b", "web.v1-2", &"a".repeat(253)] {
            assert_eq!(name(text).unwrap().as_str(), text);
            assert!(namespace(text).is_err());
        }
    }

    #[test]
    fn names_that_it_does_not() {
        for text in [
            "",
            "Clawdbot",
            "-a",
            "a-",
            "a_b",
            "a/b",
            "a..b",
            ".a",
            "a.",
            "a.-b",
            "a b",
            "é",
            "..",
            &"a".repeat(254),
        ] {
            assert!(namespace(text).is_err(), "{text}");
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        for text in ["10.96.0.1", "fd00::1", "kubernetes.default.svc"] {
            assert_eq!(host(text).unwrap(), text);
        }
        for text in ["https://10.96.0.1", "10.96.0.1:443", "[::1]", "a/b", "a@b"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(port("6443"), Ok(6443));
        for text in ["0", "65536", "https", "tcp://10.96.0.1:443"] {
            assert!(port(text).is_err(), "{text}");
        }
    }
}
