//! `GET /sync`: the request, and its answer read so that one malformed part
//! does not spoil the rest.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use super::api::Call;
use crate::control::Age;
use crate::json::{Lenient, lenient};

/// The time that the server may hold a sync back when nothing happens.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// Events of one room in one sync. What lies before them is read back.
const TIMELINE_LIMIT: u32 = 50;

/// The filter of a sync, encoded for its query: the same for all of them.
static FILTER: LazyLock<String> = LazyLock::new(|| {
    // The state types are among the timeline types too: there they arrive
    // between two syncs.
    let filter = serde_json::json!({
        "presence": { "not_types": ["*"] },
        "account_data": { "not_types": ["*"] },
        "room": {
            "account_data": { "not_types": ["*"] },
            "ephemeral": { "not_types": ["*"] },
            "state": {
                "types": [
                    "m.room.member", "m.room.encryption", "m.room.history_visibility",
                ],
                "lazy_load_members": true,
            },
            "timeline": {
                "types": [
                    "m.room.message", "m.room.encrypted",
                    "m.room.member", "m.room.encryption", "m.room.history_visibility",
                ],
                "limit": TIMELINE_LIMIT,
                "lazy_load_members": true,
            },
        },
    });
    encode(&filter.to_string())
});

/// The call for the next sync. `wait` is false for the first one after a start,
/// which only catches up.
///
/// Specification: <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3sync>
pub fn sync_call(since: Option<&str>, wait: bool) -> Call {
    let timeout = if wait { SYNC_TIMEOUT.as_millis() } else { 0 };
    filtered(&FILTER, timeout, since)
}

/// The call that asks for all invites that stand: a sync from the beginning, of which
/// everything else is filtered out.
pub(crate) fn invites_call() -> Call {
    let nothing = serde_json::json!({ "not_types": ["*"] });
    let filter = serde_json::json!({
        "presence": nothing,
        "account_data": nothing,
        "room": {
            "account_data": nothing,
            "ephemeral": nothing,
            "state": { "not_types": ["*"], "lazy_load_members": true },
            "timeline": { "not_types": ["*"], "limit": 1 },
        },
    });
    filtered(&encode(&filter.to_string()), 0, None)
}

/// A sync with this filter, which is encoded for a query.
fn filtered(filter: &str, timeout: u128, since: Option<&str>) -> Call {
    let mut path =
        format!("/_matrix/client/v3/sync?filter={filter}&set_presence=offline&timeout={timeout}");
    if let Some(since) = since {
        path.push_str("&since=");
        path.push_str(&encode(since));
    }
    Call::get(path)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(crate) fn encode(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The parts of a sync that are used, borrowed from its body. What has a life
/// of its own (a room, an event) stays unparsed until its turn.
#[derive(Deserialize)]
pub struct SyncBody<'a> {
    /// The next `since`.
    pub next_batch: String,
    #[serde(borrow, default)]
    pub(crate) rooms: Rooms<'a>,
    #[serde(borrow, default)]
    pub(crate) to_device: Events<'a>,
    #[serde(default)]
    pub(crate) device_lists: DeviceLists,
    #[serde(default)]
    device_one_time_keys_count: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(crate) device_unused_fallback_key_types: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
pub(crate) struct Rooms<'a> {
    #[serde(borrow, default)]
    pub(crate) join: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) invite: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) leave: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize, Default)]
pub(crate) struct Events<'a> {
    #[serde(borrow, default)]
    pub(crate) events: Vec<&'a RawValue>,
}

#[derive(Deserialize, Default)]
pub(crate) struct DeviceLists {
    #[serde(default)]
    pub(crate) changed: Vec<String>,
    #[serde(default)]
    pub(crate) left: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct JoinedRoom<'a> {
    #[serde(borrow, default)]
    pub(crate) state: Events<'a>,
    #[serde(borrow, default)]
    pub(crate) timeline: Timeline<'a>,
}

#[derive(Deserialize, Default)]
pub(crate) struct Timeline<'a> {
    #[serde(borrow, default)]
    pub(crate) events: Vec<&'a RawValue>,
    /// Something else than a boolean counts as true.
    #[serde(default, deserialize_with = "is_limited")]
    pub(crate) limited: bool,
    /// The end of a gap; read only if there is one.
    #[serde(borrow, default)]
    pub(crate) prev_batch: Option<&'a RawValue>,
}

fn is_limited<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(!value.is_null() && bool::of(value).unwrap_or(true))
}

#[derive(Deserialize)]
pub(crate) struct InvitedRoom<'a> {
    #[serde(borrow, default)]
    pub(crate) invite_state: Events<'a>,
}

/// Any event, as far as it is looked at before its type is known.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) sender: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) state_key: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) origin_server_ts: u64,
    #[serde(borrow)]
    pub(crate) content: &'a RawValue,
    #[serde(borrow, default)]
    unsigned: Option<&'a RawValue>,
}

impl Event<'_> {
    /// The age of the event when the server sent it: by the server's own clock
    /// where it says so, because this machine's may be wrong; else reckoned at `now`
    /// (milliseconds since the Unix epoch), where the server's clock is so much
    /// `ahead`.
    pub(crate) fn age(&self, now: u64, ahead: Option<i64>) -> Age {
        #[derive(Deserialize, Default)]
        struct Unsigned {
            #[serde(default, deserialize_with = "lenient")]
            age: Option<u64>,
        }
        let unsigned = self
            .unsigned
            .map(|raw| serde_json::from_slice(raw.get().as_bytes()));
        let Unsigned { age } = unsigned.and_then(Result::ok).unwrap_or_default();
        match age {
            Some(age) => Age::told(age),
            None => Age::reckoned(self.origin_server_ts, now, ahead),
        }
    }
}

impl SyncBody<'_> {
    /// The number of to-device events.
    pub fn to_device_events(&self) -> usize {
        self.to_device.events.len()
    }

    /// `signed_curve25519` keys on the server; what is not named is 0.
    pub fn one_time_keys(&self) -> u64 {
        self.device_one_time_keys_count
            .as_ref()
            .and_then(|counts| counts.get("signed_curve25519").cloned())
            .and_then(u64::of)
            .unwrap_or_default()
    }

    /// True if the server tells how many keys it has. One that does not is taken to
    /// have none, and may never tell.
    pub(crate) fn tells_one_time_keys(&self) -> bool {
        self.device_one_time_keys_count.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_not_named_is_zero() {
        let body: SyncBody<'_> = serde_json::from_str(r#"{"next_batch":"s1"}"#).unwrap();
        assert_eq!(body.one_time_keys(), 0);
        let other = r#"{"next_batch":"s1","device_one_time_keys_count":{"curve25519":9}}"#;
        let body: SyncBody<'_> = serde_json::from_str(other).unwrap();
        assert_eq!(body.one_time_keys(), 0);
    }

    #[test]
    fn the_age_is_the_servers_where_it_tells() {
        let event = |unsigned: &str| {
            format!(
                r#"{{"type":"t","sender":"s","origin_server_ts":1000,"content":{{}}{unsigned}}}"#
            )
        };
        let read = |text: &str| {
            serde_json::from_str::<Event<'_>>(text)
                .unwrap()
                .age(5000, None)
                .ms
        };
        assert_eq!(read(&event("")), 4000);
        assert_eq!(read(&event(r#","unsigned":{"age":7}"#)), 7);
        assert_eq!(read(&event(r#","unsigned":{"age":-7}"#)), 0);
        for age in ["7.0", r#""7""#] {
            assert_eq!(read(&event(&format!(r#","unsigned":{{"age":{age}}}"#))), 7);
        }
        for unsigned in ["null", "[]", "5", "{}", r#"{"age":null}"#, r#"{"age":"x"}"#] {
            let event = event(&format!(r#","unsigned":{unsigned}"#));
            assert_eq!(read(&event), 4000, "{unsigned}");
        }
    }

    #[test]
    fn the_token_cannot_break_the_query() {
        let call = sync_call(Some("s&timeout=9#é"), true);
        assert!(
            call.path
                .ends_with("&timeout=30000&since=s%26timeout%3D9%23%C3%A9")
        );
    }
}
