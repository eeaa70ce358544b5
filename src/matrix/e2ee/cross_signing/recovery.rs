//! The account's secret storage: from the recovery key to the self-signing key,
//! and to the master key above it.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#secret-storage>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::messages::{NO_STORAGE, unrecovered};
use super::state::{OwnKeys, stay_unsigned};
use crate::crypto::{SecretStorageError, Seed, public_of_base64_seed};
use crate::matrix::e2ee::context::Context;
use crate::matrix::e2ee::error::Error;
use crate::store::{CrossSigningState, Transaction};
use crate::util::{MAX_ID, is_carried};

/// Names the key that the account uses.
pub(crate) const DEFAULT_KEY: &str = "m.secret_storage.default_key";

/// The secret: the private half of the key that signs the account's devices.
pub(crate) const SELF_SIGNING: &str = "m.cross_signing.self_signing";

/// The secret: the private half of the key that stands for the account. Only its
/// public half is kept: a self-signing key is public, and any master key can claim
/// it, so it does not say under which one it belongs (CVE-2024-40648).
pub(crate) const MASTER: &str = "m.cross_signing.master";

/// Takes in one step on the way to the self-signing key in the secret storage.
pub(super) fn handle_secret(
    context: &Context,
    own_keys: &OwnKeys,
    tx: &Transaction<'_>,
    state: CrossSigningState,
    body: &[u8],
) -> Result<(), Error> {
    let Some(recovery_key) = &own_keys.recovery_key else {
        return Ok(());
    };
    let raw: &RawValue =
        serde_json::from_slice(body).map_err(|_| Error::Malformed("account data"))?;
    match state {
        CrossSigningState::FindKeyId => {
            #[derive(Deserialize)]
            struct DefaultKey {
                key: String,
            }
            match serde_json::from_str::<DefaultKey>(raw.get()) {
                Ok(DefaultKey { key }) if is_carried(&key, MAX_ID) => Ok(tx
                    .cross_signing()
                    .set_state(&CrossSigningState::FindKey(key))?),
                Ok(_) | Err(_) => stay_unsigned(tx, NO_STORAGE),
            }
        }
        CrossSigningState::FindKey(id) => match recovery_key.opens(raw) {
            Ok(()) => Ok(tx
                .cross_signing()
                .set_state(&CrossSigningState::FindSecret(id))?),
            Err(fault) => stay_unsigned(tx, &unrecovered(&fault)),
        },
        CrossSigningState::FindSecret(id) => {
            let secret = recovery_key.decrypt(SELF_SIGNING, &id, raw);
            let key = match secret {
                Ok(secret) => Seed::from_base64(&secret),
                Err(fault) => return stay_unsigned(tx, &unrecovered(&fault)),
            };
            match key {
                Ok(key) => {
                    tx.cross_signing().put_self_signing(Some(&key))?;
                    Ok(tx
                        .cross_signing()
                        .set_state(&CrossSigningState::FindMaster(id))?)
                }
                Err(fault) => stay_unsigned(tx, &unrecovered(&fault)),
            }
        }
        CrossSigningState::FindMaster(id) => {
            let secret = match recovery_key.decrypt(MASTER, &id, raw) {
                Ok(secret) => secret,
                // What was deleted is an empty object.
                Err(SecretStorageError::NotStored | SecretStorageError::Malformed) => {
                    return finish_recovery(context, tx);
                }
                Err(fault) => return give_up_recovery(tx, &fault),
            };
            match public_of_base64_seed(&secret) {
                Ok(master) => {
                    tx.cross_signing().put_master(&master)?;
                    finish_recovery(context, tx)
                }
                Err(fault) => give_up_recovery(tx, &fault),
            }
        }
        _ => Ok(()),
    }
}

/// Gives up: one of the two secrets is not what it should be, and neither is used, whenever the
/// account is looked at again.
fn give_up_recovery(tx: &Transaction<'_>, fault: &dyn std::fmt::Display) -> Result<(), Error> {
    tx.cross_signing().put_self_signing(None)?;
    stay_unsigned(tx, &unrecovered(fault))
}

/// Ends the search in the secret storage: the secrets are compared with the identity that
/// the homeserver shows now.
pub(super) fn finish_recovery(context: &Context, tx: &Transaction<'_>) -> Result<(), Error> {
    tx.cross_signing()
        .set_state(&CrossSigningState::Recovered)?;
    Ok(tx.device_lists().mark_outdated(&context.user)?)
}
