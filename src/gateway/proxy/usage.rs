//! The use that a request makes of its target.

use crate::gateway::wake::{InUse, TargetHandle, Use};

/// The use that a request makes of its target, for as long as it lasts; none at all where
/// it is not to count, as that of a robot.
pub(super) struct Usage {
    counter: Counter,
    as_use: Use,
    _in_use: Option<InUse>,
}

/// Counts what passes.
#[derive(Clone)]
pub(super) struct Counter(Option<TargetHandle>);

impl Usage {
    /// A request begins.
    pub(super) fn of(handle: &TargetHandle, as_use: Use) -> Self {
        if as_use == Use::None {
            return Self::none();
        }
        Self {
            counter: Counter(Some(handle.clone())),
            as_use,
            _in_use: Some(handle.begin(as_use)),
        }
    }

    /// A request that does not count.
    pub(super) const fn none() -> Self {
        Self {
            counter: Counter(None),
            as_use: Use::None,
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
        self.counter.touch(self.as_use == Use::Client);
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
