//! A target of the gateway: a workload that is switched, and what stands behind it.

use std::time::Duration;

use crate::control::{ObjectName, TargetName, Workload, access::Actions};

/// A workload that the gateway switches, and the Service that it is reached by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayTarget {
    /// Its name, as in the chat.
    pub name: TargetName,
    /// The object that is scaled.
    pub workload: Workload,
    /// The number of replicas that a start without a number gives, at least 1.
    pub replicas: i32,
    /// The largest number of replicas that may be asked for.
    pub max: i32,
    /// The way for requests to it; None if it is only switched.
    pub backend: Option<Backend>,
    /// The time without use after which it is stopped; None for never.
    pub idle: Option<Duration>,
    /// The starts that the gateway may undo.
    pub idle_stop: IdleStop,
    /// The time without a request or a frame of a client after which what the app alone
    /// sends counts as use no longer (8 h).
    pub presence: Duration,
    /// The time after it is ready in which it is not stopped (2 min).
    pub min_up: Duration,
    /// Field managers whose number of replicas is overridden by a stop, such as
    /// `kube-controller-manager`.
    pub overrides: Vec<String>,
    /// The actions that anybody may do without showing anything.
    pub anonymous: Actions,
    /// The time after a wake in which the target has to become ready (5 min).
    pub ready_timeout: Duration,
}

/// The way from host names to the pods of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The host names that it is asked for by, sorted: lower case, without a port.
    pub hosts: Vec<String>,
    /// The Service whose pods answer, in the namespace of the workload.
    pub service: ObjectName,
    /// Its port.
    pub port: Port,
    /// The way to them.
    pub route: Route,
    /// The answer to a request while it is off.
    pub on_cold: OnCold,
    /// The status of the waiting page: 503 or 200.
    pub page_status: u16,
    /// The longest time that a request is held (50 s).
    pub hold: Duration,
    /// Requests that are held at the same time (100).
    pub max_held: usize,
    /// The requests of browsers that wake it.
    pub wake_by: WakeBy,
    /// Paths that wake nothing; a `*` at the end stands for any rest.
    pub no_wake_paths: Vec<String>,
    /// Parts of a User-Agent that wake nothing.
    pub no_wake_agents: Vec<String>,
    /// True if a CORS preflight is passed on without a credential when it is ready.
    pub preflight: bool,
    /// The Host that the app is shown; None for the one that the client named.
    pub upstream_host: Option<String>,
    /// True if the app is told who asks (`X-Auth-User`, `X-Auth-Roles`).
    pub identity_headers: bool,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// By its name.
    Name(String),
    /// By its number at the Service.
    Number(u16),
}

impl Port {
    /// Returns true if a port of the Service is this one.
    pub fn is(&self, name: &str, number: u16) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Number(own) => *own == number,
        }
    }
}

/// The way to the pods of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Their own addresses, from EndpointSlices.
    Pod,
    /// The Service's cluster IP.
    Service,
}

/// The starts that an idle stop may undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleStop {
    /// Only those of the gateway.
    Own,
    /// Anybody's.
    Any,
    /// None: it is never stopped for being idle.
    Never,
}

/// The answer to a request that comes while its target is off and may wake it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCold {
    /// A page for a navigation, and all else is held.
    Auto,
    /// It is held.
    Hold,
    /// The page for every GET.
    Page,
    /// A 503 at once.
    Refuse,
}

/// The requests without a bearer token that wake a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeBy {
    /// Navigations and forms of a browser, and clients that are no browser.
    Navigation,
    /// All of them.
    Any,
}
