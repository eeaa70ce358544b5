//! The outbox: requests that send something, queued in lanes so that their order holds.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>,
//! <https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid>

use std::collections::BTreeMap;

use log::error;
use ruma::{
    OwnedTransactionId,
    api::client::{message::send_message_event, to_device::send_event_to_device},
    events::MessageLikeEventType,
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use crate::crypto::Device;
use crate::matrix::client::Call;
use crate::store::{InClear, Reply};

/// The lane of to-device messages that belong to no room.
pub(super) const TO_DEVICE: &str = "to-device";

/// A message to one device, and its content.
pub(super) type ToDevice = (Device, Box<RawValue>);

impl Turn<'_> {
    /// Queues one `/sendToDevice`, unless there is nothing to send.
    pub(super) fn put_to_device(
        &self,
        lane: &str,
        kind: &str,
        messages: Vec<ToDevice>,
    ) -> Result<(), Error> {
        let outbox = self.tx.outbox();
        if messages.is_empty() || (lane == TO_DEVICE && !outbox.has_room_for_to_device(lane)?) {
            return Ok(());
        }
        let mut bodies: send_event_to_device::v3::Messages = BTreeMap::new();
        for (device, content) in messages {
            bodies.entry(device.user).or_default().insert(
                DeviceIdOrAllDevices::DeviceId(device.id),
                Raw::from_json(content),
            );
        }
        let call = Call::new(send_event_to_device::v3::Request::new_raw(
            kind.into(),
            transaction_id()?.into(),
            bodies,
        ))?;
        Ok(outbox.put(lane, &call.path, &call.body, None, InClear::No)?)
    }

    /// Queues a reply as this content, of which `in_clear` is not encrypted.
    pub(super) fn put_reply(
        &self,
        reply: &Reply,
        kind: &str,
        content: Box<RawValue>,
        in_clear: InClear,
    ) -> Result<(), Error> {
        let call = Call::new(send_message_event::v3::Request::new_raw(
            reply.room.clone(),
            OwnedTransactionId::from(reply.txn_id.as_str()),
            MessageLikeEventType::from(kind),
            Raw::from_json(content),
        ));
        match call {
            Ok(call) => {
                let (lane, outbox) = (reply.room.as_str(), self.tx.outbox());
                outbox.put(lane, &call.path, &call.body, Some(reply.id), in_clear)?;
            }
            Err(fault) => {
                error!("a reply is given up: {fault}");
                self.tx.replies().drop_one(reply.id)?;
            }
        }
        Ok(())
    }
}

/// A transaction id, unique for this device for ever: random, because a counter would
/// start again with a restored store.
pub(super) fn transaction_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
