//! Attempts that failed, by the address they came from: a peer that fails too often is not
//! listened to for a while.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

/// Attempts that may fail in a row.
const BURST: u32 = 20;

/// The time after which another one may.
const REFILL: Duration = Duration::from_secs(1);

/// The longest time for which a peer is not listened to, however many attempts of it were
/// under way at once.
const MAX_PENALTY: Duration = Duration::from_secs(60);

/// The most addresses that are known; when there are more, those go that would be forgiven
/// first.
pub(super) const MAX_PEERS: usize = 10_000;

/// The failures of each peer. Of an IPv6 address the first 64 bits count: the rest is
/// whoever has the network free to choose.
#[derive(Default)]
pub(super) struct Attempts(HashMap<IpAddr, Instant>);

impl Attempts {
    /// Returns true if a peer may try.
    pub(super) fn may_try(&self, peer: IpAddr, now: Instant) -> bool {
        let full_at = self.0.get(&network(peer));
        full_at.is_none_or(|full_at| full_at.saturating_duration_since(now) <= REFILL * (BURST - 1))
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, peer: IpAddr, now: Instant) {
        let peer = network(peer);
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            self.make_room(now);
        }
        let full_at = self.0.entry(peer).or_insert(now);
        let most = now + REFILL * (BURST - 1) + MAX_PENALTY;
        *full_at = ((*full_at).max(now) + REFILL).min(most);
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, full_at| *full_at > now);
        if self.0.len() >= MAX_PEERS {
            // Many at a time, so that not each new one costs a look at all.
            let mut times: Vec<Instant> = self.0.values().copied().collect();
            let (_, limit, _) = times.select_nth_unstable(MAX_PEERS / 10);
            let limit = *limit;
            self.0.retain(|_, full_at| *full_at > limit);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The count for a peer.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn twenty_fail_at_once_and_then_one_a_second() {
        let mut attempts = Attempts::default();
        let (one, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        let start = Instant::now();
        for _ in 0..20 {
            assert!(attempts.may_try(one, start));
            attempts.failed(one, start);
        }
        assert!(!attempts.may_try(one, start));
        assert!(attempts.may_try(other, start));
        let later = start + REFILL;
        assert!(attempts.may_try(one, later));
        attempts.failed(one, later);
        assert!(!attempts.may_try(one, later));
        assert!(
            !attempts.may_try(peer("::ffff:192.0.2.1"), later),
            "the same peer"
        );
    }

    #[test]
    fn what_was_under_way_at_once_is_paid_for_and_forgiven_after_a_minute() {
        let mut attempts = Attempts::default();
        let (one, start) = (peer("192.0.2.1"), Instant::now());
        for _ in 0..1_000 {
            attempts.failed(one, start);
        }
        assert!(!attempts.may_try(one, start + Duration::from_secs(59)));
        assert!(attempts.may_try(one, start + Duration::from_secs(60)));
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        for last in 0..20_u16 {
            attempts.failed(
                Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last).into(),
                now,
            );
        }
        assert!(!attempts.may_try(peer("2001:db8:0:1:ffff::"), now));
        assert!(attempts.may_try(peer("2001:db8:0:2::"), now));
    }

    #[test]
    fn the_worst_are_remembered_however_many_there_are() {
        let mut attempts = Attempts::default();
        let (worst, now) = (peer("192.0.2.1"), Instant::now());
        for _ in 0..30 {
            attempts.failed(worst, now);
        }
        for number in 0..20_000_u32 {
            attempts.failed(IpAddr::V4((0x0a00_0000 + number).into()), now);
        }
        assert!(attempts.len() <= MAX_PEERS);
        assert!(!attempts.may_try(worst, now));
    }
}
