//! How the API server is reached.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::fault::{Flaw, quoted};

/// Where the API server listens and where the credentials lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesAccess {
    /// An IP address (IPv6 without brackets) or a host name.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
    /// The directory of `token` and `ca.crt`.
    pub service_account_dir: PathBuf,
}

impl KubernetesAccess {
    /// `https://host:port`, without a slash at the end.
    pub fn base_url(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.parse::<Ipv6Addr>().is_ok() {
            format!("https://[{host}]:{port}")
        } else {
            format!("https://{host}:{port}")
        }
    }
}

pub(super) fn host(text: &str) -> Result<String, Flaw> {
    let is_name = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if is_name || text.parse::<IpAddr>().is_ok() {
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

    fn url(host_text: &str) -> Option<String> {
        let access = KubernetesAccess {
            host: host(host_text).ok()?,
            port: 443,
            service_account_dir: PathBuf::new(),
        };
        Some(access.base_url())
    }

    #[test]
    fn hosts() {
        assert_eq!(url("10.96.0.1").unwrap(), "https://10.96.0.1:443");
        assert_eq!(url("fd00::1").unwrap(), "https://[fd00::1]:443");
        assert_eq!(
            url("kubernetes.default.svc").unwrap(),
            "https://kubernetes.default.svc:443"
        );
        for text in ["https://10.96.0.1", "10.96.0.1:443", "[::1]", "a/b", "a@b"] {
            assert_eq!(url(text), None, "{text}");
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
