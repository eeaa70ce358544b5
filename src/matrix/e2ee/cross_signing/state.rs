//! The bot's own cross-signing identity: made where the account has none, found
//! again where the bot holds a key to it, and never reset unasked.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#cross-signing>,
//! <https://spec.matrix.org/v1.11/client-server-api/#secret-storage>; MSC3967, MSC4153.

use std::rc::Rc;

use log::{info, warn};
use serde_json::value::RawValue;
use vodozemac::{Ed25519PublicKey, Ed25519Signature};

use super::messages::{NOT_KEPT, NOT_SHOWN, STALE_SECRET, UNPROVEN, UNSEEN, foreign};
use crate::crypto::{
    CrossSigningKeys, Identity, Pin, PinSource, RecoveryKey, Seed, SelfSigningKey, fingerprint,
    signed_object,
};
use crate::matrix::client::BuildError;
use crate::matrix::e2ee::account::AccountCache;
use crate::matrix::e2ee::context::Context;
use crate::matrix::e2ee::error::Error;
use crate::store::{CrossSigningState, StoredCrossSigning, Transaction};
use crate::util::{Secret, name};

/// The secrets that the operator gave the bot to cross-sign its own device.
#[derive(Default)]
pub struct OwnKeys {
    /// The seed of its identity, kept outside of the store.
    pub seed: Option<Rc<Seed>>,
    /// The key to the account's secret storage.
    pub recovery_key: Option<Rc<RecoveryKey>>,
    /// The account's password, where the homeserver asks for it again.
    pub password: Option<Secret>,
}

/// The bot's own account as the server shows it.
pub(crate) struct Shown<'a> {
    pub(crate) identity: Option<Identity>,
    pub(crate) device_keys: Option<&'a RawValue>,
}

/// Begins anew at each start: the state of the last process may be old.
pub(crate) fn begin(tx: &Transaction<'_>) -> Result<(), Error> {
    if tx.cross_signing().load()?.state != CrossSigningState::Reset {
        tx.cross_signing().set_state(&CrossSigningState::Unknown)?;
    }
    Ok(())
}

/// True if nothing more can be done now to have the device cross-signed.
pub(crate) fn is_done(tx: &Transaction<'_>) -> Result<bool, Error> {
    let own = tx.cross_signing().load()?;
    Ok(own.delayed
        || matches!(
            own.state,
            CrossSigningState::Signed | CrossSigningState::Unsigned(_)
        ))
}

/// The sentence that says why the bot's device is not cross-signed, or by an identity that
/// is not proven to be the account's, and what to do about it.
pub(crate) fn fault(context: &Context, tx: &Transaction<'_>) -> Result<Option<String>, Error> {
    let own = tx.cross_signing().load()?;
    Ok(match own.state {
        CrossSigningState::Unsigned(why) => Some(why),
        CrossSigningState::Signed if tx.identities().of_user(&context.user)?.pin.is_none() => {
            Some(UNPROVEN.to_owned())
        }
        _ => None,
    })
}

/// The lines that people compare to know the bot by: its device's key, and its identity's
/// where that has signed the device.
pub(crate) fn fingerprints(
    context: &Context,
    accounts: &AccountCache,
    tx: &Transaction<'_>,
) -> Result<Vec<String>, Error> {
    let account = accounts.load(tx)?;
    let device = name(context.device.as_str()).unwrap_or("of this account");
    let mut lines = vec![format!(
        "Device {device}: {}",
        fingerprint(&account.ed25519())
    )];
    if tx.cross_signing().load()?.state == CrossSigningState::Signed
        && let Some(pin) = tx.identities().of_user(&context.user)?.pin
    {
        lines.push(format!("Identity: {}", fingerprint(&pin.master)));
    }
    Ok(lines)
}

/// The identity that the bot holds all keys of: the configuration's seed
/// comes before the stored one.
pub(super) fn own_identity(
    own_keys: &OwnKeys,
    own: &StoredCrossSigning,
) -> Option<CrossSigningKeys> {
    let seed = own_keys.seed.as_deref().or(own.seed.as_ref())?;
    CrossSigningKeys::from_seed(seed)
}

/// Compares what the server shows of the account with what the bot holds, and
/// decides on the next step.
pub(crate) fn compare(
    context: &Context,
    accounts: &AccountCache,
    own_keys: &OwnKeys,
    tx: &Transaction<'_>,
    shown: &Shown<'_>,
    now: u64,
) -> Result<(), Error> {
    let own = tx.cross_signing().load()?;
    match own.state {
        CrossSigningState::Unknown
        | CrossSigningState::Recovered
        | CrossSigningState::Signed
        | CrossSigningState::Unsigned(_) => {}
        _ => return Ok(()),
    }
    let mine = own_identity(own_keys, &own);
    let pin = tx.identities().of_user(&context.user)?.pin;
    let Some(identity) = &shown.identity else {
        return match (mine, pin) {
            _ if matches!(own.state, CrossSigningState::Unsigned(_)) => Ok(()),
            _ if own.state == CrossSigningState::Signed => stay_unsigned(tx, NOT_SHOWN),
            (None, Some(_)) => stay_unsigned(tx, UNSEEN),
            (None, None) if own.self_signing.is_some() => stay_unsigned(tx, UNSEEN),
            (None, None) => {
                let seed = Seed::generate()
                    .map_err(|error| Error::Build(BuildError::randomness(&error.to_string())))?;
                tx.cross_signing().put_seed(&seed)?;
                info!("the account has no identity yet: making one");
                Ok(tx
                    .cross_signing()
                    .set_state(&CrossSigningState::Upload { uia_session: None })?)
            }
            (Some(_), _) => {
                info!("the homeserver does not show the bot's identity: uploading it");
                Ok(tx
                    .cross_signing()
                    .set_state(&CrossSigningState::Upload { uia_session: None })?)
            }
        };
    };
    if let Some(mine) = mine.filter(|mine| mine.master() == identity.master) {
        if !mine.self_signing().belongs_to(identity) {
            if own.state != CrossSigningState::Unknown {
                return stay_unsigned(tx, NOT_SHOWN);
            }
            return Ok(tx
                .cross_signing()
                .set_state(&CrossSigningState::Upload { uia_session: None })?);
        }
        pin_own(context, tx, identity.master, now)?;
        return sign(
            accounts,
            tx,
            identity,
            shown,
            mine.self_signing(),
            &own.state,
        );
    }
    // Anything else is the server's word, and it is held to its first one, or to
    // what the account's secret storage proves.
    let is_another = pin
        .as_ref()
        .is_some_and(|pin| pin.master != identity.master);
    if is_another {
        warn!(
            "the homeserver names another identity of {} than before: {}",
            context.user,
            identity.master.to_base64()
        );
    }
    let recovered = recovered(&own);
    // The self-signing key is public, so any master key can claim it: a true
    // change of identity changes both.
    let is_claimed = is_another && accounts.load(tx)?.cross_signed_by() == identity.self_signing;
    let is_proven = own.master == Some(identity.master);
    if let Some(key) = recovered.filter(|key| !is_claimed && key.belongs_to(identity)) {
        let asks = own.state == CrossSigningState::Unknown && own_keys.recovery_key.is_some();
        if is_proven || (pin.is_some() && !is_another) {
            pin_own(context, tx, identity.master, now)?;
            return sign(accounts, tx, identity, shown, &key, &own.state);
        }
        // Without a master key to prove it, its identity is not named. The
        // device is signed all the same: that says nothing of the master key.
        if own.master.is_none() && pin.is_none() && !asks {
            warn!("{UNPROVEN}");
            return sign(accounts, tx, identity, shown, &key, &own.state);
        }
    }
    // Where the bot was given what proves an identity, no other is believed
    // because it has signed the device: the server can have made it.
    let given = &own_keys;
    let may_adopt = match pin {
        Some(_) => !is_another,
        None => is_proven || (given.recovery_key.is_none() && given.seed.is_none()),
    };
    if may_adopt && adopt_signature(context, accounts, tx, identity, shown)? {
        pin_own(context, tx, identity.master, now)?;
        if matches!(own.state, CrossSigningState::Unsigned(_)) {
            info!("another session of the account has signed the bot's device");
        }
        return Ok(tx.cross_signing().set_state(&CrossSigningState::Signed)?);
    }
    match own.state {
        CrossSigningState::Recovered => stay_unsigned(tx, STALE_SECRET),
        CrossSigningState::Unsigned(_) => Ok(()),
        _ if own_keys.recovery_key.is_some() => {
            info!("looking for the account's self-signing key in its secret storage");
            Ok(tx
                .cross_signing()
                .set_state(&CrossSigningState::FindKeyId)?)
        }
        _ => stay_unsigned(tx, &foreign(&context.device)),
    }
}

/// Signs the device, unless the server shows the signature already.
fn sign(
    accounts: &AccountCache,
    tx: &Transaction<'_>,
    identity: &Identity,
    shown: &Shown<'_>,
    key: &SelfSigningKey,
    state: &CrossSigningState,
) -> Result<(), Error> {
    let signed_before = accounts.load(tx)?.cross_signed_by() == Some(key.public());
    if !signed_before {
        cross_sign(accounts, tx, key)?;
    }
    let is_shown = shown
        .device_keys
        .and_then(signed_object)
        .is_some_and(|keys| identity.has_signed(&keys));
    match state {
        _ if is_shown => Ok(tx.cross_signing().set_state(&CrossSigningState::Signed)?),
        // The server did not keep it the last time: a second attempt would be the first of
        // many.
        CrossSigningState::Signed => stay_unsigned(tx, NOT_KEPT),
        CrossSigningState::Unsigned(_) if signed_before => Ok(()),
        _ => Ok(tx.cross_signing().set_state(&CrossSigningState::Sign)?),
    }
}

pub(super) fn cross_sign(
    accounts: &AccountCache,
    tx: &Transaction<'_>,
    key: &SelfSigningKey,
) -> Result<(), Error> {
    let mut account = accounts.take(tx)?;
    let signature = key.sign_device(&account)?;
    account.set_cross_signature(&key.public(), &signature)?;
    accounts.save(tx, account)
}

/// Signs a new device with the key that is at hand, before the server has
/// seen it: no client ever meets it unsigned. Should the account have another
/// identity by now, the signature says nothing.
pub(crate) fn sign_beforehand(
    accounts: &AccountCache,
    own_keys: &OwnKeys,
    tx: &Transaction<'_>,
) -> Result<(), Error> {
    let own = tx.cross_signing().load()?;
    if let Some(key) = recovered(&own) {
        return cross_sign(accounts, tx, &key);
    }
    let mine = own_identity(own_keys, &own);
    match mine {
        Some(mine) => cross_sign(accounts, tx, mine.self_signing()),
        None => Ok(()),
    }
}

/// Takes over the signature of the device that somebody has made who holds the identity:
/// from another session of the account, after comparing fingerprints.
fn adopt_signature(
    context: &Context,
    accounts: &AccountCache,
    tx: &Transaction<'_>,
    identity: &Identity,
    shown: &Shown<'_>,
) -> Result<bool, Error> {
    let keys = shown.device_keys.and_then(signed_object);
    let (Some(keys), Some(self_signing)) = (keys, identity.self_signing) else {
        return Ok(false);
    };
    if !identity.has_signed(&keys) {
        return Ok(false);
    }
    let signature = keys
        .get("signatures")
        .and_then(|signatures| signatures.as_object()?.get(context.user.as_str()))
        .and_then(|own| {
            let name = format!("ed25519:{}", self_signing.to_base64());
            own.as_object()?.get(&name)?.as_str()
        })
        .and_then(|text| Ed25519Signature::from_base64(text).ok());
    let mut account = accounts.take(tx)?;
    let adopted = signature.is_some_and(|signature| {
        account
            .set_cross_signature(&self_signing, &signature)
            .is_ok()
    });
    if adopted {
        accounts.save(tx, account)?;
    }
    Ok(adopted)
}

pub(super) fn pin_own(
    context: &Context,
    tx: &Transaction<'_>,
    master: Ed25519PublicKey,
    now: u64,
) -> Result<(), Error> {
    tx.identities().put(&context.user, &master)?;
    if tx
        .identities()
        .of_user(&context.user)?
        .pin
        .is_some_and(|pin| pin.master != master)
    {
        tx.identities().forget_pin(&context.user)?;
    }
    let pin = Pin {
        master,
        source: PinSource::FirstUse,
    };
    Ok(tx.identities().pin(&context.user, &pin, now)?)
}

pub(super) fn stay_unsigned(tx: &Transaction<'_>, why: &str) -> Result<(), Error> {
    warn!("{why}");
    Ok(tx
        .cross_signing()
        .set_state(&CrossSigningState::Unsigned(why.to_owned()))?)
}

/// The self-signing key from the account's secret storage.
fn recovered(own: &StoredCrossSigning) -> Option<SelfSigningKey> {
    own.self_signing.as_ref().map(SelfSigningKey::from_seed)
}
