//! The handle of a target: what requests, the API and the health pages know of its state,
//! and how they ask for a change of it. Clones share the target; a task of its own
//! ([`keeper`](super)) does what is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::gateway::GatewayTarget;

/// A target of the running gateway.
#[derive(Clone)]
pub struct TargetHandle(Arc<Shared>);

/// Replaced by the owner of this file.
struct Shared;

/// A pod, or a Service, that a request can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
}

/// The phase of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has no replicas.
    Off,
    /// It is on its way up.
    Starting,
    /// It can be reached.
    Ready,
    /// It is on its way down.
    Stopping,
    /// It did not come up; tried again after a while.
    Failed,
}

/// A target as it is seen now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its phase.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
    /// A short sentence about why, fit to be shown to whoever may see the status.
    pub reason: Option<String>,
    /// The number of replicas that it should have, as it was seen last.
    pub desired: Option<i32>,
    /// The number of endpoints that are ready.
    pub ready: usize,
    /// Who started it, as its Lease says.
    pub started_by: Option<String>,
    /// The time left until it is stopped for being idle, if nobody uses it.
    pub idle_left: Option<Duration>,
    /// The end of the time that it was started for, in milliseconds since the Unix epoch.
    pub keep_until_ms: Option<u64>,
}

/// Why a request does not reach its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cold {
    /// It is off, and this request does not wake it.
    Off,
    /// It is on its way up, and this request is not held.
    Starting,
    /// It did not come up: a short sentence. Tried again after this time.
    Failed(String, Duration),
    /// It is not to be woken: a short sentence, such as "switched off by a person".
    Refused(String),
    /// Too many requests are held already.
    Full,
    /// It was held as long as it may be.
    TimedOut,
    /// This replica is about to end: another one may hold the request.
    Draining,
    /// The API server cannot be asked.
    Unavailable,
}

/// What a request that finds its target cold wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// True if it wakes the target; if not, it only waits for a start under way.
    pub wake: bool,
    /// The longest time that it waits.
    pub hold: Duration,
    /// Who asks, for the audit log and the Lease: a short text without secrets.
    pub by: String,
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

/// What came of a [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It has this number of replicas now.
    Done(i32),
    /// It had as many or more already, this number.
    AlreadyOn(i32),
}

/// Why a [`Change`] was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else holds the count, or the API server will not: a short sentence.
    Refused(String),
    /// The gateway has no right to, or the object does not exist: a short sentence.
    Impossible(String),
    /// The API server cannot be asked.
    Unavailable,
}

/// Keeps a target in use while a request or a socket is open: dropped when it ends.
pub struct InUse(TargetHandle);

/// Tells sockets of a target to close.
pub struct Closing(TargetHandle);

impl TargetHandle {
    /// Its configuration, as it was read last.
    pub fn target(&self) -> Arc<GatewayTarget> {
        todo!()
    }

    /// An endpoint to use now; None if the target has none that is ready, or another replica
    /// may be stopping it. The hot path: no waiting, no IO, a lock for nanoseconds.
    pub fn ready(&self) -> Option<Endpoint> {
        todo!()
    }

    /// Waits until the target can be reached, and wakes it if that is wanted. Dropping the
    /// future leaves the target to the others who wait; a wake whose last waiter left goes on.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub async fn reach(&self, wanted: Wanted) -> Result<Endpoint, Cold> {
        let _ = wanted;
        todo!()
    }

    /// An endpoint did not answer the connect: it is not given out again until it was tried.
    pub fn failed(&self, endpoint: Endpoint) {
        let _ = endpoint;
        todo!()
    }

    /// Counts as use: a request that ended below 400, bytes of a body, a data frame.
    pub fn touch(&self, is_client: bool) {
        let _ = is_client;
        todo!()
    }

    /// A request or socket begins. While one is open that had traffic within the idle time,
    /// the target is not stopped.
    pub fn begin(&self) -> InUse {
        todo!()
    }

    /// As it is now.
    pub fn view(&self) -> View {
        todo!()
    }

    /// Waits until [`TargetHandle::view`] shows another phase than this one.
    pub async fn changed(&self, from: Phase) -> View {
        let _ = from;
        todo!()
    }

    /// Makes a change that was asked for by the API.
    ///
    /// # Errors
    /// It was not made.
    pub async fn change(&self, change: Change, by: String) -> Result<Changed, Refusal> {
        let _ = (change, by);
        todo!()
    }

    /// Resolves when idle sockets of the target have to close, because it is being stopped.
    pub async fn closing(&self) {
        todo!()
    }
}
