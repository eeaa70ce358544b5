//! The address that the bot or the gateway answers probes at.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::fault::{Faults, Flaw, quoted};
#[cfg(feature = "gateway")]
use super::gateway;
use super::reader::{Env, Reader};
use super::table::HEALTH_ADDR;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// None for all addresses of the machine.
    ip: Option<IpAddr>,
    port: u16,
}

impl ListenAddress {
    /// The addresses to listen on: the first of them that this machine has.
    pub fn candidates(self) -> Vec<SocketAddr> {
        let ips = match self.ip {
            Some(ip) => vec![ip],
            // The first takes IPv4 as well.
            None => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        };
        self.at(ips)
    }

    /// The addresses for a client on the same machine, one after the other: a system may
    /// give the port of all addresses to one family alone.
    pub fn local(self) -> Vec<SocketAddr> {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let ips = match self.ip {
            None => vec![v4, v6],
            Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => vec![v4],
            Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => vec![v6, v4],
            Some(ip) => vec![ip],
        };
        self.at(ips)
    }

    /// Returns true if both cannot be listened on at once.
    #[cfg(feature = "gateway")]
    pub(super) fn clashes(self, other: Self) -> bool {
        let is_any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        self.port == other.port && (is_any(self.ip) || is_any(other.ip) || self.ip == other.ip)
    }

    fn at(self, ips: Vec<IpAddr>) -> Vec<SocketAddr> {
        let ips = ips.into_iter();
        ips.map(|ip| SocketAddr::new(ip, self.port)).collect()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

/// The address alone: all of the configuration that is needed to ask a running bot or
/// gateway how it is.
///
/// # Errors
/// `HEALTH_ADDR` is wrong, or it is not set and has no default.
pub fn health_address(env: Env<'_>) -> Result<ListenAddress, Faults> {
    let mut reader = Reader::new(env);
    // Only the gateway listens without being told to, and nothing else has its file.
    #[cfg(feature = "gateway")]
    let setting = match reader.given_by(&gateway::GATEWAY_CONFIG) {
        Some(_) => &gateway::HEALTH_ADDR,
        None => &HEALTH_ADDR,
    };
    #[cfg(not(feature = "gateway"))]
    let setting = &HEALTH_ADDR;
    let read = reader.optional(setting, address, ListenAddress::to_string);
    if read == Some(None) {
        let flaw = Flaw::new(
            "is not set, so the bot tells nobody how it is",
            "set it to the address that the bot listens on, such as :8080",
        );
        reader.fault(HEALTH_ADDR.name, flaw);
    }
    reader.finish(read.flatten())
}

/// `IP:PORT`, `[IP6]:PORT` or `:PORT`.
pub(super) fn address(text: &str) -> Result<ListenAddress, Flaw> {
    let read = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port| (None, port)),
        None => text
            .parse::<SocketAddr>()
            .ok()
            .map(|address| (Some(address.ip()), address.port())),
    };
    // Rust would take a sign before a number.
    match read.filter(|(_, port)| *port != 0 && !text.contains('+')) {
        Some((ip, port)) => Ok(ListenAddress { ip, port }),
        None => Err(Flaw::new(
            format!("is no address to listen on: {}", quoted(text)),
            "write a port of all addresses, such as :8080, or of one, such as 127.0.0.1:8080 or \
             [::1]:8080",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (String, Vec<String>, Vec<String>) {
        let address = address(text).unwrap();
        let candidates = address.candidates();
        (
            address.to_string(),
            candidates.iter().map(SocketAddr::to_string).collect(),
            address.local().iter().map(SocketAddr::to_string).collect(),
        )
    }

    #[test]
    fn forms() {
        for (text, candidates, local) in [
            (
                ":8080",
                &["[::]:8080", "0.0.0.0:8080"][..],
                &["127.0.0.1:8080", "[::1]:8080"][..],
            ),
            ("0.0.0.0:80", &["0.0.0.0:80"], &["127.0.0.1:80"]),
            ("[::]:80", &["[::]:80"], &["[::1]:80", "127.0.0.1:80"]),
            ("10.1.2.3:65535", &["10.1.2.3:65535"], &["10.1.2.3:65535"]),
            ("[fd00::1]:1", &["[fd00::1]:1"], &["[fd00::1]:1"]),
        ] {
            let candidates = candidates.iter().map(ToString::to_string).collect();
            let local = local.iter().map(ToString::to_string).collect();
            assert_eq!(shown(text), (text.into(), candidates, local));
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "8080",
            ":0",
            ":",
            ":65536",
            ":+80",
            "localhost:8080",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:",
            "::1:8080",
            "http://127.0.0.1:8080",
            ": 80",
        ] {
            let fault = address(text).unwrap_err().of("V");
            assert!(fault.problem.starts_with("is no address"), "{fault}");
        }
    }

    #[test]
    fn asking_a_bot_needs_no_other_variable() {
        let given = |value: &'static str| {
            health_address(&|name| (name == "HEALTH_ADDR").then(|| value.into()))
        };
        assert_eq!(given(" :80\n").unwrap().to_string(), ":80");
        for value in ["", "80"] {
            let faults = given(value).unwrap_err();
            let named: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
            assert_eq!(named, ["HEALTH_ADDR"]);
        }
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn a_gateway_listens_without_being_told_to() {
        let given = |file: &'static str, address: Option<&'static str>| {
            health_address(&|name| match name {
                "GATEWAY_CONFIG" => Some(file.into()),
                "HEALTH_ADDR" => address.map(Into::into),
                _ => None,
            })
        };
        for (address, wanted) in [
            (None, ":8082"),
            (Some(""), ":8082"),
            (Some("127.0.0.1:9000"), "127.0.0.1:9000"),
        ] {
            let read = given("/etc/gateway/gateway.json", address);
            assert_eq!(read.unwrap().to_string(), wanted);
        }
        assert!(given("/etc/gateway/gateway.json", Some("off")).is_err());
        assert!(given(" ", None).is_err());
    }
}
