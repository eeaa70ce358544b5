//! The order in which addresses are tried, and which are not worth it.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc6724#section-6>, rules 1 and 5 with
//! section 2.1; of the others only that IPv6 comes first. As in the C libraries, the kernel is asked
//! for the way to each address by connecting a UDP socket, which sends nothing.

use crate::util::sorted_by;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Sorts addresses, and leaves out those that there is no way to, if there is one
/// to others: trying them would only hide why these do not answer.
pub(super) fn sorted(addresses: Vec<IpAddr>) -> Vec<SocketAddr> {
    sorted_by_source(addresses, source)
}

fn sorted_by_source(
    addresses: Vec<IpAddr>,
    source: impl Fn(SocketAddr) -> Option<IpAddr>,
) -> Vec<SocketAddr> {
    let targets = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
    let mut targets: Vec<_> = targets.map(|target| (target, source(target))).collect();
    if targets.iter().any(|(_, source)| source.is_some()) {
        targets.retain(|(_, source)| source.is_some());
    }
    let key = |(target, source): &(SocketAddr, Option<IpAddr>)| {
        let fits = source.is_some_and(|source| label(source) == label(target.ip()));
        (!fits, target.is_ipv4())
    };
    let targets = sorted_by(targets, |one, other| key(one).cmp(&key(other)));
    targets.into_iter().map(|(target, _)| target).collect()
}

/// The address that this machine would send from.
fn source(target: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((unspecified(target), 0)).ok()?;
    // Some systems refuse the port 0; any other will do.
    socket.connect((target.ip(), 53)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The address by which a socket is bound to none of this machine's, of the family of
/// `target`.
pub(super) fn unspecified(target: SocketAddr) -> IpAddr {
    match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The label of an address, as far as the table in RFC 6724, section 2.1 is in use:
/// addresses with different
/// labels rarely reach each other, as private IPv6 addresses and public ones.
fn label(address: IpAddr) -> u8 {
    let IpAddr::V6(address) = address else {
        return 4;
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => 0,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 5,
        [0xfc00..=0xfdff, ..] => 13,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Sorts on a machine with these addresses of its own.
    fn on(own: &[&str], targets: &[&str]) -> Vec<String> {
        let targets = targets.iter().map(|target| ip(target)).collect();
        let sorted = sorted_by_source(targets, |target| {
            let own = own.iter().map(|own| ip(own));
            own.into_iter()
                .find(|own| own.is_ipv4() == target.is_ipv4())
        });
        sorted.iter().map(|to| to.ip().to_string()).collect()
    }

    #[test]
    fn ipv6_comes_first_where_it_leads_somewhere() {
        let (v4, v6) = ("192.0.2.1", "2001:db8::1");
        for (own, order) in [
            (&["10.1.2.3", "2001:db8:7::2"][..], &[v6, v4][..]),
            // A private address of IPv6 seldom has a way out; of IPv4 it does.
            (&["10.1.2.3", "fd00::2"], &[v4, v6]),
            (&["10.1.2.3"], &[v4]),
            (&["2001:db8:7::2"], &[v6]),
            // Nothing leads anywhere: then connecting says so.
            (&[], &[v6, v4]),
        ] {
            assert_eq!(on(own, &[v4, v6]), order, "{own:?}");
        }
        // Within the cluster, private addresses talk to each other.
        assert_eq!(
            on(&["10.1.2.3", "fd00::2"], &["10.9.9.9", "fd00::9"]),
            ["fd00::9", "10.9.9.9"]
        );
    }

    #[test]
    fn the_order_of_the_server_is_kept() {
        let own = ["10.1.2.3", "2001:db8:7::2"];
        let many = ["10.0.0.9", "10.0.0.1", "10.0.0.5"];
        assert_eq!(on(&own, &many), many);
    }

    #[test]
    fn the_kernel_knows_the_way_to_this_machine() {
        assert_eq!(source((ip("127.0.0.1"), 0).into()), Some(ip("127.0.0.1")));
    }
}
