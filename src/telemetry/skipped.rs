//! Counters of items that were not looked at or not kept, because there were too many.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::store::Cap;

/// All that can have no room in what is read of an answer of the homeserver: each is a
/// series from the start. An item of another kind is counted as the last.
const OF_ANSWERS: [&str; 14] = [
    "timeline_event",
    "state_event",
    "invite",
    "room",
    "to_device_event",
    "changed_device_list",
    "member",
    "user",
    "device",
    "cross_signing_key",
    "one_time_key",
    "large_device",
    "long_name",
    "other",
];

/// A counter for each of them, and for each cap of the store.
#[derive(Default)]
pub(super) struct SkippedCounters {
    of_answers: [AtomicU64; OF_ANSWERS.len()],
    of_store: [AtomicU64; Cap::ALL.len()],
}

impl SkippedCounters {
    pub(super) fn add_of_answer(&self, what: &str, count: u64) {
        let at = OF_ANSWERS.iter().position(|kind| *kind == what);
        let counter = at.and_then(|at| self.of_answers.get(at));
        if let Some(counter) = counter.or(self.of_answers.last()) {
            counter.fetch_add(count, Relaxed);
        }
    }

    pub(super) fn add_of_store(&self, cap: Cap, count: u64) {
        let at = Cap::ALL.iter().position(|known| *known == cap);
        if let Some(counter) = at.and_then(|at| self.of_store.get(at)) {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// Each place and kind with its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let of_answers = OF_ANSWERS.into_iter().zip(&self.of_answers);
        let of_store = Cap::ALL.into_iter().map(Cap::as_str).zip(&self.of_store);
        let of_answers = of_answers.map(|(what, count)| ("answer", what, count));
        let all = of_answers.chain(of_store.map(|(what, count)| ("store", what, count)));
        all.map(|(place, what, count)| (place, what, count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_counter_of_its_own() {
        let counters = SkippedCounters::default();
        let mut number = 1..;
        for (what, number) in OF_ANSWERS.iter().zip(&mut number) {
            counters.add_of_answer(what, number);
        }
        for (cap, number) in Cap::ALL.into_iter().zip(&mut number) {
            counters.add_of_store(cap, number);
        }
        let counted: Vec<u64> = counters.iter().map(|(_, _, count)| count).collect();
        let all = (OF_ANSWERS.len() + Cap::ALL.len()) as u64;
        assert_eq!(counted, (1..=all).collect::<Vec<_>>());
    }

    #[test]
    fn all_that_the_store_does_without_is_counted_by_its_name() {
        let counters = SkippedCounters::default();
        for cap in Cap::ALL {
            counters.add_of_store(cap, 1);
            let mut all = counters.iter();
            assert!(
                all.any(|counted| counted == ("store", cap.as_str(), 1)),
                "{cap:?}"
            );
        }
    }
}
