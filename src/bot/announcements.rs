//! The room that is told what the gateway does (`ANNOUNCE_ROOM`). The Leases of the gateway
//! are followed, and a change of a phase is a line. What it was before the bot looked is not
//! told, and neither is what the chat itself did.

use log::{info, warn};
use ruma::RoomId;
use tokio::time::Instant;

use super::{
    announced::{Heard, Watching},
    chat::Door,
    jobs::{Ended, Jobs},
    session::Session,
};
use crate::{
    matrix::e2ee::{Error, Place, Speech},
    store::Encryption,
    util::boxed,
};

impl Jobs {
    /// Waits for the next change of the Leases, where nobody does.
    fn listen(&mut self) {
        let Some(announcements) = &mut self.announcements else {
            return;
        };
        let mut watch = match std::mem::replace(&mut announcements.watch, Watching::Under) {
            Watching::Under => return,
            Watching::Idle(watch) => *watch,
            Watching::No => {
                let leases = &announcements.leases;
                let kube = &self.cluster.kube;
                kube.watch_leases(&leases.namespace, leases.prefix())
            }
        };
        self.tasks.spawn(boxed(async move {
            let change = watch.next().await;
            Ended::Heard(Box::new(Heard { watch, change }))
        }));
    }

    /// Takes in a change of the Leases.
    pub(super) fn heard(&mut self, heard: Heard, now: u64) {
        if let Some(announcements) = &mut self.announcements {
            announcements.take_in(heard, &self.targets, now);
        }
    }
}

impl Session<'_> {
    /// Tells the room what there is to tell, and listens for more.
    pub(super) fn check_announcements(&mut self) {
        let Some(announcements) = &mut self.jobs.announcements else {
            return;
        };
        let lines = announcements.announcer.due(Instant::now());
        let room = announcements.room.clone();
        if !lines.is_empty() {
            let mut hindrance = None;
            self.attempt(|door| {
                hindrance = announce(door, &room, &lines.join("\n"))?;
                Ok(())
            });
            self.note_hindrance(&room, hindrance);
        }
        self.jobs.listen();
    }

    /// The time at which there may be something to tell.
    pub(super) fn announces_at(&self) -> Option<Instant> {
        self.jobs.announcements.as_ref()?.announcer.next()
    }

    /// Logs once why the room cannot be told.
    fn note_hindrance(&mut self, room: &RoomId, hindrance: Option<&str>) {
        let Some(announcements) = &mut self.jobs.announcements else {
            return;
        };
        match hindrance {
            None => announcements.is_mute = false,
            Some(why) if !announcements.is_mute => {
                warn!("ANNOUNCE_ROOM {room} is not told what the gateway does: {why}");
                announcements.is_mute = true;
            }
            Some(_) => {}
        }
    }
}

/// Says something in a room unasked. Returns why it cannot be said there.
fn announce(door: Door<'_>, room: &RoomId, text: &str) -> Result<Option<&'static str>, Error> {
    let rooms = door.turn.tx.rooms();
    if !rooms.is_joined(room)? {
        return Ok(Some("invite the bot into it"));
    }
    if door.chat.policy.require_encryption && rooms.encryption(room)? == Encryption::Plaintext {
        return Ok(Some(
            "REQUIRE_ENCRYPTION is set, and the room is not encrypted",
        ));
    }
    info!("{text}");
    let speech = Speech::new(text, Place::Room);
    door.turn.say(room, &speech, false)?;
    Ok(None)
}
