//! Reads `/etc/hosts`, which comes before any name server: in a pod, its own name and
//! its `hostAliases`.
//!
//! Specification: <https://man7.org/linux/man-pages/man5/hosts.5.html>.

use std::io::{BufRead, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::MAX_ADDRESSES;

/// Bytes that are read of the file.
const MAX_FILE: u64 = 1024 * 1024;

/// Bytes that are read of one line.
const MAX_LINE: u64 = 4 * 1024;

/// The addresses that the file has for a name, each once, of all of its lines.
pub(super) fn addresses(file: impl BufRead, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut file = file.take(MAX_FILE);
    let mut found = Vec::new();
    let mut line = Vec::new();
    while found.len() < MAX_ADDRESSES {
        line.clear();
        match file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        let text = String::from_utf8_lossy(&line);
        let entry = text.split('#').next().unwrap_or_default();
        let mut words = entry.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else {
            continue;
        };
        if words.any(|name| name.eq_ignore_ascii_case(host)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// The addresses of a name that no server is asked for
/// (<https://www.rfc-editor.org/rfc/rfc6761#section-6.3>, and 6.4): `localhost` and all below it is this machine, and below `invalid`
/// there is nothing. None for any other name.
pub(super) fn special(host: &str) -> Option<Vec<IpAddr>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.eq_ignore_ascii_case("localhost") {
        let both = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        return Some(both.into());
    }
    last.eq_ignore_ascii_case("invalid").then(Vec::new)
}
