//! The things that are asked of a target, and what comes of them.

use std::time::Duration;

use super::activity::Use;
use crate::control::access::Principal;
use crate::gateway::origin::RequestId;

/// The reason why a request does not reach its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cold {
    /// It is off, and this request does not wake it.
    Off,
    /// It is on its way up, and this request is not held. Where it is known, the reason why
    /// it takes so long: a short sentence.
    Starting(Option<String>),
    /// It did not come up: a short sentence. Tried again after this time.
    Failed(String, Duration),
    /// It is not to be woken: a short sentence, such as "switched off by a person".
    Refused(String),
    /// Too many requests are held already.
    Full,
    /// It was held as long as it may be; with the same reason.
    TimedOut(Option<String>),
    /// This replica is about to end: another one may hold the request.
    Draining,
    /// The API server cannot be asked.
    Unavailable,
}

/// The wish of a request that finds its target cold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// True if it wakes the target; if not, it only waits for a start under way.
    pub wake: bool,
    /// The use that it is of the target: while that counts, the other replicas are asked before
    /// it is sent.
    pub as_use: Use,
    /// The longest time that it waits.
    pub hold: Duration,
    /// The one who asks, for the audit log and the Lease.
    pub by: WokenBy,
}

/// The one for whom a target is woken, and the request by which they asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WokenBy {
    /// The one who asks.
    pub principal: Principal,
    /// The request by which they do.
    pub request: RequestId,
}

/// A change that somebody asked for by the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Start it; never lowers a count. With a time, it is stopped after it.
    Start {
        /// The number of replicas; None for the configured one.
        replicas: Option<i32>,
        /// The time after which it is stopped.
        run_for: Option<Duration>,
    },
    /// Stop it.
    Stop,
    /// Set its number of replicas.
    Scale(i32),
}

/// The outcome of a [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It has this number of replicas now.
    Done(i32),
    /// It had as many or more already, this number.
    AlreadyOn(i32),
}

/// The reason why a [`Change`] was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else holds the count, or the API server will not: a short sentence.
    Refused(String),
    /// The gateway has no right to, or the object does not exist: a short sentence.
    Impossible(String),
    /// The API server cannot be asked.
    Unavailable,
}
