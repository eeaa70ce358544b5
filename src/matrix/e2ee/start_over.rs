//! What follows from the trace of another life of this device: its keys must not be
//! used any more, and what was encrypted by them is nothing to go by.

use log::warn;

use super::engine::{Engine, Error};
use crate::store::Transaction;

impl Engine {
    /// Whether the homeserver has shown messages of this device in this transaction
    /// that this store does not remember. Nothing of the transaction may hold then.
    pub fn check_rollback(&self) -> Result<(), Error> {
        let foreign = self.foreign.take();
        match foreign.is_empty() {
            true => Ok(()),
            false => Err(Error::RolledBack(foreign)),
        }
    }

    /// Goes on with the same device and none of its keys but those that name it: no
    /// recording opens, and nothing is encrypted with what may have been used. The
    /// sessions that told of it are remembered, so that the same messages tell of
    /// nothing another time.
    ///
    /// What waited to be sent, or to be judged, is dropped. People who command are
    /// reached out to, so that they need none of the keys that are gone.
    pub fn recover_from_rollback<'a>(
        &self,
        tx: &Transaction<'_>,
        foreign: impl IntoIterator<Item = &'a str>,
        now: u64,
    ) -> Result<(), Error> {
        for session_id in foreign {
            tx.outbound_sessions().put_foreign(session_id)?;
        }
        tx.inbound_sessions().bury_all(self.own_now())?;
        tx.forget_sessions()?;
        let mut account = self.account_mut(tx)?;
        account
            .replace_all_keys(self.own_now())
            .map_err(|_| Error::Account)?;
        self.save_account(tx, account)?;
        for user in &self.commanders.users {
            for known in tx.devices().known(user)? {
                if !known.deleted {
                    self.unwedge(tx, &known.device, now)?;
                }
            }
        }
        warn!("all one-time keys and sessions are new");
        Ok(())
    }
}
