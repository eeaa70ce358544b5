//! `/keys/upload`, `/keys/query` and `/keys/claim`: what their answers change.

use std::{collections::BTreeMap, fmt};

use log::{debug, info, warn};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    engine::{Engine, Error},
    judge::Message,
    own_identity::Shown,
    sending::{OutgoingToDevice, put_to_device},
    turn::Turn,
    wants::Whose,
};
use crate::{
    crypto::{
        Account, Device, DeviceChange, Identity, KnownDevice, Peer, device_changes,
        encrypt_to_device, identity_key_ids, one_time_key, outbound_session,
    },
    store::Transaction,
};

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
             CRYPTO_STORE_PATH: the store is not this device's (a copy, or a restored backup), or \
             the homeserver lies; move the store away to start as a new device",
            self.device
        )
    }
}

/// Something for each user, unparsed: one user's rubbish is nobody else's loss.
type PerUser<'a> = BTreeMap<String, &'a RawValue>;

/// The devices in one user's part of an answer; none if it is malformed.
fn devices<'a>(answer: &PerUser<'a>, user: &UserId) -> BTreeMap<String, &'a RawValue> {
    let Some(raw) = answer.get(user.as_str()) else {
        return BTreeMap::new();
    };
    serde_json::from_str(raw.get())
        .inspect_err(|_| warn!("what the homeserver says of the devices of {user} is malformed"))
        .unwrap_or_default()
}

impl Engine {
    /// The server has taken the keys of an upload. Where another fallback key was
    /// made meanwhile, those that wait are others: they are uploaded once more.
    pub fn take_upload(
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

    /// Takes in the part of the answer to a `/keys/query` that is about `asked`
    /// (user and generation), from user number `done` on, until this turn of the
    /// loop is over; returns how many are done. After the last one what waited for
    /// the answer is judged.
    pub fn take_query(
        &self,
        tx: &Transaction<'_>,
        asked: &[(OwnedUserId, i64)],
        done: usize,
        body: &[u8],
        now: u64,
        turn: Turn,
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
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|_| Error::Malformed("device keys"))?;
        let mut position = done;
        for (user, generation) in asked.iter().skip(done) {
            if position > done && turn.is_over() {
                return Ok(position);
            }
            position += 1;
            let failed = body.failures.contains_key(user.server_name().as_str());
            if failed && !body.device_keys.contains_key(user.as_str()) {
                // Absent because the user's server failed: not deleted.
                warn!("the devices of {user} cannot be asked for now");
                tx.postpone_query(user, now.saturating_add(QUERY_RETRY_MS))?;
                continue;
            }
            let mut answer = devices(&body.device_keys, user);
            if self.whose(user) == Whose::Others {
                limit_devices(&mut answer, &tx.known_devices(user)?);
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
                self.take_identity(tx, user, identity, now)?;
            }
            apply(tx, user, &answer, &keys, identity.as_ref())?;
            tx.mark_current(user, *generation)?;
        }
        self.judge_held(tx, now, messages)?;
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
                    warn!("the device list of {user} is too large, or takes too long: put off");
                    tx.postpone_query(user, now.saturating_add(QUERY_RETRY_MS))?;
                }
                together => tx.limit_query(user, together / 2)?,
            }
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
    pub fn take_claim(
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
                of_user = Some((&device.user, devices(&body.one_time_keys, &device.user)));
            }
            let claimed = of_user
                .as_ref()
                .and_then(|(_, keys)| keys.get(device.id.as_str()))
                .and_then(|raw| serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()).ok())
                .and_then(|keys| keys.into_iter().next());
            let session = claimed.and_then(|(name, raw)| {
                one_time_key(device, &name, raw)
                    .inspect_err(|fault| {
                        warn!("a one-time key of {} {}: {fault}", device.user, device.id);
                    })
                    .ok()
                    .and_then(|key| outbound_session(&account, device.curve25519, key))
            });
            let Some(session) = session else {
                info!("{} {} has no usable one-time key", device.user, device.id);
                tx.postpone_claim(device, now.saturating_add(CLAIM_RETRY_MS))?;
                tx.finish_unwedge(&device.user, &device.id)?;
                continue;
            };
            tx.put_olm_session(&device.user, &device.curve25519, &session, false, now)?;
            if tx.finish_unwedge(&device.user, &device.id)? {
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
        tx.put_olm_session(&device.user, &device.curve25519, &session, true, now)?;
        tx.forget_shares_with(&device.user, &device.curve25519)?;
        let message = OutgoingToDevice {
            user: device.user.clone(),
            device: device.id.clone(),
            content,
        };
        put_to_device(tx, "to-device", "m.room.encrypted", vec![message])
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
        .inspect_err(|fault| warn!("the identity of {user} is not believed: {fault}"))
        .ok()
}

fn apply(
    tx: &Transaction<'_>,
    user: &UserId,
    answer: &BTreeMap<String, &RawValue>,
    cross_signing_keys: &[String],
    identity: Option<&Identity>,
) -> Result<(), Error> {
    let known = tx.known_devices(user)?;
    for change in device_changes(user, &known, answer, cross_signing_keys, identity) {
        match &change {
            DeviceChange::Put(device) => debug!("{user} has device {}", device.id),
            DeviceChange::Delete(id) => debug!("{user} no longer has device {id}"),
            DeviceChange::Refuse(id, fault) => {
                warn!("device {id} of {user} is not believed: {fault}");
            }
        }
        tx.apply_device_change(user, &change)?;
    }
    Ok(())
}
