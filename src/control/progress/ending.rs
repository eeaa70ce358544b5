//! The news of a change that is followed: how far it is, and how it ended.

use super::{Direction, Finding, Owner, Remark, WaitsFor};

/// The progress of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The direction: pods come, or they go.
    pub direction: Direction,
    /// The pods that are ready, or left.
    pub done: i32,
    /// The pods that there should be.
    pub of: i32,
    /// The thing that has to happen next.
    pub waits_for: Option<WaitsFor>,
    /// The reason for which it does not go on.
    pub cause: Option<Finding>,
}

/// The end of a change. Times are in milliseconds since it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All pods are ready.
    Ready {
        /// Their number.
        replicas: i32,
        /// After this time.
        after: u64,
        /// The rest that is to be told.
        remark: Option<Remark>,
        /// True if the contrary was told before.
        is_late: bool,
    },
    /// The pods that should go are gone.
    Stopped {
        /// The number of those that stay.
        replicas: i32,
        /// After this time.
        after: u64,
        /// The rest that is to be told.
        remark: Option<Remark>,
        /// True if the contrary was told before.
        is_late: bool,
    },
    /// Not all pods are ready in time. It is looked at for another hour.
    NotReady {
        /// The pods that are ready.
        done: i32,
        /// The pods that there should be.
        of: i32,
        /// After this time.
        after: u64,
        /// The cause, if one was found.
        cause: Option<Finding>,
    },
    /// Pods that should be gone do not end. It is looked at for another hour.
    StillStopping {
        /// Their number.
        pods: i32,
        /// The number of those that should stay.
        replicas: i32,
        /// After this time.
        after: u64,
        /// The reason.
        why: Lingering,
    },
    /// It was created paused: no pod will come before a person resumes it.
    PausedEmpty,
    /// Something else has set another number of replicas.
    CountChanged {
        /// The number that was asked for.
        from: i32,
        /// The number that there should be now.
        to: i32,
        /// After this time.
        after: u64,
        /// The owner who may have done it.
        by: Option<Owner>,
    },
    /// The object was deleted, and another one has its name.
    Replaced,
    /// The object was deleted.
    Gone,
    /// A newer command for the same target has begun.
    Superseded,
    /// The bot has no right to read the object.
    MayNotLook,
    /// The object could not be read in time. It is tried for another hour.
    NotSeen {
        /// After this time.
        after: u64,
    },
}

/// A reason for which pods do not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lingering {
    /// Their time to end is over; their node may be gone.
    GracePeriodOver,
    /// A StatefulSet whose pods end one after the other deletes none while two or more are
    /// not ready (<https://github.com/kubernetes/kubernetes/issues/57865>).
    UnreadyPods {
        /// The numbers at the end of the names of those that are not ready, lowest
        /// first; empty if the pods could not be looked at.
        ordinals: Vec<u32>,
    },
    /// The controller has not seen the change.
    NotBegun,
}

/// A reason for which an object could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The right is missing.
    Forbidden,
    /// There is no such object.
    NotFound,
    /// The API server could not be reached, or said something else.
    Failed,
}
