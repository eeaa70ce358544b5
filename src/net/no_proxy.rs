//! The servers that are connected to without the proxy (`NO_PROXY`).
//!
//! There is no specification. What is read here is what curl, Go's `httpproxy`
//! and Python's `urllib` have in common, and where one of them reads more (a
//! port: Go and Python; a network: curl and Go) that as well.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use rustls::pki_types::DnsName;

use super::authority::Authority;

/// The servers that a list leaves out, and the entries of the list that leave
/// out none.
#[derive(Debug, Default)]
pub(super) struct NoProxy {
    entries: Vec<Entry>,
    /// Entries that can match no server, as they were written.
    pub(super) idle: Vec<String>,
}

/// An entry: whom it names, and on which port, if not on every one.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    /// `*`.
    All,
    /// This name and all below it; lower case, no dot at either end.
    Domain(String),
    /// The addresses that share so many first bits with this one.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Reads a list, separated by commas or white space, of: a domain with all
    /// below it (a leading `.` or `*.` and a final `.` change nothing), an IP
    /// address, each with or without `:port` (an IPv6 address has brackets
    /// then), a network such as `10.0.0.0/8`, or `*` for everybody.
    pub(super) fn parse(list: &str) -> Self {
        let mut read = Self::default();
        for text in list.split(|c: char| c == ',' || c.is_whitespace()) {
            match Entry::parse(text) {
                Some(entry) => read.entries.push(entry),
                None if text.is_empty() => {}
                None => read.idle.push(text.to_owned()),
            }
        }
        read
    }

    /// Returns whether the server that `uri` leads to is on the list.
    pub(super) fn names(&self, uri: &Uri) -> bool {
        let Ok(authority) = Authority::of(uri) else {
            return false;
        };
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let address = address(host);
        self.entries.iter().any(|entry| {
            let is_port = entry.port.is_none_or(|port| port == authority.port());
            is_port && entry.hosts.cover(host, address)
        })
    }
}

impl Hosts {
    fn cover(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::All, _) => true,
            (Self::Domain(name), None) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            (Self::Network(network, bits), Some(address)) => is_within(*network, *bits, address),
            _ => false,
        }
    }
}

impl Entry {
    /// None for a text that can match no server.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let of = |hosts, port| Some(Self { hosts, port });
        if let Some((network, bits)) = text.split_once('/') {
            return of(network_of(network, bits)?, None);
        }
        // Before a port is looked for: `::1` ends in what could be one.
        if let Some(address) = address(&text) {
            return of(Hosts::Network(address, bits_of(address).0), None);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port_of(port)?)),
            None => (text.as_str(), None),
        };
        match address(host) {
            // Which of its colons begins the port cannot be told.
            Some(IpAddr::V6(_)) if !host.starts_with('[') => None,
            Some(address) => of(Hosts::Network(address, bits_of(address).0), port),
            None if host == "*" => of(Hosts::All, port),
            None => of(Hosts::Domain(domain(host)?), port),
        }
    }
}

/// An IP address, with or without brackets; an IPv4 address written as IPv6 is
/// the IPv4 one.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|bare| bare.contains(':'))
        .unwrap_or(text);
    bare.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

fn network_of(network: &str, bits: &str) -> Option<Hosts> {
    let address = address(network)?;
    let bits = number(bits)?;
    (bits <= bits_of(address).0).then_some(Hosts::Network(address, bits))
}

/// Zero is no port that a server listens on.
fn port_of(text: &str) -> Option<u16> {
    number(text).filter(|port| *port != 0)
}

/// A number of digits alone; `+` is none.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// A name without what changes nothing, if a server can have it.
fn domain(text: &str) -> Option<String> {
    let name = text.strip_prefix('*').unwrap_or(text);
    let is_part = name.len() == text.len() || name.starts_with('.');
    let name = name.trim_start_matches('.');
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = is_part && !name.ends_with('.') && DnsName::try_from(name).is_ok();
    is_name.then(|| name.to_owned())
}

/// The number of bits of an address, and the bits themselves, from the left.
fn bits_of(address: IpAddr) -> (u32, u128) {
    match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (128, address.to_bits()),
    }
}

fn is_within(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let ((all, network), (count, address)) = (bits_of(network), bits_of(address));
    all == count && (network ^ address).leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line: a list, whom it leaves out, and whom not; all by `https`.
    const LISTS: [(&str, &str, &str); 24] = [
        ("", "", "a.example 10.0.0.1 [::1]"),
        (
            "a.example",
            "a.example A.EXAMPLE:8448 b.a.example a.example.",
            "ba.example example a.example.org",
        ),
        (".a.example", "a.example b.a.example", "ba.example"),
        ("*.a.example", "a.example b.a.example", "ba.example"),
        (
            "A.Example.",
            "a.example b.a.example. a.example:1",
            "ba.example",
        ),
        ("..a.example", "a.example", "b.example"),
        // With a port, for that port alone; https has 443 if none is written.
        (
            "a.example:8448",
            "a.example:8448 b.a.example:8448",
            "a.example a.example:443 a.example:844",
        ),
        ("a.example:443", "a.example a.example:443", "a.example:8448"),
        (".a.example:443", "b.a.example", "b.a.example:8448"),
        ("*.a.example:8448", "b.a.example:8448", "b.a.example"),
        ("*:8448", "a.example:8448 [::1]:8448", "a.example"),
        ("10.0.0.1:6443", "10.0.0.1:6443", "10.0.0.1 10.0.0.2:6443"),
        ("[::1]:8448", "[::1]:8448", "[::1] [::2]:8448"),
        ("10.0.0.1, ::1", "10.0.0.1 [::1]:8448", "10.0.0.2 [::2]"),
        ("[fd00::1]", "[fd00::1] [FD00:0::1]:8448", "[fd00::2]"),
        ("::ffff:10.0.0.1", "10.0.0.1 [::ffff:10.0.0.1]", "10.0.0.2"),
        (
            "10.0.0.0/8,fd00::/8",
            "10.255.0.1 [fd12::1]",
            "11.0.0.1 [fe12::1] a.10.0.0.1.example",
        ),
        ("10.9.8.7/8", "10.255.0.1", "11.0.0.1"),
        ("0.0.0.0/0", "10.0.0.1 255.1.1.1", "[::1] a.example"),
        ("::/0", "[::1] [fd00::]", "10.0.0.1 a.example"),
        ("10.0.0.1/32", "10.0.0.1", "10.0.0.0"),
        (
            "svc, .cluster.local ,,",
            "hs.matrix.svc hs.matrix.svc.cluster.local",
            "hs.example",
        ),
        (
            "a.example b.example\tc.example",
            "b.example c.example",
            "d.example",
        ),
        ("x, *", "a.example 10.0.0.1 [::1] a.example:8448", ""),
    ];

    #[test]
    fn who_is_left_out() {
        for (list, direct, proxied) in LISTS {
            let read = NoProxy::parse(list);
            assert!(read.idle.is_empty(), "{list}: {:?}", read.idle);
            let names = |host: &str| read.names(&format!("https://{host}").parse().unwrap());
            for host in direct.split_whitespace() {
                assert!(names(host), "{host} with {list}");
            }
            for host in proxied.split_whitespace() {
                assert!(!names(host), "{host} with {list}");
            }
        }
        let plain: Uri = "http://a.example/".parse().unwrap();
        assert!(NoProxy::parse("a.example:80").names(&plain));
        assert!(!NoProxy::parse("a.example:443").names(&plain));
    }

    #[test]
    fn entries_that_can_match_nobody_are_kept_apart() {
        for entry in [
            "http://a.example",
            "https://a.example:8448",
            "a.example/matrix",
            "*foo",
            "*a.example",
            "a.*.example",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/255.0.0.0",
            "10.0.0/8",
            "10.0.0.0/8:443",
            "fd00::/129",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.*",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:https",
            "[::1",
            "[::1]:x",
            "[a.example]",
            "fe80::1%eth0",
            "bob@a.example",
            "a.example;b.example",
            "a.example|b.example",
            "\"a.example",
            "m\u{fc}nchen.example",
            ".",
            "*.",
            "**",
        ] {
            let read = NoProxy::parse(&format!("b.example,{entry}"));
            assert_eq!(read.idle, [entry]);
            assert_eq!(read.entries.len(), 1);
        }
    }
}
