//! The use that a request makes of its target.

use crate::gateway::wake::{InUse, TargetHandle};

/// The use that a request makes of its target, for as long as it lasts; none at all where
/// it is not to count, as that of a robot.
pub(super) struct Usage {
    counter: Counter,
    is_client: bool,
    _in_use: Option<InUse>,
}

/// Counts what passes.
#[derive(Clone)]
pub(super) struct Counter(Option<TargetHandle>);

impl Usage {
    /// A request that counts begins. `is_client` is whether somebody is there who wants it.
    pub(super) fn of(handle: &TargetHandle, is_client: bool) -> Self {
        Self {
            counter: Counter(Some(handle.clone())),
            is_client,
            _in_use: Some(handle.begin(is_client)),
        }
    }

    /// A request that does not count.
    pub(super) const fn none() -> Self {
        Self {
            counter: Counter(None),
            is_client: false,
            _in_use: None,
        }
    }

    /// The use of the target that it counts for.
    pub(super) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Counts what the app sent.
    pub(super) fn app_sent(&self) {
        self.counter.touch(false);
    }

    /// Counts the request itself, which was answered well.
    pub(super) fn answered(&self) {
        self.counter.touch(self.is_client);
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
