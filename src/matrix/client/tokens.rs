//! The tokens of a session: refreshed, looked up, ended.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::api::Call;
use super::homeserver::{Fault, Homeserver};
use crate::json::{self, lenient};
use crate::util::{MAX_ID, Secret, Tokens, is_carried};

/// Lives longer than this, in milliseconds, are as good as endless: 100 years.
const ENDLESS: i64 = 100 * 365 * 24 * 3_600_000;

/// The longest token taken, in bytes: what fits into a request's head.
const MAX_TOKEN: usize = 16 * 1024;

/// The account in an answer to a login, or about an access token.
#[derive(Deserialize)]
pub(crate) struct AccountAnswer {
    user_id: OwnedUserId,
    #[serde(default, deserialize_with = "lenient")]
    device_id: Option<String>,
}

impl AccountAnswer {
    /// The user, and the device if there is one. None for a device that no request could
    /// name.
    pub(crate) fn into_ids(self) -> Option<(OwnedUserId, Option<OwnedDeviceId>)> {
        let device = self.device_id;
        let is_sound = device.iter().all(|device| is_carried(device, MAX_ID));
        is_sound.then(|| (self.user_id, device.map(OwnedDeviceId::from)))
    }
}

/// The body of [`refresh_call`].
#[derive(Serialize)]
struct RefreshBody<'a> {
    refresh_token: &'a str,
}

/// The tokens in an answer to a login or a refresh.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    access_token: String,
    #[serde(default, deserialize_with = "lenient")]
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    expires_in_ms: Option<i64>,
}

impl TokenAnswer {
    /// The tokens, as of `now` in milliseconds since the Unix epoch. A refresh
    /// token that is not replaced by this answer stays good. None if one of them
    /// could never be sent: kept, it would be in the way of a login.
    pub(crate) fn into_tokens(self, last: Option<&Secret>, now: u64) -> Option<Tokens> {
        let access = Secret::new(self.access_token);
        let refresh = self.refresh_token.map(Secret::new);
        if !is_token(&access) || !refresh.iter().all(is_token) {
            return None;
        }
        // At three quarters of its life, so that there is time to try again.
        let lives = self.expires_in_ms.filter(|life| *life < ENDLESS);
        let lives = lives.map(|life| u64::try_from(life).unwrap_or_default());
        Some(Tokens {
            access,
            refresh: refresh.or_else(|| last.cloned()),
            refresh_at: lives.map(|life| now.saturating_add(life / 4 * 3)),
        })
    }
}

/// True if a header can carry it.
fn is_token(token: &Secret) -> bool {
    let text = token.expose();
    is_carried(text, MAX_TOKEN) && !text.contains(' ')
}

/// The call that turns a refresh token into the next tokens.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3refresh>
pub fn refresh_call(token: &Secret) -> Call {
    let refresh_token = token.expose();
    Call::secret("/_matrix/client/v3/refresh", &RefreshBody { refresh_token })
}

/// Requests new tokens once. They have to be stored before they are used: until then the
/// homeserver keeps the refresh token `last` good.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#refreshing-access-tokens>
///
/// # Errors
/// The homeserver refuses `last`, or gives no usable answer.
pub async fn refresh(homeserver: &Homeserver, last: &Secret) -> Result<Tokens, Fault> {
    let body = homeserver.ask(refresh_call(last), None).await?;
    read_refresh(body, last, homeserver.local_clock().now_ms()).ok_or(Fault::Malformed)
}

/// Reads the answer to [`refresh_call`] with `last`; None if it is not the JSON
/// that the specification asks for.
pub fn read_refresh(mut body: Vec<u8>, last: &Secret, now: u64) -> Option<Tokens> {
    let answer: Result<TokenAnswer, _> = serde_json::from_slice(&body);
    body.zeroize();
    answer.ok()?.into_tokens(Some(last), now)
}

/// The call that ends the session whose access token it is sent with.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3logout>
pub fn logout_call() -> Call {
    Call::post("/_matrix/client/v3/logout", b"{}".to_vec())
}

/// The call for the user and the device of the access token it is sent with.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3accountwhoami>
pub fn whoami_call() -> Call {
    Call::get("/_matrix/client/v3/account/whoami")
}

/// Reads the answer to [`whoami_call`]: the user, and the device if the token
/// has one.
pub fn read_whoami(body: &[u8]) -> Option<(OwnedUserId, Option<OwnedDeviceId>)> {
    json::read::<AccountAnswer>(body)?.into_ids()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Tokens> {
        read_refresh(body.into(), &Secret::new("old".to_owned()), 1000)
    }

    #[test]
    fn the_next_tokens_are_asked_for_at_three_quarters_of_a_life() {
        let tokens = read(r#"{"access_token": "a", "refresh_token": "r", "expires_in_ms": 400}"#);
        let tokens = tokens.unwrap();
        assert_eq!(tokens.access.expose(), "a");
        assert_eq!(tokens.refresh.unwrap().expose(), "r");
        assert_eq!(tokens.refresh_at, Some(1300));
    }

    #[test]
    fn a_refresh_token_that_is_not_replaced_stays() {
        let tokens = read(r#"{"access_token": "a"}"#).unwrap();
        assert_eq!(tokens.refresh.unwrap().expose(), "old");
        assert_eq!(tokens.refresh_at, None);
        let endless = r#"{"access_token": "a", "expires_in_ms": 9223372036854775807}"#;
        assert_eq!(read(endless).unwrap().refresh_at, None);
    }

    #[test]
    fn optional_fields_of_another_kind_cost_themselves() {
        for odd in ["null", "[]", "{}", "true"] {
            let body = format!(
                r#"{{"access_token": "a", "refresh_token": {odd}, "expires_in_ms": {odd}, "x": {odd}}}"#
            );
            let tokens = read(&body).unwrap();
            assert_eq!(tokens.refresh.unwrap().expose(), "old", "{odd}");
            assert_eq!(tokens.refresh_at, None, "{odd}");
            let whoami = format!(r#"{{"user_id": "@a:b", "device_id": {odd}}}"#);
            let (user, device) = read_whoami(whoami.as_bytes()).unwrap();
            assert_eq!((user.as_str(), device), ("@a:b", None), "{odd}");
        }
        for life in ["400.0", "4e2", r#""400""#] {
            let body = format!(r#"{{"access_token": "a", "expires_in_ms": {life}}}"#);
            assert_eq!(read(&body).unwrap().refresh_at, Some(1300), "{life}");
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for body in [
            "",
            "{}",
            r#"{"access_token": 1}"#,
            r#"{"access_token": ""}"#,
            r#"{"access_token": "a\nb"}"#,
            r#"{"access_token": "a", "refresh_token": ""}"#,
            "<html>",
        ] {
            assert_eq!(read(body), None, "{body}");
        }
        let long = format!(r#"{{"access_token": "{}"}}"#, "a".repeat(MAX_TOKEN + 1));
        assert_eq!(read(&long), None);
    }

    #[test]
    fn a_session_that_is_about_to_end_is_renewed_at_once() {
        for life in [0, -5] {
            let body = format!(r#"{{"access_token": "a", "expires_in_ms": {life}}}"#);
            assert_eq!(read(&body).unwrap().refresh_at, Some(1000));
        }
    }
}
