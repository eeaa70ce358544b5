//! The shapes of answers: which fields are kept, and how large and how many each may be.

use crate::json::{Many, Shape};

pub(super) const KIB: usize = 1024;

/// The kinds of items, as the left out ones are counted.
pub(crate) mod item_kind {
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

const fn many(what: &'static str, item: Shape, size: usize, count: usize) -> Many {
    Many {
        what,
        item,
        size,
        count,
    }
}

/// An identifier of at most 255 bytes as JSON text.
const ID: Shape = Shape::Scalar(264);
const SHORT: Shape = Shape::Lenient(64);

/// The event that another one replies to: an object with an id. A larger one is as good as none.
const REPLY: Shape = Shape::WholeOrPresent(512, item_kind::OTHER);

/// Whom a message mentions: the bot among a dozen others. Of more nobody is mentioned.
const MENTIONS: Shape = Shape::WholeOrPresent(4 * KIB, item_kind::OTHER);

/// The contents of events in rooms. A field that makes an event something else than a
/// message must not get lost: an event with too long a relation is none.
pub(super) const CONTENT: Shape = Shape::Object(&[
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
        Shape::Object(&[
            ("rel_type", ID),
            ("event_id", ID),
            ("is_falling_back", SHORT),
            ("m.in_reply_to", REPLY),
        ]),
    ),
    ("m.mentions", MENTIONS),
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

const TIMELINE_EVENTS: Many = many(item_kind::TIMELINE, Shape::Object(EVENT), 32 * KIB, 10_000);
const STATE_EVENTS: Many = many(item_kind::STATE, Shape::Object(EVENT), 32 * KIB, 10_000);
/// The bot's own membership alone is kept: a second one tells that somebody lies.
const INVITE_EVENTS: Many = many(item_kind::INVITE, Shape::Object(EVENT), 4 * KIB, 2);
const JOINED: Many = many(
    item_kind::ROOM,
    Shape::Object(&[
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
    usize::MAX,
    1_000,
);
const INVITED: Many = many(
    item_kind::INVITE,
    Shape::Object(&[(
        "invite_state",
        Shape::Object(&[("events", Shape::List(&INVITE_EVENTS))]),
    )]),
    8 * KIB,
    1_000,
);
const LEFT: Many = many(item_kind::ROOM, Shape::Present, 16, 1_000);
const TO_DEVICE_EVENTS: Many = many(
    item_kind::TO_DEVICE,
    Shape::Object(&[
        ("type", ID),
        ("sender", ID),
        ("content", Shape::Whole(128 * KIB)),
    ]),
    128 * KIB,
    10_000,
);
const CHANGED_USERS: Many = many(item_kind::CHANGED, ID, 264, 1_500);
const LEFT_USERS: Many = many(item_kind::OTHER, ID, 264, 500);
const KEY_TYPES: Many = many(item_kind::OTHER, Shape::Scalar(64), 64, 16);

pub(super) const NOTHING: Shape = Shape::Object(&[]);

pub(super) const SENT: Shape = Shape::Object(&[("event_id", Shape::Lenient(264))]);

pub(super) const SYNC: Shape = Shape::Object(&[
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

pub(super) const INVITES: Shape = Shape::Object(&[
    ("next_batch", Shape::Lenient(128 * KIB)),
    ("rooms", Shape::Object(&[("invite", Shape::Map(&INVITED))])),
]);

/// The largest device object, in bytes of JSON text: its signature covers fields
/// that nobody here knows, so it is kept as it is. Of a larger one it is kept that
/// it is listed: what is missing from a list was signed out.
const MAX_DEVICE: usize = 16 * KIB;

const USER_DEVICES: Many = many(
    item_kind::DEVICE,
    Shape::WholeOrPresent(MAX_DEVICE, item_kind::LARGE_DEVICE),
    MAX_DEVICE,
    500,
);
const USERS: Many = many(item_kind::USER, Shape::Map(&USER_DEVICES), usize::MAX, 250);
const IDENTITIES: Many = many(item_kind::IDENTITY, Shape::Whole(8 * KIB), 8 * KIB, 250);
const FAILURES: Many = many(item_kind::OTHER, Shape::Present, 16, 250);
pub(super) const DEVICES: Shape = Shape::Object(&[
    ("device_keys", Shape::Map(&USERS)),
    ("failures", Shape::Map(&FAILURES)),
    ("master_keys", Shape::Map(&IDENTITIES)),
    ("self_signing_keys", Shape::Map(&IDENTITIES)),
]);

const DEVICE_KEYS: Many = many(item_kind::ONE_TIME_KEY, Shape::Whole(2 * KIB), 2 * KIB, 1);
const CLAIMED_DEVICES: Many = many(item_kind::DEVICE, Shape::Map(&DEVICE_KEYS), 4 * KIB, 250);
const CLAIMED_USERS: Many = many(
    item_kind::USER,
    Shape::Map(&CLAIMED_DEVICES),
    usize::MAX,
    250,
);
pub(super) const ONE_TIME_KEYS: Shape =
    Shape::Object(&[("one_time_keys", Shape::Map(&CLAIMED_USERS))]);

const ROOM_MEMBERS: Many = many(
    item_kind::MEMBER,
    Shape::Object(&[
        ("type", ID),
        ("state_key", ID),
        ("content", Shape::Object(&[("membership", SHORT)])),
    ]),
    KIB,
    10_000,
);
pub(super) const MEMBERS: Shape = Shape::Object(&[("chunk", Shape::List(&ROOM_MEMBERS))]);

pub(super) const MESSAGES: Shape = Shape::Object(&[
    ("chunk", Shape::List(&TIMELINE_EVENTS)),
    ("end", Shape::Lenient(128 * KIB)),
]);

pub(super) const SIGNATURES: Shape = Shape::Object(&[("failures", Shape::Map(&FAILURES))]);

pub(super) const ACCOUNT_DATA: Shape = Shape::Whole(super::MAX_SMALL);
