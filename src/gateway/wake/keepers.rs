//! The keepers of all targets, and their change when the file is read again.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::handle::TargetHandle;
use super::keeper::{Keeper, Means, Watched};
use super::reason::MAX_LOOKS;
use super::shared::{Room, Shared};
use super::watches::{Listener, Watches};
use super::work::Work;
use crate::config::gateway::{GatewaySettings, GatewayTarget, Route};
use crate::control::{Namespace, ObjectName, TargetName};
use crate::kube::Api;
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::{Clock, SortedMap, boxed, gathered};

/// Changes that a keeper has not looked at yet.
const MAX_TOLD: usize = 64;

/// The keepers of the targets: they end when this is dropped.
pub struct Keepers {
    api: Api,
    /// For looks that may take long.
    beside: Api,
    means: Means,
    /// The namespace of the Leases, and what their names begin with.
    namespace: Namespace,
    lease_prefix: String,
    room: Arc<Room>,
    kept: SortedMap<TargetName, Kept>,
    watches: Option<Watches>,
    /// The watches of before were listed once.
    were_synced: bool,
}

/// A keeper that runs.
struct Kept {
    target: Arc<GatewayTarget>,
    handle: TargetHandle,
    listener: Listener,
}

impl Keepers {
    /// Starts the keepers of these targets.
    pub fn start(
        api: Api,
        settings: &GatewaySettings,
        targets: &[GatewayTarget],
        metrics: Arc<GatewayMetrics>,
        audit: GatewayAudit,
        clock: Clock,
    ) -> Self {
        let clock = api.clock(clock);
        let mut keepers = Self {
            beside: api.beside(),
            api,
            means: Means {
                replica: settings.replica.clone(),
                clock,
                audit,
                metrics: Arc::clone(&metrics),
                looks: Arc::new(Semaphore::new(MAX_LOOKS)),
            },
            namespace: settings.namespace.clone(),
            lease_prefix: settings.lease_prefix.clone(),
            room: Room::new(settings.max_held, metrics),
            kept: SortedMap::new(),
            watches: None,
            were_synced: false,
        };
        keepers.update(targets);
        keepers
    }

    /// Takes over what a file says that was read again: targets that are gone end, changed
    /// ones go on with the new values, new ones start.
    pub fn update(&mut self, targets: &[GatewayTarget]) {
        let mut before = std::mem::take(&mut self.kept);
        for target in targets {
            let kept = match before.remove(&target.name) {
                Some(kept) if kept.target.workload == target.workload => {
                    Some(Self::changed(kept, target))
                }
                // Another workload of the same name is another target.
                _ => self.begin(target),
            };
            if let Some(kept) = kept {
                self.kept.insert(target.name.clone(), kept);
            }
        }
        let kept = self.kept.values();
        let listeners: Vec<Listener> = kept.map(|kept| kept.listener.clone()).collect();
        // A keeper ends when nobody can tell it anything any longer.
        drop(before);
        let watches = self.watches.take();
        if watches
            .as_ref()
            .is_some_and(|open| open.are_for(&listeners))
        {
            self.watches = watches;
            return;
        }
        self.were_synced |= watches.as_ref().is_some_and(Watches::are_synced);
        drop(watches);
        let leases = (&self.namespace, self.lease_prefix.as_str());
        self.watches = Some(Watches::start(&self.api, leases, &listeners));
    }

    /// The handles of the targets.
    pub fn handles(&self) -> SortedMap<TargetName, TargetHandle> {
        let handles = self.kept.iter();
        gathered(handles.map(|(name, kept)| (name.clone(), kept.handle.clone())))
    }

    /// Returns true once everything that is watched was listed; what a changed file adds
    /// later is no reason to say otherwise.
    pub fn are_synced(&self) -> bool {
        self.were_synced || self.watches.as_ref().is_some_and(Watches::are_synced)
    }

    /// This replica is about to end: nothing is held any longer.
    pub fn drain(&self) {
        self.room.drain();
        for kept in self.kept.values() {
            kept.handle.0.tell();
        }
    }

    fn begin(&self, target: &GatewayTarget) -> Option<Kept> {
        let name = format!("{}{}", self.lease_prefix, target.name);
        let Some(lease) = ObjectName::parse(&name) else {
            log::error!("{}: {name} is no name of a Lease", target.name);
            return None;
        };
        let target = Arc::new(target.clone());
        let (shared, asked) = Shared::new(Arc::clone(&target), Arc::clone(&self.room));
        let (tell, told) = mpsc::channel::<Watched>(MAX_TOLD);
        let work = Work {
            cluster: self.api.clone(),
            beside: self.beside.clone(),
            workload: target.workload.clone(),
            lease: (self.namespace.clone(), lease.clone()),
        };
        let handle = TargetHandle(Arc::clone(&shared));
        let keeper = Keeper::new(shared, work, self.means.clone(), told, asked);
        tokio::spawn(boxed(keeper.run()));
        let listener = Listener {
            service: service(&target),
            lease,
            told: tell,
        };
        Some(Kept {
            target,
            handle,
            listener,
        })
    }

    fn changed(mut kept: Kept, target: &GatewayTarget) -> Kept {
        if *kept.target != *target {
            kept.target = Arc::new(target.clone());
            kept.listener.service = service(target);
            let target = Arc::clone(&kept.target);
            kept.handle.0.with(|hot| hot.target = target);
            kept.handle.0.poke.notify_one();
        }
        kept
    }
}

/// The namespace and the name of the Service of a target whose pods are reached by their own
/// addresses: those of others need not be known, and the right to see them may be missing.
fn service(target: &GatewayTarget) -> Option<(Namespace, ObjectName)> {
    let backend = target.backend.as_ref()?;
    (backend.route == Route::Pod).then_some(())?;
    Some((target.workload.namespace.clone(), backend.service.clone()))
}
