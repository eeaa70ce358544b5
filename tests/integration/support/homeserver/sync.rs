//! The answers of `/sync` to a device.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::state::State;

/// To-device messages that one sync carries at most, as Synapse has it.
const TO_DEVICE_BATCH: usize = 100;

impl State {
    fn device_lists(&self, user: &str, since: u64) -> Value {
        let mut changed: BTreeSet<&str> = self
            .changed_devices
            .iter()
            .filter(|(pos, who)| *pos > since && (who == user || self.shares_room(user, who)))
            .map(|(_, who)| who.as_str())
            .collect();
        let mut left = BTreeSet::new();
        let rooms: Vec<_> = self
            .rooms
            .values()
            .map(|room| (room, room.state()))
            .collect();
        for (room, state) in &rooms {
            let newly = room.joined_after(user, since);
            for ((kind, who), (pos, event)) in state {
                if *kind != "m.room.member" || *who == user || (*pos <= since && !newly) {
                    continue;
                }
                if event["content"]["membership"] == "join" && room.has(user) {
                    changed.insert(who);
                } else if *pos > since && !self.shares_room(user, who) {
                    left.insert(who);
                }
            }
        }
        json!({"changed": changed, "left": left})
    }

    /// Nothing has happened since: [`State::sync`] would have no news.
    pub(super) fn is_quiet_since(&self, user: &str, device: &str, since: (u64, u64)) -> bool {
        let own = self.devices.get(&(user.to_owned(), device.to_owned()));
        self.position == since.0 && own.is_none_or(|own| own.to_device.is_empty())
    }

    /// One look at what is new for a device; the flag says whether it is enough
    /// to end a long poll.
    pub(super) fn sync(
        &self,
        user: &str,
        device: &str,
        since: Option<(u64, u64)>,
        filter: &Value,
    ) -> (Value, bool) {
        let rooms_since = since.map(|(rooms, _)| rooms);
        let mut join = Map::new();
        let mut invite = Map::new();
        let mut leave = Map::new();
        for (id, room) in &self.rooms {
            let Some((pos, membership)) = room.membership(user) else {
                continue;
            };
            let new = rooms_since.is_none_or(|since| pos > since);
            match membership.as_str() {
                "join" => {
                    if let Some(update) = room.update(user, device, rooms_since, filter) {
                        join.insert(id.clone(), update);
                    }
                }
                "invite" if new => {
                    invite.insert(id.clone(), room.invite_state(user));
                }
                "leave" | "ban" if new && rooms_since.is_some() => {
                    let events: Vec<Value> = room
                        .events
                        .iter()
                        .filter(|e| e.pos == pos)
                        .map(|e| e.shown_to(device))
                        .collect();
                    let timeline = json!({"events": events, "limited": false});
                    leave.insert(
                        id.clone(),
                        json!({"timeline": timeline, "state": {"events": []}}),
                    );
                }
                _ => {}
            }
        }
        let mut body = json!({});
        let mut news =
            since.is_none() || !(join.is_empty() && invite.is_empty() && leave.is_empty());
        body["rooms"] = json!({"join": join, "invite": invite, "leave": leave});
        if let Some((since, _)) = since {
            let lists = self.device_lists(user, since);
            news |= lists["changed"] != json!([]) || lists["left"] != json!([]);
            body["device_lists"] = lists;
        }
        let mut to_device_at = since.map_or(0, |(_, at)| at);
        if let Some(own) = self.devices.get(&(user.to_owned(), device.to_owned())) {
            let batch: Vec<_> = own.to_device.iter().take(TO_DEVICE_BATCH).collect();
            news |= !batch.is_empty();
            if let Some((pos, _)) = batch.last() {
                to_device_at = *pos;
            }
            let events: Vec<&Value> = batch.iter().map(|(_, event)| event).collect();
            body["to_device"] = json!({"events": events});
            let count = own.one_time.len();
            body["device_one_time_keys_count"] = if count == 0 && self.omit_zero_counts {
                json!({})
            } else {
                json!({"signed_curve25519": count})
            };
            let unused = own.fallback.values().any(|(_, used)| !used);
            body["device_unused_fallback_key_types"] = if unused {
                json!(["signed_curve25519"])
            } else {
                json!([])
            };
        }
        body["next_batch"] = json!(format!("s{}_{to_device_at}", self.position));
        (body, news)
    }

    /// True if the only request since `from` without an answer is a sync that has
    /// nothing to tell.
    pub(super) fn is_idle(&self, user: &str, from: usize) -> bool {
        let mut open = self.log.iter().skip(from).filter(|r| r.status.is_none());
        let (Some(sync), None) = (open.next(), open.next()) else {
            return false;
        };
        let (Some(filter), Some(since)) = (sync.query("filter"), sync.query("since")) else {
            return false;
        };
        let filter = serde_json::from_str(&filter).unwrap_or(Value::Null);
        let device = sync.device.as_deref().unwrap_or_default();
        position(&since).is_some_and(|since| {
            self.is_quiet_since(user, device, since)
                || !self.sync(user, device, Some(since), &filter).1
        })
    }
}

/// The positions in a sync token: how far rooms and to-device messages were read.
pub(super) fn position(token: &str) -> Option<(u64, u64)> {
    let (rooms, queue) = token.strip_prefix('s')?.split_once('_')?;
    Some((rooms.parse().ok()?, queue.parse().ok()?))
}
