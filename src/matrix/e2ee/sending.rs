//! From a reply to requests: who gets the key, what is encrypted, in which order
//! it leaves.

use std::collections::BTreeMap;

use log::{debug, error, warn};
use ruma::{
    OwnedDeviceId, OwnedRoomId, OwnedTransactionId, OwnedUserId, RoomId,
    api::client::{message::send_message_event, to_device::send_event_to_device},
    events::MessageLikeEventType,
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::engine::{Engine, Error};
use super::outgoing::{DeviceOwner, RequestKey};
use crate::crypto::{
    Account, Device, MEGOLM_ALGORITHM, OutboundGroupSession, Peer, Rotation, encrypt_to_device,
};
use crate::matrix::client::{BuildError, Call, InThread, relate, take_relation};
use crate::store::{Encryption, Recipient, Reply, Sharing, Transaction};
use crate::util::shown;

/// A to-device message that is ready to leave.
pub(crate) struct OutgoingToDevice {
    pub(crate) user: OwnedUserId,
    pub(crate) device: OwnedDeviceId,
    pub(crate) content: Box<RawValue>,
}

/// Devices that are given a key in one transaction, at about half a millisecond
/// each: a turn of the loop is to take less than 50 ms.
const DEVICES_PER_TRANSACTION: usize = 50;

/// Devices that are looked at for a claim in one transaction, behind those that have
/// a session. While a claim is under way none is looked for.
const CLAIMS_PER_TRANSACTION: usize = 250;

/// A reply waits so long for people who command nothing: for their devices to be
/// known, for keys to reach them, and for the list of who is in the room. However
/// many they are and whatever their servers do, a command is answered after that.
/// Who could not be reached by then can read the next reply.
const PATIENCE_MS: u64 = 5_000;

/// How far a room's replies have come.
enum Readiness {
    /// They are in the outbox.
    Done,
    /// They wait for an answer that is being asked for anyway (members, devices,
    /// encryption, one-time keys).
    Wait,
    /// There are devices that lack the key.
    Share(Unprepared),
}

/// The circumstances in which one room's replies are prepared.
#[derive(Clone, Copy)]
struct Preparation<'a> {
    room: &'a OwnedRoomId,
    rotation: Rotation,
    /// Milliseconds since the Unix epoch.
    now: u64,
    /// The replies still wait for people who command nothing.
    is_patient: bool,
    /// Tells which requests are under way.
    busy: &'a dyn Fn(&RequestKey) -> bool,
}

/// What is missing before all replies can leave.
#[derive(Default)]
pub(crate) struct Unprepared {
    /// Devices whose one-time keys have to be claimed.
    pub(crate) claims: Vec<Device>,
    /// There is more to do at once.
    pub(crate) has_more: bool,
    /// Devices of allowed users are among those that lack the key.
    is_about_commanders: bool,
    /// When a reply stops waiting for others, by the bot's own clock, in
    /// milliseconds.
    pub(crate) patience_ends: Option<u64>,
}

impl Engine {
    /// Queues a text for a room, or for a thread in it; it leaves when the room's
    /// devices have its key.
    pub fn reply(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        let content = threaded(text, thread);
        tx.replies().put(
            room,
            &transaction_id()?,
            "m.room.message",
            &content.to_string(),
            self.own_now(),
        )?;
        Ok(())
    }

    /// Queues a text for a room that answers no command that ran. It is left unsaid
    /// where too much else waits to be said.
    pub fn remark(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        let content = threaded(text, thread);
        tx.replies().put_remark(
            room,
            &transaction_id()?,
            "m.room.message",
            &content.to_string(),
            self.own_now(),
        )?;
        Ok(())
    }

    /// As [`Engine::reply`], but not if the room's people were told that there is
    /// too much to do a while ago.
    pub fn reply_busy(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        thread: Option<InThread<'_>>,
        text: &str,
    ) -> Result<(), Error> {
        match tx.rooms().may_tell_busy(room, self.own_now())? {
            true => self.reply(tx, room, thread, text),
            false => Ok(()),
        }
    }

    /// Moves what can be moved from the replies to the outbox, and returns what
    /// stands before the rest. While a claim is `busy` no other like it is prepared.
    pub(crate) fn prepare_replies(
        &self,
        tx: &Transaction<'_>,
        now: u64,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Unprepared, Error> {
        let mut unprepared = Unprepared::default();
        let earliest = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        for room in tx.replies().rooms()? {
            let (readiness, patience_ends) = self.prepare_room(tx, &room, now, busy)?;
            if !matches!(readiness, Readiness::Done) {
                unprepared.patience_ends = earliest(unprepared.patience_ends, patience_ends);
            }
            if let Readiness::Share(Unprepared {
                claims, has_more, ..
            }) = readiness
            {
                unprepared.claims.extend(claims);
                unprepared.has_more |= has_more;
            }
        }
        Ok(unprepared)
    }

    /// Prepares one room, and tells until when its replies wait for others.
    fn prepare_room(
        &self,
        tx: &Transaction<'_>,
        room: &OwnedRoomId,
        now: u64,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<(Readiness, Option<u64>), Error> {
        if !tx.rooms().is_joined(room)? {
            let dropped = tx.replies().drop_room(room)?;
            warn!("not in {room} any more: {dropped} replies dropped");
            return Ok((Readiness::Done, None));
        }
        let replies = tx.replies().unprepared(room)?;
        match tx.rooms().encryption(room)? {
            Encryption::Unknown => Ok((Readiness::Wait, None)),
            Encryption::Unsupported => {
                let dropped = tx.replies().drop_room(room)?;
                warn!(
                    "{room} has an encryption this program does not know: {dropped} replies dropped"
                );
                Ok((Readiness::Done, None))
            }
            Encryption::Plaintext => {
                self.put_in_clear(tx, &replies)?;
                Ok((Readiness::Done, None))
            }
            Encryption::Megolm(rotation) => {
                let ends = replies.iter().map(|reply| reply.queued_at).min();
                let ends = ends.map(|queued_at| queued_at.saturating_add(PATIENCE_MS));
                let is_patient = ends.is_some_and(|ends| self.own_now() < ends);
                let preparation = Preparation {
                    room,
                    rotation,
                    now,
                    is_patient,
                    busy,
                };
                let readiness = self.prepare_encrypted(tx, &replies, &preparation)?;
                Ok((readiness, ends.filter(|_| is_patient)))
            }
        }
    }

    fn prepare_encrypted(
        &self,
        tx: &Transaction<'_>,
        replies: &[Reply],
        preparation: &Preparation<'_>,
    ) -> Result<Readiness, Error> {
        let Preparation {
            room,
            rotation,
            now,
            is_patient,
            ..
        } = *preparation;
        let must_wait = match is_patient {
            true => {
                !tx.members().are_complete(room)?
                    || tx.device_lists().has_outdated_members(room, now)?
            }
            false => self.has_outdated_commanders(tx, room, now)?,
        };
        if must_wait {
            return Ok(Readiness::Wait);
        }
        let account = self.account(tx)?;
        if !account.device_keys_uploaded() || !self.cross_signing_done(tx)? {
            // Nobody could make sense of a message from an unknown device, and
            // who insists on signed devices would throw away the key.
            return Ok(Readiness::Wait);
        }
        for reply in replies {
            let mut group = self.outbound_group(tx, room, rotation, now)?;
            match self.share(tx, &account, &group, preparation)? {
                Readiness::Share(missing) if !is_patient && !missing.is_about_commanders => {}
                Readiness::Done => {}
                unready => return Ok(unready),
            }
            let corrupt = |_| crate::store::Error::Corrupt("a reply");
            let (content, relation) = match take_relation(&reply.content) {
                Some((content, relation)) => (content, Some(relation)),
                None => (reply.content.clone(), None),
            };
            let content = RawValue::from_string(content).map_err(corrupt)?;
            let mut content = group
                .encrypt(&account, &reply.kind, &content)
                .map_err(|_| Error::Account)?;
            if let Some(relation) = relation {
                content = beside(&content, relation)?;
            }
            tx.outbound_sessions().put(room, &group)?;
            put_encrypted(tx, reply, content)?;
        }
        Ok(Readiness::Done)
    }

    fn has_outdated_commanders(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        now: u64,
    ) -> Result<bool, Error> {
        for user in &self.commanders.users {
            if tx.members().contains(room, user)? && tx.device_lists().must_query(user, now)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The room's session, or a new one when it is worn out, or of before the last
    /// start, or when somebody who has it should not read on.
    fn outbound_group(
        &self,
        tx: &Transaction<'_>,
        room: &OwnedRoomId,
        rotation: Rotation,
        now: u64,
    ) -> Result<OutboundGroupSession, Error> {
        if let Some(group) = tx.outbound_sessions().find(room)?
            && !group.is_expired(rotation, now)
            && !tx.shares().has_departed_recipient(
                room,
                &group.session_id(),
                self.commanders.trust,
            )?
        {
            return Ok(group);
        }
        tx.outbound_sessions().discard(room)?;
        debug!("a new Megolm session for {room}");
        let group = OutboundGroupSession::new(room.clone(), now);
        tx.outbound_sessions().put(room, &group)?;
        Ok(group)
    }

    /// Gives the session to devices that lack it, some in each turn, those of
    /// allowed users first. Those without an Olm session that are worth a claim
    /// wait for it, while others are served; those that are not are told `m.no_olm`,
    /// once; those that may not have the session, `m.unverified`.
    fn share(
        &self,
        tx: &Transaction<'_>,
        account: &Account,
        group: &OutboundGroupSession,
        preparation: &Preparation<'_>,
    ) -> Result<Readiness, Error> {
        let Preparation {
            room, now, busy, ..
        } = *preparation;
        let is_commanders =
            |found: &Recipient| self.whose(&found.device.user) == DeviceOwner::Commanders;
        let claims = match busy(&RequestKey::Claim(DeviceOwner::Others)) {
            true => 1,
            false => CLAIMS_PER_TRANSACTION,
        };
        let found = self.lacking(tx, room, group, DEVICES_PER_TRANSACTION + claims, now)?;
        let (mut missing, unclaimed): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|recipient| !recipient.needs_claim);
        missing.sort_by_key(|recipient| !is_commanders(recipient));
        let mut is_about_commanders = unclaimed.iter().any(is_commanders);
        let later = missing.split_off(missing.len().min(DEVICES_PER_TRANSACTION));
        is_about_commanders |= later.iter().any(is_commanders);
        let broken = !missing.is_empty() && {
            let given_to_commanders = missing.iter().any(is_commanders);
            let broken = self.give(tx, room, account, group, missing, now)?;
            is_about_commanders |= broken && given_to_commanders;
            broken
        };
        let has_more = !later.is_empty() || broken;
        if !has_more && unclaimed.is_empty() {
            return Ok(Readiness::Done);
        }
        let claims = unclaimed
            .into_iter()
            .map(|found| found.device)
            .filter(|device| !busy(&RequestKey::Claim(self.whose(&device.user))))
            .collect();
        Ok(Readiness::Share(Unprepared {
            claims,
            has_more,
            is_about_commanders,
            patience_ends: None,
        }))
    }

    /// Devices that lack the session: at most `most` of many, but all of allowed
    /// users. Reading one costs a curve operation.
    fn lacking(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        group: &OutboundGroupSession,
        most: usize,
        now: u64,
    ) -> Result<Vec<Recipient>, Error> {
        let sharing = Sharing {
            room,
            session_id: &group.session_id(),
            own: &self.user,
            trust: self.commanders.trust,
            now,
        };
        let of = |only: Option<&ruma::UserId>| tx.shares().devices_without(&sharing, only, most);
        let mut found = of(None)?;
        if found.len() == most {
            found.retain(|recipient| self.whose(&recipient.device.user) == DeviceOwner::Others);
            for user in &self.commanders.users {
                found.extend(of(Some(user))?);
            }
        }
        Ok(found)
    }

    /// Queues the session, or that there will be none, for these devices. True
    /// when there were Olm sessions that nothing can be sent with: their devices
    /// need others.
    fn give(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        account: &Account,
        group: &OutboundGroupSession,
        missing: Vec<Recipient>,
        now: u64,
    ) -> Result<bool, Error> {
        let session_id = group.session_id();
        let own_keys = account.device_keys()?;
        let room_key = group.room_key().map_err(|_| Error::Account)?;
        let no_olm = withheld(account, "m.no_olm", None)?;
        let unverified = withheld(account, "m.unverified", Some((room, &session_id)))?;
        let mut keys = Vec::new();
        let mut refusals = Vec::new();
        let mut broken = false;
        for recipient in missing {
            let Recipient {
                device,
                may_have_keys,
                ..
            } = recipient;
            if !may_have_keys {
                debug!(
                    "{} {} is not given the key: its user's identity has not signed it",
                    shown(&device.user),
                    shown(&device.id)
                );
                tx.shares().put_withheld(&session_id, &device)?;
                refusals.push(addressed(device, unverified.clone()));
                continue;
            }
            let Some(mut session) = tx.olm_sessions().for_sending(&device)? else {
                if tx.olm_peers().mark_withheld(&device)? {
                    warn!(
                        "{} {} cannot be given the key: no Olm session",
                        device.user, device.id
                    );
                    refusals.push(addressed(device, no_olm.clone()));
                }
                continue;
            };
            let peer = Peer::from(&device);
            let kind = "m.room_key";
            match encrypt_to_device(account, &own_keys, &mut session, &peer, kind, &room_key) {
                Ok(content) => {
                    tx.olm_sessions().put(
                        &device.user,
                        &device.curve25519,
                        &session,
                        false,
                        now,
                    )?;
                    tx.shares().put(&session_id, &device, group.index())?;
                    keys.push(addressed(device, content));
                }
                Err(_) => {
                    // Its other end made it so. Kept, it would be tried in every
                    // turn, and enough of them would leave no turn to others.
                    tx.olm_sessions().delete_of_device(&device, &session)?;
                    broken = true;
                }
            }
        }
        put_to_device(tx, room.as_str(), "m.room.encrypted", keys)?;
        put_to_device(tx, room.as_str(), "m.room_key.withheld", refusals)?;
        Ok(broken)
    }
}

/// A message of this text. Nobody is mentioned: clients that are not told look for
/// names in the text.
pub(crate) fn text_content(text: &str) -> serde_json::Value {
    serde_json::json!({ "msgtype": "m.text", "body": text, "m.mentions": {} })
}

/// The same, in a thread if there is one.
fn threaded(text: &str, thread: Option<InThread<'_>>) -> serde_json::Value {
    let mut content = text_content(text);
    if let Some(thread) = thread {
        thread.put(&mut content);
    }
    content
}

/// Puts a relation beside a ciphertext, where servers and clients look for it.
fn beside(content: &RawValue, relation: serde_json::Value) -> Result<Box<RawValue>, Error> {
    let content: Result<serde_json::Value, _> = serde_json::from_str(content.get());
    let mut content = content.map_err(|_| Error::Account)?;
    relate(&mut content, relation);
    serde_json::value::to_raw_value(&content).map_err(|_| Error::Account)
}

fn addressed(device: Device, content: Box<RawValue>) -> OutgoingToDevice {
    OutgoingToDevice {
        user: device.user,
        device: device.id,
        content,
    }
}

/// `m.no_olm` names no session: it is about the device.
fn withheld(
    account: &Account,
    code: &str,
    session: Option<(&RoomId, &str)>,
) -> Result<Box<RawValue>, Error> {
    #[derive(Serialize)]
    struct Content<'a> {
        algorithm: &'a str,
        code: &'a str,
        reason: &'a str,
        sender_key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        room_id: Option<&'a RoomId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<&'a str>,
    }
    serde_json::value::to_raw_value(&Content {
        algorithm: MEGOLM_ALGORITHM,
        code,
        reason: match session {
            None => "Unable to establish a secure channel.",
            Some(_) => "This device is not verified by its owner.",
        },
        sender_key: account.curve25519().to_base64(),
        room_id: session.map(|(room, _)| room),
        session_id: session.map(|(_, session_id)| session_id),
    })
    .map_err(|_| Error::Account)
}

/// Queues a reply that was encrypted.
fn put_encrypted(tx: &Transaction<'_>, reply: &Reply, content: Box<RawValue>) -> Result<(), Error> {
    match send_call(reply, "m.room.encrypted", content) {
        Ok(call) => {
            tx.outbox()
                .put(reply.room.as_str(), &call.path, &call.body, Some(reply.id))?;
        }
        Err(fault) => {
            error!("a reply is given up: {fault}");
            tx.replies().drop_one(reply.id)?;
        }
    }
    Ok(())
}

/// The call that sends a reply as this content.
pub(crate) fn send_call(
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

/// The lane of to-device messages that belong to no room.
pub(crate) const TO_DEVICE: &str = "to-device";

/// Queues one `/sendToDevice`, unless there is nothing to send.
pub(crate) fn put_to_device(
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
    tx.outbox().put(lane, &call.path, &call.body, None)?;
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
