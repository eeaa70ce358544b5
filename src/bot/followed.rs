//! The changes that are followed, as the process remembers them.

use tokio::time::Instant;

use crate::{
    control::{
        Workload,
        progress::{Details, Follow, Look, Observation, ReadError, Step},
    },
    kube::Watch,
    store::FollowedChange,
    util::SortedMap,
};

/// The changes that are followed, one a target.
pub(super) struct Follows {
    pub(super) by_target: SortedMap<String, Followed>,
    /// The number of the change that came last: a look of an older one is not taken in.
    pub(super) last: u64,
    /// Counts the milliseconds that the changes are judged by.
    epoch: Instant,
    /// True once those of an earlier process are taken up.
    pub(super) is_loaded: bool,
    /// Things that are to be told and are not written down yet.
    pub(super) untold: Vec<(String, u64, Step)>,
}

/// A change that is followed.
pub(super) struct Followed {
    pub(super) number: u64,
    pub(super) follow: Follow,
    pub(super) workload: Workload,
    pub(super) details: Details,
    pub(super) row: FollowedChange,
    /// None while it is looked at.
    pub(super) watch: Option<Watch>,
}

/// A look at a workload that is followed.
pub(super) struct Looked {
    pub(super) target: String,
    pub(super) number: u64,
    pub(super) seen: Result<Observation, ReadError>,
    pub(super) look: Option<Look>,
    pub(super) watch: Watch,
}

impl Default for Follows {
    fn default() -> Self {
        Self {
            by_target: SortedMap::new(),
            last: 0,
            epoch: Instant::now(),
            is_loaded: false,
            untold: Vec::new(),
        }
    }
}

impl Follows {
    /// The milliseconds that changes are judged by.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Forgets all: the store that they stand in is an older copy.
    pub(super) fn abandon(&mut self) {
        self.by_target.clear();
        self.untold.clear();
        self.is_loaded = false;
    }

    /// A look that came while nothing could be written down: it is asked for again.
    pub(super) fn keep(&mut self, _looked: Looked) {
        self.is_loaded = false;
    }

    /// Returns true if there is something to be told that is not written down yet.
    pub(super) const fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }
}
