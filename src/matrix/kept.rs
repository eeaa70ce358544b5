//! What is kept of the homeserver's answers, endpoint by endpoint.
//!
//! An answer is as large as others make it: members, strangers on other servers,
//! the homeserver itself. It is read piece by piece, only what this program looks
//! at is kept, and each kind of item has a size, a number and a budget, so that
//! none takes the room of another. Allowed users have budgets of their own.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use ruma::OwnedUserId;
use serde::Deserialize;

use crate::json::{Admission, Gate, Many, Open, Shape, Sieve};

/// Whose items are kept before everybody else's.
#[derive(Debug)]
pub struct Audience {
    /// The bot.
    pub own: OwnedUserId,
    /// Who may command.
    pub commanders: BTreeSet<OwnedUserId>,
}

/// The endpoints, as far as their answers differ in what is kept of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// That there is one is enough.
    Nothing,
    /// `/sync`.
    Sync,
    /// `/sync` from the beginning, for the invites that stand.
    Invites,
    /// `/keys/query`.
    Devices,
    /// `/keys/claim`.
    OneTimeKeys,
    /// `/rooms/{}/members`.
    Members,
    /// `/rooms/{}/messages`.
    Messages,
    /// `/rooms/{}/state/m.room.encryption`.
    RoomEncryption,
    /// `/keys/signatures/upload`.
    Signatures,
    /// `/user/{}/account_data/{}`.
    AccountData,
}

impl Answer {
    /// Keeps what is looked at of one answer of this endpoint.
    pub fn sieve(self, audience: &Arc<Audience>) -> Sieve {
        let gate = || Box::new(Budgets::new(Arc::clone(audience)));
        match self {
            Self::Nothing => Sieve::new(&NOTHING, 0, Box::new(Open)),
            Self::Sync => Sieve::new(&SYNC, MAX_SYNC, gate()),
            Self::Invites => Sieve::new(&INVITES, MAX_INVITES, gate()),
            Self::Devices => Sieve::new(&DEVICES, MAX_DEVICES, gate()),
            Self::OneTimeKeys => Sieve::new(&ONE_TIME_KEYS, MAX_ONE_TIME_KEYS, Box::new(Open)),
            Self::Members => Sieve::new(&MEMBERS, MAX_MEMBERS, gate()),
            Self::Messages => Sieve::new(&MESSAGES, MAX_MESSAGES, gate()),
            Self::RoomEncryption => Sieve::new(&CONTENT, MAX_ACCOUNT_DATA, Box::new(Open)),
            Self::Signatures => Sieve::new(&SIGNATURES, MAX_ACCOUNT_DATA, Box::new(Open)),
            Self::AccountData => Sieve::new(&ACCOUNT_DATA, MAX_ACCOUNT_DATA, Box::new(Open)),
        }
    }
}

/// The kind of a device list, an event and so on, as it is counted.
pub(super) mod what {
    pub(in crate::matrix) const TIMELINE: &str = "timeline_event";
    pub(in crate::matrix) const STATE: &str = "state_event";
    pub(in crate::matrix) const INVITE: &str = "invite";
    pub(in crate::matrix) const ROOM: &str = "room";
    pub(in crate::matrix) const TO_DEVICE: &str = "to_device_event";
    pub(in crate::matrix) const CHANGED: &str = "changed_device_list";
    pub(in crate::matrix) const MEMBER: &str = "member";
    pub(in crate::matrix) const USER: &str = "user";
    pub(in crate::matrix) const DEVICE: &str = "device";
    pub(in crate::matrix) const LARGE_DEVICE: &str = "large_device";
    pub(in crate::matrix) const IDENTITY: &str = "cross_signing_key";
    pub(in crate::matrix) const ONE_TIME_KEY: &str = "one_time_key";
    pub(in crate::matrix) const OTHER: &str = "other";
}

const KIB: usize = 1024;

/// The most bytes kept of a sync: more than all its budgets together.
const MAX_SYNC: usize = 3584 * KIB;
/// Of an answer about devices.
const MAX_DEVICES: usize = 1024 * KIB;
/// Of a list of invites: more than its budgets together.
const MAX_INVITES: usize = 192 * KIB;
/// Of an answer with one-time keys.
const MAX_ONE_TIME_KEYS: usize = 512 * KIB;
/// Of a list of members.
const MAX_MEMBERS: usize = 768 * KIB;
/// Of a page of messages: more than its budgets together.
const MAX_MESSAGES: usize = 1280 * KIB;
/// Of account data, and of other small answers.
const MAX_ACCOUNT_DATA: usize = 64 * KIB;

/// Bytes of one sync for messages of allowed users.
const MESSAGES_BUDGET: usize = 512 * KIB;
/// For messages of the bot's own account, which tell whether this store is an
/// older copy.
const OWN_BUDGET: usize = 96 * KIB;
/// For state, in timelines or beside them.
const STATE_BUDGET: usize = 640 * KIB;
/// For to-device messages of allowed users.
const COMMANDERS_TO_DEVICE_BUDGET: usize = 640 * KIB;
/// For to-device messages of everybody else.
const OTHERS_TO_DEVICE_BUDGET: usize = 256 * KIB;
/// For invitations by allowed users.
const COMMANDERS_INVITES_BUDGET: usize = 64 * KIB;
/// For invitations by everybody else.
const OTHERS_INVITES_BUDGET: usize = 64 * KIB;
/// Bytes of one list for members who are not allowed users.
const MEMBERS_BUDGET: usize = 640 * KIB;

/// An identifier of at most 255 bytes as JSON text.
const ID: Shape = Shape::Scalar(264);
const SHORT: Shape = Shape::Lenient(64);

/// What is read of the contents of events in rooms. What could make a message of
/// something else must not get lost: an event with too long a relation is none.
const CONTENT: Shape = Shape::Object(&[
    ("algorithm", Shape::Lenient(264)),
    ("rotation_period_ms", SHORT),
    ("rotation_period_msgs", SHORT),
    ("session_id", Shape::Lenient(264)),
    ("device_id", Shape::Lenient(264)),
    ("ciphertext", Shape::Scalar(24 * KIB)),
    ("msgtype", Shape::Scalar(264)),
    ("body", Shape::Scalar(16 * KIB)),
    ("m.new_content", Shape::Present),
    (
        "m.relates_to",
        Shape::Object(&[("rel_type", ID), ("event_id", ID)]),
    ),
    ("membership", SHORT),
    ("history_visibility", SHORT),
]);

const EVENT: &[(&str, Shape)] = &[
    ("type", ID),
    ("sender", ID),
    ("event_id", ID),
    ("state_key", ID),
    ("origin_server_ts", SHORT),
    ("content", CONTENT),
    ("unsigned", Shape::Object(&[("age", SHORT)])),
];

const TIMELINE_EVENTS: Many = Many {
    what: what::TIMELINE,
    item: Shape::Object(EVENT),
    size: 32 * KIB,
    count: 10_000,
};
const STATE_EVENTS: Many = Many {
    what: what::STATE,
    item: Shape::Object(EVENT),
    size: 32 * KIB,
    count: 10_000,
};
/// The bot's own membership alone is kept: a second one tells that somebody lies.
const INVITE_EVENTS: Many = Many {
    what: what::INVITE,
    item: Shape::Object(EVENT),
    size: 4 * KIB,
    count: 2,
};
const JOINED: Many = Many {
    what: what::ROOM,
    item: Shape::Object(&[
        (
            "state",
            Shape::Object(&[("events", Shape::List(&STATE_EVENTS))]),
        ),
        (
            "timeline",
            Shape::Object(&[
                ("limited", SHORT),
                ("prev_batch", Shape::Lenient(4 * KIB)),
                ("events", Shape::List(&TIMELINE_EVENTS)),
            ]),
        ),
    ]),
    size: usize::MAX,
    count: 1_000,
};
const INVITED: Many = Many {
    what: what::INVITE,
    item: Shape::Object(&[(
        "invite_state",
        Shape::Object(&[("events", Shape::List(&INVITE_EVENTS))]),
    )]),
    size: 8 * KIB,
    count: 1_000,
};
const LEFT: Many = Many {
    what: what::ROOM,
    item: Shape::Present,
    size: 16,
    count: 1_000,
};
const TO_DEVICE_EVENTS: Many = Many {
    what: what::TO_DEVICE,
    item: Shape::Object(&[
        ("type", ID),
        ("sender", ID),
        ("content", Shape::Whole(128 * KIB)),
    ]),
    size: 128 * KIB,
    count: 10_000,
};
const CHANGED_USERS: Many = Many {
    what: what::CHANGED,
    item: ID,
    size: 264,
    count: 1_500,
};
const LEFT_USERS: Many = Many {
    what: what::OTHER,
    item: ID,
    size: 264,
    count: 500,
};
const KEY_TYPES: Many = Many {
    what: what::OTHER,
    item: Shape::Scalar(64),
    size: 64,
    count: 16,
};

const NOTHING: Shape = Shape::Object(&[]);

const SYNC: Shape = Shape::Object(&[
    // One that is too long is refused by name.
    ("next_batch", Shape::Lenient(128 * KIB)),
    (
        "rooms",
        Shape::Object(&[
            ("join", Shape::Map(&JOINED)),
            ("invite", Shape::Map(&INVITED)),
            ("leave", Shape::Map(&LEFT)),
        ]),
    ),
    (
        "to_device",
        Shape::Object(&[("events", Shape::List(&TO_DEVICE_EVENTS))]),
    ),
    (
        "device_lists",
        Shape::Object(&[
            ("changed", Shape::List(&CHANGED_USERS)),
            ("left", Shape::List(&LEFT_USERS)),
        ]),
    ),
    (
        "device_one_time_keys_count",
        Shape::Object(&[("signed_curve25519", SHORT)]),
    ),
    ("device_unused_fallback_key_types", Shape::List(&KEY_TYPES)),
]);

const INVITES: Shape = Shape::Object(&[
    ("next_batch", Shape::Lenient(128 * KIB)),
    (
        "rooms",
        Shape::Object(&[("invite", Shape::Map(&INVITED))]),
    ),
]);

/// The largest device object, in bytes of JSON text: its signature covers fields
/// that nobody here knows, so it is kept as it is. Of a larger one it is kept that
/// it is listed: what is missing from a list was signed out.
const MAX_DEVICE: usize = 16 * KIB;

const USER_DEVICES: Many = Many {
    what: what::DEVICE,
    item: Shape::WholeOrPresent(MAX_DEVICE, what::LARGE_DEVICE),
    size: MAX_DEVICE,
    count: 500,
};
const USERS: Many = Many {
    what: what::USER,
    item: Shape::Map(&USER_DEVICES),
    size: usize::MAX,
    count: 250,
};
const IDENTITIES: Many = Many {
    what: what::IDENTITY,
    item: Shape::Whole(8 * KIB),
    size: 8 * KIB,
    count: 250,
};
const FAILURES: Many = Many {
    what: what::OTHER,
    item: Shape::Present,
    size: 16,
    count: 250,
};
const DEVICES: Shape = Shape::Object(&[
    ("device_keys", Shape::Map(&USERS)),
    ("failures", Shape::Map(&FAILURES)),
    ("master_keys", Shape::Map(&IDENTITIES)),
    ("self_signing_keys", Shape::Map(&IDENTITIES)),
]);

const DEVICE_KEYS: Many = Many {
    what: what::ONE_TIME_KEY,
    item: Shape::Whole(2 * KIB),
    size: 2 * KIB,
    count: 1,
};
const CLAIMED_DEVICES: Many = Many {
    what: what::DEVICE,
    item: Shape::Map(&DEVICE_KEYS),
    size: 4 * KIB,
    count: 250,
};
const CLAIMED_USERS: Many = Many {
    what: what::USER,
    item: Shape::Map(&CLAIMED_DEVICES),
    size: usize::MAX,
    count: 250,
};
const ONE_TIME_KEYS: Shape = Shape::Object(&[("one_time_keys", Shape::Map(&CLAIMED_USERS))]);

const ROOM_MEMBERS: Many = Many {
    what: what::MEMBER,
    item: Shape::Object(&[
        ("type", ID),
        ("state_key", ID),
        ("content", Shape::Object(&[("membership", SHORT)])),
    ]),
    size: KIB,
    count: 10_000,
};
const MEMBERS: Shape = Shape::Object(&[("chunk", Shape::List(&ROOM_MEMBERS))]);

const MESSAGES: Shape = Shape::Object(&[
    ("chunk", Shape::List(&TIMELINE_EVENTS)),
    ("end", Shape::Lenient(128 * KIB)),
]);

const SIGNATURES: Shape = Shape::Object(&[("failures", Shape::Map(&FAILURES))]);

const ACCOUNT_DATA: Shape = Shape::Whole(MAX_ACCOUNT_DATA);

/// The gate of an answer: what is relevant, and how much room is left for it.
struct Budgets {
    audience: Arc<Audience>,
    messages: usize,
    own: usize,
    state: usize,
    commanders_to_device: usize,
    others_to_device: usize,
    commanders_invites: usize,
    others_invites: usize,
    members: usize,
}

/// What an event is judged by.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    sender: Cow<'a, str>,
    #[serde(borrow, default)]
    state_key: Option<Cow<'a, str>>,
}

impl Budgets {
    fn new(audience: Arc<Audience>) -> Self {
        Self {
            audience,
            messages: MESSAGES_BUDGET,
            own: OWN_BUDGET,
            state: STATE_BUDGET,
            commanders_to_device: COMMANDERS_TO_DEVICE_BUDGET,
            others_to_device: OTHERS_TO_DEVICE_BUDGET,
            commanders_invites: COMMANDERS_INVITES_BUDGET,
            others_invites: OTHERS_INVITES_BUDGET,
            members: MEMBERS_BUDGET,
        }
    }

    fn is_commander(&self, user: &str) -> bool {
        // Ids are ordered as their texts.
        <&ruma::UserId>::try_from(user).is_ok_and(|user| self.audience.commanders.contains(user))
    }

    /// An event of a room the bot is in.
    fn room_event(&mut self, head: &Head<'_>, size: usize) -> Admission {
        if head.state_key.is_some() {
            return spend(&mut self.state, size);
        }
        if head.sender == self.audience.own.as_str() {
            spend(&mut self.own, size)
        } else if self.is_commander(&head.sender) {
            spend(&mut self.messages, size)
        } else {
            // Nobody else's messages are looked at.
            Admission::Irrelevant
        }
    }

    /// A room that the bot is invited to, as far as its stripped state was kept.
    fn invited_room(&mut self, room: &[u8], item: &[u8]) -> Admission {
        #[derive(Deserialize)]
        struct Invited<'a> {
            #[serde(borrow)]
            invite_state: State<'a>,
        }
        #[derive(Deserialize)]
        struct State<'a> {
            #[serde(borrow)]
            events: Vec<Head<'a>>,
        }
        let Ok(invited) = serde_json::from_slice::<Invited<'_>>(item) else {
            return Admission::Irrelevant;
        };
        let senders = &invited.invite_state.events;
        let size = room.len() + item.len();
        if senders.is_empty() {
            // Nobody is named: it is no invite.
            return Admission::Irrelevant;
        }
        match senders.iter().all(|head| self.is_commander(&head.sender)) {
            true => spend(&mut self.commanders_invites, size),
            false => spend(&mut self.others_invites, size),
        }
    }

    fn device_event(&mut self, head: &Head<'_>, size: usize) -> Admission {
        match head.kind.as_ref() {
            "m.room.encrypted" | "m.room_key.withheld" | "m.room_key_request" => {}
            _ => return Admission::Irrelevant,
        }
        match self.is_commander(&head.sender) {
            true => spend(&mut self.commanders_to_device, size),
            false => spend(&mut self.others_to_device, size),
        }
    }
}

fn spend(budget: &mut usize, size: usize) -> Admission {
    match budget.checked_sub(size) {
        Some(left) => {
            *budget = left;
            Admission::Keep
        }
        None => Admission::TooMuch,
    }
}

impl Gate for Budgets {
    fn admit(&mut self, what: &'static str, name: &[u8], item: &[u8]) -> Admission {
        if what == what::INVITE && !name.is_empty() {
            return self.invited_room(name, item);
        }
        let is_event = matches!(
            what,
            what::TIMELINE | what::STATE | what::INVITE | what::TO_DEVICE | what::MEMBER
        );
        if !is_event {
            return Admission::Keep;
        }
        // What cannot be read is no event.
        let Ok(head) = serde_json::from_slice::<Head<'_>>(item) else {
            return Admission::Irrelevant;
        };
        let size = item.len();
        match what {
            what::TO_DEVICE => self.device_event(&head, size),
            what::INVITE => match head.state_key.as_deref() {
                Some(user) if user == self.audience.own.as_str() => Admission::Keep,
                _ => Admission::Irrelevant,
            },
            what::MEMBER => match head.state_key.as_deref() {
                Some(user) if self.is_commander(user) => Admission::Keep,
                _ => spend(&mut self.members, size),
            },
            _ => self.room_event(&head, size),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KIB: usize = 1024;

    fn audience() -> Arc<Audience> {
        let user = |id: &str| OwnedUserId::try_from(id).unwrap();
        Arc::new(Audience {
            own: user("@bot:test"),
            commanders: [user("@alice:test")].into(),
        })
    }

    fn kept(answer: Answer, sent: &Value) -> (Value, crate::json::Skipped, usize) {
        let mut sieve = answer.sieve(&audience());
        for piece in sent.to_string().as_bytes().chunks(1000) {
            sieve.push(piece).unwrap();
        }
        let sifted = sieve.finish().unwrap();
        let kept = serde_json::from_slice(&sifted.body).unwrap();
        (kept, sifted.skipped, sifted.body.len())
    }

    fn event(sender: &str, more: Value) -> Value {
        let mut event = json!({
            "type": "m.room.message", "sender": sender, "event_id": "$e", "origin_server_ts": 1,
            "content": {"msgtype": "m.text", "body": "start", "x": [[[0]]]},
            "unsigned": {"age": 5, "x": "y".repeat(100)},
        });
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    }

    fn timeline(events: &[Value]) -> Value {
        json!({"next_batch": "s1", "rooms": {"join": {"!r:test": {"timeline": {
            "events": events, "limited": true, "prev_batch": "p"}}}}})
    }

    fn kept_timeline(events: &[Value]) -> Vec<Value> {
        let (kept, ..) = kept(Answer::Sync, &timeline(events));
        assert_eq!(kept["next_batch"], "s1");
        let timeline = &kept["rooms"]["join"]["!r:test"]["timeline"];
        assert_eq!(timeline["limited"], true);
        timeline["events"].as_array().unwrap().clone()
    }

    #[test]
    fn of_a_message_only_known_fields_are_kept() {
        let kept = kept_timeline(&[event("@alice:test", json!({"room_id": "!r:test"}))]);
        assert_eq!(
            kept,
            [json!({
                "type": "m.room.message", "sender": "@alice:test", "event_id": "$e",
                "origin_server_ts": 1, "content": {"msgtype": "m.text", "body": "start"},
                "unsigned": {"age": 5},
            })]
        );
    }

    #[test]
    fn messages_of_people_who_may_not_command_are_not_kept() {
        let others: Vec<Value> = (0..3000)
            .map(|_| {
                event(
                    "@mallory:test",
                    json!({"content": {"body": "x".repeat(500)}}),
                )
            })
            .collect();
        let mut events = others.clone();
        events.push(event("@alice:test", json!({})));
        events.extend(others);
        events.push(event("@bot:test", json!({})));
        assert_eq!(kept_timeline(&events).len(), 2);
    }

    /// What would make a message of something else must not be lost by its size or
    /// its kind.
    #[test]
    fn an_event_that_is_not_of_its_shape_is_no_message() {
        for odd in [
            json!({"content": {"msgtype": "m.text", "body": "start",
                "m.relates_to": {"rel_type": ["m.replace"]}}}),
            json!({"content": {"msgtype": "m.text", "body": "start",
                "m.relates_to": {"rel_type": "m.replace".repeat(100)}}}),
            json!({"content": {"msgtype": "m.text", "body": "start", "m.relates_to": "x"}}),
            json!({"content": {"msgtype": ["m.text"], "body": "start"}}),
            json!({"content": "start"}),
            json!({"state_key": {}}),
            json!({"state_key": "s".repeat(300)}),
            json!({"sender": ["@alice:test"]}),
            json!({"event_id": "$".repeat(300)}),
        ] {
            let kept = kept_timeline(&[event("@alice:test", odd.clone())]);
            assert_eq!(kept, Vec::<Value>::new(), "{odd}");
        }
        let edit = json!({"content": {"msgtype": "m.text", "body": "start",
            "m.new_content": {"body": {"deep": ["x".repeat(1000)]}}}});
        let kept = kept_timeline(&[event("@alice:test", edit)]);
        assert_eq!(kept[0]["content"]["m.new_content"], true);
    }

    #[test]
    fn large_state_is_reduced_and_an_odd_encryption_event_stays_one() {
        let member = |n: usize| {
            json!({"type": "m.room.member", "sender": "@m:test", "event_id": "$m",
                "state_key": format!("@m{n}:test"),
                "content": {"membership": "join", "displayname": "n".repeat(60 * KIB)}})
        };
        let odd = json!({"type": "m.room.encryption", "sender": "@m:test", "event_id": "$m",
            "state_key": "", "content": {"algorithm": {"a": 1}, "rotation_period_ms": [1]}});
        let mut state: Vec<Value> = (0..300).map(member).collect();
        state.push(odd);
        let sent = json!({"next_batch": "s", "rooms": {"join": {"!r:test": {"state": {
            "events": state}}}}});
        let (kept, skipped, size) = kept(Answer::Sync, &sent);
        let events = &kept["rooms"]["join"]["!r:test"]["state"]["events"];
        assert_eq!(events.as_array().unwrap().len(), 301);
        assert_eq!(events[300]["content"], json!({}));
        assert!(skipped.is_empty() && size < 64 * KIB, "{size} {skipped:?}");
    }

    #[test]
    fn no_ones_to_device_events_take_the_room_of_an_allowed_users() {
        let of = |sender: &str, kind: &str, size: usize| json!({"type": kind, "sender": sender, "content": {"x": "x".repeat(size)}});
        let encrypted = "m.room.encrypted";
        let mut events = vec![
            of("@mallory:evil", encrypted, 12 << 20),
            of("@mallory:evil", "m.unknown", 100),
        ];
        events.extend((0..10_000).map(|_| of("@mallory:evil", encrypted, 300)));
        events.push(of("@alice:test", encrypted, 100 * KIB));
        let sent = json!({"to_device": {"events": events}, "next_batch": "s"});
        let (kept, skipped, size) = kept(Answer::Sync, &sent);
        let events = kept["to_device"]["events"].as_array().unwrap();
        assert_eq!(events.last().unwrap()["sender"], "@alice:test");
        assert!(skipped[what::TO_DEVICE] > 9_000 && size < 400 * KIB);
        assert_eq!(kept["next_batch"], "s");
    }

    /// Each budget at its end at once: no more than the most that is kept.
    #[test]
    fn a_sync_is_never_larger_than_its_budgets() {
        let user = |n: usize| format!("@{n}{}:test", "u".repeat(240 - n.to_string().len()));
        let users: Vec<String> = (0..20_000).map(user).collect();
        let rooms = |value: Value| -> Value {
            let of = |n: usize| (format!("!{n}{}:test", "r".repeat(240)), value.clone());
            (0..3000).map(of).collect::<serde_json::Map<_, _>>().into()
        };
        let message = event(
            "@alice:test",
            json!({"content": {"body": "b".repeat(10 * KIB)}}),
        );
        let events: Vec<Value> = (0..200).map(|_| message.clone()).collect();
        let member = json!({"type": "m.room.member", "sender": user(1), "state_key": user(1),
            "content": {"membership": "join"}});
        let encrypted = |sender: &str| {
            let event = json!({"type": "m.room.encrypted", "sender": sender,
                "content": {"x": "x".repeat(90 * KIB)}});
            vec![event; 30]
        };
        let mut to_device = encrypted("@alice:test");
        to_device.extend(encrypted("@mallory:evil"));
        let joined = json!({"timeline": {"events": events}, "state": {"events": vec![member; 9]}});
        let mut all = rooms(json!({}));
        all["!a:test"] = joined;
        let sent = json!({
            "device_lists": {"changed": users, "left": users},
            "rooms": {"join": all, "invite": rooms(json!({})), "leave": rooms(json!({}))},
            "to_device": {"events": to_device},
            "next_batch": "s",
        });
        let (kept, skipped, size) = kept(Answer::Sync, &sent);
        assert!(size <= MAX_SYNC, "{size}");
        assert!(skipped.contains_key(what::CHANGED), "{skipped:?}");
        assert_eq!(kept["next_batch"], "s");
    }

    #[test]
    fn a_device_list_is_kept_as_far_as_there_is_room() {
        let device = |size: usize| json!({"user_id": "@m:test", "x": "x".repeat(size)});
        let sent = json!({
            "device_keys": {
                "@m:test": {"A": device(100), "B": device(800 * KIB), "C": device(100)},
                "@alice:test": {"D": device(100)},
            },
            "failures": {"evil": {"x": "x".repeat(1 << 20)}},
            "master_keys": {"@m:test": device(100 * KIB), "@alice:test": device(10)},
            "user_signing_keys": {"@m:test": device(100 * KIB)},
        });
        let (kept, skipped, size) = kept(Answer::Devices, &sent);
        let names =
            |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(names(&kept["device_keys"]["@m:test"]), ["A", "B", "C"]);
        assert_eq!(kept["device_keys"]["@m:test"]["B"], json!(true));
        assert_eq!(names(&kept["device_keys"]["@alice:test"]), ["D"]);
        assert_eq!(names(&kept["master_keys"]), ["@alice:test"]);
        assert_eq!(kept["failures"], json!({"evil": true}));
        let counts = (skipped[what::LARGE_DEVICE], skipped[what::IDENTITY]);
        assert_eq!(counts, (1, 1));
        assert!(size < KIB);
    }

    #[test]
    fn of_a_page_of_messages_those_of_allowed_users_and_its_end_are_kept() {
        let chunk = [
            event("@mallory:test", json!({})),
            event("@alice:test", json!({})),
            event(
                "@bot:test",
                json!({"type": "m.room.member", "state_key": "@bot:test"}),
            ),
            event(
                "@alice:test",
                json!({"content": {"body": "x".repeat(40_000)}}),
            ),
        ];
        let page = json!({"chunk": chunk, "end": "t1", "state": [{}], "start": "s"});
        let (kept, skipped, _) = kept(Answer::Messages, &page);
        assert_eq!(kept["end"], "t1");
        assert_eq!(kept["chunk"].as_array().unwrap().len(), 2);
        assert_eq!(skipped[what::TIMELINE], 1, "an allowed user's, too long");
    }

    #[test]
    fn of_many_members_allowed_users_are_kept() {
        let member = |user: String| {
            json!({"type": "m.room.member", "sender": "@a:test", "state_key": user,
                "content": {"membership": "join", "displayname": "n".repeat(1000)}})
        };
        let mut chunk: Vec<Value> = (0..9_000)
            .map(|n| member(format!("@{n}{}:test", "m".repeat(100))))
            .collect();
        chunk.push(member("@alice:test".to_owned()));
        let (kept, skipped, size) = kept(Answer::Members, &json!({"chunk": chunk}));
        let kept = kept["chunk"].as_array().unwrap();
        assert_eq!(kept.last().unwrap()["state_key"], "@alice:test");
        assert!(skipped[what::MEMBER] > 0 && size < MAX_MEMBERS);
    }
}
