//! The calls that were forbidden a short while ago, and have another way: they are not
//! tried each time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::call::Call;
use crate::util::SortedMap;

/// The time after which a forbidden call is tried again.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The calls that were forbidden. Clones share them; there are at most four for each
/// namespace and kind of the targets.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<SortedMap<String, Instant>>>);

impl Refusals {
    /// True if such a call was forbidden a short while ago.
    pub(super) fn has(&self, call: &Call, now: Instant) -> bool {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals
            .get(&key(call))
            .is_some_and(|at| now.saturating_duration_since(*at) < REMEMBERED)
    }

    /// Notes that such a call was forbidden. Returns true if none was before.
    pub(super) fn note(&self, call: &Call, now: Instant) -> bool {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.insert(key(call), now).is_none()
    }
}

fn key(call: &Call) -> String {
    let namespace = call.about.namespace().map(|namespace| namespace.as_str());
    format!("{} in {}", call.asked(), namespace.unwrap_or_default())
}
