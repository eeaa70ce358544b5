//! Going on after the trace of another life of this device, with the same device.

use std::{collections::BTreeSet, time::Duration};

use log::error;
use tokio::time::Instant;

use super::{replies, session::Session};
use crate::matrix::{client::in_thread, e2ee, session::SessionEnd};

/// After keys were given up the next sync waits this long: a homeserver that makes
/// up traces without end keeps the bot from its work, as it can anyway, but not the
/// machine busy.
const PAUSE: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Goes on after an error that came with an answer. Returns true if it was the
    /// homeserver's word that this device has had another life, and that is taken: there
    /// is no new device to be had for it. It costs the keys, not the program: the word may
    /// be a lie.
    ///
    /// # Errors
    /// There is nothing to go on with: the session ends.
    pub(super) fn goes_on_without(&mut self, error: &e2ee::Error) -> Result<bool, SessionEnd> {
        match error {
            e2ee::Error::RolledBack(foreign) if self.keeps_device => {
                self.recover_from_rollback(&error.to_string(), foreign);
                Ok(true)
            }
            e2ee::Error::RolledBack(_) => Err(SessionEnd::Outlived(error.to_string())),
            e2ee::Error::OwnKeys(_) => Err(SessionEnd::Fatal(error.to_string())),
            _ => Ok(false),
        }
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
                if !door.executing.contains(&asked.event_id) {
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
