//! Members, encryption and history visibility of the rooms the bot is in.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3roomsroomidmembers>,
//! <https://spec.matrix.org/v1.11/client-server-api/#mroomencryption>

use std::borrow::Cow;

use log::{debug, info, warn};
use ruma::{
    OwnedUserId, RoomId, UserId,
    api::client::{membership::get_member_events, state::get_state_event_for_key},
    events::{StateEventType, room::member::MembershipState},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::crypto::MEGOLM_ALGORITHM;
use crate::matrix::client::{Call, Event};
use crate::store::{Encryption, Membership};

impl Turn<'_> {
    /// The requests for what a sync did not tell of a room: its members, its encryption.
    pub(super) fn room_requests(&self, outgoing: &mut Vec<OutgoingRequest>) -> Result<(), Error> {
        for (room, generation) in self.tx.members().incomplete_rooms()? {
            let mut request = get_member_events::v3::Request::new(room.clone());
            request.membership = Some(MembershipState::Join);
            let key = RequestKey::Members(room.clone());
            let about = RequestContext::Members(room, generation);
            outgoing.extend(OutgoingRequest::built(key, Call::new(request), about));
        }
        for room in self.tx.rooms().without_encryption()? {
            let request = get_state_event_for_key::v3::Request::new(
                room.clone(),
                StateEventType::RoomEncryption,
                String::new(),
            );
            let key = RequestKey::Encryption(room.clone());
            let about = RequestContext::Encryption(room);
            outgoing.extend(OutgoingRequest::built(key, Call::new(request), about));
        }
        Ok(())
    }

    /// Takes in a state event.
    pub(super) fn handle_state(&self, room: &RoomId, event: &Event<'_>) -> Result<(), Error> {
        match (event.kind.as_ref(), event.state_key.as_deref()) {
            ("m.room.member", Some(user)) => {
                let user = <&UserId>::try_from(user);
                if let (Ok(user), Some(membership)) = (user, membership(event.content)) {
                    self.handle_member(room, user, membership == "join")?;
                }
            }
            ("m.room.encryption", Some("")) => self.handle_encryption(room, event.content)?,
            ("m.room.history_visibility", Some("")) => {
                #[derive(Deserialize)]
                struct Visibility {
                    history_visibility: String,
                }
                if let Ok(content) =
                    serde_json::from_slice::<Visibility>(event.content.get().as_bytes())
                    && self
                        .tx
                        .rooms()
                        .set_history_visibility(room, &content.history_visibility)?
                {
                    self.tx.outbound_sessions().discard(room)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_member(&self, room: &RoomId, user: &UserId, joins: bool) -> Result<(), Error> {
        let membership = match joins {
            true => Membership::Joined,
            false => Membership::NotJoined,
        };
        if self.tx.members().set(room, user, membership)? {
            debug!("{user} left {room}: the next message there has a new key");
            self.tx.outbound_sessions().discard(room)?;
        }
        if !self.is_not_encrypted(room)? && joins && self.tx.members().contains(room, user)? {
            self.tx.device_lists().track(user)?;
        }
        Ok(())
    }

    /// Notes that this room is encrypted: a key or a message has shown it.
    pub(super) fn handle_proof_of_encryption(&self, room: &RoomId) -> Result<(), Error> {
        if self.tx.rooms().prove_encrypted(room)? {
            info!("{room} is encrypted: somebody writes so there");
            self.tx.members().track_devices(room)?;
        }
        Ok(())
    }

    /// Takes in `GET /rooms/{room}/members`, asked for at `generation`.
    pub fn handle_members(&self, room: &RoomId, generation: i64, body: &[u8]) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow)]
            chunk: Vec<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Member<'a> {
            #[serde(borrow, default)]
            state_key: Cow<'a, str>,
            #[serde(borrow)]
            content: &'a RawValue,
        }
        let members: Members<'_> =
            serde_json::from_slice(body).map_err(|_| Error::Malformed("the list of members"))?;
        let joined: Vec<OwnedUserId> = members
            .chunk
            .iter()
            .filter_map(|raw| serde_json::from_slice::<Member<'_>>(raw.get().as_bytes()).ok())
            .filter(|member| membership(member.content).is_some_and(|kind| kind == "join"))
            .filter_map(|member| OwnedUserId::try_from(member.state_key.as_ref()).ok())
            .collect();
        self.tx.members().replace(room, &joined, generation)?;
        Ok(self.tx.members().track_devices(room)?)
    }

    /// Takes in `GET /rooms/{room}/state/m.room.encryption`; None is its 404.
    pub fn handle_room_encryption(&self, room: &RoomId, body: Option<&[u8]>) -> Result<(), Error> {
        match body {
            None => Ok(self.tx.rooms().set_not_encrypted(room)?),
            Some(body) => {
                let content: &RawValue = serde_json::from_slice(body)
                    .map_err(|_| Error::Malformed("the room's encryption"))?;
                self.handle_encryption(room, content)
            }
        }
    }

    /// Once seen, a room is encrypted for ever, whatever the server says later.
    fn handle_encryption(&self, room: &RoomId, content: &RawValue) -> Result<(), Error> {
        #[derive(Deserialize, Default)]
        struct Content {
            algorithm: Option<String>,
            rotation_period_ms: Option<serde_json::Value>,
            rotation_period_msgs: Option<serde_json::Value>,
        }
        let content: Content = serde_json::from_slice(content.get().as_bytes()).unwrap_or_default();
        let algorithm = content.algorithm.unwrap_or_default();
        if algorithm != MEGOLM_ALGORITHM {
            warn!("{room} is encrypted in a way this program does not know");
        } else if self.is_not_encrypted(room)? {
            info!("{room} is encrypted");
        }
        let number = |value: Option<serde_json::Value>| value.and_then(|value| value.as_u64());
        self.tx.rooms().set_encrypted(
            room,
            &algorithm,
            number(content.rotation_period_ms),
            number(content.rotation_period_msgs),
        )?;
        Ok(self.tx.members().track_devices(room)?)
    }

    /// True as long as nothing has shown that the room is encrypted.
    fn is_not_encrypted(&self, room: &RoomId) -> Result<bool, Error> {
        Ok(matches!(
            self.tx.rooms().encryption(room)?,
            Encryption::Unknown | Encryption::Plaintext
        ))
    }

    /// True if the event tells that this is the bot's membership of the room.
    pub(super) fn is_own_membership(&self, event: &Event<'_>, kind: &str) -> bool {
        event.kind == "m.room.member"
            && event.state_key.as_deref() == Some(self.engine.user.as_str())
            && membership(event.content).is_some_and(|found| found == kind)
    }
}

fn membership(content: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Member<'a> {
        #[serde(borrow)]
        membership: Cow<'a, str>,
    }
    let member: Member<'_> = serde_json::from_slice(content.get().as_bytes()).ok()?;
    Some(member.membership)
}

pub(super) fn parse<'a>(raw: &'a RawValue) -> Option<Event<'a>> {
    serde_json::from_slice(raw.get().as_bytes())
        .inspect_err(|_| debug!("a malformed event is skipped"))
        .ok()
}
