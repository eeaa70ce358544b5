//! The supply of one-time and fallback keys on the homeserver.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#one-time-and-fallback-keys>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keysupload>

use super::engine::Turn;
use super::error::Error;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::crypto::{Account, FallbackOnServer};
use crate::matrix::client::{Call, SyncBody};

impl Turn<'_> {
    /// Makes keys where the server has too few left.
    pub(super) fn replenish_keys(&self, body: &SyncBody<'_>) -> Result<(), Error> {
        let fallback = match &body.device_unused_fallback_key_types {
            None => FallbackOnServer::NotSupported,
            Some(types) if types.iter().any(|kind| kind == "signed_curve25519") => {
                FallbackOnServer::Unused
            }
            Some(_) => FallbackOnServer::UsedOrMissing,
        };
        let count = body.one_time_keys();
        if self.account()?.needs_replenishing(count, fallback)
            && self.may_supply_keys(body.tells_one_time_keys())
        {
            let mut account = self.take_account()?;
            account.replenish(count, fallback, self.own_now);
            self.save_account(account)?;
        }
        Ok(())
    }

    /// True if keys may be made once more. A server that never has enough, by what it
    /// says or leaves unsaid, is not given more without an end: until then the
    /// fallback key does.
    fn may_supply_keys(&self, is_told: bool) -> bool {
        let (window_ms, most) = match is_told {
            true => (10 * 60_000, 20),
            false => (3_600_000, 1),
        };
        let (mut began, mut count) = self.engine.keys_made.get();
        if count == 0 || self.own_now.saturating_sub(began) >= window_ms {
            (began, count) = (self.own_now, 0);
        }
        let may = count < most;
        let count = count.saturating_add(u32::from(may));
        self.engine.keys_made.set((began, count));
        may
    }

    /// Takes in the answer to `/keys/upload`. Where another fallback key was made
    /// meanwhile, those that wait are others: they are uploaded once more.
    pub fn handle_upload(
        &self,
        with_device_keys: bool,
        fallback: Option<&str>,
    ) -> Result<(), Error> {
        let mut account = self.take_account()?;
        if account.unpublished_fallback().as_deref() != fallback {
            return Ok(());
        }
        account.mark_as_uploaded(with_device_keys);
        self.save_account(account)
    }

    /// Replaces and forgets fallback keys by the bot's own clock, and then what
    /// guarded the forgotten ones: before anything is opened with them.
    pub(super) fn age_keys(&self) -> Result<(), Error> {
        if self.account()?.needs_aging(self.own_now) {
            let mut account = self.take_account()?;
            account.age(self.own_now);
            self.tx
                .seen_olm_messages()
                .forget_before(account.oldest_fallback_made_at())?;
            self.save_account(account)?;
        }
        Ok(())
    }
}

/// The upload of keys that the server has not got, if there are any.
pub(super) fn upload(account: &Account) -> Result<Option<OutgoingRequest>, Error> {
    let Some(upload) = account.upload()? else {
        return Ok(None);
    };
    let body = serde_json::to_vec(&upload).map_err(|_| Error::Account)?;
    Ok(Some(OutgoingRequest {
        key: RequestKey::Upload,
        call: Call::post("/_matrix/client/v3/keys/upload", body),
        about: RequestContext::Upload {
            with_device_keys: upload.device_keys.is_some(),
            fallback: account.unpublished_fallback(),
        },
    }))
}
