//! The bot's own cross-signing identity: made where the account has none, found
//! again where the bot holds a key to it, and never reset unasked.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#cross-signing>,
//! <https://spec.matrix.org/v1.11/client-server-api/#secret-storage>; MSC3967, MSC4153.

use log::{info, warn};
use ruma::CanonicalJsonObject;
use serde_json::value::RawValue;
use vodozemac::{Ed25519PublicKey, Ed25519Signature};

use super::messages::{NOT_KEPT, NOT_SHOWN, STALE_SECRET, UNPROVEN, UNSEEN, foreign};
use crate::crypto::{
    CrossSigningKeys, Identity, Pin, PinSource, Seed, SelfSigningKey, fingerprint, signed_object,
};
use crate::matrix::e2ee::engine::Turn;
use crate::matrix::e2ee::error::Error;
use crate::store::{CrossSigningState, StoredCrossSigning};
use crate::util::name;

impl Turn<'_> {
    /// Begins anew at each start: the state of the last process may be old.
    pub(crate) fn begin_cross_signing(&self) -> Result<(), Error> {
        match self.tx.cross_signing().load()?.state {
            CrossSigningState::Reset => Ok(()),
            _ => self.go_on(CrossSigningState::Unknown),
        }
    }

    /// True if nothing more can be done now to have the device cross-signed.
    pub(crate) fn is_cross_signing_done(&self) -> Result<bool, Error> {
        let own = self.tx.cross_signing().load()?;
        Ok(own.delayed
            || matches!(
                own.state,
                CrossSigningState::Signed | CrossSigningState::Unsigned(_)
            ))
    }

    /// The sentence that says why the bot's device is not cross-signed, or by an identity that
    /// is not proven to be the account's, and what to do about it.
    pub fn cross_signing_fault(&self) -> Result<Option<String>, Error> {
        Ok(match self.tx.cross_signing().load()?.state {
            CrossSigningState::Unsigned(why) => Some(why),
            CrossSigningState::Signed if self.own_pin()?.is_none() => Some(UNPROVEN.to_owned()),
            _ => None,
        })
    }

    /// The lines that people compare to know the bot by: its device's key, and its identity's
    /// where that has signed the device.
    pub fn fingerprints(&self) -> Result<Vec<String>, Error> {
        let device = name(self.engine.device.as_str()).unwrap_or("of this account");
        let key = fingerprint(&self.account()?.ed25519());
        let mut lines = vec![format!("Device {device}: {key}")];
        if self.tx.cross_signing().load()?.state == CrossSigningState::Signed
            && let Some(pin) = self.own_pin()?
        {
            lines.push(format!("Identity: {}", fingerprint(&pin.master)));
        }
        Ok(lines)
    }

    /// The identity that the bot holds all keys of: the configuration's seed
    /// comes before the stored one.
    pub(super) fn own_identity(&self, own: &StoredCrossSigning) -> Option<CrossSigningKeys> {
        let seed = self.engine.own_keys.seed.as_deref().or(own.seed.as_ref())?;
        CrossSigningKeys::from_seed(seed)
    }

    /// Compares what the server shows of the account, its identity and the keys of the bot's
    /// device, with what the bot holds, and decides on the next step.
    pub(crate) fn compare_identity(
        &self,
        identity: Option<&Identity>,
        device_keys: Option<&RawValue>,
    ) -> Result<(), Error> {
        let own = self.tx.cross_signing().load()?;
        match own.state {
            CrossSigningState::Unknown
            | CrossSigningState::Recovered
            | CrossSigningState::Signed
            | CrossSigningState::Unsigned(_) => {}
            _ => return Ok(()),
        }
        let mine = self.own_identity(&own);
        let pin = self.own_pin()?;
        let Some(identity) = identity else {
            return match (mine, pin) {
                _ if matches!(own.state, CrossSigningState::Unsigned(_)) => Ok(()),
                _ if own.state == CrossSigningState::Signed => self.stay_unsigned(NOT_SHOWN),
                (None, Some(_)) => self.stay_unsigned(UNSEEN),
                (None, None) if own.self_signing.is_some() => self.stay_unsigned(UNSEEN),
                (None, None) => {
                    self.tx.cross_signing().put_seed(&Seed::generate()?)?;
                    info!("the account has no identity yet: making one");
                    self.go_on(CrossSigningState::Upload { uia_session: None })
                }
                (Some(_), _) => {
                    info!("the homeserver does not show the bot's identity: uploading it");
                    self.go_on(CrossSigningState::Upload { uia_session: None })
                }
            };
        };
        let signed = device_keys
            .and_then(signed_object)
            .filter(|keys| identity.has_signed(keys));
        if let Some(mine) = mine.filter(|mine| mine.master() == identity.master) {
            if !mine.self_signing().belongs_to(identity) {
                return match own.state {
                    CrossSigningState::Unknown => {
                        self.go_on(CrossSigningState::Upload { uia_session: None })
                    }
                    _ => self.stay_unsigned(NOT_SHOWN),
                };
            }
            self.pin_own(identity.master)?;
            return self.sign(mine.self_signing(), signed.is_some(), &own.state);
        }
        // Anything else is the server's word, and it is held to its first one, or to
        // what the account's secret storage proves.
        let is_another = pin
            .as_ref()
            .is_some_and(|pin| pin.master != identity.master);
        if is_another {
            warn!(
                "the homeserver names another identity of {} than before: {}",
                self.engine.user,
                identity.master.to_base64()
            );
        }
        // The self-signing key is public, so any master key can claim it: a true
        // change of identity changes both.
        let is_claimed = is_another && self.account()?.cross_signed_by() == identity.self_signing;
        let is_proven = own.master == Some(identity.master);
        let given = &self.engine.own_keys;
        if let Some(key) = recovered(&own).filter(|key| !is_claimed && key.belongs_to(identity)) {
            let asks = own.state == CrossSigningState::Unknown && given.recovery_key.is_some();
            if is_proven || (pin.is_some() && !is_another) {
                self.pin_own(identity.master)?;
                return self.sign(&key, signed.is_some(), &own.state);
            }
            // Without a master key to prove it, its identity is not named. The
            // device is signed all the same: that says nothing of the master key.
            if own.master.is_none() && pin.is_none() && !asks {
                warn!("{UNPROVEN}");
                return self.sign(&key, signed.is_some(), &own.state);
            }
        }
        // Where the bot was given what proves an identity, no other is believed
        // because it has signed the device: the server can have made it.
        let may_adopt = match pin {
            Some(_) => !is_another,
            None => is_proven || (given.recovery_key.is_none() && given.seed.is_none()),
        };
        if may_adopt
            && let (Some(keys), Some(self_signing)) = (signed, identity.self_signing)
            && self.adopt_signature(&keys, &self_signing)?
        {
            self.pin_own(identity.master)?;
            if matches!(own.state, CrossSigningState::Unsigned(_)) {
                info!("another session of the account has signed the bot's device");
            }
            return self.go_on(CrossSigningState::Signed);
        }
        match own.state {
            CrossSigningState::Recovered => self.stay_unsigned(STALE_SECRET),
            CrossSigningState::Unsigned(_) => Ok(()),
            _ if given.recovery_key.is_some() => {
                info!("looking for the account's self-signing key in its secret storage");
                self.go_on(CrossSigningState::FindKeyId)
            }
            _ => self.stay_unsigned(&foreign(&self.engine.device)),
        }
    }

    /// Signs the device, unless the server shows the signature already (`is_shown`).
    fn sign(
        &self,
        key: &SelfSigningKey,
        is_shown: bool,
        state: &CrossSigningState,
    ) -> Result<(), Error> {
        let signed_before = self.account()?.cross_signed_by() == Some(key.public());
        if !signed_before {
            self.cross_sign(key)?;
        }
        match state {
            _ if is_shown => self.go_on(CrossSigningState::Signed),
            // The server did not keep it the last time: a second attempt would be the first of
            // many.
            CrossSigningState::Signed => self.stay_unsigned(NOT_KEPT),
            CrossSigningState::Unsigned(_) if signed_before => Ok(()),
            _ => self.go_on(CrossSigningState::Sign),
        }
    }

    /// Signs the device in the stored account.
    pub(super) fn cross_sign(&self, key: &SelfSigningKey) -> Result<(), Error> {
        let mut account = self.take_account()?;
        let signature = key.sign_device(&account)?;
        account.set_cross_signature(&key.public(), &signature)?;
        self.save_account(account)
    }

    /// Signs a new device with the key that is at hand, before the server has
    /// seen it: no client ever meets it unsigned. Should the account have another
    /// identity by now, the signature says nothing.
    pub(crate) fn sign_beforehand(&self) -> Result<(), Error> {
        let own = self.tx.cross_signing().load()?;
        if let Some(key) = recovered(&own) {
            return self.cross_sign(&key);
        }
        match self.own_identity(&own) {
            Some(mine) => self.cross_sign(mine.self_signing()),
            None => Ok(()),
        }
    }

    /// Takes over the signature under the device's `keys` that somebody has made who holds the
    /// identity: from another session of the account, after comparing fingerprints.
    fn adopt_signature(
        &self,
        keys: &CanonicalJsonObject,
        self_signing: &Ed25519PublicKey,
    ) -> Result<bool, Error> {
        let signature = keys
            .get("signatures")
            .and_then(|signatures| signatures.as_object()?.get(self.engine.user.as_str()))
            .and_then(|own| {
                let name = format!("ed25519:{}", self_signing.to_base64());
                own.as_object()?.get(&name)?.as_str()
            })
            .and_then(|text| Ed25519Signature::from_base64(text).ok());
        let mut account = self.take_account()?;
        let adopted = signature.is_some_and(|signature| {
            account
                .set_cross_signature(self_signing, &signature)
                .is_ok()
        });
        if adopted {
            self.save_account(account)?;
        }
        Ok(adopted)
    }

    /// The pin of the account's own identity.
    fn own_pin(&self) -> Result<Option<Pin>, Error> {
        Ok(self.tx.identities().of_user(&self.engine.user)?.pin)
    }

    pub(super) fn pin_own(&self, master: Ed25519PublicKey) -> Result<(), Error> {
        let (user, identities) = (&self.engine.user, self.tx.identities());
        identities.put(user, &master)?;
        if self.own_pin()?.is_some_and(|pin| pin.master != master) {
            identities.forget_pin(user)?;
        }
        let pin = Pin {
            master,
            source: PinSource::FirstUse,
        };
        Ok(identities.pin(user, &pin, self.now)?)
    }

    /// The device stays unsigned, for this reason.
    pub(super) fn stay_unsigned(&self, why: &str) -> Result<(), Error> {
        warn!("{why}");
        self.go_on(CrossSigningState::Unsigned(why.to_owned()))
    }

    /// Goes on to this state.
    pub(super) fn go_on(&self, state: CrossSigningState) -> Result<(), Error> {
        Ok(self.tx.cross_signing().set_state(&state)?)
    }
}

/// The self-signing key from the account's secret storage.
fn recovered(own: &StoredCrossSigning) -> Option<SelfSigningKey> {
    own.self_signing.as_ref().map(SelfSigningKey::from_seed)
}
