//! The watches that all targets share: one of the EndpointSlices of each namespace, one of
//! the Leases. Each keeper is told of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::keeper::Watched;
use crate::control::{Namespace, ObjectName};
use crate::kube::{Api, CollectionChange, CollectionWatch, EndpointSlice, Lease};
use crate::util::{SortedMap, boxed};

/// One who is told.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    /// The namespace and the name of its Service, if it has one.
    pub(super) service: Option<(Namespace, ObjectName)>,
    /// The name of its Lease.
    pub(super) lease: ObjectName,
    pub(super) told: mpsc::Sender<Watched>,
}

/// The watches that are open. They end when this is dropped.
pub(super) struct Watches {
    /// For each whether its first list is in.
    synced: Vec<Arc<AtomicBool>>,
    listeners: Vec<Listener>,
    _tasks: JoinSet<()>,
}

impl Watches {
    /// Opens the watches that these need.
    pub(super) fn start(
        api: &Api,
        (leases, prefix): (&Namespace, &str),
        listeners: &[Listener],
    ) -> Self {
        let (mut tasks, mut synced) = (JoinSet::new(), Vec::new());
        let mut flag = || {
            let flag = Arc::new(AtomicBool::new(false));
            synced.push(Arc::clone(&flag));
            flag
        };
        let mut services: SortedMap<Namespace, Vec<Listener>> = SortedMap::new();
        for listener in listeners {
            if let Some((namespace, _)) = &listener.service {
                let listeners = services.or_default(namespace.clone());
                listeners.push(listener.clone());
            }
        }
        for (namespace, listeners) in services {
            tasks.spawn(boxed(follow_slices(
                api.clone(),
                namespace,
                listeners,
                flag(),
            )));
        }
        if !listeners.is_empty() {
            let (leases, listeners) = (leases.clone(), listeners.to_vec());
            let watch = api.watch_leases(&leases, prefix);
            tasks.spawn(boxed(follow_leases(watch, leases, listeners, flag())));
        }
        Self {
            synced,
            listeners: listeners.to_vec(),
            _tasks: tasks,
        }
    }

    /// Returns true if they are what these need, too.
    pub(super) fn are_for(&self, listeners: &[Listener]) -> bool {
        let is_same = |(one, other): (&Listener, &Listener)| {
            one.service == other.service
                && one.lease == other.lease
                && one.told.same_channel(&other.told)
        };
        let mut pairs = self.listeners.iter().zip(listeners);
        self.listeners.len() == listeners.len() && pairs.all(is_same)
    }

    /// Returns true once all that is watched was listed.
    pub(super) fn are_synced(&self) -> bool {
        self.synced.iter().all(|flag| flag.load(Ordering::Relaxed))
    }
}

async fn follow_slices(
    api: Api,
    namespace: Namespace,
    listeners: Vec<Listener>,
    synced: Arc<AtomicBool>,
) {
    let mut watch = api.watch_endpoints(&namespace);
    loop {
        let change = watch.next().await;
        for listener in &listeners {
            let Some((_, service)) = &listener.service else {
                continue;
            };
            if let Some(change) = slices_for(&change, service.as_str()) {
                // One whose keeper has ended hears nothing.
                let _ = listener.told.send(Watched::Slices(change)).await;
            }
        }
        note(&change, &namespace, &synced);
    }
}

async fn follow_leases(
    mut watch: CollectionWatch<Lease>,
    namespace: Namespace,
    listeners: Vec<Listener>,
    synced: Arc<AtomicBool>,
) {
    loop {
        let change = watch.next().await;
        for listener in &listeners {
            if let Some(change) = leases_for(&change, listener.lease.as_str()) {
                let _ = listener.told.send(Watched::Lease(change)).await;
            }
        }
        note(&change, &namespace, &synced);
    }
}

/// Notes that a list is in, or why not.
fn note<T>(change: &CollectionChange<T>, namespace: &Namespace, synced: &AtomicBool) {
    match change {
        CollectionChange::All(_) => synced.store(true, Ordering::Relaxed),
        CollectionChange::Lost(why) => log::warn!("watch of namespace {namespace}: {why}"),
        CollectionChange::Set(_) | CollectionChange::Gone(_) => {}
    }
}

/// The part of a change that is about one Service.
fn slices_for(
    change: &CollectionChange<EndpointSlice>,
    service: &str,
) -> Option<CollectionChange<EndpointSlice>> {
    Some(match change {
        CollectionChange::All(slices) => {
            let own = slices.iter().filter(|slice| slice.service == service);
            CollectionChange::All(own.cloned().collect())
        }
        CollectionChange::Set(slice) if slice.service != service => return None,
        change => change.clone(),
    })
}

/// The part of a change that is about one Lease.
fn leases_for(change: &CollectionChange<Lease>, name: &str) -> Option<CollectionChange<Lease>> {
    Some(match change {
        CollectionChange::All(leases) => {
            let own = leases.iter().filter(|lease| lease.name == name);
            CollectionChange::All(own.cloned().collect())
        }
        CollectionChange::Set(lease) if lease.name != name => return None,
        CollectionChange::Gone(gone) if gone != name => return None,
        change => change.clone(),
    })
}
