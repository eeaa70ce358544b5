//! A person with one device, on vodozemac and nothing of the program under
//! test. Honest unless a test edits what it says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vodozemac::megolm::{
    GroupSession, InboundGroupSession, MegolmMessage, SessionConfig as MegolmConfig, SessionKey,
};
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};
use vodozemac::{Curve25519PublicKey, Ed25519SecretKey};

use super::homeserver::{Homeserver, State};
use super::signing::{add_signature, from_unpadded, is_signed, unpadded};

pub const OLM: &str = "m.olm.v1.curve25519-aes-sha2";
pub const MEGOLM: &str = "m.megolm.v1.aes-sha2";

/// A group session of this device and who has its key.
pub struct Outbound {
    pub session: GroupSession,
    shared: BTreeSet<(String, String)>,
}

/// A room event of somebody else, as this person reads it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The event type as the server shows it.
    pub kind: String,
    /// None if it could not be decrypted or is not a message.
    pub body: Option<String>,
    /// The content that the server sees.
    pub outer: Value,
    /// The decrypted payload, or null.
    pub inner: Value,
}

pub struct Person {
    pub user: String,
    pub device: String,
    pub hs: Homeserver,
    pub account: Account,
    /// Master and self-signing key, once the person has them.
    pub cross_signing: Option<(Ed25519SecretKey, Ed25519SecretKey)>,
    /// Add `sender_device_keys` to what goes out over Olm (MSC4147).
    pub sends_own_keys: bool,
    /// Decrypted to-device payloads, in order.
    pub received: Vec<Value>,
    /// To-device events that were not encrypted, in order.
    pub plain: Vec<Value>,
    /// The Olm message types that came in: 0 is a pre-key message.
    pub olm_types: Vec<u64>,
    /// The Olm message types that went out.
    pub sent_olm_types: Vec<u64>,
    sessions: BTreeMap<String, Vec<Session>>,
    outbound: BTreeMap<String, Outbound>,
    inbound: BTreeMap<(String, String), InboundGroupSession>,
}

impl Person {
    /// A device with published keys, 20 one-time keys, and no fallback key.
    pub fn new(hs: &Homeserver, user: &str, device: &str) -> Self {
        let mut person = Self::unpublished(hs, user, device);
        person.publish(|_| {});
        person.publish_one_time_keys(20, |_| {});
        person
    }

    /// A device that the server does not know yet.
    pub fn unpublished(hs: &Homeserver, user: &str, device: &str) -> Self {
        Self {
            user: user.to_owned(),
            device: device.to_owned(),
            hs: hs.clone(),
            account: Account::new(),
            cross_signing: None,
            sends_own_keys: true,
            received: Vec::new(),
            plain: Vec::new(),
            olm_types: Vec::new(),
            sent_olm_types: Vec::new(),
            sessions: BTreeMap::new(),
            outbound: BTreeMap::new(),
            inbound: BTreeMap::new(),
        }
    }

    pub fn ed25519(&self) -> String {
        self.account.ed25519_key().to_base64()
    }

    pub fn curve25519(&self) -> String {
        self.account.curve25519_key().to_base64()
    }

    pub fn sign(&self, value: &mut Value) {
        add_signature(value, &self.user, &self.device, |text| {
            self.account.sign(text)
        });
    }

    /// The device keys without a signature.
    pub fn bare_device_keys(&self) -> Value {
        json!({
            "user_id": self.user,
            "device_id": self.device,
            "algorithms": [OLM, MEGOLM],
            "keys": {
                format!("curve25519:{}", self.device): self.curve25519(),
                format!("ed25519:{}", self.device): self.ed25519(),
            },
        })
    }

    /// The device keys, signed by the device and, if there is one, by the
    /// self-signing key.
    pub fn device_keys(&self) -> Value {
        let mut keys = self.bare_device_keys();
        self.sign(&mut keys);
        self.self_sign(&mut keys);
        keys
    }

    fn self_sign(&self, keys: &mut Value) {
        if let Some((_, self_signing)) = &self.cross_signing {
            let id = self_signing.public_key().to_base64();
            add_signature(keys, &self.user, &id, |text| {
                self_signing.sign(text.as_bytes())
            });
        }
    }

    /// Publishes the device keys after an edit that comes *before* signing.
    pub fn publish(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut keys = self.bare_device_keys();
        edit(&mut keys);
        self.sign(&mut keys);
        self.self_sign(&mut keys);
        self.publish_raw(keys);
    }

    /// Publishes whatever is given as this device's keys.
    pub fn publish_raw(&self, keys: Value) {
        self.hs
            .with(|state| state.put_device(&self.user, &self.device, keys));
    }

    /// Publishes signed one-time keys after an edit of each.
    pub fn publish_one_time_keys(&mut self, count: usize, edit: impl Fn(&mut Value)) {
        let keys = self.fresh_one_time_keys(count);
        self.hs.with(|state| {
            let device = state
                .devices
                .entry((self.user.clone(), self.device.clone()))
                .or_default();
            for (id, mut key) in keys {
                edit(&mut key);
                device.one_time.insert(id, key);
            }
        });
    }

    /// New one-time keys in the form of `/keys/upload`.
    pub fn fresh_one_time_keys(&mut self, count: usize) -> BTreeMap<String, Value> {
        self.account.generate_one_time_keys(count);
        let keys = self
            .account
            .one_time_keys()
            .into_iter()
            .map(|(id, key)| {
                let mut key = json!({"key": key.to_base64()});
                self.sign(&mut key);
                (format!("signed_curve25519:{}", id.to_base64()), key)
            })
            .collect();
        self.account.mark_keys_as_published();
        keys
    }

    /// Leaves the server without a key to claim for this device.
    pub fn withdraw_one_time_keys(&self) {
        self.hs.with(|state| {
            let id = (self.user.clone(), self.device.clone());
            let device = state.devices.entry(id).or_default();
            device.one_time.clear();
            device.fallback.clear();
        });
    }

    /// Gives the person fresh cross-signing keys and signs this device.
    pub fn cross_sign(&mut self) {
        let (master, self_signing) = (Ed25519SecretKey::new(), Ed25519SecretKey::new());
        let key = |usage: &str, key: &Ed25519SecretKey| {
            let public = key.public_key().to_base64();
            json!({
                "user_id": self.user,
                "usage": [usage],
                "keys": {format!("ed25519:{public}"): public},
            })
        };
        let mut shown_master = key("master", &master);
        self.sign(&mut shown_master);
        let mut shown_self_signing = key("self_signing", &self_signing);
        let by = master.public_key().to_base64();
        add_signature(&mut shown_self_signing, &self.user, &by, |text| {
            master.sign(text.as_bytes())
        });
        self.cross_signing = Some((master, self_signing));
        self.hs.with(|state| {
            let own = state.cross_signing.entry(self.user.clone()).or_default();
            own.insert("master".into(), shown_master);
            own.insert("self_signing".into(), shown_self_signing);
        });
        self.publish_raw(self.device_keys());
    }

    /// The public half of the master key, in base64.
    pub fn master(&self) -> String {
        let (master, _) = self.cross_signing.as_ref().expect("there is an identity");
        master.public_key().to_base64()
    }

    /// Signs another device of this user, as after a verification between both.
    pub fn vouch_for(&self, device: &str) {
        self.hs.with(|state| {
            let id = (self.user.clone(), device.to_owned());
            let found = state.devices.get_mut(&id).expect("the device is there");
            self.self_sign(found.keys.as_mut().expect("it has keys"));
            state.device_changed(&self.user);
        });
    }

    /// The server shows a device of this user without any signature but its own.
    pub fn lose_signatures(&self, device: &str) {
        self.hs.with(|state| {
            let id = (self.user.clone(), device.to_owned());
            let found = state.devices.get_mut(&id).expect("the device is there");
            let keys = found.keys.as_mut().expect("it has keys");
            let own = format!("ed25519:{device}");
            keys["signatures"][&self.user]
                .as_object_mut()
                .expect("it is signed")
                .retain(|key, _| *key == own);
            state.device_changed(&self.user);
        });
    }

    /// The keys that the server shows for a device: (curve25519, ed25519).
    fn keys_of(&self, user: &str, device: &str) -> Option<(String, String)> {
        self.hs.with(|state| shown_keys(state, user, device))
    }

    /// An honest Olm payload for a device.
    pub fn payload(&self, to: (&str, &str), kind: &str, content: &Value) -> Value {
        let (_, ed25519) = self.keys_of(to.0, to.1).expect("the recipient has keys");
        let mut payload = json!({
            "type": kind,
            "content": content,
            "sender": self.user,
            "sender_device": self.device,
            "keys": {"ed25519": self.ed25519()},
            "recipient": to.0,
            "recipient_keys": {"ed25519": ed25519},
        });
        if self.sends_own_keys {
            payload["sender_device_keys"] = self.device_keys();
        }
        payload
    }

    /// Starts an Olm session with a key claimed from the server; waits for one.
    pub fn new_session(&mut self, to: (&str, &str)) {
        let what = format!("a one-time key of {} {}", to.0, to.1);
        let (curve, ed25519, key_id, key) = self.hs.wait(&what, |state| {
            let (curve, ed25519) = shown_keys(state, to.0, to.1)?;
            let (id, key) = state.claim(to.0, to.1)?;
            Some((curve, ed25519, id, key))
        });
        assert!(key_id.starts_with("signed_curve25519:"), "{key_id}");
        assert!(
            is_signed(&key, to.0, to.1, &ed25519),
            "the one-time key of {to:?} is not signed by its device: {key}"
        );
        let one_time = Curve25519PublicKey::from_base64(key["key"].as_str().expect("a key"))
            .expect("a good key");
        let identity = Curve25519PublicKey::from_base64(&curve).expect("a good key");
        let session = self
            .account
            .create_outbound_session(SessionConfig::version_1(), identity, one_time)
            .expect("two good keys make a session");
        self.sessions.entry(curve).or_default().push(session);
    }

    /// Forgets all Olm sessions but the newest with each device.
    pub fn keep_newest_session(&mut self) {
        for sessions in self.sessions.values_mut() {
            let older = sessions.len().saturating_sub(1);
            sessions.drain(..older);
        }
    }

    /// Encrypts a payload to a device on the newest session, made if need be,
    /// as the content of a to-device event.
    pub fn olm(&mut self, to: (&str, &str), payload: &Value) -> Value {
        let what = format!("device keys of {} {}", to.0, to.1);
        let (curve, _) = self.hs.wait(&what, |state| shown_keys(state, to.0, to.1));
        if !self.sessions.contains_key(&curve) {
            self.new_session(to);
        }
        let session = self
            .sessions
            .get_mut(&curve)
            .and_then(|sessions| sessions.last_mut())
            .expect("made above");
        let (kind, bytes) = session
            .encrypt(payload.to_string())
            .expect("the session works")
            .to_parts();
        self.sent_olm_types
            .push(u64::try_from(kind).expect("0 or 1"));
        json!({
            "algorithm": OLM,
            "sender_key": self.curve25519(),
            "ciphertext": {curve: {"type": kind, "body": unpadded(&bytes)}},
        })
    }

    /// Puts a to-device event of this person into a device's queue.
    pub fn deliver(&self, to: (&str, &str), kind: &str, content: Value) {
        let event = json!({"type": kind, "sender": self.user, "content": content});
        self.hs.to_device(to.0, to.1, event);
    }

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
            if joined.iter().any(|user| user == super::world::BOT) {
                joined.retain(|user| user == super::world::BOT);
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

    fn receive_olm(&mut self, event: &Value) {
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

    fn decrypt_olm(&mut self, sender_key: &str, message: &OlmMessage) -> Vec<u8> {
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

    /// What every client checks before it believes an Olm payload.
    fn check_payload(&self, event: &Value, sender_key: &str, payload: &Value) {
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

    fn see(&mut self, room: &str, event: &Value) -> Seen {
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

    fn decrypt(&mut self, room: &str, content: &Value) -> Option<Value> {
        let id = (room.to_owned(), content["session_id"].as_str()?.to_owned());
        let session = self.inbound.get_mut(&id)?;
        let message = MegolmMessage::from_base64(content["ciphertext"].as_str()?).ok()?;
        let plaintext = session.decrypt(&message).ok()?.plaintext;
        serde_json::from_slice(&plaintext).ok()
    }
}

fn shown_keys(state: &State, user: &str, device: &str) -> Option<(String, String)> {
    let keys = state
        .devices
        .get(&(user.to_owned(), device.to_owned()))?
        .keys
        .as_ref()?;
    let key = |kind: &str| {
        Some(
            keys["keys"][format!("{kind}:{device}")]
                .as_str()?
                .to_owned(),
        )
    };
    Some((key("curve25519")?, key("ed25519")?))
}

pub fn text_message(text: &str) -> Value {
    json!({"msgtype": "m.text", "body": text})
}
