//! A room of the fake homeserver and what `/sync` shows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Milliseconds since the epoch, as `origin_server_ts` counts.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is right");
    u64::try_from(since.as_millis()).expect("it fits")
}

/// An event at its place in the server's stream.
pub struct RoomEvent {
    pub pos: u64,
    pub json: Value,
    /// Lies in a gap that `/sync` jumps over.
    pub skipped: bool,
    /// The device and transaction id that sent it.
    pub transaction: Option<(String, String)>,
}

type StateMap<'a> = BTreeMap<(&'a str, &'a str), (u64, &'a Value)>;

#[derive(Default)]
pub struct Room {
    pub events: Vec<RoomEvent>,
}

impl Room {
    /// The state made by the events before `pos`, each with its own position.
    fn state_before(&self, pos: u64) -> StateMap<'_> {
        let mut state = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.pos < pos) {
            if let Some(key) = event.json["state_key"].as_str() {
                let kind = event.json["type"].as_str().unwrap_or_default();
                state.insert((kind, key), (event.pos, &event.json));
            }
        }
        state
    }

    pub fn state(&self) -> StateMap<'_> {
        self.state_before(u64::MAX)
    }

    fn membership_before(&self, user: &str, pos: u64) -> Option<(u64, String)> {
        let mut before = self.events.iter().rev().filter(|event| event.pos < pos);
        let event = before.find(|event| {
            event.json["state_key"] == user && event.json["type"] == "m.room.member"
        })?;
        let membership = event.json["content"]["membership"].as_str()?;
        Some((event.pos, membership.to_owned()))
    }

    /// The user's membership now and when it became that.
    pub fn membership(&self, user: &str) -> Option<(u64, String)> {
        self.membership_before(user, u64::MAX)
    }

    pub fn has(&self, user: &str) -> bool {
        self.membership(user).is_some_and(|(_, is)| is == "join")
    }

    /// Did the user join after `since`, not having been in the room then?
    pub fn joined_after(&self, user: &str, since: u64) -> bool {
        self.has(user)
            && self
                .membership_before(user, since + 1)
                .is_none_or(|(_, was)| was != "join")
    }

    pub fn joined(&self) -> Vec<String> {
        self.state()
            .into_iter()
            .filter(|((kind, _), (_, event))| {
                *kind == "m.room.member" && event["content"]["membership"] == "join"
            })
            .map(|((_, user), _)| user.to_owned())
            .collect()
    }

    /// The state that an invited user is shown: stripped state.
    pub fn invite_state(&self, user: &str) -> Value {
        let shown = ["m.room.create", "m.room.join_rules", "m.room.encryption"];
        let state = self.state();
        let inviter = state
            .get(&("m.room.member", user))
            .and_then(|(_, event)| event["sender"].as_str())
            .unwrap_or_default()
            .to_owned();
        let events: Vec<Value> = state
            .into_iter()
            .filter(|((kind, key), _)| {
                shown.contains(kind)
                    || (*kind == "m.room.member" && (*key == user || *key == inviter))
            })
            .map(|(_, (_, event))| {
                json!({
                    "type": event["type"],
                    "state_key": event["state_key"],
                    "sender": event["sender"],
                    "content": event["content"],
                })
            })
            .collect();
        json!({"invite_state": {"events": events}})
    }

    /// The room's part of a sync from `since`, or nothing if nothing is new.
    pub fn update(
        &self,
        user: &str,
        device: &str,
        since: Option<u64>,
        filter: &Value,
    ) -> Option<Value> {
        let whole = since.is_none_or(|since| self.joined_after(user, since));
        let from = if whole { 0 } else { since.unwrap_or(0) };
        let fresh: Vec<&RoomEvent> = self.events.iter().filter(|e| e.pos > from).collect();
        let after_gap = fresh
            .iter()
            .rposition(|event| event.skipped)
            .map_or(0, |at| at + 1);
        let mut limited = after_gap > 0;
        let mut timeline: Vec<&RoomEvent> = fresh[after_gap..]
            .iter()
            .copied()
            .filter(|event| passes(&filter["room"]["timeline"], &event.json))
            .collect();
        let limit = filter["room"]["timeline"]["limit"].as_u64().unwrap_or(10);
        let excess = timeline
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        if excess > 0 {
            timeline.drain(..excess);
            limited = true;
        }
        let start = timeline
            .first()
            .map_or_else(|| self.events.last().map_or(0, |e| e.pos + 1), |e| e.pos);
        let senders: BTreeSet<&str> = timeline
            .iter()
            .filter_map(|event| event.json["sender"].as_str())
            .collect();
        let lazy = filter["room"]["state"]["lazy_load_members"] == true;
        let state: Vec<Value> = self
            .state_before(start)
            .into_iter()
            .filter(|(_, (pos, event))| *pos > from && passes(&filter["room"]["state"], event))
            .filter(|((kind, key), _)| {
                !lazy || !whole || *kind != "m.room.member" || *key == user || senders.contains(key)
            })
            .map(|(_, (_, event))| event.clone())
            .collect();
        if timeline.is_empty() && state.is_empty() && !whole {
            return None;
        }
        let timeline: Vec<Value> = timeline.iter().map(|e| e.shown_to(device)).collect();
        Some(json!({
            "state": {"events": state},
            "timeline": {"events": timeline, "limited": limited, "prev_batch": format!("p{start}")},
            "ephemeral": {"events": []},
            "account_data": {"events": []},
            "unread_notifications": {},
            "summary": {},
        }))
    }
}

impl RoomEvent {
    /// The event as a device gets it: with its age, and with the transaction id
    /// if that device sent it.
    pub fn shown_to(&self, device: &str) -> Value {
        let mut event = self.json.clone();
        let sent = event["origin_server_ts"].as_u64().unwrap_or(0);
        if event["unsigned"]["age"].is_null() {
            event["unsigned"]["age"] = json!(now_ms().saturating_sub(sent));
        }
        if let Some((by, transaction)) = &self.transaction
            && by == device
        {
            event["unsigned"]["transaction_id"] = json!(transaction);
        }
        event
    }
}

/// Does an event pass the `types` and `not_types` of a filter?
fn passes(filter: &Value, event: &Value) -> bool {
    let kind = event["type"].as_str().unwrap_or_default();
    let names = |list: &Value| -> Option<Vec<String>> {
        let list = list.as_array()?;
        Some(
            list.iter()
                .filter_map(|t| Some(t.as_str()?.to_owned()))
                .collect(),
        )
    };
    let is = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == pattern,
    };
    names(&filter["types"]).is_none_or(|types| types.iter().any(is))
        && !names(&filter["not_types"]).is_some_and(|types| types.iter().any(is))
}
