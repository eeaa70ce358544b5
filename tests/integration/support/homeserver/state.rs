//! The knowledge of the server, and the log of its requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::SERVER;
use crate::support::faults::{Faults, Faulty, matches};
use crate::support::rooms::{Room, RoomEvent, now_ms};
use crate::support::tokens::Sessions;
use crate::support::wire::query;

#[derive(Default)]
pub struct Device {
    /// The signed device keys as they were uploaded, byte for byte in meaning.
    pub keys: Option<Value>,
    pub one_time: BTreeMap<String, Value>,
    /// Every one-time key ever uploaded: a key id never comes back with another key.
    pub seen_one_time: BTreeMap<String, Value>,
    pub fallback: BTreeMap<String, (Value, bool)>,
    pub to_device: VecDeque<(u64, Value)>,
}

/// One request of the log.
#[derive(Clone, Debug)]
pub struct Logged {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub target: String,
    pub body: Value,
    pub device: Option<String>,
    /// None while it is not answered, or was never.
    pub status: Option<u16>,
    /// The time at which its answer was ready to be written; None while it is not.
    pub answered: Option<Instant>,
}

impl Logged {
    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        query(&self.target, name)
    }

    pub fn is(&self, pattern: &str) -> bool {
        matches(pattern, &self.method, &self.path)
    }
}

pub(super) type Rewrite = Box<dyn FnMut(&mut Value) + Send>;

#[derive(Default)]
pub struct State {
    pub passwords: BTreeMap<String, String>,
    pub devices: BTreeMap<(String, String), Device>,
    pub tokens: BTreeMap<String, (String, String)>,
    /// Tokens no longer good, with `soft_logout` or without.
    pub revoked: BTreeMap<String, Option<bool>>,
    pub cross_signing: BTreeMap<String, Map<String, Value>>,
    pub rooms: BTreeMap<String, Room>,
    pub account_data: BTreeMap<(String, String), Value>,
    pub changed_devices: Vec<(u64, String)>,
    pub log: Vec<Logged>,
    pub faults: Faults,
    pub sessions: Sessions,
    /// Leave the counts of one-time keys out of `/sync` where they are 0.
    pub omit_zero_counts: bool,
    /// No sync is answered with what happens meanwhile.
    pub quiet: bool,
    /// Answers carry a `Date`, this many milliseconds off the true one.
    pub date: Option<i64>,
    /// Answers that grow and are being written.
    pub growing: usize,
    pub(super) position: u64,
    pub(super) nudged: bool,
    /// The number of the newest sync of a device; an older one waits for nobody.
    pub(super) polls: HashMap<String, u64>,
    pub(super) rewrites: Vec<(String, Rewrite)>,
    pub(super) transactions: HashMap<String, (u16, Value)>,
}

impl Faulty for State {
    fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }
}

impl State {
    pub fn requests(&self, pattern: &str) -> Vec<Logged> {
        self.log
            .iter()
            .filter(|entry| entry.is(pattern))
            .cloned()
            .collect()
    }

    /// The number of messages that the user has sent to the room.
    pub fn said(&self, user: &str, room: &str) -> usize {
        let events = self.rooms.get(room).map(|room| &room.events);
        let messages = events
            .into_iter()
            .flatten()
            .filter(|event| event.json["sender"] == user && event.json["state_key"].is_null());
        messages.count()
    }

    pub fn next_position(&mut self) -> u64 {
        self.position += 1;
        self.position
    }

    pub fn append(
        &mut self,
        room: &str,
        mut event: Value,
        skipped: bool,
        transaction: Option<(String, String)>,
    ) -> String {
        let pos = self.next_position();
        if event["event_id"].is_null() {
            event["event_id"] = json!(format!("$event{pos}:{SERVER}"));
        }
        if event["origin_server_ts"].is_null() {
            event["origin_server_ts"] = json!(now_ms());
        }
        let id = event["event_id"].as_str().unwrap_or_default().to_owned();
        self.rooms
            .entry(room.into())
            .or_default()
            .events
            .push(RoomEvent {
                pos,
                json: event,
                skipped,
                transaction,
            });
        id
    }

    pub fn queue(&mut self, user: &str, device: &str, event: Value) {
        let pos = self.next_position();
        let ids: Vec<_> = self
            .devices
            .keys()
            .filter(|(u, d)| u == user && (device == "*" || d == device))
            .cloned()
            .collect();
        for id in ids {
            if let Some(found) = self.devices.get_mut(&id) {
                found.to_device.push_back((pos, event.clone()));
            }
        }
    }

    pub fn device_changed(&mut self, user: &str) {
        let pos = self.next_position();
        self.changed_devices.push((pos, user.into()));
    }

    /// A device of that user with keys, if there is exactly one.
    pub fn only_device(&self, user: &str) -> Option<(String, &Device)> {
        let mut found = self
            .devices
            .iter()
            .filter(|((owner, _), device)| owner == user && device.keys.is_some());
        let ((_, id), device) = found.next()?;
        found.next().is_none().then(|| (id.clone(), device))
    }

    /// Hands out a one-time key, else the fallback key.
    pub fn claim(&mut self, user: &str, device: &str) -> Option<(String, Value)> {
        let found = self.devices.get_mut(&(user.into(), device.into()))?;
        if let Some(key) = found.one_time.pop_first() {
            return Some(key);
        }
        let (id, (key, used)) = found.fallback.iter_mut().next()?;
        *used = true;
        Some((id.clone(), key.clone()))
    }

    pub fn put_device(&mut self, user: &str, device: &str, keys: Value) {
        let entry = self
            .devices
            .entry((user.into(), device.into()))
            .or_default();
        entry.keys = Some(keys);
        self.device_changed(user);
    }

    pub(super) fn shares_room(&self, a: &str, b: &str) -> bool {
        self.rooms.values().any(|room| room.has(a) && room.has(b))
    }

    pub(super) fn device_info(&self, user: &str) -> Map<String, Value> {
        self.devices
            .iter()
            .filter(|((owner, _), _)| owner == user)
            .filter_map(|((_, id), device)| {
                let mut keys = device.keys.clone()?;
                keys["unsigned"]["device_display_name"] = json!(id);
                Some((id.clone(), keys))
            })
            .collect()
    }
}
