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
pub(crate) mod what {
    pub(crate) const TIMELINE: &str = "timeline_event";
    pub(crate) const STATE: &str = "state_event";
    pub(crate) const INVITE: &str = "invite";
    pub(crate) const ROOM: &str = "room";
    pub(crate) const TO_DEVICE: &str = "to_device_event";
    pub(crate) const CHANGED: &str = "changed_device_list";
    pub(crate) const MEMBER: &str = "member";
    pub(crate) const USER: &str = "user";
    pub(crate) const DEVICE: &str = "device";
    pub(crate) const LARGE_DEVICE: &str = "large_device";
    pub(crate) const IDENTITY: &str = "cross_signing_key";
    pub(crate) const ONE_TIME_KEY: &str = "one_time_key";
    pub(crate) const OTHER: &str = "other";
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
    ("rooms", Shape::Object(&[("invite", Shape::Map(&INVITED))])),
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
mod tests;
