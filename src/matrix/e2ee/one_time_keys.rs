//! The supply of one-time and fallback keys on the homeserver.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#one-time-and-fallback-keys>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keysupload>

use std::cell::Cell;

use super::account::AccountCache;
use super::context::Context;
use super::error::Error;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::crypto::{Account, FallbackOnServer};
use crate::matrix::client::{Call, SyncBody};
use crate::store::Transaction;

/// Limits how often keys are made because the server has too few.
#[derive(Default)]
pub(super) struct KeySupply {
    /// The time, by the bot's own clock, from which keys are counted, and how often they
    /// were made since.
    made: Cell<(u64, u32)>,
}

impl KeySupply {
    /// Makes keys where the server has too few left.
    pub(super) fn replenish(
        &self,
        context: &Context,
        accounts: &AccountCache,
        tx: &Transaction<'_>,
        body: &SyncBody<'_>,
    ) -> Result<(), Error> {
        let fallback = match &body.device_unused_fallback_key_types {
            None => FallbackOnServer::NotSupported,
            Some(types) if types.iter().any(|kind| kind == "signed_curve25519") => {
                FallbackOnServer::Unused
            }
            Some(_) => FallbackOnServer::UsedOrMissing,
        };
        let count = body.one_time_keys();
        if accounts.load(tx)?.needs_replenishing(count, fallback)
            && self.may_supply(context.own_now(), body.tells_one_time_keys())
        {
            let mut account = accounts.take(tx)?;
            account.replenish(count, fallback, context.own_now());
            accounts.save(tx, account)?;
        }
        Ok(())
    }

    /// True if keys may be made once more. A server that never has enough, by what it
    /// says or leaves unsaid, is not given more without an end: until then the
    /// fallback key does.
    fn may_supply(&self, now: u64, is_told: bool) -> bool {
        let (window_ms, most) = match is_told {
            true => (10 * 60_000, 20),
            false => (3_600_000, 1),
        };
        let (mut began, mut count) = self.made.get();
        if count == 0 || now.saturating_sub(began) >= window_ms {
            (began, count) = (now, 0);
        }
        let may = count < most;
        self.made.set((began, count.saturating_add(u32::from(may))));
        may
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

/// The server has taken the keys of an upload. Where another fallback key was
/// made meanwhile, those that wait are others: they are uploaded once more.
pub(super) fn handle_upload(
    accounts: &AccountCache,
    tx: &Transaction<'_>,
    with_device_keys: bool,
    fallback: Option<&str>,
) -> Result<(), Error> {
    let mut account = accounts.take(tx)?;
    if account.unpublished_fallback().as_deref() != fallback {
        return Ok(());
    }
    account.mark_as_uploaded(with_device_keys);
    accounts.save(tx, account)
}

/// Replaces and forgets fallback keys by the bot's own clock, and then what
/// guarded the forgotten ones: before anything is opened with them.
pub(super) fn age(
    context: &Context,
    accounts: &AccountCache,
    tx: &Transaction<'_>,
) -> Result<(), Error> {
    if accounts.load(tx)?.needs_aging(context.own_now()) {
        let mut account = accounts.take(tx)?;
        account.age(context.own_now());
        tx.seen_olm_messages()
            .forget_before(account.oldest_fallback_made_at())?;
        accounts.save(tx, account)?;
    }
    Ok(())
}
