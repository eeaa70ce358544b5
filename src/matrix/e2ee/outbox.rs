//! The outbox: requests that send something, queued in lanes so that their order holds.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>,
//! <https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid>

use std::collections::BTreeMap;

use ruma::{
    OwnedDeviceId, OwnedTransactionId, OwnedUserId,
    api::client::{message::send_message_event, to_device::send_event_to_device},
    events::MessageLikeEventType,
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::value::RawValue;

use super::error::Error;
use crate::crypto::Device;
use crate::matrix::client::{BuildError, Call};
use crate::store::{InClear, Reply, Transaction};

/// The lane of to-device messages that belong to no room.
pub(super) const TO_DEVICE: &str = "to-device";

/// A to-device message that is ready to leave.
pub(super) struct OutgoingToDevice {
    pub(super) user: OwnedUserId,
    pub(super) device: OwnedDeviceId,
    pub(super) content: Box<RawValue>,
}

pub(super) fn addressed(device: Device, content: Box<RawValue>) -> OutgoingToDevice {
    OutgoingToDevice {
        user: device.user,
        device: device.id,
        content,
    }
}

/// Queues one `/sendToDevice`, unless there is nothing to send.
pub(super) fn put_to_device(
    tx: &Transaction<'_>,
    lane: &str,
    kind: &str,
    messages: Vec<OutgoingToDevice>,
) -> Result<(), Error> {
    if messages.is_empty() || (lane == TO_DEVICE && !tx.outbox().has_room_for_to_device(lane)?) {
        return Ok(());
    }
    let mut bodies: send_event_to_device::v3::Messages = BTreeMap::new();
    for message in messages {
        bodies.entry(message.user).or_default().insert(
            DeviceIdOrAllDevices::DeviceId(message.device),
            Raw::from_json(message.content),
        );
    }
    let call = Call::new(send_event_to_device::v3::Request::new_raw(
        kind.into(),
        transaction_id()?.into(),
        bodies,
    ))?;
    tx.outbox()
        .put(lane, &call.path, &call.body, None, InClear::No)?;
    Ok(())
}

/// The call that sends a reply as this content.
pub(super) fn send_call(
    reply: &Reply,
    kind: &str,
    content: Box<RawValue>,
) -> Result<Call, BuildError> {
    Call::new(send_message_event::v3::Request::new_raw(
        reply.room.clone(),
        OwnedTransactionId::from(reply.txn_id.as_str()),
        MessageLikeEventType::from(kind),
        Raw::from_json(content),
    ))
}

/// A message of this text. Nobody is mentioned: clients that are not told look for
/// names in the text.
pub(super) fn text_content(text: &str) -> serde_json::Value {
    serde_json::json!({ "msgtype": "m.text", "body": text, "m.mentions": {} })
}

/// A transaction id, unique for this device for ever: random, because a counter would
/// start again with a restored store.
pub(super) fn transaction_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Build(BuildError::randomness(&error.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
