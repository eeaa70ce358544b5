//! Unencrypted to-device messages about room keys: `m.room_key.withheld`, and
//! `m.room_key_request` for keys of the bot's.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#key-requests>,
//! <https://spec.matrix.org/v1.11/client-server-api/#reporting-that-decryption-keys-are-withheld>

use log::{debug, info};
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::outbox::TO_DEVICE;
use crate::crypto::{Account, MEGOLM_ALGORITHM, Withheld, WithheldCode, encrypt_to_device};
use crate::util::shown;

#[derive(Deserialize)]
struct Envelope<'a> {
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct KeyRequest {
    action: String,
    requesting_device_id: OwnedDeviceId,
    body: Option<RequestedKey>,
}

#[derive(Deserialize)]
struct RequestedKey {
    algorithm: String,
    room_id: OwnedRoomId,
    session_id: String,
}

impl Turn<'_> {
    /// Takes in an `m.room_key.withheld` or an `m.room_key_request`.
    pub(super) fn handle_key_message(
        &self,
        account: &Account,
        raw: &RawValue,
    ) -> Result<(), Error> {
        let Ok(event) = serde_json::from_slice::<Envelope<'_>>(raw.get().as_bytes()) else {
            debug!("a malformed message about a room key: dropped");
            return Ok(());
        };
        match event.kind {
            "m.room_key.withheld" => self.handle_withheld(&event.sender, event.content),
            _ => self.handle_key_request(account, &event.sender, event.content),
        }
    }

    fn handle_withheld(&self, sender: &UserId, content: &RawValue) -> Result<(), Error> {
        if !self.engine.is_commander(sender) {
            return Ok(());
        }
        let Some(withheld) = Withheld::parse(content) else {
            debug!("{sender} keeps a room key back, and says nothing that can be understood");
            return Ok(());
        };
        info!("{sender} keeps a room key back: {}", withheld.code.as_str());
        if let Some((room, session_id)) = &withheld.session {
            self.tx
                .withheld_keys()
                .put(room, session_id, sender, withheld.code, self.now)?;
        }
        // They could not reach the bot: the bot reaches out.
        if withheld.code == WithheldCode::NoOlm
            && let Some(device) = self
                .tx
                .devices()
                .find_by_curve25519(sender, &withheld.sender_key)?
        {
            self.unwedge(&device)?;
        }
        Ok(())
    }

    /// A device that was given a session of the bot's, and that may still have
    /// it, is given the same again from the same index on, once. Nobody else's
    /// request is answered, and keys of others are given to nobody.
    fn handle_key_request(
        &self,
        account: &Account,
        sender: &UserId,
        content: &RawValue,
    ) -> Result<(), Error> {
        let tx = self.tx;
        let Ok(request) = serde_json::from_slice::<KeyRequest>(content.get().as_bytes()) else {
            return Ok(());
        };
        let Some(key) = request
            .body
            .filter(|key| request.action == "request" && key.algorithm == MEGOLM_ALGORITHM)
        else {
            return Ok(());
        };
        let Some(device) = tx.devices().find(sender, &request.requesting_device_id)? else {
            return Ok(());
        };
        let identity = tx.identities().of_user(sender)?;
        if !identity.may_have_keys(&device, self.engine.commanders.trust)
            || !tx.members().contains(&key.room_id, sender)?
        {
            return Ok(());
        }
        let Some((group, index)) = tx.shares().find(&key.room_id, &key.session_id, &device)? else {
            return Ok(());
        };
        let Some(content) = group.exported_key(account, index) else {
            return Ok(());
        };
        let Some(mut session) = tx.olm_sessions().for_sending(&device)? else {
            return Ok(());
        };
        if !tx.shares().mark_given_again(&key.session_id, &device)? {
            return Ok(());
        }
        let own_keys = account.device_keys()?;
        let kind = "m.forwarded_room_key";
        let Some(content) =
            encrypt_to_device(account, &own_keys, &mut session, &device, kind, &content)
        else {
            return Ok(());
        };
        info!(
            "{sender} {} is given a key again that it lost",
            shown(&device.id)
        );
        tx.olm_sessions()
            .put(&device.user, &device.curve25519, &session, false, self.now)?;
        self.put_to_device(TO_DEVICE, "m.room.encrypted", vec![(device, content)])
    }
}
