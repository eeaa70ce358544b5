//! Whole answers of any size from a recipe of a few bytes: an honest answer, and
//! steps that grow, repeat, replace or cut parts of it.

use serde_json::{Value, json};

use crate::{
    CLEAR, NEW, SECRET,
    filling::{SHAPES, each, fill, grows, length_up_to, members, write},
    honest_query,
    people::{ANNA, BOT, MALLORY, event},
};

/// The largest answer that is made, in bytes: more takes too long to try much.
const MOST: u64 = 8 * 1024 * 1024;

/// Bytes of a step.
const STEP: usize = 5;

/// The request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET /sync`.
    Sync,
    /// `POST /keys/query`.
    Query,
    /// `POST /keys/claim`.
    Claim,
    /// `GET /rooms/{}/members`.
    Members,
    /// `GET /rooms/{}/state/m.room.encryption`.
    Encryption,
    /// `POST /keys/signatures/upload`.
    Signatures,
    /// `POST /login` and `POST /refresh`.
    Login,
    /// Keycloak's keys.
    Keys,
}

/// In the order of a recipe's first byte.
pub const ENDPOINTS: [Endpoint; 8] = [
    Endpoint::Sync,
    Endpoint::Query,
    Endpoint::Claim,
    Endpoint::Members,
    Endpoint::Encryption,
    Endpoint::Signatures,
    Endpoint::Login,
    Endpoint::Keys,
];

/// An answer.
pub struct Answer {
    /// To what.
    pub endpoint: Endpoint,
    /// Its bytes.
    pub body: Vec<u8>,
    /// In pieces of how many bytes it comes.
    pub piece: usize,
}

/// The answer that a recipe makes; None if it is too large, or if there is no recipe.
///
/// The first byte is the endpoint, the second how large its pieces are; then
/// each five bytes are a step: what is done, to which value, a shape, and twice
/// one for a size.
pub fn answer(recipe: &[u8]) -> Option<Answer> {
    let (&[endpoint, piece], steps) = recipe.split_first_chunk()?;
    let endpoint = ENDPOINTS[usize::from(endpoint) % ENDPOINTS.len()];
    let mut whole = honest(endpoint);
    let mut cut = None;
    for step in steps.chunks_exact(STEP).take(8) {
        let &[what, place, shape, low, high] = step else {
            break;
        };
        let number = usize::from(u16::from_le_bytes([low, high]));
        // Up to the largest, with most of the values at the small ones.
        let size = number * number / 512;
        let shape = SHAPES[usize::from(shape) % SHAPES.len()];
        let mut count = usize::from(place);
        let Some(value) = pick(&mut whole, &mut count) else {
            continue;
        };
        match (what % 4, value) {
            (0, value) => *value = fill(shape, size),
            (1, Value::Object(object)) => {
                object.insert(format!("x{place}"), fill(shape, size));
            }
            (1, Value::Array(array)) => array.push(fill(shape, size)),
            (2, value @ Value::Object(_)) => {
                let of = value.as_object().and_then(|object| object.values().next());
                let copy = of.cloned().unwrap_or_default();
                members(value, number.max(1), "k<i>", copy);
            }
            (2, Value::Array(array)) => {
                let copy = array.first().cloned().unwrap_or_default();
                array.push(each(number.max(1), &copy));
            }
            (3, _) => cut = Some(size),
            _ => {}
        }
    }
    let text = whole.to_string();
    length_up_to(&text, MOST)?;
    let mut body = Vec::new();
    write(&text, &mut body).ok()?;
    if let Some(cut) = cut {
        body.truncate(cut);
    }
    Some(Answer {
        endpoint,
        body,
        piece: usize::from(piece).pow(2).max(1),
    })
}

/// The value that `count` others come before.
fn pick<'a>(value: &'a mut Value, count: &mut usize) -> Option<&'a mut Value> {
    if *count == 0 {
        return Some(value);
    }
    *count -= 1;
    match value {
        // A name that grows stands for members of its own, and its value for nothing.
        Value::Object(object) => object
            .iter_mut()
            .filter(|(name, _)| !grows(name))
            .find_map(|(_, value)| pick(value, count)),
        Value::Array(array) => array.iter_mut().find_map(|value| pick(value, count)),
        _ => None,
    }
}

fn honest(endpoint: Endpoint) -> Value {
    match endpoint {
        Endpoint::Sync => sync(),
        Endpoint::Query => {
            let mut query = honest_query();
            query["failures"] = json!({});
            query
        }
        Endpoint::Claim => json!({
            "one_time_keys": { ANNA.0: { ANNA.1: { "signed_curve25519:A": {
                "key": "A", "signatures": { ANNA.0: { "ed25519:A": "A" } } } } } },
            "failures": {},
        }),
        Endpoint::Members => json!({ "chunk": [member(ANNA.0), member(MALLORY.0)] }),
        Endpoint::Encryption => json!({ "algorithm": "m.megolm.v1.aes-sha2",
            "rotation_period_ms": 604_800_000, "rotation_period_msgs": 100 }),
        Endpoint::Signatures => json!({ "failures": {} }),
        Endpoint::Login => json!({ "user_id": BOT.0, "device_id": BOT.1, "access_token": "syt_a",
            "refresh_token": "syr_a", "expires_in_ms": 300_000 }),
        Endpoint::Keys => json!({ "keys": [{ "kid": "a", "kty": "RSA", "alg": "RS256",
            "use": "sig", "n": "AQAB", "e": "AQAB" }] }),
    }
}

fn member(user: &str) -> Value {
    let mut event = event(
        user,
        "$m",
        "m.room.member",
        &json!({ "membership": "join" }),
    );
    event["state_key"] = json!(user);
    event
}

fn sync() -> Value {
    let said = |id: &str| {
        let content = json!({ "msgtype": "m.text", "body": "status" });
        event(MALLORY.0, id, "m.room.message", &content)
    };
    let room = |id: &str| {
        json!({
            "state": { "events": [member(MALLORY.0)] },
            "timeline": { "events": [said(id)], "limited": false, "prev_batch": "p" },
        })
    };
    let olm = json!({ "type": "m.room.encrypted", "sender": MALLORY.0, "content": {
        "algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "A",
        "ciphertext": { "A": { "type": 0, "body": "A" } } } });
    json!({
        "next_batch": "n",
        "rooms": {
            "join": { SECRET: room("$1"), CLEAR: room("$2"), NEW: room("$3") },
            "invite": { "!i:hs": { "invite_state": { "events": [member(ANNA.0)] } } },
            "leave": { "!l:hs": {} },
        },
        "to_device": { "events": [olm] },
        "device_lists": { "changed": [MALLORY.0], "left": ["@gone:hs"] },
        "device_one_time_keys_count": { "signed_curve25519": 50 },
        "device_unused_fallback_key_types": ["signed_curve25519"],
        "account_data": { "events": [] },
    })
}
