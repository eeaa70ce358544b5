//! Going on after the trace of another life of this device, with the same device.

use std::time::Duration;

use log::error;
use tokio::time::Instant;

use super::{replies, session::Session};
use crate::{
    control::Command,
    matrix::{client::in_thread, e2ee, session::SessionEnd},
    store::{self, Transaction},
};

/// After keys were given up the next sync waits this long: a homeserver that makes
/// up traces without end keeps the bot from its work, as it can anyway, but not the
/// machine busy.
const PAUSE: Duration = Duration::from_secs(1);

/// People were warned of a stop so long before it at most, in milliseconds, with time to
/// spare.
const WARNED_MS: u64 = 15 * 60_000;

/// A time at which something stops may have been put off, or started again, after this store was
/// copied: who was warned before that is warned once more. `now` is the time of the wall
/// clock, in milliseconds since the Unix epoch.
pub(super) fn warn_anew(tx: &Transaction<'_>, now: u64) -> Result<(), store::Error> {
    tx.timers().warn_anew(now.saturating_sub(WARNED_MS))
}

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
    /// asked for and is not done may have been done in that life; but what a restart has
    /// scaled to none comes back.
    pub(super) fn recover_from_rollback(&mut self, why: &str, foreign: &[String]) {
        error!(
            "{why}. Or the homeserver lies. The device's keys are given up and replaced: who \
             commands has to make their client use a new key"
        );
        self.requests.sync_not_before = Instant::now() + PAUSE;
        self.attempt(|door| {
            let (turn, tx) = (door.turn, door.turn.tx);
            turn.recover_from_rollback(foreign)?;
            warn_anew(tx, turn.now)?;
            for asked in tx.journal().unfinished()? {
                let command = Command::decode(&asked.payload);
                let is_half_done = command.as_ref().is_some_and(Command::is_half_done);
                if !door.executing.contains(&asked.event_id) && !is_half_done {
                    let thread = in_thread(asked.thread.as_deref(), &asked.event_id);
                    let asked_for = command.map_or(asked.payload, |command| command.in_words());
                    let answer = replies::interrupted(&asked_for);
                    turn.reply(&asked.room, thread, &answer)?;
                    tx.journal().finish(&asked.event_id)?;
                }
            }
            Ok(())
        });
    }
}
