//! `/keys/upload`, `/keys/query` and `/keys/claim`: what their answers change.

use std::{collections::BTreeMap, fmt};

use log::{debug, info, warn};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::classify::Message;
use super::cross_signing::state::Shown;
use super::engine::{Engine, Error};
use super::outgoing::DeviceOwner;
use super::sending::{OutgoingToDevice, TO_DEVICE, put_to_device};
use super::time_budget::TimeBudget;
use crate::crypto::{
    Account, Device, DeviceChange, Identity, KnownDevice, Peer, device_changes, encrypt_to_device,
    identity_key_ids, one_time_key, outbound_session,
};
use crate::json::Sifted;
use crate::matrix::client::what;
use crate::store::Transaction;
use crate::util::shown;

/// A user whose server did not answer is asked again after this.
const QUERY_RETRY_MS: u64 = 60_000;

/// Devices that are followed of a user who commands nothing.
const DEVICES_PER_USER: usize = 50;

/// A device that had no one-time key is asked again after this.
const CLAIM_RETRY_MS: u64 = 10 * 60_000;

/// The server says that this store's device has other keys.
#[derive(Debug)]
pub struct OwnKeysDiffer {
    device: OwnedDeviceId,
}

impl fmt::Display for OwnKeysDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the homeserver holds other keys for the bot's device {} than the store in \
             CRYPTO_STORE_PATH: the store is a copy, or restored, or another program uses this \
             device, or the homeserver was restored or lies. Nothing was changed. Put the device's \
             own store back; or remove the device from the account (in Element: Settings, \
             Sessions), and the bot logs in as a new one and keeps its identity (with \
             AUTH_METHOD=token, given the token of a new one)",
            self.device
        )
    }
}

/// An answer to a `/keys/query` that is being taken in.
#[derive(Clone, Copy)]
pub struct QueryAnswer<'a> {
    /// The users who were asked about, and their generations.
    pub asked: &'a [(OwnedUserId, i64)],
    /// How many of them are done.
    pub done: usize,
    /// What was kept of the answer.
    pub answer: &'a Sifted,
}

impl QueryAnswer<'_> {
    /// There was no room for some devices.
    fn is_partial(&self) -> bool {
        let skipped = &self.answer.skipped;
        skipped.contains_key(what::DEVICE) || skipped.contains_key(what::USER)
    }
}

/// Something for each user, unparsed: one user's rubbish is nobody else's loss.
type PerUser<'a> = BTreeMap<String, &'a RawValue>;

/// The devices in one user's part of an answer; none if it has no such part, or a
/// malformed one, which is not the same as an empty one: it says nothing.
fn devices<'a>(answer: &PerUser<'a>, user: &UserId) -> Option<BTreeMap<String, &'a RawValue>> {
    let raw = answer.get(user.as_str())?;
    serde_json::from_str(raw.get())
        .inspect_err(|_| {
            warn!(
                "what the homeserver says of the devices of {} is malformed",
                shown(user)
            );
        })
        .ok()
}

impl Engine {
    /// The server has taken the keys of an upload. Where another fallback key was
    /// made meanwhile, those that wait are others: they are uploaded once more.
    pub fn handle_upload(
        &self,
        tx: &Transaction<'_>,
        with_device_keys: bool,
        fallback: Option<&str>,
    ) -> Result<(), Error> {
        let mut account = self.account_mut(tx)?;
        if account.unpublished_fallback().as_deref() != fallback {
            return Ok(());
        }
        account.mark_as_uploaded(with_device_keys);
        self.save_account(tx, account)
    }

    /// Whether fewer users have to be asked for together, because the answer had no
    /// room for all devices: a missing one would be taken for signed out.
    pub fn must_split(&self, queried: &QueryAnswer<'_>) -> bool {
        let is_about_commanders = queried
            .asked
            .iter()
            .any(|(user, _)| self.whose(user) == DeviceOwner::Commanders);
        queried.asked.len() > 1
            && (queried.answer.is_cut || (is_about_commanders && queried.is_partial()))
    }

    /// Takes in the answer to a `/keys/query`, user by user, until this turn of the
    /// loop is over; returns how many users are done. After the last one what
    /// waited for the answer is judged.
    pub fn handle_query(
        &self,
        tx: &Transaction<'_>,
        queried: &QueryAnswer<'_>,
        now: u64,
        budget: TimeBudget,
        messages: &mut Vec<Message>,
    ) -> Result<usize, Error> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow, default)]
            device_keys: PerUser<'a>,
            #[serde(default)]
            failures: BTreeMap<String, serde::de::IgnoredAny>,
            #[serde(borrow, default)]
            master_keys: PerUser<'a>,
            #[serde(borrow, default)]
            self_signing_keys: PerUser<'a>,
        }
        let QueryAnswer {
            asked,
            done,
            answer,
        } = *queried;
        let body: Body<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::Malformed("device keys"))?;
        let is_partial = queried.is_partial();
        let mut position = done;
        for (user, generation) in asked.iter().skip(done) {
            if position > done && budget.is_spent() {
                return Ok(position);
            }
            position += 1;
            let failed = body.failures.contains_key(user.server_name().as_str());
            let mut answer = match devices(&body.device_keys, user) {
                Some(answer) => answer,
                // Its keys are uploaded again.
                None if *user == self.user && !failed => BTreeMap::new(),
                None => {
                    // Nothing was said of them: that signs nobody out.
                    warn!("the devices of {} cannot be asked for now", shown(user));
                    tx.device_lists()
                        .postpone_query(user, now.saturating_add(QUERY_RETRY_MS))?;
                    continue;
                }
            };
            if self.whose(user) == DeviceOwner::Others {
                limit_devices(&mut answer, &tx.devices().known(user)?);
            }
            let keys: Vec<String> = [&body.master_keys, &body.self_signing_keys]
                .into_iter()
                .filter_map(|keys| keys.get(user.as_str()))
                .flat_map(|raw| identity_key_ids(raw))
                .collect();
            let identity = identity(
                user,
                body.master_keys.get(user.as_str()).copied(),
                body.self_signing_keys.get(user.as_str()).copied(),
            );
            if *user == self.user {
                self.check_own_keys(tx, &answer)?;
                let shown = Shown {
                    identity: identity.clone(),
                    device_keys: answer.get(self.device.as_str()).copied(),
                };
                self.compare_own_identity(tx, &shown, now)?;
            } else if let Some(identity) = &identity {
                self.handle_identity(tx, user, identity, now)?;
            }
            let known = self.known_devices(tx, user)?;
            let mut changes = device_changes(user, &known, &answer, &keys, identity.as_ref());
            // From a server that failed, or where there was no room for all, it may
            // be a part of the list: what it has not got may be there all the same.
            // Nor is it known to be.
            let is_missing = |change: &DeviceChange| matches!(change, DeviceChange::Delete(id) if !answer.contains_key(id.as_str()));
            let may_be_part = failed || (is_partial && self.whose(user) == DeviceOwner::Commanders);
            let in_part = may_be_part && changes.iter().any(is_missing);
            if in_part {
                changes.retain(|change| !is_missing(change));
            }
            self.apply(tx, user, &changes)?;
            if in_part {
                tx.device_lists()
                    .postpone_query(user, now.saturating_add(QUERY_RETRY_MS))?;
            } else {
                tx.device_lists().mark_current(user, *generation)?;
            }
        }
        self.classify_undecrypted(tx, now, messages)?;
        Ok(position)
    }

    /// The answer about these users was too large, or did not come in time: half
    /// as many are asked for together next time, until the one whose list it is
    /// is alone. That one is put off, as if their server could not be reached.
    pub fn split_query(
        &self,
        tx: &Transaction<'_>,
        asked: &[(OwnedUserId, i64)],
        now: u64,
    ) -> Result<(), Error> {
        for (user, _) in asked {
            match asked.len() {
                1 => {
                    warn!(
                        "the device list of {} is too large, or takes too long: put off",
                        shown(user)
                    );
                    tx.device_lists()
                        .postpone_query(user, now.saturating_add(QUERY_RETRY_MS))?;
                }
                together => tx.device_lists().limit_query(user, together / 2)?,
            }
        }
        Ok(())
    }

    /// What is known of a user's devices. The bot's own account has no
    /// tombstones: nothing depends on its other devices, and a homeserver that
    /// lost the keys of this one is given them again.
    fn known_devices(
        &self,
        tx: &Transaction<'_>,
        user: &UserId,
    ) -> Result<Vec<KnownDevice>, Error> {
        let mut known = tx.devices().known(user)?;
        if user == self.user {
            known.retain(|known| !known.deleted);
        }
        Ok(known)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        user: &UserId,
        changes: &[DeviceChange],
    ) -> Result<(), Error> {
        let whose = shown(user);
        for change in changes {
            match change {
                DeviceChange::Put(device) => debug!("{whose} has device {}", shown(&device.id)),
                DeviceChange::Delete(id) if self.commanders.users.contains(user) => info!(
                    "device {} of {whose} is signed out: it commands nothing any more",
                    shown(id)
                ),
                DeviceChange::Delete(id) => debug!("{whose} no longer has device {}", shown(id)),
                DeviceChange::Refuse(id, fault) => {
                    warn!("device {} of {whose} is not believed: {fault}", shown(id));
                }
            }
            tx.devices().apply(user, change)?;
        }
        Ok(())
    }

    fn check_own_keys(
        &self,
        tx: &Transaction<'_>,
        answer: &BTreeMap<String, &RawValue>,
    ) -> Result<(), Error> {
        let account = self.account(tx)?;
        let Some(raw) = answer.get(self.device.as_str()) else {
            if account.device_keys_uploaded() {
                warn!("the homeserver has lost this device's keys: uploading them again");
                let mut account = self.account_mut(tx)?;
                account.device_keys_are_missing();
                self.save_account(tx, account)?;
            }
            return Ok(());
        };
        let same = Device::parse(&self.user, &self.device, raw).is_ok_and(|device| {
            device.curve25519 == account.curve25519() && device.ed25519 == account.ed25519()
        });
        if same {
            Ok(())
        } else {
            Err(Error::OwnKeys(OwnKeysDiffer {
                device: self.device.clone(),
            }))
        }
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
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow, default)]
            one_time_keys: PerUser<'a>,
        }
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|_| Error::Malformed("one-time keys"))?;
        let account = self.account(tx)?;
        let mut of_user = None;
        for device in asked {
            // They are asked for in the order of their users.
            if of_user
                .as_ref()
                .is_none_or(|(user, _)| *user != &device.user)
            {
                let keys = devices(&body.one_time_keys, &device.user).unwrap_or_default();
                of_user = Some((&device.user, keys));
            }
            let claimed = of_user
                .as_ref()
                .and_then(|(_, keys)| keys.get(device.id.as_str()))
                .and_then(|raw| serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()).ok())
                .and_then(|keys| keys.into_iter().next());
            let session = claimed.and_then(|(name, raw)| {
                one_time_key(device, &name, raw)
                    .inspect_err(|fault| {
                        let (user, id) = (shown(&device.user), shown(&device.id));
                        warn!("a one-time key of {user} {id}: {fault}");
                    })
                    .ok()
                    .and_then(|key| outbound_session(&account, device.curve25519, key))
            });
            let Some(session) = session else {
                let (user, id) = (shown(&device.user), shown(&device.id));
                info!("{user} {id} has no usable one-time key");
                tx.olm_peers()
                    .postpone_claim(device, now.saturating_add(CLAIM_RETRY_MS))?;
                tx.olm_peers().finish_unwedge(&device.user, &device.id)?;
                continue;
            };
            tx.olm_sessions()
                .put(&device.user, &device.curve25519, &session, false, now)?;
            if tx.olm_peers().finish_unwedge(&device.user, &device.id)? {
                self.send_dummy(tx, &account, device, session, now)?;
            }
        }
        Ok(())
    }

    /// Tells a device by an encrypted `m.dummy` that there is a new session.
    fn send_dummy(
        &self,
        tx: &Transaction<'_>,
        account: &Account,
        device: &Device,
        mut session: crate::crypto::OlmSession,
        now: u64,
    ) -> Result<(), Error> {
        let keys = account.device_keys()?;
        let nothing = to_raw_value(&serde_json::json!({})).map_err(|_| Error::Account)?;
        let peer = Peer::from(device);
        let Ok(content) =
            encrypt_to_device(account, &keys, &mut session, &peer, "m.dummy", &nothing)
        else {
            return Ok(());
        };
        // As if it had decrypted: it must win over the session that is broken.
        tx.olm_sessions()
            .put(&device.user, &device.curve25519, &session, true, now)?;
        tx.shares().forget_with(&device.user, &device.curve25519)?;
        let message = OutgoingToDevice {
            user: device.user.clone(),
            device: device.id.clone(),
            content,
        };
        put_to_device(tx, TO_DEVICE, "m.room.encrypted", vec![message])
    }
}

/// Keeps of a long list the devices that are known and as many others as there is
/// room for.
fn limit_devices(answer: &mut BTreeMap<String, &RawValue>, known: &[KnownDevice]) {
    let mut room = DEVICES_PER_USER.saturating_sub(known.len());
    answer.retain(|id, _| {
        if known.iter().any(|known| known.device.id.as_str() == id) {
            return true;
        }
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits
    });
}

/// The identity in one user's part of an answer, if there is a sound one.
fn identity(
    user: &UserId,
    master: Option<&RawValue>,
    self_signing: Option<&RawValue>,
) -> Option<Identity> {
    let identity = Identity::parse(user, master?, self_signing);
    identity
        .inspect_err(|fault| warn!("the identity of {} is not believed: {fault}", shown(user)))
        .ok()
}
