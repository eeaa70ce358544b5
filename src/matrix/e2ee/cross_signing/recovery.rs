//! The account's secret storage: from the recovery key to the self-signing key,
//! and to the master key above it.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#secret-storage>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::messages::{NO_STORAGE, unrecovered};
use crate::crypto::{SecretStorageError, Seed, public_of_base64_seed};
use crate::matrix::e2ee::engine::Turn;
use crate::matrix::e2ee::error::Error;
use crate::store::CrossSigningState;
use crate::util::{MAX_ID, is_carried};

/// Names the key that the account uses.
pub(crate) const DEFAULT_KEY: &str = "m.secret_storage.default_key";

/// The secret: the private half of the key that signs the account's devices.
pub(crate) const SELF_SIGNING: &str = "m.cross_signing.self_signing";

/// The secret: the private half of the key that stands for the account. Only its
/// public half is kept: a self-signing key is public, and any master key can claim
/// it, so it does not say under which one it belongs (CVE-2024-40648).
pub(crate) const MASTER: &str = "m.cross_signing.master";

impl Turn<'_> {
    /// Takes in one step on the way to the self-signing key in the secret storage.
    pub(super) fn handle_secret(
        &self,
        state: &CrossSigningState,
        body: &[u8],
    ) -> Result<(), Error> {
        let Some(recovery_key) = &self.engine.own_keys.recovery_key else {
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
                match serde_json::from_slice(raw.get().as_bytes()) {
                    Ok(DefaultKey { key }) if is_carried(&key, MAX_ID) => {
                        self.go_on(CrossSigningState::FindKey(key))
                    }
                    Ok(_) | Err(_) => self.stay_unsigned(NO_STORAGE),
                }
            }
            CrossSigningState::FindKey(id) => match recovery_key.opens(raw) {
                Ok(()) => self.go_on(CrossSigningState::FindSecret(id.clone())),
                Err(fault) => self.stay_unsigned(&unrecovered(&fault)),
            },
            CrossSigningState::FindSecret(id) => {
                let secret = match recovery_key.decrypt(SELF_SIGNING, id, raw) {
                    Ok(secret) => secret,
                    Err(fault) => return self.stay_unsigned(&unrecovered(&fault)),
                };
                match Seed::from_base64(&secret) {
                    Ok(key) => {
                        self.tx.cross_signing().put_self_signing(Some(&key))?;
                        self.go_on(CrossSigningState::FindMaster(id.clone()))
                    }
                    Err(fault) => self.stay_unsigned(&unrecovered(&fault)),
                }
            }
            CrossSigningState::FindMaster(id) => {
                let secret = match recovery_key.decrypt(MASTER, id, raw) {
                    Ok(secret) => secret,
                    // What was deleted is an empty object.
                    Err(SecretStorageError::NotStored | SecretStorageError::Malformed) => {
                        return self.finish_recovery();
                    }
                    Err(fault) => return self.give_up_recovery(&fault),
                };
                match public_of_base64_seed(&secret) {
                    Ok(master) => {
                        self.tx.cross_signing().put_master(&master)?;
                        self.finish_recovery()
                    }
                    Err(fault) => self.give_up_recovery(&fault),
                }
            }
            _ => Ok(()),
        }
    }

    /// Gives up: one of the two secrets is not what it should be, and neither is used, whenever
    /// the account is looked at again.
    fn give_up_recovery(&self, fault: &dyn std::fmt::Display) -> Result<(), Error> {
        self.tx.cross_signing().put_self_signing(None)?;
        self.stay_unsigned(&unrecovered(fault))
    }

    /// Ends the search in the secret storage: the secrets are compared with the identity that
    /// the homeserver shows now.
    pub(super) fn finish_recovery(&self) -> Result<(), Error> {
        self.go_on(CrossSigningState::Recovered)?;
        Ok(self.tx.device_lists().mark_outdated(&self.engine.user)?)
    }
}
