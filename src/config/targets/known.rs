//! Other settings, as far as they are known when targets are read.

use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId};

use crate::config::Homeserver;
use crate::control::time::Zone;
use crate::util::SortedSet;

/// The values of other settings that targets are compared with; `None` also where a fault of
/// theirs has been noted.
pub(in crate::config) struct Known<'a> {
    pub(in crate::config) homeserver: Option<&'a Homeserver>,
    pub(in crate::config) users: Option<&'a SortedSet<OwnedUserId>>,
    pub(in crate::config) viewers: Option<&'a SortedSet<OwnedUserId>>,
    pub(in crate::config) rooms: Option<&'a SortedSet<OwnedRoomId>>,
    /// The time zone of schedules that name none.
    pub(in crate::config) zone: Option<&'a Zone>,
    /// The longest time for which a target may be asked to run, unless it says otherwise.
    pub(in crate::config) max_for: Option<Duration>,
}
