//! The fake homeserver's logins and its proof of sessions: login types, access
//! tokens that expire, refresh tokens as Synapse has them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::homeserver::{Outcome, SERVER, State, error};
use super::redaction::hide;

/// Judges a login: who it is, or how it is refused.
pub type Verify = Box<dyn FnMut(&Value) -> Result<String, Outcome> + Send>;

/// Logins and tokens.
#[derive(Default)]
pub struct Sessions {
    /// The life of access tokens that come with a refresh token; without it no
    /// refresh token is given.
    pub life: Option<Duration>,
    /// The login types besides the password's, and what judges their logins.
    pub by_token: BTreeMap<String, Verify>,
    /// True if there is no login by password.
    pub no_passwords: bool,
    pub locked: bool,
    pub deactivated: bool,
    expiry: BTreeMap<String, Instant>,
    /// By refresh token: the access token that came with it, and the pair that
    /// it was turned into.
    refresh: BTreeMap<String, (String, Option<(String, String)>)>,
}

/// Synapse's answer to whoever is not let in, whatever the reason.
pub fn forbidden() -> Outcome {
    error(403, "M_FORBIDDEN", "Invalid username or password")
}

impl State {
    pub(super) fn flows(&self) -> Value {
        let passwords = (!self.sessions.no_passwords).then_some("m.login.password");
        let others = self.sessions.by_token.keys().map(String::as_str);
        let flows: Vec<Value> = passwords
            .into_iter()
            .chain(others)
            .map(|kind| json!({"type": kind}))
            .collect();
        json!({"flows": flows})
    }

    /// The user and device whose token it is, now that it is used.
    pub(super) fn who(&mut self, token: &str) -> Result<(String, String), Outcome> {
        if self.sessions.locked {
            let body = json!({"errcode": "M_USER_LOCKED", "error": "locked", "soft_logout": true});
            return Err((401, body));
        }
        let expired = self.sessions.expiry.get(token);
        if expired.is_some_and(|at| *at <= Instant::now()) {
            let body = json!({
                "errcode": "M_UNKNOWN_TOKEN", "error": "expired", "soft_logout": true,
            });
            return Err((401, body));
        }
        if let Some(who) = self.tokens.get(token).cloned() {
            self.used(token);
            return Ok(who);
        }
        let mut body = json!({"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised access token"});
        if let Some(Some(soft)) = self.revoked.get(token) {
            body["soft_logout"] = json!(soft);
        }
        Err((401, body))
    }

    /// A pair is in use from now on: what it came from is gone.
    fn used(&mut self, token: &str) {
        let before = self.sessions.refresh.iter().find_map(|(old, (_, next))| {
            let (access, refresh) = next.as_ref()?;
            (access == token || refresh == token).then(|| old.clone())
        });
        if let Some(old) = before
            && let Some((access, _)) = self.sessions.refresh.remove(&old)
        {
            self.tokens.remove(&access);
        }
    }

    pub(super) fn profile(&self, user: &str) -> Outcome {
        match self.passwords.contains_key(user) {
            true => (200, json!({})),
            false => error(404, "M_NOT_FOUND", "no such user"),
        }
    }

    pub(super) fn log_in(&mut self, body: &Value) -> Outcome {
        let kind = body["type"].as_str().unwrap_or_default();
        let given = body["identifier"]["user"].as_str().unwrap_or_default();
        let user = if given.starts_with('@') {
            given.to_owned()
        } else {
            format!("@{given}:{SERVER}")
        };
        let user = match self.sessions.by_token.get_mut(kind) {
            Some(verify) => {
                if let Some(token) = body["token"].as_str() {
                    hide("a token to log in with", token);
                }
                let user = match verify(body) {
                    Ok(localpart) => format!("@{localpart}:{SERVER}"),
                    Err(outcome) => return outcome,
                };
                // As for everything that is wrong with a token.
                if !self.passwords.contains_key(&user) {
                    return forbidden();
                }
                user
            }
            None => {
                let right =
                    self.passwords.get(&user).map(String::as_str) == body["password"].as_str();
                if kind != "m.login.password" || self.sessions.no_passwords || !right {
                    return forbidden();
                }
                user
            }
        };
        if self.sessions.deactivated {
            return error(
                403,
                "M_USER_DEACTIVATED",
                "This account has been deactivated",
            );
        }
        let made = format!("SERVERMADE{}", self.next_position());
        let device = body["device_id"].as_str().map_or(made, str::to_owned);
        self.tokens
            .retain(|_, (owner, of)| *owner != user || *of != device);
        self.devices
            .entry((user.clone(), device.clone()))
            .or_default();
        let mut answer = self.issue(&user, &device, body["refresh_token"] == true);
        answer["user_id"] = json!(user);
        answer["device_id"] = json!(device);
        answer["home_server"] = json!(SERVER);
        (200, answer)
    }

    fn issue(&mut self, user: &str, device: &str, refreshable: bool) -> Value {
        let position = self.next_position();
        let access = format!("syt_{position}_{device}");
        hide("an access token", &access);
        self.tokens
            .insert(access.clone(), (user.to_owned(), device.to_owned()));
        let life = self.sessions.life.filter(|_| refreshable);
        let Some(life) = life else {
            return json!({"access_token": access});
        };
        let refresh = format!("syr_{position}_{device}");
        hide("a refresh token", &refresh);
        self.sessions
            .expiry
            .insert(access.clone(), Instant::now() + life);
        self.sessions
            .refresh
            .insert(refresh.clone(), (access.clone(), None));
        json!({
            "access_token": access,
            "refresh_token": refresh,
            "expires_in_ms": u64::try_from(life.as_millis()).expect("a short life"),
        })
    }

    /// Makes every refresh token bad.
    pub fn forget_refresh_tokens(&mut self) {
        self.sessions.refresh.clear();
    }

    /// Makes every access token that can be refreshed expire now.
    pub fn expire_all(&mut self) {
        for at in self.sessions.expiry.values_mut() {
            *at = Instant::now();
        }
    }

    /// `POST /refresh`: the old pair is good until the new one is used; asked
    /// again before that, there is another new one.
    pub(super) fn refresh(&mut self, body: &Value) -> Outcome {
        let old = body["refresh_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.used(&old);
        let Some((access, next)) = self.sessions.refresh.get(&old).cloned() else {
            return error(401, "M_UNKNOWN_TOKEN", "refresh token does not exist");
        };
        let Some((user, device)) = self.tokens.get(&access).cloned() else {
            return error(401, "M_UNKNOWN_TOKEN", "its device is gone");
        };
        if let Some((access, refresh)) = next {
            self.tokens.remove(&access);
            self.sessions.refresh.remove(&refresh);
        }
        let answer = self.issue(&user, &device, true);
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let pair = (text("access_token"), text("refresh_token"));
        self.sessions.refresh.insert(old, (access, Some(pair)));
        (200, answer)
    }
}
