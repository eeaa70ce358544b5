//! Olm sessions with devices: opened by claimed one-time keys, and replaced where broken.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#recovering-from-undecryptable-messages>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keysclaim>

use std::collections::BTreeMap;

use log::{info, warn};
use ruma::{OneTimeKeyAlgorithm, UserId, api::client::keys::claim_keys};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::device_lists::{FEDERATION_TIMEOUT, PerUser, devices};
use super::engine::{DeviceOwner, Turn};
use super::error::Error;
use super::outbox::TO_DEVICE;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::crypto::{
    Account, Device, OlmSession, encrypt_to_device, one_time_key, outbound_session,
};
use crate::matrix::client::Call;
use crate::util::{shown, sorted_by};

/// A new session with the same device at most this often.
const UNWEDGE_INTERVAL_MS: u64 = 3600 * 1000;

/// A device that had no one-time key is asked again after this.
const CLAIM_RETRY_MS: u64 = 10 * 60_000;

/// Devices of one `/keys/claim`: each costs some curve operations when the answer
/// is taken in.
const DEVICES_PER_CLAIM: usize = 100;

/// The device that an encrypted event names, by the server's word.
#[derive(Deserialize)]
pub(super) struct Author<'a> {
    #[serde(borrow)]
    pub(super) device_id: std::borrow::Cow<'a, str>,
}

impl Turn<'_> {
    /// Opens a new Olm session with a device, if that was not done lately.
    pub(super) fn unwedge(&self, device: &Device) -> Result<(), Error> {
        let not_after = self.now.saturating_sub(UNWEDGE_INTERVAL_MS);
        let peers = self.tx.olm_peers();
        if peers.ask_unwedge(device, not_after, self.now)? {
            let (user, id) = (shown(&device.user), shown(&device.id));
            warn!("opening a new Olm session with {user} {id}");
        }
        Ok(())
    }

    /// Opens an Olm session with the device that an event names, whose key did not come: the
    /// one that there is may be broken. With a new one its client shares the key
    /// again. The name is the server's word, and only chooses among the sender's
    /// own devices.
    pub(super) fn open_channel_to_author(
        &self,
        sender: &UserId,
        content: &RawValue,
    ) -> Result<(), Error> {
        let Ok(Author { device_id }) = serde_json::from_slice(content.get().as_bytes()) else {
            return Ok(());
        };
        match self.tx.devices().find(sender, device_id.as_ref().into())? {
            Some(device) => self.unwedge(&device),
            None => Ok(()),
        }
    }

    /// A request for one-time keys for each group of devices.
    pub(super) fn claim_requests(
        &self,
        for_replies: Vec<Device>,
        outgoing: &mut Vec<OutgoingRequest>,
    ) -> Result<(), Error> {
        let mut devices = for_replies;
        for (user, id) in self.tx.olm_peers().to_unwedge()? {
            match self.tx.devices().find(&user, &id)? {
                Some(device) => devices.push(device),
                None => {
                    self.tx.olm_peers().finish_unwedge(&user, &id)?;
                }
            }
        }
        devices = sorted_by(devices, |a, b| (&a.user, &a.id).cmp(&(&b.user, &b.id)));
        devices.dedup_by(|a, b| a.user == b.user && a.id == b.id);
        let (commanders, others) = devices
            .into_iter()
            .partition(|device| self.engine.owner_of(&device.user) == DeviceOwner::Commanders);
        outgoing.extend(claim(DeviceOwner::Commanders, commanders)?);
        outgoing.extend(claim(DeviceOwner::Others, others)?);
        Ok(())
    }

    /// Takes in the answer to a `/keys/claim` for `asked`: a session with each
    /// device that has a sound key; the others are left alone for a while.
    pub fn handle_claim(&self, asked: &[Device], body: &[u8]) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow, default)]
            one_time_keys: PerUser<'a>,
        }
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|_| Error::Malformed("one-time keys"))?;
        let account = self.account()?;
        // They are asked for in the order of their users.
        for of_user in asked.chunk_by(|a, b| a.user == b.user) {
            let first = of_user.first();
            let keys = first.and_then(|device| devices(&body.one_time_keys, &device.user));
            let keys = keys.unwrap_or_default();
            for device in of_user {
                self.begin_session(&account, device, keys.get(device.id.as_str()).copied())?;
            }
        }
        Ok(())
    }

    /// Begins an Olm session with a device, by the one-time key that was given for it.
    fn begin_session(
        &self,
        account: &Account,
        device: &Device,
        claimed: Option<&RawValue>,
    ) -> Result<(), Error> {
        let (peers, user, id) = (self.tx.olm_peers(), &device.user, &device.id);
        let session = claimed
            .and_then(|raw| {
                serde_json::from_slice::<BTreeMap<String, &RawValue>>(raw.get().as_bytes()).ok()
            })
            .and_then(|keys| keys.into_iter().next())
            .and_then(|(name, raw)| {
                one_time_key(device, &name, raw)
                    .inspect_err(|fault| {
                        warn!("a one-time key of {} {}: {fault}", shown(user), shown(id));
                    })
                    .ok()
            })
            .and_then(|key| outbound_session(account, device.curve25519, key));
        let Some(session) = session else {
            info!("{} {} has no usable one-time key", shown(user), shown(id));
            peers.postpone_claim(device, self.now.saturating_add(CLAIM_RETRY_MS))?;
            peers.finish_unwedge(user, id)?;
            return Ok(());
        };
        self.tx
            .olm_sessions()
            .put(user, &device.curve25519, &session, false, self.now)?;
        match peers.finish_unwedge(user, id)? {
            true => self.send_dummy(account, device, session),
            false => Ok(()),
        }
    }

    /// Tells a device by an encrypted `m.dummy` that there is a new session.
    fn send_dummy(
        &self,
        account: &Account,
        device: &Device,
        mut session: OlmSession,
    ) -> Result<(), Error> {
        let keys = account.device_keys()?;
        let nothing = to_raw_value(&serde_json::json!({})).map_err(|_| Error::Account)?;
        let Some(content) =
            encrypt_to_device(account, &keys, &mut session, device, "m.dummy", &nothing)
        else {
            return Ok(());
        };
        // As if it had decrypted: it must win over the session that is broken.
        let (user, key) = (&device.user, &device.curve25519);
        self.tx
            .olm_sessions()
            .put(user, key, &session, true, self.now)?;
        self.tx.shares().forget_with(user, key)?;
        let message = (device.clone(), content);
        self.put_to_device(TO_DEVICE, "m.room.encrypted", vec![message])
    }
}

fn claim(whose: DeviceOwner, mut devices: Vec<Device>) -> Result<Option<OutgoingRequest>, Error> {
    devices.truncate(DEVICES_PER_CLAIM);
    if devices.is_empty() {
        return Ok(None);
    }
    let mut keys: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for device in &devices {
        keys.entry(device.user.clone())
            .or_default()
            .insert(device.id.clone(), OneTimeKeyAlgorithm::SignedCurve25519);
    }
    let mut request = claim_keys::v3::Request::new(keys);
    request.timeout = Some(FEDERATION_TIMEOUT);
    Ok(Some(OutgoingRequest {
        key: RequestKey::Claim(whose),
        call: Call::new(request)?,
        about: RequestContext::Claim(devices),
    }))
}
