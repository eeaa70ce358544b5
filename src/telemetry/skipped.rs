//! Counters of items that were not looked at or not kept, because there were too many.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The place in which an item had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In what is read of an answer of the homeserver.
    Answer,
    /// In the store.
    Store,
}

impl Place {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Store => "store",
        }
    }
}

/// Everything that can have no room somewhere: each is a series from the start.
/// An item of another kind is counted as the last kind of its place.
const KINDS: [(Place, &str); 27] = [
    (Place::Answer, "timeline_event"),
    (Place::Answer, "state_event"),
    (Place::Answer, "invite"),
    (Place::Answer, "room"),
    (Place::Answer, "to_device_event"),
    (Place::Answer, "changed_device_list"),
    (Place::Answer, "member"),
    (Place::Answer, "user"),
    (Place::Answer, "device"),
    (Place::Answer, "cross_signing_key"),
    (Place::Answer, "one_time_key"),
    (Place::Answer, "large_device"),
    (Place::Answer, "long_name"),
    (Place::Answer, "other"),
    (Place::Store, "tracked_users"),
    (Place::Store, "members"),
    (Place::Store, "devices"),
    (Place::Store, "olm_sessions"),
    (Place::Store, "olm_peers"),
    (Place::Store, "room_keys"),
    (Place::Store, "shares"),
    (Place::Store, "rooms"),
    (Place::Store, "invites"),
    (Place::Store, "held_messages"),
    (Place::Store, "commands"),
    (Place::Store, "replies"),
    (Place::Store, "to_device_messages"),
];

/// A counter for each of them.
#[derive(Default)]
pub(super) struct SkippedCounters([AtomicU64; KINDS.len()]);

impl SkippedCounters {
    pub(super) fn add(&self, place: Place, what: &str, count: u64) {
        let exact = KINDS.iter().position(|kind| *kind == (place, what));
        let at = exact.or_else(|| KINDS.iter().rposition(|(known, _)| *known == place));
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// Each place and kind with its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        KINDS
            .iter()
            .zip(&self.0)
            .map(|((place, what), count)| (place.as_str(), *what, count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Cap;

    #[test]
    fn each_kind_has_a_counter_of_its_own() {
        let counters = SkippedCounters::default();
        for (at, (place, what)) in KINDS.iter().enumerate() {
            counters.add(*place, what, at as u64 + 1);
        }
        let counted: Vec<u64> = counters.iter().map(|(_, _, count)| count).collect();
        assert_eq!(counted, (1..=KINDS.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn all_that_the_store_does_without_is_counted_by_its_name() {
        for cap in Cap::ALL {
            assert!(KINDS.contains(&(Place::Store, cap.as_str())), "{cap:?}");
        }
    }
}
