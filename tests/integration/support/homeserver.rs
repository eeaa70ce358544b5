//! A homeserver on loopback that does what Synapse does, and whatever a hostile
//! one could do when a test tells it to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};

use super::faults::{Fault, Faults, matches};
use super::rooms::{Room, RoomEvent, now_ms};
use super::signing::signable;
use super::tokens::Sessions;
use super::wire::{Answer, Listener, Request, Response, query, serve};

/// No wait of a test is longer than this.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The name of the fake server in user and room ids.
pub const SERVER: &str = "test";

/// To-device messages that one sync carries at most, as Synapse has it.
const TO_DEVICE_BATCH: usize = 100;

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
    /// When its answer was ready to be written.
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

type Rewrite = Box<dyn FnMut(&mut Value) + Send>;

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
    position: u64,
    nudged: bool,
    /// The number of the newest sync of a device; an older one waits for nobody.
    polls: HashMap<String, u64>,
    closed: bool,
    rewrites: Vec<(String, Rewrite)>,
    transactions: HashMap<String, (u16, Value)>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A handle on the fake; clones share it.
#[derive(Clone)]
pub struct Homeserver {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
}

impl Homeserver {
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            let _ = serve(stream, |request| serving.watch(serving.answer(&request)));
        });
        Self {
            shared,
            listener: Arc::new(listener),
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Is there over TLS as well, for as long as the listener is kept.
    pub fn with_tls(&self, identity: ServerConfig) -> Listener {
        let (shared, identity) = (Arc::clone(&self.shared), Arc::new(identity));
        Listener::start(move |stream| {
            if let Ok(session) = ServerConnection::new(Arc::clone(&identity)) {
                let stream = StreamOwned::new(session, stream);
                let _ = serve(stream, |request| shared.watch(shared.answer(&request)));
            }
        })
    }

    pub fn port(&self) -> u16 {
        self.listener.port
    }

    /// Closes the connections that are open now; new ones are accepted.
    pub fn cut_all(&self) {
        self.listener.cut_all();
    }

    /// Looks at the state or changes it, and wakes whoever waits for a change.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let out = f(&mut self.shared.lock());
        self.shared.changed.notify_all();
        out
    }

    /// Waits until `f` finds something in the state.
    pub fn wait<T>(&self, what: &str, f: impl FnMut(&mut State) -> Option<T>) -> T {
        self.wait_within(DEADLINE, f)
            .unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what}"))
    }

    /// As [`Homeserver::wait`], for as long as this; None if it was in vain.
    pub fn wait_within<T>(
        &self,
        time: Duration,
        mut f: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + time;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = f(&mut state) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The logged requests that match a pattern.
    pub fn requests(&self, pattern: &str) -> Vec<Logged> {
        self.with(|state| state.requests(pattern))
    }

    /// Waits until at least `count` requests match, and gives them.
    pub fn wait_requests(&self, pattern: &str, count: usize) -> Vec<Logged> {
        self.wait(&format!("{count} × {pattern}"), |state| {
            let found = state.requests(pattern);
            (found.len() >= count).then_some(found)
        })
    }

    /// Waits until the client has taken in everything the server has for it now:
    /// one more sync is answered, and the one after it asked for.
    pub fn wait_next_sync(&self) {
        for _ in 0..2 {
            let seen = self.requests("/sync").len();
            self.nudge();
            self.wait("the next sync", |state| {
                (state.requests("/sync").len() > seen).then_some(())
            });
        }
    }

    pub fn fault(&self, pattern: &str, times: usize, fault: Fault) {
        self.with(|state| state.faults.add(pattern, times, fault));
    }

    pub fn clear_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// Changes every later successful JSON answer to a matching request.
    pub fn rewrite(&self, pattern: &str, edit: impl FnMut(&mut Value) + Send + 'static) {
        self.with(|state| state.rewrites.push((pattern.to_owned(), Box::new(edit))));
    }

    pub fn clear_rewrites(&self) {
        self.with(|state| state.rewrites.clear());
    }

    /// What `f` does to the server is seen by one sync, not in parts by several.
    pub fn at_once<T>(&self, f: impl FnOnce() -> T) -> T {
        self.with(|state| state.quiet = true);
        let out = f();
        self.with(|state| state.quiet = false);
        out
    }

    /// Waits until `user` has taken in all there is and does nothing but wait for
    /// more; `from` is where in the log the newest run of its client begins.
    pub fn wait_idle(&self, user: &str, from: impl Fn() -> usize) {
        // What it is about to ask cannot be seen: it is given the time to ask.
        const PAUSE: Duration = Duration::from_millis(10);
        loop {
            let idle = |state: &mut State| {
                let length = state.log.len();
                state.is_idle(user, from()).then_some(length)
            };
            let seen = self.wait("the bot to be idle", idle);
            std::thread::sleep(PAUSE);
            if self.with(|state| idle(state)) == Some(seen) {
                return;
            }
        }
    }

    /// Ends the long poll, the present or the next one, even without news.
    pub fn nudge(&self) {
        self.with(|state| state.nudged = true);
    }

    pub fn add_user(&self, user: &str, password: &str) {
        self.with(|state| state.passwords.insert(user.into(), password.into()));
    }

    /// A room with these members, made by the first of them.
    pub fn add_room(&self, room: &str, members: &[&str], encrypted: bool) {
        let creator = members[0];
        self.state_event(
            room,
            creator,
            "m.room.create",
            "",
            json!({"room_version": "11"}),
        );
        for member in members {
            self.member(room, member, "join");
        }
        self.state_event(
            room,
            creator,
            "m.room.join_rules",
            "",
            json!({"join_rule": "invite"}),
        );
        if encrypted {
            let content = json!({"algorithm": "m.megolm.v1.aes-sha2"});
            self.state_event(room, creator, "m.room.encryption", "", content);
        }
    }

    /// A membership that the user sets for itself.
    pub fn member(&self, room: &str, user: &str, membership: &str) -> String {
        let content = json!({"membership": membership});
        self.state_event(room, user, "m.room.member", user, content)
    }

    pub fn invite(&self, room: &str, by: &str, user: &str) -> String {
        let content = json!({"membership": "invite"});
        self.state_event(room, by, "m.room.member", user, content)
    }

    pub fn state_event(
        &self,
        room: &str,
        sender: &str,
        kind: &str,
        key: &str,
        content: Value,
    ) -> String {
        let event = json!({"sender": sender, "type": kind, "state_key": key, "content": content});
        self.event(room, event)
    }

    pub fn message(&self, room: &str, sender: &str, content: Value) -> String {
        self.event(
            room,
            json!({"sender": sender, "type": "m.room.message", "content": content}),
        )
    }

    /// Any event as it is; id and time are made up where they are missing.
    pub fn event(&self, room: &str, event: Value) -> String {
        self.with(|state| state.append(room, event, false, None))
    }

    /// An event in a gap: no sync shows it, the next one is `limited`.
    pub fn skipped_event(&self, room: &str, event: Value) -> String {
        self.with(|state| state.append(room, event, true, None))
    }

    pub fn to_device(&self, user: &str, device: &str, event: Value) {
        self.with(|state| state.queue(user, device, event));
    }

    /// Tells everyone that shares a room with the user that a device changed.
    pub fn device_changed(&self, user: &str) {
        self.with(|state| state.device_changed(user));
    }

    /// Makes every access token of the user bad; `soft` is `soft_logout`. But
    /// for a soft logout the devices go with them.
    pub fn revoke(&self, user: &str, soft: Option<bool>) {
        self.with(|state| {
            let gone: Vec<String> = state
                .tokens
                .iter()
                .filter(|(_, (owner, _))| owner == user)
                .map(|(token, _)| token.clone())
                .collect();
            for token in gone {
                state.tokens.remove(&token);
                state.revoked.insert(token, soft);
            }
            if soft != Some(true) {
                state.devices.retain(|(owner, _), _| owner != user);
                state.device_changed(user);
            }
        });
    }

    /// The log as text, for a failure.
    pub fn log_tail(&self) -> String {
        self.with(|state| {
            let from = state.log.len().saturating_sub(60);
            let lines: Vec<String> = state.log[from..]
                .iter()
                .map(|entry| {
                    let mut body = entry.body.to_string();
                    if body.len() > 300 {
                        let cut = (0..=300).rev().find(|at| body.is_char_boundary(*at));
                        body.truncate(cut.unwrap_or(0));
                        body.push('…');
                    }
                    let status = entry.status.map_or("-".to_owned(), |s| s.to_string());
                    format!("{status} {} {} {body}", entry.method, entry.path)
                })
                .collect();
            lines.join("\n")
        })
    }
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        if Arc::strong_count(&self.listener) == 1 {
            self.with(|state| {
                state.closed = true;
                state.faults.clear();
            });
        }
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

    /// How many messages the user has sent to the room.
    pub fn said(&self, user: &str, room: &str) -> usize {
        let events = self.rooms.get(room).map(|room| &room.events);
        let messages = events
            .into_iter()
            .flatten()
            .filter(|event| event.json["sender"] == user && event.json["state_key"].is_null());
        messages.count()
    }

    pub(super) fn next_position(&mut self) -> u64 {
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

    fn shares_room(&self, a: &str, b: &str) -> bool {
        self.rooms.values().any(|room| room.has(a) && room.has(b))
    }

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
                if kind != "m.room.member" || who == user || (*pos <= since && !newly) {
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

    /// One look at what is new for a device; the flag says whether it is enough
    /// to end a long poll.
    fn sync(
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

    /// Whether the only request since `from` without an answer is a sync that has
    /// nothing to tell.
    fn is_idle(&self, user: &str, from: usize) -> bool {
        let mut open = self.log.iter().skip(from).filter(|r| r.status.is_none());
        let (Some(sync), None) = (open.next(), open.next()) else {
            return false;
        };
        let (Some(filter), Some(since)) = (sync.query("filter"), sync.query("since")) else {
            return false;
        };
        let filter = serde_json::from_str(&filter).unwrap_or(Value::Null);
        let device = sync.device.as_deref().unwrap_or_default();
        position(&since).is_some_and(|since| !self.sync(user, device, Some(since), &filter).1)
    }

    fn device_info(&self, user: &str) -> Map<String, Value> {
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

/// What a sync token says of how far rooms and to-device messages were read.
fn position(token: &str) -> Option<(u64, u64)> {
    let (rooms, queue) = token.strip_prefix('s')?.split_once('_')?;
    Some((rooms.parse().ok()?, queue.parse().ok()?))
}

/// A time as HTTP has it, so many milliseconds from now.
fn http_date(offset_ms: i64) -> String {
    let seconds = now_ms().saturating_add_signed(offset_ms) / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970_u64, days);
    let length = |year: u64| {
        let is_leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        365 + u64::from(is_leap)
    };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = length(year) - 337;
    let months = [
        ("Jan", 31),
        ("Feb", february),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let mut month = months[0].0;
    for (name, length) in months {
        month = name;
        if day < length {
            break;
        }
        day -= length;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "Thu, {:02} {month} {year} {hour:02}:{minute:02}:{:02} GMT",
        day + 1,
        second % 60
    )
}

pub type Outcome = (u16, Value);

pub(super) fn error(status: u16, code: &str, text: &str) -> Outcome {
    (status, json!({"errcode": code, "error": text}))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer that grows for as long as it is being written.
    fn watch(self: &Arc<Self>, answer: Answer) -> Answer {
        let Answer::Reply(response) = answer else {
            return answer;
        };
        if response.growing().is_none() {
            return Answer::Reply(response);
        }
        self.lock().growing += 1;
        let shared = Arc::clone(self);
        let written = move || {
            shared.lock().growing -= 1;
            shared.changed.notify_all();
        };
        Answer::Watched(response, Box::new(written))
    }

    fn answer(&self, request: &Request) -> Answer {
        let path = request.path();
        let (entry, fault) = {
            let mut state = self.lock();
            let device = request
                .bearer()
                .and_then(|token| state.tokens.get(token))
                .map(|(_, device)| device.clone());
            state.log.push(Logged {
                at: Instant::now(),
                method: request.method.clone(),
                path: path.clone(),
                target: request.target.clone(),
                body: request.json(),
                device,
                status: None,
                answered: None,
            });
            let fault = state.faults.take(&request.method, &path);
            (state.log.len() - 1, fault)
        };
        self.changed.notify_all();
        match fault {
            Some(Fault::Answer(response)) => {
                self.finish(entry, response.status);
                return Answer::Reply(response);
            }
            Some(Fault::Cut) => return Answer::Cut,
            Some(Fault::Kill(victim)) => {
                victim.kill();
                return Answer::Cut;
            }
            Some(Fault::Raw(bytes)) => return Answer::Raw(bytes),
            Some(Fault::Hang) => {
                self.hang();
                return Answer::Cut;
            }
            Some(Fault::Delay(time)) => std::thread::sleep(time),
            Some(Fault::Hold) => self.hang(),
            _ => {}
        }
        let (status, mut body) = self.route(request);
        if status == 200 {
            let mut state = self.lock();
            let mut rewrites = std::mem::take(&mut state.rewrites);
            for (pattern, edit) in &mut rewrites {
                if matches(pattern, &request.method, &path) {
                    edit(&mut body);
                }
            }
            rewrites.append(&mut state.rewrites);
            state.rewrites = rewrites;
        }
        match fault {
            Some(Fault::CutAfter) => {
                self.changed.notify_all();
                return Answer::Cut;
            }
            Some(Fault::KillAfter(victim)) => {
                victim.kill();
                self.changed.notify_all();
                return Answer::Cut;
            }
            Some(Fault::HangAfter) => {
                self.changed.notify_all();
                self.hang();
                return Answer::Cut;
            }
            _ => {}
        }
        self.finish(entry, status);
        let response = Response::json(status, &body);
        let date = self.lock().date;
        Answer::Reply(match date {
            Some(offset) => response.header("Date", &http_date(offset)),
            None => response,
        })
    }

    fn finish(&self, entry: usize, status: u16) {
        let mut state = self.lock();
        state.log[entry].status = Some(status);
        state.log[entry].answered = Some(Instant::now());
        drop(state);
        self.changed.notify_all();
    }

    fn hang(&self) {
        let mut state = self.lock();
        let before = state.faults.released;
        while state.faults.released == before && !state.closed {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn route(&self, request: &Request) -> Outcome {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        let (["_matrix", "client", rest @ ..], body) = (path.as_slice(), request.json()) else {
            return error(404, "M_UNRECOGNIZED", "no such path");
        };
        if rest == ["versions"] {
            return (
                200,
                json!({"versions": ["v1.1", "v1.11", "v1.12"], "unstable_features": {}}),
            );
        }
        let [_, rest @ ..] = rest else {
            return error(404, "M_UNRECOGNIZED", "no such path");
        };
        match (method, rest) {
            ("GET", ["login"]) => return (200, self.lock().flows()),
            ("POST", ["login"]) => return self.lock().log_in(&body),
            ("POST", ["refresh"]) => return self.lock().refresh(&body),
            ("GET", ["profile", user]) => return self.lock().profile(user),
            _ => {}
        }
        let Some(token) = request.bearer() else {
            return error(401, "M_MISSING_TOKEN", "a token is needed");
        };
        let (user, device) = match self.lock().who(token) {
            Ok(who) => who,
            Err(outcome) => return outcome,
        };
        if (method, rest) == ("GET", &["sync"]) {
            return self.long_poll(request, &user, &device);
        }
        let mut state = self.lock();
        if method == "PUT"
            && (matches!(rest, ["rooms", _, "send", ..]) || rest.first() == Some(&"sendToDevice"))
        {
            let once = format!("{user} {device} {}", rest.join("/"));
            if let Some(outcome) = state.transactions.get(&once) {
                return outcome.clone();
            }
            let outcome = state.handle(method, rest, request, &body, &user, &device);
            if outcome.0 == 200 {
                state.transactions.insert(once, outcome.clone());
            }
            return outcome;
        }
        state.handle(method, rest, request, &body, &user, &device)
    }

    fn long_poll(&self, request: &Request, user: &str, device: &str) -> Outcome {
        let since = match request.query("since") {
            None => None,
            Some(token) => {
                let Some(parsed) = position(&token) else {
                    return error(400, "M_UNKNOWN", "not a token of mine");
                };
                Some(parsed)
            }
        };
        let filter = request
            .query("filter")
            .and_then(|filter| serde_json::from_str(&filter).ok())
            .unwrap_or(Value::Null);
        let timeout = request
            .query("timeout")
            .and_then(|ms| ms.parse().ok())
            .unwrap_or(0);
        let until = Instant::now() + Duration::from_millis(timeout);
        let mut state = self.lock();
        if let Some((_, seen)) = since
            && let Some(own) = state.devices.get_mut(&(user.to_owned(), device.to_owned()))
        {
            own.to_device.retain(|(pos, _)| *pos > seen);
        }
        let poll = state.polls.entry(device.to_owned()).or_default();
        // One from the beginning is no continuation of another.
        if since.is_some() {
            *poll += 1;
        }
        let number = *poll;
        loop {
            if state.polls.get(device) != Some(&number) {
                return error(499, "M_UNKNOWN", "nobody waits for this");
            }
            let (body, news) = state.sync(user, device, since, &filter);
            let left = until.saturating_duration_since(Instant::now());
            let nudged = std::mem::take(&mut state.nudged);
            if (news && !state.quiet) || nudged || left.is_zero() || state.closed {
                return (200, body);
            }
            if let Some(bearer) = request.bearer()
                && let Err(outcome) = state.who(bearer)
            {
                return outcome;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl State {
    fn handle(
        &mut self,
        method: &str,
        rest: &[&str],
        request: &Request,
        body: &Value,
        user: &str,
        device: &str,
    ) -> Outcome {
        match (method, rest) {
            ("GET", ["account", "whoami"]) => (200, json!({"user_id": user, "device_id": device})),
            ("POST", ["logout"]) => {
                self.tokens.retain(|_, (_, of)| of != device);
                self.devices.remove(&(user.into(), device.into()));
                self.device_changed(user);
                (200, json!({}))
            }
            ("POST", ["keys", "upload"]) => self.upload_keys(body, user, device),
            ("POST", ["keys", "query"]) => self.query_keys(body, user),
            ("POST", ["keys", "claim"]) => self.claim_keys(body),
            ("POST", ["keys", "device_signing", "upload"]) => self.upload_cross_signing(body, user),
            ("POST", ["keys", "signatures", "upload"]) => self.upload_signatures(body),
            ("PUT", ["sendToDevice", kind, _]) => {
                for (to, devices) in body["messages"].as_object().into_iter().flatten() {
                    for (id, content) in devices.as_object().into_iter().flatten() {
                        let event = json!({"type": kind, "sender": user, "content": content});
                        self.queue(to, id, event);
                    }
                }
                (200, json!({}))
            }
            ("PUT", ["rooms", room, "send", kind, transaction]) => {
                if !self.rooms.get(*room).is_some_and(|r| r.has(user)) {
                    return error(403, "M_FORBIDDEN", "not in the room");
                }
                let event = json!({"type": kind, "sender": user, "content": body});
                let from = Some((device.to_owned(), (*transaction).to_owned()));
                let id = self.append(room, event, false, from);
                (200, json!({"event_id": id}))
            }
            ("POST", ["join", room] | ["rooms", room, "join"]) => {
                match self.rooms.get(*room).and_then(|r| r.membership(user)) {
                    Some((_, is)) if is == "invite" => {
                        let event = json!({
                            "sender": user, "type": "m.room.member", "state_key": user,
                            "content": {"membership": "join"},
                        });
                        self.append(room, event, false, None);
                        (200, json!({"room_id": room}))
                    }
                    Some((_, is)) if is == "join" => (200, json!({"room_id": room})),
                    _ => error(403, "M_FORBIDDEN", "You are not invited to this room."),
                }
            }
            ("POST", ["rooms", room, "leave"]) => {
                let event = json!({
                    "sender": user, "type": "m.room.member", "state_key": user,
                    "content": {"membership": "leave"},
                });
                self.append(room, event, false, None);
                (200, json!({}))
            }
            ("GET", ["joined_rooms"]) => {
                let rooms: Vec<&String> = self
                    .rooms
                    .iter()
                    .filter(|(_, room)| room.has(user))
                    .map(|(id, _)| id)
                    .collect();
                (200, json!({"joined_rooms": rooms}))
            }
            ("GET", ["rooms", room, "messages"]) => match self.rooms.get(*room) {
                Some(room) if room.has(user) => room.messages(device, request),
                _ => error(403, "M_FORBIDDEN", "not in the room"),
            },
            ("GET", ["rooms", room, what @ ..]) => self.room_state(room, what, request, user),
            ("GET", ["user", _, "account_data", kind]) => {
                match self.account_data.get(&(user.into(), (*kind).into())) {
                    Some(content) => (200, content.clone()),
                    None => error(404, "M_NOT_FOUND", "Account data not found"),
                }
            }
            ("PUT", ["user", _, "account_data", kind]) => {
                self.account_data
                    .insert((user.into(), (*kind).into()), body.clone());
                (200, json!({}))
            }
            _ => error(404, "M_UNRECOGNIZED", "Unrecognized request"),
        }
    }

    fn room_state(&self, id: &str, what: &[&str], request: &Request, user: &str) -> Outcome {
        let Some(room) = self.rooms.get(id).filter(|room| room.has(user)) else {
            return error(403, "M_FORBIDDEN", "not in the room");
        };
        let state = room.state();
        match what {
            ["members"] => {
                let wanted = request.query("membership");
                let unwanted = request.query("not_membership");
                let chunk: Vec<&Value> = state
                    .iter()
                    .filter(|((kind, _), _)| kind == "m.room.member")
                    .map(|(_, (_, event))| event)
                    .filter(|event| {
                        let is = event["content"]["membership"].as_str();
                        wanted.as_deref().is_none_or(|w| is == Some(w))
                            && unwanted.as_deref().is_none_or(|u| is != Some(u))
                    })
                    .collect();
                (200, json!({"chunk": chunk}))
            }
            ["joined_members"] => {
                let joined: Map<String, Value> = room
                    .joined()
                    .into_iter()
                    .map(|who| (who, json!({})))
                    .collect();
                (200, json!({"joined": joined}))
            }
            ["state"] => {
                let events: Vec<&Value> = state.values().map(|(_, event)| event).collect();
                (200, json!(events))
            }
            ["state", kind, key @ ..] => {
                let key = key.first().copied().unwrap_or_default();
                match state.get(&((*kind).to_owned(), key.to_owned())) {
                    Some((_, event)) => (200, event["content"].clone()),
                    None => error(404, "M_NOT_FOUND", "Event not found."),
                }
            }
            _ => error(404, "M_UNRECOGNIZED", "Unrecognized request"),
        }
    }

    fn upload_keys(&mut self, body: &Value, user: &str, device: &str) -> Outcome {
        let keys = &body["device_keys"];
        if keys.is_object() && (keys["user_id"] != user || keys["device_id"] != device) {
            return error(400, "M_INVALID_PARAM", "keys of another device");
        }
        let mut changed = false;
        let own = self
            .devices
            .entry((user.into(), device.into()))
            .or_default();
        let fresh = body["one_time_keys"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        if let Some((id, _)) = fresh
            .iter()
            .find(|(id, key)| own.seen_one_time.get(*id).is_some_and(|seen| seen != *key))
        {
            let text = format!("One time key {id} already exists.");
            return error(400, "M_UNKNOWN", &text);
        }
        for (id, key) in fresh {
            if own.seen_one_time.insert(id.clone(), key.clone()).is_none() {
                own.one_time.insert(id, key);
            }
        }
        if let Some(fallback) = body["fallback_keys"]
            .as_object()
            .filter(|keys| !keys.is_empty())
        {
            own.fallback = fallback
                .iter()
                .map(|(id, key)| (id.clone(), (key.clone(), false)))
                .collect();
        }
        if keys.is_object() {
            // Signatures added later are kept apart from the device's own keys.
            changed = own.keys.as_ref().map(signable) != Some(signable(keys));
            if changed {
                own.keys = Some(keys.clone());
            }
        }
        let count = own.one_time.len();
        if changed {
            self.device_changed(user);
        }
        (
            200,
            json!({"one_time_key_counts": {"signed_curve25519": count}}),
        )
    }

    fn query_keys(&self, body: &Value, asker: &str) -> Outcome {
        let mut devices = Map::new();
        let mut keys = [Map::new(), Map::new(), Map::new()];
        let kinds = ["master", "self_signing", "user_signing"];
        for (user, only) in body["device_keys"].as_object().into_iter().flatten() {
            let mut info = self.device_info(user);
            if let Some(only) = only.as_array().filter(|only| !only.is_empty()) {
                info.retain(|id, _| only.contains(&json!(id)));
            }
            devices.insert(user.clone(), Value::Object(info));
            for (kind, map) in kinds.iter().zip(&mut keys) {
                let shown = *kind != "user_signing" || user == asker;
                let found = self.cross_signing.get(user).and_then(|own| own.get(*kind));
                if let Some(key) = found.filter(|_| shown) {
                    map.insert(user.clone(), key.clone());
                }
            }
        }
        let [master, self_signing, user_signing] = keys;
        (
            200,
            json!({
                "device_keys": devices,
                "master_keys": master,
                "self_signing_keys": self_signing,
                "user_signing_keys": user_signing,
                "failures": {},
            }),
        )
    }

    fn claim_keys(&mut self, body: &Value) -> Outcome {
        let mut out = json!({});
        for (user, devices) in body["one_time_keys"].as_object().into_iter().flatten() {
            for (device, _) in devices.as_object().into_iter().flatten() {
                if let Some((id, key)) = self.claim(user, device) {
                    out[user][device][id] = key;
                }
            }
        }
        (200, json!({"one_time_keys": out, "failures": {}}))
    }

    fn upload_cross_signing(&mut self, body: &Value, user: &str) -> Outcome {
        let known = self.cross_signing.entry(user.into()).or_default();
        let given: Vec<(&str, &Value)> = ["master", "self_signing", "user_signing"]
            .into_iter()
            .map(|kind| (kind, &body[format!("{kind}_key")]))
            .filter(|(_, key)| key.is_object())
            .collect();
        let differs = given.iter().any(|(kind, key)| {
            known
                .get(*kind)
                .is_some_and(|old| old["keys"] != key["keys"])
        });
        if differs && body["auth"].is_null() {
            let flows = json!([{"stages": ["m.login.password"]}]);
            return (401, json!({"flows": flows, "params": {}, "session": "uia"}));
        }
        for (kind, key) in given {
            known.insert(kind.into(), key.clone());
        }
        self.device_changed(user);
        (200, json!({}))
    }

    /// Adds signatures to devices and cross-signing keys, as they are shown later.
    fn upload_signatures(&mut self, body: &Value) -> Outcome {
        let mut failures = json!({});
        for (user, signed) in body.as_object().into_iter().flatten() {
            for (id, object) in signed.as_object().into_iter().flatten() {
                let device = (user.clone(), id.clone());
                let target = match self.devices.get_mut(&device).and_then(|d| d.keys.as_mut()) {
                    Some(keys) => Some(keys),
                    None => self
                        .cross_signing
                        .get_mut(user)
                        .and_then(|keys| keys.get_mut("master")),
                };
                let Some(target) = target else {
                    failures[user][id] = json!({"errcode": "M_NOT_FOUND", "error": "no such key"});
                    continue;
                };
                for (by, signatures) in object["signatures"].as_object().into_iter().flatten() {
                    for (key, signature) in signatures.as_object().into_iter().flatten() {
                        target["signatures"][by][key] = signature.clone();
                    }
                }
            }
            self.device_changed(user);
        }
        (200, json!({"failures": failures}))
    }
}
