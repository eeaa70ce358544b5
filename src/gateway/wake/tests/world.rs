//! A cluster without a network: one workload, its Lease and its pods, for keepers whose
//! clock jumps from one timer to the next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::keeper::Watched;
use super::random::Random;
use crate::control::progress::Finding;
use crate::kube::{
    CollectionChange, EndpointSlice, Lease, LookAt, ScaleAnswer, SliceEndpoint, SlicePort,
};

#[derive(Clone)]
pub(super) struct World(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) random: Random,
    pub(super) version: u64,
    pub(super) replicas: i32,
    pub(super) scale_version: u64,
    /// The field managers of the number.
    pub(super) owners: Vec<String>,
    pub(super) lease: Option<Lease>,
    pub(super) pods: BTreeMap<SocketAddr, Pod>,
    next_pod: u8,
    listeners: BTreeMap<usize, mpsc::UnboundedSender<(Instant, Watched)>>,
    /// The longest time of a call in each direction, and of an event, in milliseconds.
    pub(super) slow_ms: u64,
    pub(super) is_down: bool,
    /// Its answers have a `Date`.
    pub(super) shows_time: bool,
    /// The API server takes what it is asked, and never answers.
    pub(super) hangs: bool,
    /// The time of a start, and how much longer the port takes, in milliseconds.
    pub(super) start_ms: u64,
    /// The time until there is a pod.
    pub(super) pods_ms: u64,
    pub(super) port_ms: u64,
    /// The time until what the workload says of its pods is about its number of now.
    pub(super) count_ms: u64,
    /// The pods that it counted before, and until when.
    pub(super) counted: Option<(i32, Instant)>,
    pub(super) stops: usize,
    pub(super) wakes: usize,
    /// Writes that changed nothing.
    pub(super) idle_writes: usize,
    pub(super) scale_calls: usize,
    pub(super) lease_calls: usize,
    /// The cause for which its pods do not come up.
    pub(super) trouble: Option<Finding>,
    /// The things that nobody may list.
    pub(super) hidden: LookAt,
    /// The looks for that cause.
    pub(super) looks: Vec<LookAt>,
    /// None of them ends.
    pub(super) looks_hang: bool,
    /// The address of the Service, and whether it takes connections for nobody, too.
    pub(super) cluster_ip: Option<SocketAddr>,
    pub(super) is_mesh: bool,
    /// What does not answer says nothing, instead of refusing.
    pub(super) is_silent: bool,
    /// Its port is for HTTP/2.
    pub(super) is_http2: bool,
    /// Scaled down, it loses its volumes.
    pub(super) deletes_volumes: bool,
    /// The manager who applies a number right after an apply that was refused for the sake of
    /// another one.
    pub(super) comes_between: Option<(&'static str, i32)>,
    /// The replica that dies when it has claimed a stop next.
    pub(super) to_die: Option<usize>,
    pub(super) dead: Vec<usize>,
    /// Until then a replica does not run.
    pub(super) frozen: BTreeMap<usize, Instant>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pod {
    Starting,
    /// It is in the slices as ready, and its port is still closed.
    Ready,
    Open,
    /// Its process is gone, and the slices do not say so yet.
    Killed,
    /// The same of one that was not ready.
    KilledEarly,
    Terminating,
}

impl World {
    pub(super) fn new(seed: u64, has_lease: bool) -> Self {
        let lease = Lease {
            name: "gateway-app".to_owned(),
            resource_version: "1".to_owned(),
            ..Lease::default()
        };
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            version: 1,
            replicas: 0,
            scale_version: 1,
            owners: Vec::new(),
            lease: has_lease.then_some(lease),
            pods: BTreeMap::new(),
            next_pod: 0,
            listeners: BTreeMap::new(),
            slow_ms: 4,
            is_down: false,
            shows_time: false,
            hangs: false,
            start_ms: 1000,
            pods_ms: 0,
            port_ms: 0,
            count_ms: 0,
            counted: None,
            stops: 0,
            wakes: 0,
            idle_writes: 0,
            scale_calls: 0,
            lease_calls: 0,
            trouble: None,
            hidden: LookAt {
                pods: false,
                events: false,
            },
            looks: Vec::new(),
            looks_hang: false,
            cluster_ip: None,
            is_silent: false,
            is_http2: false,
            is_mesh: false,
            deletes_volumes: false,
            comes_between: None,
            to_die: None,
            dead: Vec::new(),
            frozen: BTreeMap::new(),
        })))
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// A replica listens: it is told all that there is, then each change.
    pub(super) fn listen(&self, replica: usize, told: mpsc::Sender<Watched>) {
        let (tell, mut told_later) = mpsc::unbounded_channel::<(Instant, Watched)>();
        self.with(|state| {
            state.listeners.insert(replica, tell);
            state.tell_all(replica);
        });
        tokio::spawn(async move {
            while let Some((at, change)) = told_later.recv().await {
                sleep_until(at).await;
                if told.send(change).await.is_err() {
                    return;
                }
            }
        });
    }

    /// The API server ends, and begins again.
    pub(super) fn set_down(&self, is_down: bool) {
        self.with(|state| {
            state.is_down = is_down;
            let replicas: Vec<usize> = state.listeners.keys().copied().collect();
            for replica in replicas {
                match is_down {
                    true => {
                        let why = "down".to_owned();
                        state.tell(replica, Watched::Lease(CollectionChange::Lost(why.clone())));
                        state.tell(replica, Watched::Slices(CollectionChange::Lost(why)));
                    }
                    false => state.tell_all(replica),
                }
            }
        });
    }

    /// Somebody sets the number without apply, as `kubectl scale` does.
    pub(super) fn scale(&self, replicas: i32) {
        self.with(|state| {
            let was = state.replicas;
            state.owners = match (was, replicas) {
                (0, _) | (_, 0) => Vec::new(),
                _ => vec!["kubectl".to_owned()],
            };
        });
        self.set(replicas);
    }

    /// Somebody applies the number with force.
    pub(super) fn apply_as(&self, manager: &str, replicas: i32) {
        self.with(|state| state.owners = vec![manager.to_owned()]);
        self.set(replicas);
    }

    /// Annotates the Lease, as the chat does.
    pub(super) fn annotate(&self, name: &str, value: &str) {
        self.with(|state| {
            state.version += 1;
            let version = state.version.to_string();
            let Some(lease) = &mut state.lease else {
                return;
            };
            lease.resource_version = version;
            lease.annotations.insert(name.to_owned(), value.to_owned());
            let lease = lease.clone();
            state.tell_each(&Watched::Lease(CollectionChange::Set(lease)));
        });
    }

    /// The watches of a replica end for good, as when its target is taken out of the file.
    pub(super) fn forget(&self, replica: usize) {
        self.with(|state| state.listeners.remove(&replica));
    }

    pub(super) fn is_open(&self, address: SocketAddr) -> bool {
        self.with(|state| match state.cluster_ip == Some(address) {
            true => state.is_mesh || state.open() > 0,
            false => state.pods.get(&address) == Some(&Pod::Open),
        })
    }

    /// Sets the number, and has the controller go on.
    pub(super) fn set(&self, replicas: i32) {
        let (was, start, port) = self.with(|state| {
            state.version += 1;
            state.scale_version = state.version;
            let was = std::mem::replace(&mut state.replicas, replicas);
            let until = Instant::now() + Duration::from_millis(state.count_ms);
            state.counted = Some((state.open(), until));
            let start = Duration::from_millis(state.start_ms / 2) + {
                let part = state.start_ms / 2;
                state.random.ms(part)
            };
            let port_ms = state.port_ms;
            (was, start, state.random.ms(port_ms))
        });
        match (was, replicas) {
            (0, 1..) => {
                tokio::spawn(self.clone().start(start, port));
            }
            (1.., 0) => {
                tokio::spawn(self.clone().stop());
            }
            _ => {}
        }
    }

    async fn start(self, start: Duration, port: Duration) {
        sleep(Duration::from_millis(self.with(|state| state.pods_ms))).await;
        if self.with(|state| state.replicas) == 0 {
            return;
        }
        let address = self.with(|state| {
            state.next_pod = state.next_pod % 200 + 1;
            let address = SocketAddr::from(([10, 0, 0, state.next_pod], 8080));
            state.pods.insert(address, Pod::Starting);
            state.tell_slices();
            address
        });
        for (wait, pod) in [(start, Pod::Ready), (port, Pod::Open)] {
            sleep(wait).await;
            self.with(|state| {
                if let Some(known) = state.pods.get_mut(&address)
                    && matches!(known, Pod::Starting | Pod::Ready)
                {
                    *known = pod;
                    state.tell_slices();
                }
            });
        }
    }

    async fn stop(self) {
        let ending: Vec<SocketAddr> = self.with(|state| {
            let pods = state.pods.iter_mut();
            let is_alive = |pod: &Pod| matches!(pod, Pod::Starting | Pod::Ready | Pod::Open);
            pods.filter(|(_, pod)| is_alive(pod))
                .map(|(address, pod)| {
                    *pod = match pod {
                        Pod::Starting => Pod::KilledEarly,
                        _ => Pod::Killed,
                    };
                    *address
                })
                .collect()
        });
        sleep(Duration::from_millis(34)).await;
        self.with(|state| {
            for address in &ending {
                state.pods.insert(*address, Pod::Terminating);
            }
            state.tell_slices();
        });
        sleep(Duration::from_secs(1)).await;
        self.with(|state| {
            for address in &ending {
                state.pods.remove(address);
            }
            state.tell_slices();
        });
    }
}

impl State {
    fn slice(&self) -> EndpointSlice {
        let endpoints = self.pods.iter().map(|(address, pod)| SliceEndpoint {
            addresses: vec![address.ip()],
            ready: matches!(pod, Pod::Ready | Pod::Open | Pod::Killed),
            terminating: *pod == Pod::Terminating,
        });
        EndpointSlice {
            name: "app-x".to_owned(),
            service: "app".to_owned(),
            ports: vec![SlicePort {
                name: "http".to_owned(),
                port: 8080,
                is_http2: self.is_http2,
            }],
            endpoints: endpoints.collect(),
        }
    }

    pub(super) fn tell_slices(&mut self) {
        let slice = self.slice();
        self.tell_each(&Watched::Slices(CollectionChange::Set(slice)));
    }

    pub(super) fn tell_each(&mut self, told: &Watched) {
        let replicas: Vec<usize> = self.listeners.keys().copied().collect();
        for replica in replicas {
            if !self.is_down {
                self.tell(replica, told.clone());
            }
        }
    }

    fn tell(&mut self, replica: usize, told: Watched) {
        let slow_ms = self.slow_ms;
        let at = Instant::now() + self.random.ms(slow_ms);
        if let Some(listener) = self.listeners.get(&replica) {
            let _ = listener.send((at, told));
        }
    }

    fn tell_all(&mut self, replica: usize) {
        let slices = CollectionChange::All(vec![self.slice()]);
        let leases = CollectionChange::All(self.lease.clone().into_iter().collect());
        self.tell(replica, Watched::Lease(leases));
        self.tell(replica, Watched::Slices(slices));
    }

    /// The pods that answer.
    pub(super) fn open(&self) -> i32 {
        let open = self.pods.values().filter(|pod| **pod == Pod::Open);
        i32::try_from(open.count()).unwrap()
    }

    pub(super) fn answer(&self) -> ScaleAnswer {
        ScaleAnswer {
            uid: "1".to_owned(),
            resource_version: self.scale_version.to_string(),
            replicas: self.replicas,
            current: self.replicas,
            selector: String::new(),
        }
    }
}
