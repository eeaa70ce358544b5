//! Detects that this store is older than its device's last life, and recovers: the
//! device's keys must not be used any more, and what was encrypted by them is nothing
//! to go by.

use std::{cell::RefCell, collections::BTreeSet};

use log::warn;

use super::account::AccountCache;
use super::context::Context;
use super::error::Error;
use super::olm_sessions::{Author, unwedge};
use crate::crypto::MegolmEvent;
use crate::matrix::client::Event;
use crate::store::Transaction;

/// Sessions of this device that the homeserver has shown in this transaction and that
/// this store does not remember.
#[derive(Default)]
pub(super) struct RollbackDetector {
    unknown: RefCell<BTreeSet<String>>,
}

impl RollbackDetector {
    /// Begins another transaction.
    pub(super) fn reset(&self) {
        self.unknown.take();
    }

    /// Looks at a message of the bot's own account. One that this device sent and
    /// this store does not remember shows that the store is older than the device's
    /// last life, if the homeserver is to be believed.
    pub(super) fn look_at(
        &self,
        context: &Context,
        tx: &Transaction<'_>,
        event: &Event<'_>,
    ) -> Result<(), Error> {
        if event.kind != "m.room.encrypted" {
            return Ok(());
        }
        let is_ours = serde_json::from_str::<Author<'_>>(event.content.get())
            .is_ok_and(|author| author.device_id == context.device.as_str());
        let Ok(megolm) = MegolmEvent::parse(event.content) else {
            return Ok(());
        };
        if is_ours
            && is_session_id(&megolm.session_id)
            && !tx
                .outbound_sessions()
                .has_sent(&megolm.session_id, megolm.index())?
        {
            self.unknown.borrow_mut().insert(megolm.session_id);
        }
        Ok(())
    }

    /// Ends a transaction.
    ///
    /// # Errors
    /// [`Error::RolledBack`] if one of the messages was sent by another life of this
    /// device.
    pub(super) fn check(&self) -> Result<(), Error> {
        let unknown = self.unknown.take();
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(Error::RolledBack(unknown)),
        }
    }
}

/// Replaces all keys of the device but those that name it: no recording opens, and
/// nothing is encrypted with what may have been used. `unknown` are the sessions that
/// told of it; they are remembered, so that the same messages tell of nothing another
/// time.
///
/// Everything that waited to be sent, or to be classified, is dropped. People who command are
/// reached out to, so that they need none of the keys that are gone.
pub(super) fn recover<'a>(
    context: &Context,
    accounts: &AccountCache,
    tx: &Transaction<'_>,
    unknown: impl IntoIterator<Item = &'a str>,
    now: u64,
) -> Result<(), Error> {
    for session_id in unknown {
        tx.outbound_sessions().put_foreign(session_id)?;
    }
    tx.inbound_sessions().bury_all(context.own_now())?;
    tx.forget_sessions()?;
    let mut account = accounts.take(tx)?;
    account
        .replace_all_keys(context.own_now())
        .ok_or(Error::Account)?;
    accounts.save(tx, account)?;
    for user in &context.commanders.users {
        for known in tx.devices().known(user)? {
            if !known.deleted {
                unwedge(tx, &known.device, now)?;
            }
        }
    }
    warn!("all one-time keys and sessions are new");
    Ok(())
}

/// A session's id is the public half of a signing key.
fn is_session_id(id: &str) -> bool {
    vodozemac::base64_decode(id).is_ok_and(|key| key.len() == 32)
}
