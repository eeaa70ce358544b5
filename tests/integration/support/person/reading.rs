//! Reads everything that comes in: room keys, notices, and the talk in a room.

use serde_json::{Value, json};
use vodozemac::Curve25519PublicKey;
use vodozemac::megolm::{
    InboundGroupSession, MegolmMessage, SessionConfig as MegolmConfig, SessionKey,
};
use vodozemac::olm::{OlmMessage, Session, SessionConfig};

use super::{MEGOLM, OLM, Person, Seen};
use crate::support::signing::{from_unpadded, is_signed};
use crate::support::world::BOT;

impl Person {
    /// Takes what lies in the to-device queue and learns the room keys in it.
    pub fn receive(&mut self) {
        let events: Vec<Value> = self.hs.with(|state| {
            let id = (self.user.clone(), self.device.clone());
            let queue = &mut state.devices.get_mut(&id).expect("published").to_device;
            queue.drain(..).map(|(_, event)| event).collect()
        });
        for event in events {
            if event["type"] == "m.room.encrypted" {
                self.receive_olm(&event);
            } else {
                self.plain.push(event);
            }
        }
    }

    pub(super) fn receive_olm(&mut self, event: &Value) {
        let content = &event["content"];
        assert_eq!(content["algorithm"], OLM, "{event}");
        let message = &content["ciphertext"][self.curve25519()];
        let kind = message["type"].as_u64().expect("a message for this device");
        self.olm_types.push(kind);
        let bytes = from_unpadded(message["body"].as_str().expect("a body"));
        let message = OlmMessage::from_parts(usize::try_from(kind).expect("0 or 1"), &bytes)
            .expect("a well-formed Olm message");
        let sender_key = content["sender_key"]
            .as_str()
            .expect("a sender key")
            .to_owned();
        let plaintext = self.decrypt_olm(&sender_key, &message);
        let payload: Value = serde_json::from_slice(&plaintext).expect("the payload is JSON");
        self.check_payload(event, &sender_key, &payload);
        if payload["type"] == "m.room_key" {
            let key = &payload["content"];
            assert_eq!(key["algorithm"], MEGOLM, "{key}");
            let text = key["session_key"].as_str().expect("a session key");
            let session = InboundGroupSession::new(
                &SessionKey::from_base64(text).expect("a good session key"),
                MegolmConfig::version_1(),
            );
            assert_eq!(key["session_id"], session.session_id(), "{key}");
            let room = key["room_id"].as_str().expect("a room").to_owned();
            let id = (room, session.session_id());
            let known = self.inbound.get(&id).map(|s| s.first_known_index());
            if known.is_none_or(|known| session.first_known_index() < known) {
                self.inbound.insert(id, session);
            }
        }
        self.received.push(payload);
    }

    pub(super) fn decrypt_olm(&mut self, sender_key: &str, message: &OlmMessage) -> Vec<u8> {
        let sessions = self.sessions.entry(sender_key.to_owned()).or_default();
        if let OlmMessage::PreKey(prekey) = message
            && !sessions
                .iter()
                .any(|s| s.session_id() == prekey.session_id())
        {
            let identity = Curve25519PublicKey::from_base64(sender_key).expect("a good key");
            let created = self
                .account
                .create_inbound_session(SessionConfig::version_1(), identity, prekey)
                .expect("a pre-key message opens a session");
            sessions.push(created.session);
            return created.plaintext;
        }
        let at = sessions
            .iter_mut()
            .position(|session| {
                let pickle = session.pickle();
                let works = session.decrypt(message).is_ok();
                *session = Session::from_pickle(pickle);
                works
            })
            .expect("one of the sessions decrypts it");
        let mut session = sessions.remove(at);
        let plaintext = session.decrypt(message).expect("it did just now");
        sessions.push(session);
        plaintext
    }

    /// Makes the checks that every client makes before it believes an Olm payload.
    pub(super) fn check_payload(&self, event: &Value, sender_key: &str, payload: &Value) {
        assert_eq!(payload["sender"], event["sender"], "{payload}");
        assert_eq!(payload["recipient"], self.user, "{payload}");
        assert_eq!(
            payload["recipient_keys"]["ed25519"],
            self.ed25519(),
            "{payload}"
        );
        let own = &payload["sender_device_keys"];
        let sender = payload["sender"].as_str().expect("a sender");
        let device = own["device_id"]
            .as_str()
            .expect("sender_device_keys are there");
        assert_eq!(own["user_id"], sender, "{payload}");
        assert_eq!(
            own["keys"][format!("curve25519:{device}")],
            sender_key,
            "{payload}"
        );
        let ed25519 = payload["keys"]["ed25519"]
            .as_str()
            .expect("the sender's key");
        assert_eq!(
            own["keys"][format!("ed25519:{device}")],
            ed25519,
            "{payload}"
        );
        assert!(is_signed(own, sender, device, ed25519), "{own}");
    }

    /// The room keys received for a room, oldest first: session ids.
    pub fn keys_received(&self, room: &str) -> Vec<String> {
        self.received
            .iter()
            .filter(|p| p["type"] == "m.room_key" && p["content"]["room_id"] == room)
            .filter_map(|p| Some(p["content"]["session_id"].as_str()?.to_owned()))
            .collect()
    }

    /// The message index at which this person can begin to read a session.
    pub fn first_index(&self, room: &str, session: &str) -> Option<u32> {
        let id = (room.to_owned(), session.to_owned());
        Some(self.inbound.get(&id)?.first_known_index())
    }

    /// The withheld notices received: their codes.
    pub fn withheld(&self) -> Vec<String> {
        self.plain
            .iter()
            .filter(|event| event["type"] == "m.room_key.withheld")
            .filter_map(|event| Some(event["content"]["code"].as_str()?.to_owned()))
            .collect()
    }

    /// Everything that `sender` said in the room, in order.
    pub fn read(&mut self, room: &str, sender: &str) -> Vec<Seen> {
        self.receive();
        let events: Vec<Value> = self.hs.with(|state| {
            let events = &state.rooms[room].events;
            events
                .iter()
                .map(|event| event.json.clone())
                .filter(|event| event["sender"] == sender && event["state_key"].is_null())
                .collect()
        });
        events.iter().map(|event| self.see(room, event)).collect()
    }

    /// The text of the bot's last message in the room, if this person can read it.
    pub fn last_answer(&mut self, room: &str) -> Option<String> {
        self.read(room, BOT).pop()?.body
    }

    pub(super) fn see(&mut self, room: &str, event: &Value) -> Seen {
        let outer = event["content"].clone();
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let inner = match kind.as_str() {
            "m.room.encrypted" => self.decrypt(room, &outer).unwrap_or(Value::Null),
            _ => json!({"type": kind, "content": outer, "room_id": room}),
        };
        let body = (inner["type"] == "m.room.message" && inner["room_id"] == room)
            .then(|| inner["content"]["body"].as_str().map(str::to_owned))
            .flatten();
        Seen {
            kind,
            body,
            outer,
            inner,
        }
    }

    pub(super) fn decrypt(&mut self, room: &str, content: &Value) -> Option<Value> {
        let id = (room.to_owned(), content["session_id"].as_str()?.to_owned());
        let session = self.inbound.get_mut(&id)?;
        let message = MegolmMessage::from_base64(content["ciphertext"].as_str()?).ok()?;
        let plaintext = session.decrypt(&message).ok()?.plaintext;
        serde_json::from_slice(&plaintext).ok()
    }
}
