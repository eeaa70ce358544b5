//! Reads `/etc/resolv.conf`: the servers to ask, and the names to ask for.
//!
//! Specification: <https://man7.org/linux/man-pages/man5/resolv.conf.5.html>, as the GNU C library reads it. Its variables
//! `LOCALDOMAIN` and `RES_OPTIONS` are not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The port of name servers.
const PORT: u16 = 53;

/// Name servers that are used; those after them are not, as in the C library.
const MAX_SERVERS: usize = 3;

/// Search domains that are used: what Kubernetes allows a pod.
const MAX_DOMAINS: usize = 32;

const MAX_DOTS: usize = 15;
const MAX_TIMEOUT: u64 = 30;
const MAX_ATTEMPTS: usize = 5;

/// The configuration by which names are resolved in this pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conf {
    /// Never empty, the first to be asked first.
    pub(super) servers: Vec<SocketAddr>,
    /// The file names no server; the one above is this machine.
    pub(super) names_no_server: bool,
    /// The search domains, which are written behind a name with few dots, in this order.
    pub(super) domains: Vec<String>,
    /// A name with so many dots is first looked for as it is.
    pub(super) dots: usize,
    /// The time for which one server may be silent, as the file has it.
    pub(super) timeout: Duration,
    /// The number of times that each server is asked.
    pub(super) attempts: usize,
    /// The servers take turns at being asked first.
    pub(super) rotates: bool,
    /// Servers are asked by TCP from the start.
    pub(super) by_tcp: bool,
    /// Only A records are asked for.
    pub(super) no_aaaa: bool,
}

impl Conf {
    /// Reads the file's text, which may be empty. `host` is the name of this
    /// machine: its domain is searched where the file does not say which.
    /// `zone` gives the number of a network interface by its name.
    pub(super) fn parse(text: &str, host: &str, zone: impl Fn(&str) -> Option<u32>) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            names_no_server: false,
            domains: host
                .split_once('.')
                .map(|(_, domain)| domain.trim().to_owned())
                .filter(|domain| !domain.is_empty())
                .into_iter()
                .collect(),
            dots: 1,
            timeout: Duration::from_secs(5),
            // One more than the C library's: they are a second apart, not five.
            attempts: 3,
            rotates: false,
            by_tcp: false,
            no_aaaa: false,
        };
        for line in text.lines() {
            let mut words = line
                .split_whitespace()
                .take_while(|word| !word.starts_with(['#', ';']));
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| server(word, &zone));
                    if conf.servers.len() < MAX_SERVERS {
                        conf.servers.extend(server);
                    }
                }
                // The last of them counts.
                Some("domain") => conf.domains = words.take(1).map(str::to_owned).collect(),
                Some("search") => {
                    conf.domains = words.take(MAX_DOMAINS).map(str::to_owned).collect();
                }
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.names_no_server = true;
            conf.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        conf
    }

    fn set(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number: Option<usize> = value.parse().ok();
        match (name, number) {
            ("ndots", Some(dots)) => self.dots = dots.min(MAX_DOTS),
            ("timeout", Some(seconds)) => {
                let seconds = u64::try_from(seconds).unwrap_or(MAX_TIMEOUT);
                self.timeout = Duration::from_secs(seconds.clamp(1, MAX_TIMEOUT));
            }
            ("attempts", Some(attempts)) => self.attempts = attempts.clamp(1, MAX_ATTEMPTS),
            ("rotate", _) => self.rotates = true,
            ("use-vc" | "usevc", _) => self.by_tcp = true,
            ("no-aaaa", _) => self.no_aaaa = true,
            _ => {}
        }
    }

    /// The names that are looked for, in the C library's order: a name with
    /// enough dots as it is and then with each search domain behind it, any other
    /// the other way round, and one that ends with a dot only as it is.
    ///
    /// The order decides who is connected to: with `ndots:5`, `matrix.dev` is the
    /// Service `matrix` in the namespace `dev` before it is a name of the internet.
    pub(super) fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let is_first = host.matches('.').count() >= self.dots;
        let first = is_first.then_some("").into_iter();
        let domains = first
            .chain(self.domains.iter().map(String::as_str))
            .chain([""]);
        let mut names: Vec<String> = Vec::new();
        for domain in domains {
            let name = match domain.trim_matches('.') {
                "" => host.to_owned(),
                domain => format!("{host}.{domain}"),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// An address of a server; one of IPv6 may name the interface that it is on.
fn server(word: &str, zone: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    if let Some((address, interface)) = word.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        let scope = interface.parse().ok().or_else(|| zone(interface))?;
        return Some(SocketAddrV6::new(address, PORT, 0, scope).into());
    }
    let address: IpAddr = word.parse().ok()?;
    Some(SocketAddr::new(address, PORT))
}
