//! A homeserver on loopback that does what Synapse does, and whatever a hostile
//! one could do when a test tells it to.

mod endpoints;
mod keys;
mod serve;
mod state;
mod sync;

pub use serve::{Outcome, error};
pub use state::{Logged, State};

use std::sync::Arc;
use std::time::Duration;

use crate::support::faults::Fault;
use crate::support::wire::{Listener, serve};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use serve::Shared;

/// The name of the fake server in user and room ids.
pub const SERVER: &str = "test";

/// A handle on the fake; clones share it.
#[derive(Clone)]
pub struct Homeserver {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
}

impl Homeserver {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
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
        self.shared.with(f)
    }

    /// Waits until `f` finds something in the state.
    pub fn wait<T>(&self, what: &str, f: impl FnMut(&mut State) -> Option<T>) -> T {
        self.shared.wait(what, f)
    }

    /// As [`Homeserver::wait`], for as long as this; None if it was in vain.
    pub fn wait_within<T>(
        &self,
        time: Duration,
        f: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        self.shared.wait_within(time, f)
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

    /// Everything that `f` does to the server is seen by one sync, not in parts by
    /// several.
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
            self.with(|state| state.faults.close());
        }
    }
}
