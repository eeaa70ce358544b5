//! The pods that a target can be reached at: what the EndpointSlices of its Service say, and
//! what of that answers a connect
//! (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::view::Endpoint;
use crate::config::gateway::{Backend, Port, Route};
use crate::control::ObjectName;
use crate::kube::{CollectionChange, EndpointSlice, Service, SlicePort};
use crate::util::{SortedMap, SortedSet, gathered};

/// Addresses of one target that are looked at.
const MAX_ADDRESSES: usize = 64;

/// EndpointSlices of one Service that are kept.
const MAX_SLICES: usize = 64;

/// The time after which an address that was there before a stop is tried, if nobody ever
/// said that it was gone: a pod that ends has closed its port by then.
const OLD: Duration = Duration::from_secs(2);

/// What is said of a Service without the port.
const NO_PORT: &str = "its Service has no such port";

/// What is said of one whose port is not spoken to.
const HTTP2: &str = "its Service speaks HTTP/2 at this port, and the gateway HTTP/1.1";

/// The knowledge of the pods of one target.
#[derive(Debug)]
pub(super) struct Readiness {
    backend: Backend,
    /// The port, once it is known.
    port: Resolved,
    slices: SortedMap<String, EndpointSlice>,
    /// The addresses that should answer.
    candidates: Vec<SocketAddr>,
    /// The pods that are there and do not end.
    pods: usize,
    /// Those that answered, and were not gone since.
    proven: SortedSet<SocketAddr>,
    /// Those that were there before a stop, and not gone since.
    old: SortedSet<SocketAddr>,
    old_since: Option<Instant>,
    /// The port of the slices cannot be spoken to.
    is_http2: bool,
    /// By way of the Service, the replicas that there should be, once that is known.
    replicas: Option<usize>,
}

/// The port of a Service at its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Resolved {
    /// The Service was not read: the port is guessed.
    Guessed,
    /// The name that it has in the slices, and where the Service itself is.
    Known {
        name: String,
        cluster_ip: Option<SocketAddr>,
    },
    /// The Service has no such port, or it cannot be spoken to: a sentence.
    Faulty(&'static str),
}

impl Readiness {
    /// Nothing is known yet.
    pub(super) fn new(backend: &Backend) -> Self {
        Self {
            backend: backend.clone(),
            port: Resolved::Guessed,
            slices: SortedMap::new(),
            candidates: Vec::new(),
            pods: 0,
            proven: SortedSet::new(),
            old: SortedSet::new(),
            old_since: None,
            is_http2: false,
            replicas: None,
        }
    }

    /// Returns true if it is about the pods of this Service.
    pub(super) fn is_of(&self, service: &ObjectName) -> bool {
        self.backend.service == *service
    }

    /// Another port, or another way to the same pods.
    pub(super) fn reconfigure(&mut self, backend: &Backend) {
        self.backend = backend.clone();
        self.port = Resolved::Guessed;
        self.derive();
    }

    /// Takes in what the Service says.
    pub(super) fn resolve(&mut self, service: &Service) {
        let mut ports = service.ports.iter();
        let port = ports.find(|port| self.backend.port.is(&port.name, port.port));
        self.port = match port {
            Some(port) if port.is_http2 => Resolved::Faulty(HTTP2),
            Some(port) => Resolved::Known {
                name: port.name.clone(),
                cluster_ip: service.cluster_ip.map(|ip| SocketAddr::new(ip, port.port)),
            },
            None => Resolved::Faulty(NO_PORT),
        };
        self.derive();
    }

    /// What keeps it from being reached however many pods there are, in a sentence.
    pub(super) const fn fault(&self) -> Option<&'static str> {
        match self.port {
            Resolved::Faulty(fault) => Some(fault),
            _ if self.is_http2 => Some(HTTP2),
            _ => None,
        }
    }

    /// Returns true if what the Service says is needed: its slices have the names of its
    /// ports, and the addresses of the pods.
    pub(super) fn needs_service(&self) -> bool {
        !matches!(
            (&self.backend.port, self.backend.route),
            (Port::Name(_), Route::Pod)
        )
    }

    /// Returns true if there may be pods and none can be used: the Service may have changed.
    pub(super) fn is_unreachable(&self) -> bool {
        let may_be_there = self.pods > 0 || self.backend.route == Route::Service;
        may_be_there && self.proven.is_empty()
    }

    /// Takes in a change of the EndpointSlices of the target's namespace.
    pub(super) fn observe(&mut self, change: CollectionChange<EndpointSlice>) {
        match change {
            CollectionChange::All(slices) => {
                let own = slices
                    .into_iter()
                    .filter(|slice| slice.service == self.backend.service.as_str());
                let named = own
                    .take(MAX_SLICES)
                    .map(|slice| (slice.name.clone(), slice));
                self.slices = gathered(named);
            }
            CollectionChange::Set(slice) => {
                if slice.service != self.backend.service.as_str() {
                    self.slices.remove(&slice.name);
                } else if self.slices.len() < MAX_SLICES || self.slices.contains_key(&slice.name) {
                    self.slices.insert(slice.name.clone(), slice);
                }
            }
            CollectionChange::Gone(name) => {
                self.slices.remove(&name);
            }
            // What was ready goes on.
            CollectionChange::Lost(_) => return,
        }
        self.derive();
    }

    /// The target should have so many replicas, as its Scale says. By way of the Service that is
    /// all that is known of its pods: they are not watched, and where others take connections
    /// in their place, as in a mesh, its address answers for nobody.
    pub(super) fn counted(&mut self, replicas: i32) {
        if self.backend.route == Route::Service {
            self.replicas = Some(usize::try_from(replicas).unwrap_or_default());
            if self.is_empty() {
                self.proven.clear();
            }
        }
    }

    /// Nothing is behind the Service by which it is reached.
    fn is_empty(&self) -> bool {
        self.backend.route == Route::Service && self.replicas == Some(0)
    }

    /// Derives the addresses from the slices.
    fn derive(&mut self) {
        // Those that are there and do not end, and of them those that should answer.
        let (mut present, mut candidates) = (SortedSet::new(), SortedSet::new());
        let (mut pods, mut is_http2, mut is_spoken_to) = (0, false, false);
        for slice in self.slices.values() {
            let port = self.port_of(&slice.ports);
            is_http2 |= port.is_some_and(|port| port.is_http2);
            let port = spoken_to(port);
            is_spoken_to |= port.is_some();
            for endpoint in slice.endpoints.iter().filter(|pod| !pod.terminating) {
                let ip = endpoint.addresses.first();
                let address = ip.map(|ip| known_as(*ip, port));
                present.extend(address);
                candidates.extend(address.filter(|_| endpoint.ready && port.is_some()));
                let is_old = address.is_some_and(|address| self.old.contains(&address));
                pods += usize::from(!is_old);
            }
        }
        if self.backend.route == Route::Service {
            // Its slices are not watched.
            (candidates, pods, is_http2) = (SortedSet::new(), 0, false);
            if let Resolved::Known { cluster_ip, .. } = &self.port {
                candidates.extend(*cluster_ip);
            }
            present.clone_from(&candidates);
        }
        self.old.retain(|address| present.contains(address));
        (self.pods, self.is_http2) = (pods, is_http2 && !is_spoken_to);
        self.candidates = candidates.into_iter().take(MAX_ADDRESSES).collect();
        let candidates = &self.candidates;
        self.proven.retain(|address| candidates.contains(address));
    }

    /// The port at the pods of a slice.
    fn port_of<'a>(&self, ports: &'a [SlicePort]) -> Option<&'a SlicePort> {
        let by_name = |name: &str| ports.iter().find(|port| port.name == name);
        match (&self.port, &self.backend.port) {
            (Resolved::Known { name, .. }, _) => by_name(name),
            (Resolved::Faulty(_), _) => None,
            (Resolved::Guessed, Port::Name(name)) => by_name(name),
            // Mostly a Service and its pods have one port.
            (Resolved::Guessed, Port::Number(number)) => match ports {
                [only] => Some(only),
                ports => ports.iter().find(|port| port.port == *number),
            },
        }
    }

    /// It was stopped: of the addresses that are there none is believed until it was gone.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.old = match self.backend.route {
            Route::Service => gathered(self.candidates.iter().copied()),
            Route::Pod => gathered(self.slices.values().flat_map(|slice| {
                let port = spoken_to(self.port_of(&slice.ports));
                let endpoints = slice.endpoints.iter().filter(|pod| !pod.terminating);
                let ips = endpoints.filter_map(|endpoint| endpoint.addresses.first());
                ips.map(move |ip| known_as(*ip, port))
            })),
        };
        self.old_since = Some(now);
        self.counted(0);
        self.proven.clear();
        self.derive();
    }

    /// The addresses to be tried now. Those of before a stop are only where it is being
    /// started again.
    pub(super) fn to_probe(&self, is_starting: bool, now: Instant) -> Vec<SocketAddr> {
        if self.is_empty() {
            return Vec::new();
        }
        let is_old_tried = is_starting && self.old_since.is_none_or(|since| now >= since + OLD);
        let untried = self.candidates.iter().filter(|address| {
            let is_believed = is_old_tried || !self.old.contains(address);
            is_believed && !self.proven.contains(address)
        });
        untried.copied().collect()
    }

    /// An address answered a connect.
    pub(super) fn accepted(&mut self, address: SocketAddr) {
        if self.candidates.contains(&address) && !self.is_empty() {
            self.proven.insert(address);
            if self.old.remove(&address) {
                self.derive();
            }
        }
    }

    /// An address did not answer a connect.
    pub(super) fn refused(&mut self, address: SocketAddr) {
        self.proven.remove(&address);
    }

    /// The endpoints that can be used.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let proven = self.proven.iter();
        proven.map(|&address| Endpoint { address }).collect()
    }

    /// The number of pods that are there, ready or not, and do not end; where they are not
    /// watched, as many as there should be.
    pub(super) fn pods(&self) -> usize {
        match self.backend.route {
            Route::Pod => self.pods,
            Route::Service => self.replicas.unwrap_or_default().max(self.proven.len()),
        }
    }
}

/// The address of a pod. Without a port it is not dialled, and whether it was there before a
/// stop is known all the same.
fn known_as(ip: IpAddr, port: Option<u16>) -> SocketAddr {
    SocketAddr::new(ip, port.unwrap_or(0))
}

/// The number of a port, unless it speaks what is not spoken here.
fn spoken_to(port: Option<&SlicePort>) -> Option<u16> {
    port.filter(|port| !port.is_http2).map(|port| port.port)
}
