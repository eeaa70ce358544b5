//! The endpoints for whoever is logged in, but those of keys.

use serde_json::{Map, Value, json};

use super::serve::{Outcome, error};
use super::state::State;
use crate::support::wire::Request;

impl State {
    pub(super) fn handle(
        &mut self,
        method: &str,
        rest: &[&str],
        request: &Request,
        body: &Value,
        user: &str,
        device: &str,
    ) -> Outcome {
        match (method, rest) {
            ("GET", ["account", "whoami"]) => (200, json!({"user_id": user, "device_id": device})),
            ("POST", ["logout"]) => {
                self.tokens.retain(|_, (_, of)| of != device);
                self.devices.remove(&(user.into(), device.into()));
                self.device_changed(user);
                (200, json!({}))
            }
            ("POST", ["keys", "upload"]) => self.upload_keys(body, user, device),
            ("POST", ["keys", "query"]) => self.query_keys(body, user),
            ("POST", ["keys", "claim"]) => self.claim_keys(body),
            ("POST", ["keys", "device_signing", "upload"]) => self.upload_cross_signing(body, user),
            ("POST", ["keys", "signatures", "upload"]) => self.upload_signatures(body),
            ("PUT", ["sendToDevice", kind, _]) => {
                for (to, devices) in body["messages"].as_object().into_iter().flatten() {
                    for (id, content) in devices.as_object().into_iter().flatten() {
                        let event = json!({"type": kind, "sender": user, "content": content});
                        self.queue(to, id, event);
                    }
                }
                (200, json!({}))
            }
            ("PUT", ["rooms", room, "send", kind, transaction]) => {
                if !self.rooms.get(*room).is_some_and(|r| r.has(user)) {
                    return error(403, "M_FORBIDDEN", "not in the room");
                }
                let event = json!({"type": kind, "sender": user, "content": body});
                let from = Some((device.to_owned(), (*transaction).to_owned()));
                let id = self.append(room, event, false, from);
                (200, json!({"event_id": id}))
            }
            ("POST", ["rooms", room, "receipt", ..]) | ("PUT", ["rooms", room, "typing", _]) => {
                match self.rooms.get(*room).is_some_and(|r| r.has(user)) {
                    true => (200, json!({})),
                    false => error(403, "M_FORBIDDEN", "not in the room"),
                }
            }
            ("POST", ["join", room] | ["rooms", room, "join"]) => {
                match self.rooms.get(*room).and_then(|r| r.membership(user)) {
                    Some((_, is)) if is == "invite" => {
                        let event = json!({
                            "sender": user, "type": "m.room.member", "state_key": user,
                            "content": {"membership": "join"},
                        });
                        self.append(room, event, false, None);
                        (200, json!({"room_id": room}))
                    }
                    Some((_, is)) if is == "join" => (200, json!({"room_id": room})),
                    _ => error(403, "M_FORBIDDEN", "You are not invited to this room."),
                }
            }
            ("POST", ["rooms", room, "leave"]) => {
                let event = json!({
                    "sender": user, "type": "m.room.member", "state_key": user,
                    "content": {"membership": "leave"},
                });
                self.append(room, event, false, None);
                (200, json!({}))
            }
            ("GET", ["joined_rooms"]) => {
                let rooms: Vec<&String> = self
                    .rooms
                    .iter()
                    .filter(|(_, room)| room.has(user))
                    .map(|(id, _)| id)
                    .collect();
                (200, json!({"joined_rooms": rooms}))
            }
            ("GET", ["rooms", room, "messages"]) => match self.rooms.get(*room) {
                Some(room) if room.has(user) => room.messages(device, request),
                _ => error(403, "M_FORBIDDEN", "not in the room"),
            },
            ("GET", ["rooms", room, what @ ..]) => self.room_state(room, what, request, user),
            ("GET", ["user", _, "account_data", kind]) => {
                match self.account_data.get(&(user.into(), (*kind).into())) {
                    Some(content) => (200, content.clone()),
                    None => error(404, "M_NOT_FOUND", "Account data not found"),
                }
            }
            ("PUT", ["user", _, "account_data", kind]) => {
                self.account_data
                    .insert((user.into(), (*kind).into()), body.clone());
                (200, json!({}))
            }
            _ => error(404, "M_UNRECOGNIZED", "Unrecognized request"),
        }
    }

    fn room_state(&self, id: &str, what: &[&str], request: &Request, user: &str) -> Outcome {
        let Some(room) = self.rooms.get(id).filter(|room| room.has(user)) else {
            return error(403, "M_FORBIDDEN", "not in the room");
        };
        let state = room.state();
        match what {
            ["members"] => {
                let wanted = request.query("membership");
                let unwanted = request.query("not_membership");
                let chunk: Vec<&Value> = state
                    .iter()
                    .filter(|((kind, _), _)| *kind == "m.room.member")
                    .map(|(_, (_, event))| *event)
                    .filter(|event| {
                        let is = event["content"]["membership"].as_str();
                        wanted.as_deref().is_none_or(|w| is == Some(w))
                            && unwanted.as_deref().is_none_or(|u| is != Some(u))
                    })
                    .collect();
                (200, json!({"chunk": chunk}))
            }
            ["joined_members"] => {
                let joined: Map<String, Value> = room
                    .joined()
                    .into_iter()
                    .map(|who| (who, json!({})))
                    .collect();
                (200, json!({"joined": joined}))
            }
            ["state"] => {
                let events: Vec<&Value> = state.values().map(|(_, event)| *event).collect();
                (200, json!(events))
            }
            ["state", kind, key @ ..] => {
                let key = key.first().copied().unwrap_or_default();
                match state.get(&(*kind, key)) {
                    Some((_, event)) => (200, event["content"].clone()),
                    None => error(404, "M_NOT_FOUND", "Event not found."),
                }
            }
            _ => error(404, "M_UNRECOGNIZED", "Unrecognized request"),
        }
    }
}
