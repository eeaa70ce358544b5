//! From a reply to requests: who gets the key, what is encrypted, in which order
//! it leaves.

use std::collections::BTreeMap;

use log::{debug, warn};
use ruma::{
    OwnedDeviceId, OwnedRoomId, OwnedTransactionId, OwnedUserId, RoomId,
    api::client::{message::send_message_event, to_device::send_event_to_device},
    events::MessageLikeEventType,
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::value::RawValue;

use super::{
    api::{BuildError, Call},
    engine::{Engine, Error},
};
use crate::{
    crypto::{Account, Device, MEGOLM_ALGORITHM, OutboundGroup, Peer, Rotation, encrypt_to_device},
    store::{Encryption, Reply, Transaction},
};

/// Messages of one `/sendToDevice`: Synapse's limits and ours on memory.
const DEVICES_PER_REQUEST: usize = 250;

/// A to-device message that is ready to leave.
pub(super) struct OutgoingToDevice {
    pub(super) user: OwnedUserId,
    pub(super) device: OwnedDeviceId,
    pub(super) content: Box<RawValue>,
}

/// What stands between a room's replies and the outbox.
enum Readiness {
    /// Nothing any more: they are in it.
    Done,
    /// Sessions with these devices.
    Claim(Vec<Device>),
    /// An answer that is being asked for anyway (members, devices, encryption).
    Wait,
}

impl Engine {
    /// Queues a text for a room; it leaves when the room's devices have its key.
    pub fn reply(&self, tx: &Transaction<'_>, room: &RoomId, text: &str) -> Result<(), Error> {
        let content = serde_json::json!({ "msgtype": "m.text", "body": text });
        tx.put_reply(
            room,
            &transaction_id()?,
            "m.room.message",
            &content.to_string(),
        )?;
        Ok(())
    }

    /// Moves what can be moved from the replies to the outbox, and returns the
    /// devices whose one-time keys have to be claimed before the rest.
    pub(super) fn prepare_replies(
        &self,
        tx: &Transaction<'_>,
        now: u64,
    ) -> Result<Vec<Device>, Error> {
        let mut claims = Vec::new();
        for room in tx.rooms_with_replies()? {
            match self.prepare_room(tx, &room, now)? {
                Readiness::Done | Readiness::Wait => {}
                Readiness::Claim(devices) => claims.extend(devices),
            }
        }
        Ok(claims)
    }

    fn prepare_room(
        &self,
        tx: &Transaction<'_>,
        room: &OwnedRoomId,
        now: u64,
    ) -> Result<Readiness, Error> {
        if !tx.is_joined(room)? {
            let dropped = tx.drop_replies(room)?;
            warn!("not in {room} any more: {dropped} replies dropped");
            return Ok(Readiness::Done);
        }
        match tx.encryption(room)? {
            Encryption::Unknown => Ok(Readiness::Wait),
            Encryption::Unsupported => {
                let dropped = tx.drop_replies(room)?;
                warn!(
                    "{room} has an encryption this program does not know: {dropped} replies dropped"
                );
                Ok(Readiness::Done)
            }
            Encryption::Plaintext => {
                for reply in tx.replies(room)? {
                    let content = RawValue::from_string(reply.content.clone())
                        .map_err(|_| crate::store::Error::Corrupt("a reply"))?;
                    put_message(tx, &reply, &reply.kind, content)?;
                }
                Ok(Readiness::Done)
            }
            Encryption::Megolm(rotation) => self.prepare_encrypted(tx, room, rotation, now),
        }
    }

    fn prepare_encrypted(
        &self,
        tx: &Transaction<'_>,
        room: &OwnedRoomId,
        rotation: Rotation,
        now: u64,
    ) -> Result<Readiness, Error> {
        if !tx.members_complete(room)? || tx.has_outdated_members(room, now)? {
            return Ok(Readiness::Wait);
        }
        let account = self.account(tx)?;
        if !account.device_keys_uploaded() {
            // Nobody could make sense of a message from an unknown device.
            return Ok(Readiness::Wait);
        }
        for reply in tx.replies(room)? {
            let mut group = self.outbound_group(tx, room, rotation, now)?;
            let without = tx.devices_without_share(room, &group.session_id(), &self.user)?;
            if !without.is_empty() {
                let claims = self.share(tx, room, &account, &group, without, now)?;
                if !claims.is_empty() {
                    return Ok(Readiness::Claim(claims));
                }
            }
            let content = RawValue::from_string(reply.content.clone())
                .map_err(|_| crate::store::Error::Corrupt("a reply"))?;
            let content = group
                .encrypt(&account, &reply.kind, &content)
                .map_err(|_| Error::Account)?;
            tx.put_outbound_group(room, &group)?;
            put_message(tx, &reply, "m.room.encrypted", content)?;
        }
        Ok(Readiness::Done)
    }

    /// The room's session, or a new one when it is worn out or when somebody who
    /// has it should not read on.
    fn outbound_group(
        &self,
        tx: &Transaction<'_>,
        room: &OwnedRoomId,
        rotation: Rotation,
        now: u64,
    ) -> Result<OutboundGroup, Error> {
        if let Some(group) = tx.outbound_group(room)? {
            if !group.is_expired(rotation, now)
                && !tx.has_departed_recipient(room, &group.session_id())?
            {
                return Ok(group);
            }
            tx.discard_outbound_group(room)?;
        }
        debug!("a new Megolm session for {room}");
        let group = OutboundGroup::new(room.clone(), now);
        tx.put_outbound_group(room, &group)?;
        Ok(group)
    }

    /// Gives the session to devices that lack it. Those without an Olm session
    /// that are worth a claim are returned, and nothing is shared yet; those that
    /// are not are told `m.no_olm`, once.
    fn share(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        account: &Account,
        group: &OutboundGroup,
        devices: Vec<Device>,
        now: u64,
    ) -> Result<Vec<Device>, Error> {
        let mut claims = Vec::new();
        for device in &devices {
            if tx.olm_session_for_sending(device)?.is_none() && tx.may_claim(device, now)? {
                claims.push(device.clone());
            }
        }
        if !claims.is_empty() {
            return Ok(claims);
        }
        let own_keys = account.device_keys()?;
        let room_key = group.room_key().map_err(|_| Error::Account)?;
        let withheld = withheld_no_olm(account)?;
        let mut keys = Vec::new();
        let mut refusals = Vec::new();
        for device in devices {
            let session = tx.olm_session_for_sending(&device)?;
            let content = session.and_then(|mut session| {
                let peer = Peer::from(&device);
                let kind = "m.room_key";
                encrypt_to_device(account, &own_keys, &mut session, &peer, kind, &room_key)
                    .map(|content| (session, content))
                    .ok()
            });
            match content {
                Some((session, content)) => {
                    tx.put_olm_session(&device.user, &device.curve25519, &session, false, now)?;
                    tx.put_share(&group.session_id(), &device, group.index())?;
                    keys.push(OutgoingToDevice {
                        user: device.user,
                        device: device.id,
                        content,
                    });
                    if keys.len() == DEVICES_PER_REQUEST {
                        put_to_device(tx, room.as_str(), "m.room.encrypted", &keys)?;
                        keys.clear();
                    }
                }
                None if tx.mark_withheld(&device)? => {
                    warn!(
                        "{} {} cannot be given the key: no Olm session",
                        device.user, device.id
                    );
                    let content = withheld.clone();
                    refusals.push(OutgoingToDevice {
                        user: device.user,
                        device: device.id,
                        content,
                    });
                }
                None => {}
            }
        }
        put_to_device(tx, room.as_str(), "m.room.encrypted", &keys)?;
        for refusals in refusals.chunks(DEVICES_PER_REQUEST) {
            put_to_device(tx, room.as_str(), "m.room_key.withheld", refusals)?;
        }
        Ok(Vec::new())
    }
}

/// `m.no_olm` names no room and no session: it is about the device.
fn withheld_no_olm(account: &Account) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(&serde_json::json!({
        "algorithm": MEGOLM_ALGORITHM,
        "code": "m.no_olm",
        "reason": "Unable to establish a secure channel.",
        "sender_key": account.curve25519().to_base64(),
    }))
    .map_err(|_| Error::Account)
}

fn put_message(
    tx: &Transaction<'_>,
    reply: &Reply,
    kind: &str,
    content: Box<RawValue>,
) -> Result<(), Error> {
    let call = Call::new(send_message_event::v3::Request::new_raw(
        reply.room.clone(),
        OwnedTransactionId::from(reply.txn_id.as_str()),
        MessageLikeEventType::from(kind),
        Raw::from_json(content),
    ))?;
    tx.put_outbox(reply.room.as_str(), &call.path, &call.body, Some(reply.id))?;
    Ok(())
}

/// Queues one `/sendToDevice`, unless there is nothing to send.
pub(super) fn put_to_device(
    tx: &Transaction<'_>,
    lane: &str,
    kind: &str,
    messages: &[OutgoingToDevice],
) -> Result<(), Error> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut bodies: send_event_to_device::v3::Messages = BTreeMap::new();
    for message in messages {
        bodies.entry(message.user.clone()).or_default().insert(
            DeviceIdOrAllDevices::DeviceId(message.device.clone()),
            Raw::from_json(message.content.clone()),
        );
    }
    let call = Call::new(send_event_to_device::v3::Request::new_raw(
        kind.into(),
        transaction_id()?.into(),
        bodies,
    ))?;
    tx.put_outbox(lane, &call.path, &call.body, None)?;
    Ok(())
}

/// Unique for this device for ever: random, because a counter would start again
/// with a restored store.
fn transaction_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Build(BuildError::randomness(&error.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
