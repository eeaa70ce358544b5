//! Olm sessions with devices: opened by claimed one-time keys, and replaced where broken.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#recovering-from-undecryptable-messages>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keysclaim>

use std::collections::BTreeMap;

use log::{info, warn};
use ruma::{OneTimeKeyAlgorithm, UserId, api::client::keys::claim_keys};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::account::AccountCache;
use super::context::{Context, DeviceOwner};
use super::device_lists::{FEDERATION_TIMEOUT, PerUser, devices};
use super::error::Error;
use super::outbox::{OutgoingToDevice, TO_DEVICE, put_to_device};
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::crypto::{
    Account, Device, OlmSession, encrypt_to_device, one_time_key, outbound_session,
};
use crate::matrix::client::Call;
use crate::store::Transaction;
use crate::util::shown;

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

/// Opens a new Olm session with a device, if that was not done lately.
pub(super) fn unwedge(tx: &Transaction<'_>, device: &Device, now: u64) -> Result<(), Error> {
    if tx
        .olm_peers()
        .ask_unwedge(device, now.saturating_sub(UNWEDGE_INTERVAL_MS), now)?
    {
        warn!(
            "opening a new Olm session with {} {}",
            shown(&device.user),
            shown(&device.id)
        );
    }
    Ok(())
}

/// Opens an Olm session with the device that an event names, whose key did not come: the
/// one that there is may be broken. With a new one its client shares the key
/// again. The name is the server's word, and only chooses among the sender's
/// own devices.
pub(super) fn open_channel_to_author(
    tx: &Transaction<'_>,
    sender: &UserId,
    content: &RawValue,
    now: u64,
) -> Result<(), Error> {
    let Ok(author) = serde_json::from_str::<Author<'_>>(content.get()) else {
        return Ok(());
    };
    let device = tx
        .devices()
        .find(sender, author.device_id.as_ref().into())?;
    match device {
        Some(device) => unwedge(tx, &device, now),
        None => Ok(()),
    }
}

/// A request for one-time keys for each group of devices.
pub(super) fn claim_requests(
    context: &Context,
    tx: &Transaction<'_>,
    for_replies: Vec<Device>,
) -> Result<Vec<OutgoingRequest>, Error> {
    let mut devices = for_replies;
    for (user, id) in tx.olm_peers().to_unwedge()? {
        match tx.devices().find(&user, &id)? {
            Some(device) => devices.push(device),
            None => {
                tx.olm_peers().finish_unwedge(&user, &id)?;
            }
        }
    }
    devices.sort_by(|a, b| (&a.user, &a.id).cmp(&(&b.user, &b.id)));
    devices.dedup_by(|a, b| a.user == b.user && a.id == b.id);
    let (commanders, others) = devices
        .into_iter()
        .partition(|device| context.owner_of(&device.user) == DeviceOwner::Commanders);
    [
        (DeviceOwner::Commanders, commanders),
        (DeviceOwner::Others, others),
    ]
    .into_iter()
    .filter_map(|(whose, devices)| claim(whose, devices).transpose())
    .collect()
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

/// Takes in the answer to a `/keys/claim` for `asked`: a session with each
/// device that has a sound key; the others are left alone for a while.
pub(super) fn handle_claim(
    accounts: &AccountCache,
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
    let account = accounts.load(tx)?;
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
            send_dummy(tx, &account, device, session, now)?;
        }
    }
    Ok(())
}

/// Tells a device by an encrypted `m.dummy` that there is a new session.
fn send_dummy(
    tx: &Transaction<'_>,
    account: &Account,
    device: &Device,
    mut session: OlmSession,
    now: u64,
) -> Result<(), Error> {
    let keys = account.device_keys()?;
    let nothing = to_raw_value(&serde_json::json!({})).map_err(|_| Error::Account)?;
    let Some(content) =
        encrypt_to_device(account, &keys, &mut session, device, "m.dummy", &nothing)
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
