//! Megolm: the key of a room, to whom it goes, and what is said under it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vodozemac::megolm::{GroupSession, SessionConfig as MegolmConfig};

use super::keys::shown_keys;
use super::{MEGOLM, Outbound, Person, text_message};
use crate::support::world::BOT;

impl Person {
    /// The group session of a room, made if need be.
    pub fn group(&mut self, room: &str) -> &mut Outbound {
        self.outbound
            .entry(room.to_owned())
            .or_insert_with(|| Outbound {
                session: GroupSession::new(MegolmConfig::version_1()),
                shared: BTreeSet::new(),
            })
    }

    /// Forgets the room's group session: the next message begins a new one.
    pub fn rotate(&mut self, room: &str) {
        self.outbound.remove(room);
    }

    /// The content of an honest `m.room_key` for the room's session.
    pub fn room_key(&mut self, room: &str) -> Value {
        let session = &self.group(room).session;
        json!({
            "algorithm": MEGOLM,
            "room_id": room,
            "session_id": session.session_id(),
            "session_key": session.session_key().to_base64(),
        })
    }

    /// Sends the room's key to one device, with an edit of the whole payload.
    pub fn share_with(&mut self, room: &str, to: (&str, &str), edit: impl FnOnce(&mut Value)) {
        let content = self.room_key(room);
        let what = format!("device keys of {} {}", to.0, to.1);
        self.hs.wait(&what, |state| shown_keys(state, to.0, to.1));
        let mut payload = self.payload(to, "m.room_key", &content);
        edit(&mut payload);
        let content = self.olm(to, &payload);
        self.deliver(to, "m.room.encrypted", content);
        self.mark_shared(room, to);
    }

    /// Counts a device as having the key, so that [`Person::say`] sends none.
    pub fn mark_shared(&mut self, room: &str, to: (&str, &str)) {
        self.group(room).shared.insert((to.0.into(), to.1.into()));
    }

    /// Sends the room's key to every device of its members that lacks it; where
    /// the bot is a member, to its devices only: the others' one-time keys are
    /// for the bot to claim.
    pub fn share(&mut self, room: &str) {
        let own = (self.user.clone(), self.device.clone());
        let devices: Vec<(String, String)> = self.hs.with(|state| {
            let mut joined = state.rooms[room].joined();
            if joined.iter().any(|user| user == BOT) {
                joined.retain(|user| user == BOT);
            }
            state
                .devices
                .iter()
                .filter(|((user, _), device)| joined.contains(user) && device.keys.is_some())
                .map(|(id, _)| id.clone())
                .collect()
        });
        for id in devices {
            if id != own && !self.group(room).shared.contains(&id) {
                self.share_with(room, (&id.0, &id.1), |_| {});
            }
        }
    }

    /// The content of an `m.room.encrypted` for a payload that need not be honest.
    pub fn megolm(&mut self, room: &str, payload: &Value) -> Value {
        let (curve, device) = (self.curve25519(), self.device.clone());
        let session = &mut self.group(room).session;
        let ciphertext = session.encrypt(payload.to_string()).to_base64();
        json!({
            "algorithm": MEGOLM,
            "ciphertext": ciphertext,
            "session_id": session.session_id(),
            "sender_key": curve,
            "device_id": device,
        })
    }

    /// Encrypts a message content honestly.
    pub fn encrypt(&mut self, room: &str, content: &Value) -> Value {
        let payload = json!({"type": "m.room.message", "content": content, "room_id": room});
        self.megolm(room, &payload)
    }

    /// Sends this content as an encrypted event of this person.
    pub fn post(&self, room: &str, content: Value) -> String {
        let event = json!({"sender": self.user, "type": "m.room.encrypted", "content": content});
        self.hs.event(room, event)
    }

    /// Says something in an encrypted room as an ordinary client does.
    pub fn say(&mut self, room: &str, text: &str) -> String {
        self.share(room);
        let content = self.encrypt(room, &text_message(text));
        self.post(room, content)
    }
}
