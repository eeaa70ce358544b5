//! Going on after the trace of another life of this device, with the same device.

use std::{collections::BTreeSet, time::Duration};

use log::error;
use tokio::time::Instant;

use super::{replies, session::Session};
use crate::matrix::{client::in_thread, e2ee};

/// After keys were given up the next sync waits this long: a homeserver that makes
/// up traces without end keeps the bot from its work, as it can anyway, but not the
/// machine busy.
const PAUSE: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Takes the homeserver's word that this device has had another life, if that
    /// is what is wrong, and if there is no new device to be had for it. It costs
    /// the keys, not the program: the word may be a lie.
    pub(super) fn goes_on_without(&mut self, error: &e2ee::Error) -> bool {
        let e2ee::Error::RolledBack(foreign) = error else {
            return false;
        };
        if self.keeps_device {
            self.recover_from_rollback(&error.to_string(), foreign);
        }
        self.keeps_device
    }

    /// Gives up all keys that another life of this device may have used. What was
    /// asked for and is not done may have been done in that life.
    pub(super) fn recover_from_rollback(&mut self, why: &str, foreign: &BTreeSet<String>) {
        error!(
            "{why}. Or the homeserver lies. The device's keys are given up and replaced: who \
             commands has to make their client use a new key"
        );
        self.requests.sync_not_before = Instant::now() + PAUSE;
        self.attempt(|door| {
            let (turn, tx) = (door.turn, door.turn.tx);
            turn.recover_from_rollback(foreign)?;
            for asked in tx.journal().unfinished()? {
                if Some(&*asked.event_id) != door.executing {
                    let thread = in_thread(asked.thread.as_deref(), &asked.event_id);
                    let answer = replies::interrupted(&asked.payload);
                    turn.reply(&asked.room, thread, &answer)?;
                    tx.journal().finish(&asked.event_id)?;
                }
            }
            Ok(())
        });
    }
}
