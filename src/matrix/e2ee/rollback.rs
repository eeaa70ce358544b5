//! Detects that this store is older than its device's last life, and recovers: the
//! device's keys must not be used any more, and what was encrypted by them is nothing
//! to go by.

use log::warn;

use super::engine::Turn;
use super::error::Error;
use super::olm_sessions::Author;
use crate::crypto::MegolmEvent;
use crate::matrix::client::Event;
use crate::util::sorted_by;

impl Turn<'_> {
    /// Looks at a message of the bot's own account. One that this device sent and
    /// this store does not remember shows that the store is older than the device's
    /// last life, if the homeserver is to be believed.
    pub(super) fn look_for_rollback(&self, event: &Event<'_>) -> Result<(), Error> {
        if event.kind != "m.room.encrypted" {
            return Ok(());
        }
        let is_ours = serde_json::from_slice::<Author<'_>>(event.content.get().as_bytes())
            .is_ok_and(|author| author.device_id == self.engine.device.as_str());
        let Ok(megolm) = MegolmEvent::parse(event.content) else {
            return Ok(());
        };
        let sent = self.tx.outbound_sessions();
        if is_ours
            && is_session_id(&megolm.session_id)
            && !sent.has_sent(&megolm.session_id, megolm.index())?
        {
            let mut unknown = self.engine.unknown_sessions.borrow_mut();
            unknown.push(megolm.session_id);
        }
        Ok(())
    }

    /// Ends a transaction that took in messages.
    ///
    /// # Errors
    /// [`Error::RolledBack`] if the homeserver has shown messages of this device that
    /// this store does not remember. Nothing of the transaction may hold then.
    pub fn check_rollback(&self) -> Result<(), Error> {
        let unknown = self.engine.unknown_sessions.take();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut unknown = sorted_by(unknown, Ord::cmp);
        unknown.dedup();
        Err(Error::RolledBack(unknown))
    }

    /// Replaces all keys of the device but those that name it: no recording opens, and
    /// nothing is encrypted with what may have been used. `unknown` are the sessions that
    /// told of it; they are remembered, so that the same messages tell of nothing another
    /// time.
    ///
    /// Everything that waited to be sent, or to be classified, is dropped. People who command are
    /// reached out to, so that they need none of the keys that are gone.
    pub fn recover_from_rollback(&self, unknown: &[String]) -> Result<(), Error> {
        let tx = self.tx;
        for session_id in unknown {
            tx.outbound_sessions().put_foreign(session_id)?;
        }
        tx.inbound_sessions().bury_all(self.own_now)?;
        tx.forget_sessions()?;
        let mut account = self.take_account()?;
        account
            .replace_all_keys(self.own_now)
            .ok_or(Error::Account)?;
        self.save_account(account)?;
        for user in &self.engine.commanders.users {
            for known in tx.devices().known(user)? {
                if !known.deleted {
                    self.unwedge(&known.device)?;
                }
            }
        }
        warn!("all one-time keys and sessions are new");
        Ok(())
    }
}

/// A session's id is the public half of a signing key.
fn is_session_id(id: &str) -> bool {
    vodozemac::base64_decode(id).is_ok_and(|key| key.len() == 32)
}
