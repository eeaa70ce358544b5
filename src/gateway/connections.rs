//! The quota of all connections of clients, and the choice of the one that is closed when
//! there are too many: the rules, without any input or output.
//!
//! The quota is one of memory, counted in places: each connection takes as many as it may
//! come to need in what it does now. Where there are too few left, the connections that have
//! been idle for longest give way; where none is idle, nothing more is taken, since those
//! before it are being answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::util::SortedMap;

/// The places that a connection takes: 32 KiB each, resident and in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// With HTTP: a request of which all has come that may come before it is passed on.
    http: usize,
    /// As a socket that was upgraded.
    socket: usize,
}

impl Places {
    /// In the clear.
    pub(super) const PLAIN: Self = Self { http: 2, socket: 1 };

    /// With TLS, which keeps a record that has not come whole, or a client's first words of at
    /// most 64 KiB.
    pub(super) const ENCRYPTED: Self = Self { http: 3, socket: 2 };
}

/// The places that are needed beside those of a connection while something is passed on: a
/// request and its answer, or what one side of a socket does not take.
const OF_PASSING: usize = 6;

/// Connections that one address may have, unless it is a trusted proxy.
const MAX_PER_PEER: usize = 200;

/// The part of all places that one address may take, unless it is a trusted proxy: so 50
/// requests that never end leave room for others.
const SHARE: (usize, usize) = (5, 8);

/// The part of all places that only the API may take, so that what the proxy does keeps nobody
/// from it. Connections of the API within that part give way to none of the proxy.
const OF_API: usize = 32;

/// The port that a connection came in at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Its requests are passed on.
    Proxy,
    /// They are answered here.
    Api,
}

/// Ends a connection.
pub(super) trait Task {
    /// Closes it.
    fn end(&self);
}

impl Task for AbortHandle {
    fn end(&self) {
        self.abort();
    }
}

/// The use of one connection, which its task tells.
#[derive(Debug)]
pub struct Usage {
    started: Instant,
    state: AtomicU8,
    /// Milliseconds from `started` to the end of the last request.
    idle_at: AtomicU64,
    /// The places that the connection itself takes, none once it has ended.
    own: AtomicUsize,
    places: Places,
    /// All connections, those of the same address, and those of the same port.
    counts: [Arc<Counts>; 3],
}

/// The places that connections take, counted as they change: there may be many connections,
/// and each request asks.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicUsize,
    /// Those of connections that may be ended.
    idle: AtomicUsize,
}

const FRESH: u8 = 3;
const IDLE: u8 = 0;
const BUSY: u8 = 1;
const SOCKET: u8 = 2;

/// Open connections of all listeners.
pub(super) struct Connections<T> {
    max: usize,
    /// The places of each.
    places: Places,
    all: Arc<Counts>,
    of_proxy: Arc<Counts>,
    of_api: Arc<Counts>,
    next: u64,
    open: SortedMap<u64, Entry<T>>,
    peers: SortedMap<IpAddr, Peer>,
}

struct Entry<T> {
    port: Port,
    peer: IpAddr,
    /// The most places that all connections of the address may take.
    share: usize,
    task: Option<T>,
    usage: Arc<Usage>,
}

/// The connections of one address.
#[derive(Default)]
struct Peer {
    count: usize,
    places: Arc<Counts>,
}

/// The number of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64);

impl Counts {
    /// Returns true if there is room once those that are idle have given way.
    fn could_have(&self, needed: usize, most: usize) -> bool {
        let (taken, idle) = (self.taken.load(Relaxed), self.idle.load(Relaxed));
        taken.saturating_sub(idle) + needed <= most
    }

    /// Returns true if there is room.
    fn has(&self, needed: usize, most: usize) -> bool {
        self.taken.load(Relaxed) + needed <= most
    }
}

impl Usage {
    fn new(places: Places, counts: [Arc<Counts>; 3]) -> Self {
        for one in &counts {
            one.taken.fetch_add(places.http, Relaxed);
            one.idle.fetch_add(places.http, Relaxed);
        }
        Self {
            started: Instant::now(),
            state: AtomicU8::new(FRESH),
            idle_at: AtomicU64::new(0),
            own: AtomicUsize::new(places.http),
            places,
            counts,
        }
    }

    /// A request begins.
    pub fn busy(&self) {
        self.becomes(BUSY);
    }

    /// The answer to the last request has ended.
    pub fn idle(&self) {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.idle_at.store(passed, Relaxed);
        // A socket stays one.
        let is_over = self.state.compare_exchange(BUSY, IDLE, Relaxed, Relaxed);
        if is_over.is_ok() {
            for one in &self.counts {
                one.idle.fetch_add(self.own.load(Relaxed), Relaxed);
            }
        }
    }

    /// The connection carries no HTTP any more.
    pub fn socket(&self) {
        self.becomes(SOCKET);
        let Places { http, socket } = self.places;
        let now = self.own.compare_exchange(http, socket, Relaxed, Relaxed);
        if now.is_ok() {
            self.leave(http - socket);
        }
    }

    /// Returns true until the first request begins.
    pub fn is_fresh(&self) -> bool {
        self.state.load(Relaxed) == FRESH
    }

    fn idle_since(&self) -> Option<Instant> {
        let passed = std::time::Duration::from_millis(self.idle_at.load(Relaxed));
        let is_idle = matches!(self.state.load(Relaxed), FRESH | IDLE);
        is_idle.then(|| self.started + passed)
    }

    /// It is not idle any more.
    fn becomes(&self, state: u8) {
        if matches!(self.state.swap(state, Relaxed), FRESH | IDLE) {
            for one in &self.counts {
                one.idle.fetch_sub(self.own.load(Relaxed), Relaxed);
            }
        }
    }

    /// Takes fewer places.
    fn leave(&self, places: usize) {
        for one in &self.counts {
            one.taken.fetch_sub(places, Relaxed);
        }
    }

    /// Something is passed on.
    fn passes(&self) {
        for one in &self.counts {
            one.taken.fetch_add(OF_PASSING, Relaxed);
        }
    }

    /// Nothing is passed on any more.
    pub(super) fn passed(&self) {
        self.leave(OF_PASSING);
    }

    /// The connection takes no place of its own any more.
    fn ended(&self) {
        self.becomes(BUSY);
        self.leave(self.own.swap(0, Relaxed));
    }
}

impl<T: Task> Connections<T> {
    /// None yet, of `max` places.
    pub(super) fn new(max: usize, places: Places) -> Self {
        Self {
            max,
            places,
            all: Arc::default(),
            of_proxy: Arc::default(),
            of_api: Arc::default(),
            next: 0,
            open: SortedMap::new(),
            peers: SortedMap::new(),
        }
    }

    /// Takes in a connection, and ends others for it if there are too many. None if there is
    /// no room: where requests are passed on, also for one of them, since connections that all
    /// wait for that would wait in vain.
    pub(super) fn admit(
        &mut self,
        port: Port,
        peer: IpAddr,
        is_trusted: bool,
    ) -> Option<(Id, Arc<Usage>)> {
        let http = self.places.http;
        let needed = match port {
            Port::Proxy => http + OF_PASSING,
            Port::Api => http,
        };
        let share = match is_trusted {
            true => usize::MAX,
            false => (self.max * SHARE.0 / SHARE.1).max(http + OF_PASSING),
        };
        let of_peer = self.peers.get(&peer).map_or(0, |peer| peer.count);
        if !is_trusted && of_peer >= MAX_PER_PEER && !self.end_idlest(Some(peer), false) {
            return None;
        }
        if !self.make_room(port, needed, peer, share) {
            return None;
        }
        let id = self.next;
        self.next += 1;
        let of_peer = self.peers.or_default(peer);
        of_peer.count += 1;
        let of_port = match port {
            Port::Proxy => &self.of_proxy,
            Port::Api => &self.of_api,
        };
        let counts = [&self.all, &of_peer.places, of_port].map(Arc::clone);
        let usage = Arc::new(Usage::new(self.places, counts));
        let entry = Entry {
            port,
            peer,
            share,
            task: None,
            usage: Arc::clone(&usage),
        };
        self.open.insert(id, entry);
        Some((Id(id), usage))
    }

    /// Names the task that serves a connection.
    pub(super) fn served_by(&mut self, Id(id): Id, task: T) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.task = Some(task);
        }
    }

    /// Forgets a connection that has ended.
    pub(super) fn ended(&mut self, Id(id): Id) {
        let Some(entry) = self.open.remove(&id) else {
            return;
        };
        entry.usage.ended();
        if let Some(of_peer) = self.peers.get_mut(&entry.peer) {
            of_peer.count -= 1;
            if of_peer.count == 0 {
                self.peers.remove(&entry.peer);
            }
        }
    }

    /// Something of a connection is to be passed on: takes the places for that, and ends others
    /// for them. False if there is no room.
    pub(super) fn pass(&mut self, Id(id): Id) -> bool {
        let Some(entry) = self.open.get(&id) else {
            return false;
        };
        let (usage, peer, share) = (Arc::clone(&entry.usage), entry.peer, entry.share);
        let has_room = self.make_room(Port::Proxy, OF_PASSING, peer, share);
        if has_room {
            usage.passes();
        }
        has_room
    }

    /// The number of connections that are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The places that connections of this port and what they pass on may take.
    const fn of(&self, port: Port) -> usize {
        match port {
            Port::Proxy => self.max - self.max / OF_API,
            Port::Api => self.max,
        }
    }

    /// Ends connections that are idle until there is room, in the share of the address and at
    /// all. False if that is not enough: then none is ended.
    fn make_room(&mut self, port: Port, needed: usize, peer: IpAddr, share: usize) -> bool {
        let of_peer = self.peers.get(&peer).map(|peer| Arc::clone(&peer.places));
        let of_peer = of_peer.unwrap_or_default();
        let (all, most) = (Arc::clone(&self.all), self.of(port));
        let spared = match port {
            Port::Proxy => self.max / OF_API,
            Port::Api => 0,
        };
        let idle_of_api = self.of_api.idle.load(Relaxed).min(spared);
        if !of_peer.could_have(needed, share) || !all.could_have(needed + idle_of_api, most) {
            return false;
        }
        while !of_peer.has(needed, share) {
            if !self.end_idlest(Some(peer), false) {
                return false;
            }
        }
        while !all.has(needed, most) {
            let is_api_spared = spared > 0 && self.of_api.has(0, spared);
            if !self.end_idlest(None, is_api_spared) {
                return false;
            }
        }
        true
    }

    /// Ends the connection that has been idle for longest: of this peer, or of all, those of the
    /// API included or not. False if none is idle.
    fn end_idlest(&mut self, peer: Option<IpAddr>, is_api_spared: bool) -> bool {
        let idle = self.open.iter().filter_map(|(id, entry)| {
            let is_meant = peer.is_none_or(|peer| peer == entry.peer)
                && !(is_api_spared && entry.port == Port::Api);
            let since = entry.usage.idle_since().filter(|_| is_meant)?;
            Some((since, *id))
        });
        let Some((_, id)) = idle.min() else {
            return false;
        };
        if let Some(task) = self.open.get(&id).and_then(|entry| entry.task.as_ref()) {
            task.end();
        }
        self.ended(Id(id));
        true
    }
}

#[cfg(test)]
#[path = "connections/tests.rs"]
mod tests;
