//! The use that a request makes of its target.

use crate::gateway::wake::{InUse, TargetHandle};

/// The use that a request makes of its target, for as long as it lasts; none at all where
/// it is not to count, as that of a robot.
pub(super) struct Usage {
    counter: Counter,
    _in_use: Option<InUse>,
}

/// Counts what passes.
#[derive(Clone)]
pub(super) struct Counter(Option<TargetHandle>);

impl Usage {
    /// A request that counts begins.
    pub(super) fn of(handle: &TargetHandle) -> Self {
        Self {
            counter: Counter(Some(handle.clone())),
            _in_use: Some(handle.begin()),
        }
    }

    /// A request that does not count.
    pub(super) const fn none() -> Self {
        Self {
            counter: Counter(None),
            _in_use: None,
        }
    }

    /// The use of the target that it counts for.
    pub(super) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Counts what the client sent, or what the app did.
    pub(super) fn touch(&self, is_client: bool) {
        self.counter.touch(is_client);
    }
}

impl Counter {
    /// Counts what the client sent, or what the app did.
    pub(super) fn touch(&self, is_client: bool) {
        if let Some(handle) = &self.0 {
            handle.touch(is_client);
        }
    }
}
