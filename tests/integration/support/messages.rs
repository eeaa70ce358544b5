//! `GET /rooms/{}/messages` of the fake homeserver, backwards, as Synapse answers
//! it: newest first, between two tokens of syncs or of earlier pages, what a filter
//! leaves out being left out before it is counted.

use serde_json::{Value, json};

use super::homeserver::{Outcome, error};
use super::rooms::{Room, RoomEvent};
use super::wire::Request;

/// The first position that a token lies behind.
fn bound(token: &str) -> Option<u64> {
    if let Some(at) = token.strip_prefix('p') {
        return at.parse().ok();
    }
    let (rooms, _) = token.strip_prefix('s')?.split_once('_')?;
    Some(rooms.parse::<u64>().ok()? + 1)
}

fn names(filter: &Value, list: &str, value: &Value) -> bool {
    filter[list]
        .as_array()
        .is_none_or(|names| names.contains(value))
}

impl Room {
    /// One page of what lies before `from`.
    pub fn messages(&self, device: &str, request: &Request) -> Outcome {
        if request.query("dir").as_deref() != Some("b") {
            return error(400, "M_MISSING_PARAM", "only backwards here");
        }
        let (Some(from), Some(to)) = (
            request.query("from").as_deref().and_then(bound),
            request.query("to").as_deref().map_or(Some(0), bound),
        ) else {
            return error(400, "M_INVALID_PARAM", "not a token of mine");
        };
        let filter: Value = request
            .query("filter")
            .and_then(|filter| serde_json::from_str(&filter).ok())
            .unwrap_or_default();
        let limit = request
            .query("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(10);
        let mut found: Vec<&RoomEvent> = self
            .events
            .iter()
            .rev()
            .filter(|event| (to..from).contains(&event.pos))
            .filter(|event| {
                names(&filter, "types", &event.json["type"])
                    && names(&filter, "senders", &event.json["sender"])
            })
            .take(limit + 1)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let mut body = json!({
            "start": request.query("from"),
            "chunk": found.iter().map(|event| event.shown_to(device)).collect::<Vec<_>>(),
            "state": [],
        });
        if let Some(last) = found.last().filter(|_| more) {
            body["end"] = json!(format!("p{}", last.pos));
        }
        (200, body)
    }
}
