//! The Leases of the gateway, as the process remembers them for the room that is told of
//! changes.

use log::warn;
use ruma::OwnedRoomId;

use super::{
    announcer::Announcer,
    lease_words::{self, LeasePhase},
};
use crate::{
    config::ChatGateway,
    control::{Leases, Targets},
    kube::{CollectionChange, CollectionWatch, Lease},
};

/// The room, and what is known of the Leases.
pub(super) struct Announcements {
    pub(super) leases: Leases,
    pub(super) room: OwnedRoomId,
    pub(super) announcer: Announcer,
    pub(super) watch: Watching,
    /// True if they cannot be followed for the time being, which was logged.
    is_lost: bool,
    /// True if it was logged that the room cannot be told.
    pub(super) is_mute: bool,
}

/// The watch of the Leases.
pub(super) enum Watching {
    /// It is to be begun.
    No,
    /// It waits for its next change, in a task.
    Under,
    /// It is to be waited for.
    Idle(Box<CollectionWatch<Lease>>),
}

/// A change of the Leases, with the watch that it came by.
pub(super) struct Heard {
    pub(super) watch: CollectionWatch<Lease>,
    pub(super) change: CollectionChange<Lease>,
}

impl Announcements {
    /// The room of a gateway, if it has one.
    pub(super) fn of(gateway: &ChatGateway) -> Option<Self> {
        let room = gateway.announce_room.clone()?;
        Some(Self {
            leases: gateway.leases.clone(),
            room,
            announcer: Announcer::default(),
            watch: Watching::No,
            is_lost: false,
            is_mute: false,
        })
    }

    /// Begins anew: its task is gone, and what it has seen with it.
    pub(super) fn begin_anew(&mut self) {
        self.announcer = Announcer::default();
        self.watch = Watching::No;
    }

    /// Takes in a change. `now` is in milliseconds since the Unix epoch.
    pub(super) fn take_in(&mut self, heard: Heard, targets: &Targets, now: u64) {
        self.watch = Watching::Idle(Box::new(heard.watch));
        match heard.change {
            CollectionChange::All(leases) => {
                self.is_lost = false;
                for lease in &leases {
                    self.see(lease, targets, now);
                }
            }
            CollectionChange::Set(lease) => self.see(&lease, targets, now),
            // The next one of its name goes on from what was known.
            CollectionChange::Gone(_) => {}
            CollectionChange::Lost(why) => {
                if !self.is_lost {
                    warn!("what the gateway does cannot be followed: {why}");
                }
                self.is_lost = true;
            }
        }
    }

    fn see(&mut self, lease: &Lease, targets: &Targets, now: u64) {
        let (Some(name), Targets::Named(targets)) = (self.leases.target(&lease.name), targets)
        else {
            return;
        };
        let target = targets.iter().find(|target| target.name.as_str() == name);
        // Elsewhere it does not exist.
        if !target.is_some_and(|target| target.is_in(&self.room)) {
            return;
        }
        match lease_words::phase(lease) {
            LeasePhase::Run => {
                let line = || lease_words::woke(name, lease);
                self.announcer.see(name, Some(true), line);
            }
            LeasePhase::Stopped => {
                let line = || lease_words::slept(name, lease, now);
                self.announcer.see(name, Some(false), line);
            }
            LeasePhase::Between => self.announcer.see(name, None, || None),
        }
    }
}
