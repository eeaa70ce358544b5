//! Networks of IP addresses (RFC 4632, RFC 4291 2.3).

use std::fmt;
use std::net::IpAddr;

use crate::config::fault::{Flaw, quoted};

const CURE: &str = "write addresses or networks, such as 10.244.0.0/16 or fd00::/64, separated by \
    commas";

/// A network, such as `10.0.0.0/8`, or one address. It is never that of all addresses, and
/// an IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    address: IpAddr,
    /// The number of leading bits that its addresses share, at least 1.
    prefix: u8,
}

impl Subnet {
    /// Takes `ADDRESS/BITS`, or `ADDRESS` for one alone.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let flaw =
            |problem: &str, cure| Err(Flaw::new(format!("{problem}: {}", quoted(text)), cure));
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return flaw("holds what is no network", CURE);
        };
        let width = width(address);
        let prefix = match bits {
            None => Some(width),
            // Rust would take a sign as well.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok(),
            Some(_) => None,
        };
        let Some(prefix) = prefix.filter(|prefix| *prefix <= width) else {
            return flaw("holds what is no network", CURE);
        };
        if prefix == 0 {
            return flaw(
                "holds the network of all addresses",
                "name the networks that the ingress's pods are in: with all of them, anybody \
                 who reaches the gateway could say who they are",
            );
        }
        if address.to_canonical() != address {
            return flaw(
                "holds an IPv4 address that is written as IPv6",
                "write it as IPv4",
            );
        }
        let subnet = Self { address, prefix };
        if numbers(address) & !subnet.mask() != 0 {
            return flaw(
                "holds a network whose first address is another",
                "write its first address, or the address alone if it is meant",
            );
        }
        Ok(subnet)
    }

    /// Returns true if the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && numbers(address) & self.mask() == numbers(self.address)
    }

    /// The bits that its addresses share, of those of [`numbers`].
    fn mask(&self) -> u128 {
        let rest = width(self.address).saturating_sub(self.prefix);
        u128::MAX.checked_shl(rest.into()).unwrap_or(0)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn numbers(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_network_however_it_is_written() {
        for (network, address, is_in) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "9.255.255.255", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:11.1.2.3", false),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("128.0.0.0/1", "255.0.0.1", true),
            ("128.0.0.0/1", "127.0.0.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("fd00::/64", "fd00::1:0:0:0:1", false),
            ("::1", "::1", true),
            ("::1/128", "::2", false),
            ("::a00:0/104", "10.0.0.1", false),
        ] {
            let network = Subnet::parse(network).unwrap();
            let address = address.parse().unwrap();
            assert_eq!(network.contains(address), is_in, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_or_too_much_of_one() {
        for (text, wanted) in [
            (
                "0.0.0.0/0",
                "holds the network of all addresses: \"0.0.0.0/0\": name the",
            ),
            ("::/0", "holds the network of all addresses"),
            ("10.0.0.1/0", "holds the network of all addresses"),
            (
                "10.0.0.1/8",
                "holds a network whose first address is another",
            ),
            (
                "fd00::1/64",
                "holds a network whose first address is another",
            ),
            (
                "::ffff:10.0.0.0/104",
                "holds an IPv4 address that is written as IPv6",
            ),
            (
                "::ffff:10.0.0.1",
                "holds an IPv4 address that is written as IPv6",
            ),
            ("10.0.0.0/33", "holds what is no network"),
            ("fd00::/129", "holds what is no network"),
            ("10.0.0.0/+8", "holds what is no network"),
            ("10.0.0.0/", "holds what is no network"),
            ("10.0.0/8", "holds what is no network"),
            ("010.0.0.0/8", "holds what is no network"),
            ("ingress", "holds what is no network"),
            ("*", "holds what is no network"),
            ("10.0.0.1:80", "holds what is no network"),
            ("", "holds what is no network"),
        ] {
            let fault = Subnet::parse(text).unwrap_err().of("V").to_string();
            assert!(fault.starts_with(&format!("V {wanted}")), "{fault}");
        }
    }
}
