//! Members, encryption and history visibility of the rooms the bot is in.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3roomsroomidmembers>,
//! <https://spec.matrix.org/v1.11/client-server-api/#mroomencryption>

use log::{debug, info, warn};
use ruma::{
    OwnedUserId, RoomId, UserId,
    api::client::{membership::get_member_events, state::get_state_event_for_key},
    events::{StateEventType, room::member::MembershipState},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::context::Context;
use super::error::Error;
use super::request::{OutgoingRequest, RequestContext, RequestKey, built};
use crate::crypto::MEGOLM_ALGORITHM;
use crate::matrix::client::{Call, Event};
use crate::store::{Encryption, Membership, Transaction};

/// The requests for what a sync did not tell of a room: its members, its encryption.
pub(super) fn requests(
    tx: &Transaction<'_>,
    outgoing: &mut Vec<OutgoingRequest>,
) -> Result<(), Error> {
    for (room, generation) in tx.members().incomplete_rooms()? {
        let mut request = get_member_events::v3::Request::new(room.clone());
        request.membership = Some(MembershipState::Join);
        let key = RequestKey::Members(room.clone());
        if let Some(call) = built(&key, Call::new(request)) {
            let about = RequestContext::Members(room, generation);
            outgoing.push(OutgoingRequest { key, call, about });
        }
    }
    for room in tx.rooms().without_encryption()? {
        let request = get_state_event_for_key::v3::Request::new(
            room.clone(),
            StateEventType::RoomEncryption,
            String::new(),
        );
        let key = RequestKey::Encryption(room.clone());
        if let Some(call) = built(&key, Call::new(request)) {
            let about = RequestContext::Encryption(room);
            outgoing.push(OutgoingRequest { key, call, about });
        }
    }
    Ok(())
}

pub(super) fn handle_state(
    tx: &Transaction<'_>,
    room: &RoomId,
    event: &Event<'_>,
) -> Result<(), Error> {
    match (event.kind.as_ref(), event.state_key.as_deref()) {
        ("m.room.member", Some(user)) => {
            let user = <&UserId>::try_from(user);
            if let (Ok(user), Some(membership)) = (user, membership(event.content)) {
                handle_member(tx, room, user, membership)?;
            }
        }
        ("m.room.encryption", Some("")) => handle_encryption(tx, room, event.content)?,
        ("m.room.history_visibility", Some("")) => {
            #[derive(Deserialize)]
            struct Visibility {
                history_visibility: String,
            }
            if let Ok(content) = serde_json::from_str::<Visibility>(event.content.get())
                && tx
                    .rooms()
                    .set_history_visibility(room, &content.history_visibility)?
            {
                tx.outbound_sessions().discard(room)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn handle_member(
    tx: &Transaction<'_>,
    room: &RoomId,
    user: &UserId,
    membership: Membership,
) -> Result<(), Error> {
    if tx.members().set(room, user, membership)? {
        debug!("{user} left {room}: the next message there has a new key");
        tx.outbound_sessions().discard(room)?;
    }
    let encrypted = !matches!(
        tx.rooms().encryption(room)?,
        Encryption::Unknown | Encryption::Plaintext
    );
    if encrypted && membership == Membership::Joined && tx.members().contains(room, user)? {
        tx.device_lists().track(user)?;
    }
    Ok(())
}

/// Notes that this room is encrypted: a key or a message has shown it.
pub(super) fn handle_proof_of_encryption(tx: &Transaction<'_>, room: &RoomId) -> Result<(), Error> {
    if tx.rooms().prove_encrypted(room)? {
        info!("{room} is encrypted: somebody writes so there");
        tx.members().track_devices(room)?;
    }
    Ok(())
}

/// Takes in `GET /rooms/{room}/members`, asked for at `generation`.
pub(super) fn handle_members(
    tx: &Transaction<'_>,
    room: &RoomId,
    generation: i64,
    body: &[u8],
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow)]
        chunk: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Member<'a> {
        #[serde(borrow, default)]
        state_key: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let members: Members<'_> =
        serde_json::from_slice(body).map_err(|_| Error::Malformed("the list of members"))?;
    let joined: Vec<OwnedUserId> = members
        .chunk
        .iter()
        .filter_map(|raw| serde_json::from_str::<Member<'_>>(raw.get()).ok())
        .filter(|member| membership(member.content) == Some(Membership::Joined))
        .filter_map(|member| OwnedUserId::try_from(member.state_key.as_ref()).ok())
        .collect();
    tx.members().replace(room, &joined, generation)?;
    tx.members().track_devices(room)?;
    Ok(())
}

/// Takes in `GET /rooms/{room}/state/m.room.encryption`; None is its 404.
pub(super) fn handle_room_encryption(
    tx: &Transaction<'_>,
    room: &RoomId,
    body: Option<&[u8]>,
) -> Result<(), Error> {
    match body {
        None => Ok(tx.rooms().set_not_encrypted(room)?),
        Some(body) => {
            let content: &RawValue = serde_json::from_slice(body)
                .map_err(|_| Error::Malformed("the room's encryption"))?;
            handle_encryption(tx, room, content)
        }
    }
}

/// Once seen, a room is encrypted for ever, whatever the server says later.
fn handle_encryption(tx: &Transaction<'_>, room: &RoomId, content: &RawValue) -> Result<(), Error> {
    #[derive(Deserialize, Default)]
    struct Content {
        algorithm: Option<String>,
        rotation_period_ms: Option<serde_json::Value>,
        rotation_period_msgs: Option<serde_json::Value>,
    }
    let content: Content = serde_json::from_str(content.get()).unwrap_or_default();
    let algorithm = content.algorithm.unwrap_or_default();
    if algorithm != MEGOLM_ALGORITHM {
        warn!("{room} is encrypted in a way this program does not know");
    } else if matches!(
        tx.rooms().encryption(room)?,
        Encryption::Unknown | Encryption::Plaintext
    ) {
        info!("{room} is encrypted");
    }
    let number = |value: Option<serde_json::Value>| value.and_then(|value| value.as_u64());
    tx.rooms().set_encrypted(
        room,
        &algorithm,
        number(content.rotation_period_ms),
        number(content.rotation_period_msgs),
    )?;
    tx.members().track_devices(room)?;
    Ok(())
}

pub(super) fn is_own_join(context: &Context, event: &Event<'_>) -> bool {
    event.kind == "m.room.member"
        && event.state_key.as_deref() == Some(context.user.as_str())
        && membership(event.content) == Some(Membership::Joined)
}

fn membership(content: &RawValue) -> Option<Membership> {
    #[derive(Deserialize)]
    struct Member<'a> {
        #[serde(borrow)]
        membership: std::borrow::Cow<'a, str>,
    }
    let member: Member<'_> = serde_json::from_str(content.get()).ok()?;
    Some(if member.membership == "join" {
        Membership::Joined
    } else {
        Membership::NotJoined
    })
}

pub(super) fn parse<'a>(raw: &'a RawValue) -> Option<Event<'a>> {
    serde_json::from_str(raw.get())
        .inspect_err(|_| debug!("a malformed event is skipped"))
        .ok()
}
