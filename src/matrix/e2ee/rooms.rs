//! What a sync says of the rooms the bot is in.

use log::{debug, info, warn};
use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::{Engine, Error};
use super::receive::Received;
use crate::matrix::client::{Event, JoinedRoom};
use crate::{
    crypto::MEGOLM_ALGORITHM,
    store::{Encryption, Membership, Transaction},
};

impl Engine {
    /// Takes in one joined room of the sync after `since`. In the very first sync of
    /// a device, and before the bot's own join, messages are history, not commands.
    pub(crate) fn handle_joined_room(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        joined: &JoinedRoom<'_>,
        since: Option<&str>,
        now: u64,
        received: &mut Received,
    ) -> Result<(), Error> {
        if !tx.rooms().has_room_for(room)? {
            return Ok(());
        }
        let first_sync = since.is_none();
        let new = tx.rooms().enter(room)?;
        if new {
            debug!("in {room}");
        }
        if joined.timeline.limited || first_sync {
            // Who left and who came in the gap is not known: the next message
            // there starts with a fresh list of members and a fresh key.
            debug!("the server left a gap in {room}, or this is the first look at it");
            tx.members().set_incomplete(room)?;
            tx.outbound_sessions().discard(room)?;
        }
        if let (true, false, Some(since)) = (joined.timeline.limited, new, since) {
            self.open_gap(tx, room, joined.timeline.prev_batch, since)?;
        }
        for raw in &joined.state.events {
            if let Some(event) = parse(raw) {
                self.handle_state(tx, room, &event)?;
            }
        }
        let events: Vec<(&RawValue, Event<'_>)> = joined
            .timeline
            .events
            .iter()
            .filter_map(|raw| parse(raw).map(|event| (*raw, event)))
            .collect();
        let own_join = if new {
            events
                .iter()
                .rposition(|(_, event)| self.is_own_join(event))
        } else {
            None
        };
        for (position, (raw, event)) in events.iter().enumerate() {
            if event.state_key.is_some() {
                self.handle_state(tx, room, event)?;
            } else if !first_sync && own_join.is_none_or(|join| position > join) {
                self.handle_message(tx, room, raw, event, now, &mut received.messages)?;
            }
        }
        Ok(())
    }

    pub(crate) fn is_own_join(&self, event: &Event<'_>) -> bool {
        event.kind == "m.room.member"
            && event.state_key.as_deref() == Some(self.user.as_str())
            && membership(event.content) == Some(Membership::Joined)
    }

    fn handle_state(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        event: &Event<'_>,
    ) -> Result<(), Error> {
        match (event.kind.as_ref(), event.state_key.as_deref()) {
            ("m.room.member", Some(user)) => {
                let user = <&UserId>::try_from(user);
                if let (Ok(user), Some(membership)) = (user, membership(event.content)) {
                    self.handle_member(tx, room, user, membership)?;
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
        &self,
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

    /// A key or a message shows that this room's people hold it encrypted.
    pub(crate) fn handle_proof_of_encryption(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
    ) -> Result<(), Error> {
        if tx.rooms().prove_encrypted(room)? {
            info!("{room} is encrypted: somebody writes so there");
            tx.members().track_devices(room)?;
        }
        Ok(())
    }

    /// Takes in `GET /rooms/{room}/members`, asked for at `generation`.
    pub fn handle_members(
        &self,
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
    pub fn handle_room_encryption(
        &self,
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

pub(crate) fn parse<'a>(raw: &'a RawValue) -> Option<Event<'a>> {
    serde_json::from_str(raw.get())
        .inspect_err(|_| debug!("a malformed event is skipped"))
        .ok()
}
