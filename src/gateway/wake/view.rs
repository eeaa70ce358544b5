//! A target as requests, the API and the pages about it see it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

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
    /// The time since which it has that.
    pub since: Instant,
    /// A short sentence about why, fit to be shown to whoever may see the status.
    pub reason: Option<String>,
    /// The number of replicas that it should have, as it was seen last.
    pub desired: Option<i32>,
    /// The number of pods that are ready.
    pub ready: usize,
    /// The one who started it, as its Lease says.
    pub started_by: Option<String>,
    /// The time left until it is stopped for being idle, if nobody uses it.
    pub idle_left: Option<Duration>,
    /// The end of the time that it was started for, in milliseconds since the Unix epoch.
    pub keep_until_ms: Option<u64>,
}

impl Phase {
    /// Its word in answers, logs and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}
