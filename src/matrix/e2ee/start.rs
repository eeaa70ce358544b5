//! A start of the bot: what it does to the store, and when others can talk to it.

use log::warn;

use super::engine::Turn;
use super::error::Error;
use crate::crypto::{Account, FallbackOnServer};
use crate::util::{MAX_POSITION, is_carried};

impl Turn<'_> {
    /// Makes the account where there is none, and asks for a fresh look at the
    /// server's idea of the bot's own devices. Once at each start.
    ///
    /// # Errors
    /// The store fails, or the stored account cannot be read.
    pub fn prepare_account(&self) -> Result<(), Error> {
        let (tx, bot) = (self.tx, &self.engine.user);
        let users = &self.engine.commanders.users;
        // What this store would send with may have been used by a copy of it: with
        // another life all of that is made anew.
        tx.own_clock().begin_life()?;
        tx.put_commanders(bot, users.iter().map(|user| &**user))?;
        tx.enforce_caps()?;
        tx.device_lists().track(bot)?;
        tx.device_lists().mark_outdated(bot)?;
        for user in users {
            tx.device_lists().track(user)?;
        }
        self.pin_configured()?;
        self.begin_cross_signing()?;
        tx.gaps().begin_again(self.own_now)?;
        let since = tx.session().next_batch()?;
        if since.is_some_and(|since| !is_carried(&since, MAX_POSITION)) {
            warn!("how far the bot has read fits into no request: reading anew from now");
            tx.session().forget_next_batch()?;
        }
        let are_listed = tx.invites().are_listed()?;
        self.engine.invites_are_due.set(!are_listed);
        if tx.account().pickle()?.is_none() {
            // With a first supply of keys: one upload brings them all.
            let mut account = Account::new(bot.clone(), self.engine.device.clone());
            account.replenish(0, FallbackOnServer::UsedOrMissing, self.own_now);
            self.save_account(account)?;
            self.sign_beforehand()?;
        }
        self.age_keys()
    }

    /// True if the server has been given this device's keys.
    pub fn keys_uploaded(&self) -> Result<bool, Error> {
        Ok(self.account()?.device_keys_uploaded())
    }

    /// True if the server has this device's keys, they were compared with the
    /// store's since the start, and the device is cross-signed as far as it can be:
    /// others can now talk to it.
    pub fn bootstrap_done(&self) -> Result<bool, Error> {
        Ok(self.keys_uploaded()?
            && !self.tx.device_lists().is_outdated(&self.engine.user)?
            && self.is_cross_signing_done()?)
    }
}
