//! The engine: what is known beside the store, and the public functions over its parts.

use std::{rc::Rc, sync::Arc};

use log::warn;
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::account::AccountCache;
use super::context::{Commanders, Context};
use super::cross_signing::{self, OwnKeys};
use super::device_lists::{self, QueryAnswer};
use super::error::Error;
use super::invites::{Invite, InviteList};
use super::message::Message;
use super::one_time_keys::{self, KeySupply};
use super::plaintext::PlaintextReplies;
use super::request::CrossSigningStep;
use super::rollback::{self, RollbackDetector};
use super::time_budget::TimeBudget;
use super::trust::{self, Authorship};
use super::{backfill, olm_sessions, replies, room_state, undecrypted};
use crate::crypto::{Device, FallbackOnServer};
use crate::json::Sifted;
use crate::matrix::client::{Audience, InThread};
use crate::store::{DeviceKeys, Transaction};
use crate::util::{MAX_POSITION, is_carried};

/// Takes the homeserver's answers into the store and says what to ask next. It
/// has no state of its own that could contradict the store: what a rolled-back
/// transaction did not do, the engine does not remember.
///
/// Times are in milliseconds: `now` since the Unix epoch, `own_now` by the bot's own
/// clock. A function fails where the store does, or where an answer is malformed; the
/// transaction must be dropped then.
pub struct Engine {
    pub(super) context: Context,
    pub(super) accounts: AccountCache,
    pub(super) own_keys: Rc<OwnKeys>,
    pub(super) plaintext: PlaintextReplies,
    pub(super) rollback: RollbackDetector,
    pub(super) key_supply: KeySupply,
    pub(super) invites: InviteList,
}

impl Engine {
    /// An engine for the device of this store.
    pub fn new(
        user: OwnedUserId,
        device: OwnedDeviceId,
        commanders: Commanders,
        own_keys: Rc<OwnKeys>,
        plaintext: PlaintextReplies,
    ) -> Self {
        Self {
            accounts: AccountCache::new(user.clone(), device.clone()),
            context: Context::new(user, device, commanders),
            own_keys,
            plaintext,
            rollback: RollbackDetector::default(),
            key_supply: KeySupply::default(),
            invites: InviteList::default(),
        }
    }

    /// Tells the time by the bot's own clock: at the beginning of each transaction.
    pub fn set_own_now(&self, own_now: u64) {
        self.context.set_own_now(own_now);
        self.rollback.reset();
    }

    /// Tells by how much the homeserver's clock is ahead of this machine's; None where
    /// that is not known.
    pub fn set_server_ahead(&self, ahead: Option<i64>) {
        self.context.set_server_ahead(ahead);
    }

    /// The time by the bot's own clock: what ages by it does so whatever the wall clock
    /// does.
    pub fn own_now(&self) -> u64 {
        self.context.own_now()
    }

    /// The users whose items are kept of answers.
    pub fn audience(&self) -> Arc<Audience> {
        Arc::new(Audience {
            own: self.context.user.clone(),
            commanders: self.context.commanders.users.clone(),
        })
    }

    /// Makes the account where there is none, and asks for a fresh look at the
    /// server's idea of the bot's own devices. Once at each start.
    ///
    /// # Errors
    /// The store fails, or the stored account cannot be read.
    pub fn prepare_account(&self, tx: &Transaction<'_>, now: u64) -> Result<(), Error> {
        let context = &self.context;
        let users = &context.commanders.users;
        // What this store would send with may have been used by a copy of it: with
        // another life all of that is made anew.
        tx.own_clock().begin_life()?;
        tx.put_commanders(&context.user, users.iter().map(|user| &**user))?;
        tx.enforce_caps()?;
        tx.device_lists().track(&context.user)?;
        tx.device_lists().mark_outdated(&context.user)?;
        for user in users {
            tx.device_lists().track(user)?;
        }
        trust::pin_configured(context, tx, now)?;
        cross_signing::begin(tx)?;
        tx.gaps().begin_again(context.own_now())?;
        if tx
            .session()
            .next_batch()?
            .is_some_and(|since| !is_carried(&since, MAX_POSITION))
        {
            warn!("how far the bot has read fits into no request: reading anew from now");
            tx.session().forget_next_batch()?;
        }
        self.invites.begin(tx)?;
        if tx.account().pickle()?.is_none() {
            // With a first supply of keys: one upload brings them all.
            let mut account = self.accounts.create();
            account.replenish(0, FallbackOnServer::UsedOrMissing, context.own_now());
            self.accounts.save(tx, account)?;
            cross_signing::sign_beforehand(&self.accounts, &self.own_keys, tx)?;
        }
        one_time_keys::age(context, &self.accounts, tx)
    }

    /// True if the server has been given this device's keys.
    pub fn keys_uploaded(&self, tx: &Transaction<'_>) -> Result<bool, Error> {
        Ok(self.accounts.load(tx)?.device_keys_uploaded())
    }

    /// True if the server has this device's keys, they were compared with the
    /// store's since the start, and the device is cross-signed as far as it can be:
    /// others can now talk to it.
    pub fn bootstrap_done(&self, tx: &Transaction<'_>) -> Result<bool, Error> {
        Ok(self.keys_uploaded(tx)?
            && !tx.device_lists().is_outdated(&self.context.user)?
            && cross_signing::is_done(tx)?)
    }

    /// Takes in the answer to `/keys/upload`. Where another fallback key was made
    /// meanwhile, those that wait are others: they are uploaded once more.
    pub fn handle_upload(
        &self,
        tx: &Transaction<'_>,
        with_device_keys: bool,
        fallback: Option<&str>,
    ) -> Result<(), Error> {
        one_time_keys::handle_upload(&self.accounts, tx, with_device_keys, fallback)
    }

    /// True if fewer users have to be asked for together, because the answer had no
    /// room for all devices: a missing one would be taken for signed out.
    pub fn must_split(&self, queried: &QueryAnswer<'_>) -> bool {
        device_lists::must_split(&self.context, queried)
    }

    /// Takes in the answer to a `/keys/query`, user by user, until the budget is spent;
    /// returns how many users are done. After the last one what waited for the answer
    /// is classified.
    ///
    /// # Errors
    /// The store fails, the answer is malformed, or the server holds other keys for the
    /// bot's own device.
    pub fn handle_query(
        &self,
        tx: &Transaction<'_>,
        queried: &QueryAnswer<'_>,
        now: u64,
        budget: TimeBudget,
        messages: &mut Vec<Message>,
    ) -> Result<usize, Error> {
        let (context, accounts) = (&self.context, &self.accounts);
        let done = device_lists::handle_query(
            context,
            accounts,
            &self.own_keys,
            tx,
            queried,
            now,
            budget,
        )?;
        if done >= queried.asked.len() {
            undecrypted::classify_undecrypted(context, tx, now, messages)?;
        }
        Ok(done)
    }

    /// Halves the number of users that are asked for together: the answer about these
    /// was too large, or did not come in time. One that is alone is put off, as if
    /// their server could not be reached.
    pub fn split_query(
        &self,
        tx: &Transaction<'_>,
        asked: &[(OwnedUserId, i64)],
        now: u64,
    ) -> Result<(), Error> {
        device_lists::split_query(tx, asked, now)
    }

    /// Takes in the answer to a `/keys/claim` for `asked`: a session with each
    /// device that has a sound key; the others are left alone for a while.
    pub fn handle_claim(
        &self,
        tx: &Transaction<'_>,
        asked: &[Device],
        body: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        olm_sessions::handle_claim(&self.accounts, tx, asked, body, now)
    }

    /// Takes in `GET /rooms/{room}/members`, asked for at `generation`.
    pub fn handle_members(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        generation: i64,
        body: &[u8],
    ) -> Result<(), Error> {
        room_state::handle_members(tx, room, generation, body)
    }

    /// Takes in `GET /rooms/{room}/state/m.room.encryption`; None is its 404.
    pub fn handle_room_encryption(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        body: Option<&[u8]>,
    ) -> Result<(), Error> {
        room_state::handle_room_encryption(tx, room, body)
    }

    /// Takes in the page of a gap that was asked for with `token`. Of the messages
    /// older than `max_age_ms` the newest is kept, so that its sender is told.
    pub fn handle_backfill(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        token: &str,
        answer: &Sifted,
        max_age_ms: u64,
        now: u64,
    ) -> Result<(), Error> {
        backfill::handle_page(&self.context, tx, room, token, answer, max_age_ms, now)
    }

    /// Gives up a gap that cannot be read: what waits for it is classified without the
    /// rest.
    pub fn give_up_backfill(&self, tx: &Transaction<'_>, room: &RoomId) -> Result<(), Error> {
        backfill::give_up(tx, room)
    }

    /// The rooms whose people have to be told now that something was missed there.
    pub fn rooms_with_missed_messages(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<Vec<OwnedRoomId>, Error> {
        backfill::rooms_with_missed_messages(&self.context, tx)
    }

    /// Takes in the list of all invites that stand; it may be older than what a sync has
    /// told meanwhile.
    pub fn handle_invites(
        &self,
        tx: &Transaction<'_>,
        answer: &Sifted,
    ) -> Result<Vec<Invite>, Error> {
        self.invites.handle_list(&self.context.user, tx, answer)
    }

    /// Classifies again what waited: a key, a device list, a room's state or a gap's
    /// last page may have come, or the time may be over.
    pub fn classify_undecrypted(
        &self,
        tx: &Transaction<'_>,
        now: u64,
        messages: &mut Vec<Message>,
    ) -> Result<(), Error> {
        undecrypted::classify_undecrypted(&self.context, tx, now, messages)
    }

    /// The time at which the next waiting message, or what it waits for, runs out of
    /// time, since the Unix epoch.
    pub fn next_undecrypted_deadline(
        &self,
        tx: &Transaction<'_>,
        now: u64,
    ) -> Result<Option<u64>, Error> {
        undecrypted::next_deadline(&self.context, tx, now)
    }

    /// The trust in the device with these keys as one of `user`'s, by the list that is
    /// stored now.
    pub fn authorship(
        &self,
        tx: &Transaction<'_>,
        user: &UserId,
        keys: &DeviceKeys,
    ) -> Result<Authorship, Error> {
        trust::authorship(&self.context, tx, user, keys)
    }

    /// Ends a transaction that took in messages.
    ///
    /// # Errors
    /// [`Error::RolledBack`] if the homeserver has shown messages of this device that
    /// this store does not remember. Nothing of the transaction may hold then.
    pub fn check_rollback(&self) -> Result<(), Error> {
        self.rollback.check()
    }

    /// Replaces all keys of the device but those that name it. `unknown` are the
    /// sessions that told of another life of this device.
    pub fn recover_from_rollback<'a>(
        &self,
        tx: &Transaction<'_>,
        unknown: impl IntoIterator<Item = &'a str>,
        now: u64,
    ) -> Result<(), Error> {
        rollback::recover(&self.context, &self.accounts, tx, unknown, now)
    }

    /// Queues a text for a room, or for a thread in it; it leaves when the room's
    /// devices have its key.
    pub fn reply(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        replies::queue(&self.context, tx, room, thread, text, true)
    }

    /// Queues a text that answers no command that ran. It is left unsaid where too much
    /// else waits to be said.
    pub fn remark(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        replies::queue(&self.context, tx, room, thread, text, false)
    }

    /// As [`Engine::reply`], but not if the room's people were told that there is
    /// too much to do a while ago.
    pub fn reply_busy(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        match tx.rooms().may_tell_busy(room, self.own_now())? {
            true => self.reply(tx, room, thread, text),
            false => Ok(()),
        }
    }

    /// The sentence that says why the bot's device is not cross-signed, or by an
    /// identity that is not proven to be the account's, and what to do about it.
    pub fn cross_signing_fault(&self, tx: &Transaction<'_>) -> Result<Option<String>, Error> {
        cross_signing::fault(&self.context, tx)
    }

    /// The lines that people compare to know the bot by: its device's key, and its
    /// identity's where that has signed the device.
    pub fn fingerprints(&self, tx: &Transaction<'_>) -> Result<Vec<String>, Error> {
        cross_signing::fingerprints(&self.context, &self.accounts, tx)
    }

    /// Takes in the answer to the last step of cross-signing.
    pub fn handle_cross_signing_step(
        &self,
        tx: &Transaction<'_>,
        step: CrossSigningStep,
        body: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        let (context, accounts) = (&self.context, &self.accounts);
        cross_signing::handle_step(context, accounts, &self.own_keys, tx, step, body, now)
    }

    /// Notes that a step of cross-signing failed and is tried again: replies no longer
    /// wait for it.
    pub fn delay_cross_signing(&self, tx: &Transaction<'_>) -> Result<(), Error> {
        Ok(tx.cross_signing().delay()?)
    }

    /// Takes in that the server asks for the password again, or for something nobody
    /// here has.
    pub fn handle_cross_signing_challenge(
        &self,
        tx: &Transaction<'_>,
        session: Option<&str>,
        by_password: bool,
    ) -> Result<(), Error> {
        cross_signing::handle_challenge(&self.own_keys, tx, session, by_password)
    }

    /// Takes in that the last step of cross-signing cannot be sent, for this reason.
    pub fn cross_signing_unsendable(&self, tx: &Transaction<'_>, why: &str) -> Result<(), Error> {
        cross_signing::unsendable(tx, why)
    }

    /// Takes in that the server refuses the last step of cross-signing for good.
    pub fn cross_signing_refused(
        &self,
        tx: &Transaction<'_>,
        step: CrossSigningStep,
        status: u16,
        errcode: &str,
        message: &str,
    ) -> Result<(), Error> {
        cross_signing::refused(&self.context, tx, step, status, errcode, message)
    }
}
