//! `GET /login` and `POST /login`.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#login>

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroize;

use super::api::Call;
use super::tokens::{AccountAnswer, TokenAnswer};
use crate::json::{self, Lenient, lenient};
use crate::util::{Secret, Tokens, printable};

const PATH: &str = "/_matrix/client/v3/login";
const DEVICE_NAME: &str = "openclaw-k8s-toggle-operator";
const DEVICE_ID_LENGTH: usize = 10;

/// The most login types, or providers of one, that are looked at.
const MAX_FLOWS: usize = 64;

/// The longest name of a server's that is shown, in bytes.
const MAX_NAME: usize = 100;

/// The proof of a user that a login sends.
pub struct LoginInfo<'a> {
    /// The login type.
    pub kind: &'a str,
    /// A localpart or a full id; None for a token that says for whom it is.
    pub user: Option<&'a str>,
    /// The password of `m.login.password`; the token of any other type.
    pub secret: &'a Secret,
}

/// The ways to log in that a homeserver offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// The login types.
    pub kinds: Vec<String>,
    /// The ids of the identity providers of `m.login.sso`.
    pub providers: Vec<String>,
}

/// The account and device of a login, and the tokens that prove it from now on.
#[derive(Debug)]
pub struct LoggedIn {
    /// The full id.
    pub user: OwnedUserId,
    /// The device.
    pub device: OwnedDeviceId,
    /// Its tokens.
    pub tokens: Tokens,
}

/// An answer to a login is not used, for this reason.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Not the JSON that the specification asks for.
    #[error(
        "the homeserver's answer to the login is malformed: check that MATRIX_HOMESERVER leads to \
         it"
    )]
    Malformed,
    /// Somebody else was logged in.
    #[error(
        "the homeserver logged in {}, who is not MATRIX_USER: name that account in MATRIX_USER, \
         or give the credentials of the one that is named there",
        printable(.0.as_str(), MAX_NAME)
    )]
    OtherUser(OwnedUserId),
    /// The server chose another device id than the one asked for.
    #[error(
        "the homeserver gave device {} instead of the one asked for: have a token made for a \
         device of the bot's, and use AUTH_METHOD=token",
        printable(.0.as_str(), MAX_NAME)
    )]
    OtherDevice(OwnedDeviceId),
}

/// Makes a random device id. It is made here and stored before the login, so that a crash
/// during it does not leave devices behind.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_device_id() -> Result<OwnedDeviceId, getrandom::Error> {
    let mut bytes = [0_u8; DEVICE_ID_LENGTH];
    getrandom::fill(&mut bytes)?;
    // 26 does not divide 256; what the first letters gain is nothing to an id
    // that has to be unique, not secret.
    let id: String = bytes
        .iter()
        .map(|byte| char::from(b'A' + byte % 26))
        .collect();
    Ok(id.into())
}

/// The call for the login types that are offered.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3login>
pub fn flows_call() -> Call {
    Call::get(PATH)
}

/// Reads the answer to [`flows_call`]; None if it is not the JSON that the
/// specification asks for.
pub fn read_flows(body: &[u8]) -> Option<Flows> {
    #[derive(Deserialize)]
    struct Answer {
        flows: Vec<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Flow {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default, deserialize_with = "lenient")]
        identity_providers: Vec<Provider>,
    }
    #[derive(Deserialize, Default)]
    struct Provider {
        id: String,
    }
    impl Lenient for Provider {
        fn of(value: serde_json::Value) -> Option<Self> {
            json::of_value(&value)
        }
    }
    let answer: Answer = json::read(body)?;
    let mut flows = Flows::default();
    let readable = answer.flows.into_iter().take(MAX_FLOWS);
    for flow in readable.filter_map(|flow| json::of_value::<Flow>(&flow)) {
        let providers = flow.identity_providers.into_iter().take(MAX_FLOWS);
        flows
            .providers
            .extend(providers.map(|provider| printable(&provider.id, MAX_NAME)));
        flows.kinds.push(printable(&flow.kind, MAX_NAME));
    }
    Some(flows)
}

/// The call that logs in as `device`. A refresh token is asked for as well.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3login>
pub fn login_call(info: &LoginInfo<'_>, device: &DeviceId) -> Call {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        identifier: Option<Identifier<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<&'a str>,
        device_id: &'a DeviceId,
        initial_device_display_name: &'a str,
        refresh_token: bool,
    }
    #[derive(Serialize)]
    struct Identifier<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        user: &'a str,
    }
    let is_password = info.kind == "m.login.password";
    let body = Body {
        kind: info.kind,
        identifier: info.user.map(|user| Identifier {
            kind: "m.id.user",
            user,
        }),
        password: is_password.then(|| info.secret.expose()),
        token: (!is_password).then(|| info.secret.expose()),
        device_id: device,
        initial_device_display_name: DEVICE_NAME,
        refresh_token: true,
    };
    Call::secret(PATH, &body)
}

/// Reads the answer to [`login_call`]; `now` is in milliseconds since the Unix epoch.
///
/// # Errors
/// It is not what the specification asks for.
pub fn read_login(mut body: Vec<u8>, now: u64) -> Result<LoggedIn, LoginError> {
    let account = serde_json::from_slice::<AccountAnswer>(&body);
    let tokens = serde_json::from_slice::<TokenAnswer>(&body);
    body.zeroize();
    let logged_in = || {
        let (user, device) = account.ok()?.into_ids()?;
        Some(LoggedIn {
            user,
            device: device?,
            tokens: tokens.ok()?.into_tokens(None, now)?,
        })
    };
    logged_in().ok_or(LoginError::Malformed)
}

impl LoggedIn {
    /// Checks that it is the account and device asked for: `user` is the one that the
    /// store belongs to, or the one that is configured, a localpart or a full id.
    ///
    /// # Errors
    /// It is somebody else, or another device.
    pub fn check(&self, user: &str, device: &DeviceId) -> Result<(), LoginError> {
        if self.device != device {
            return Err(LoginError::OtherDevice(self.device.clone()));
        }
        if !is_user(&self.user, user) {
            return Err(LoginError::OtherUser(self.user.clone()));
        }
        Ok(())
    }
}

/// True if `user` is the account that was asked for, a localpart or a full id.
pub fn is_user(user: &UserId, expected: &str) -> bool {
    if expected.starts_with('@') {
        user.as_str() == expected
    } else {
        user.localpart().eq_ignore_ascii_case(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user: &str, device: &str, expected: &str) -> Result<LoggedIn, LoginError> {
        let body = serde_json::json!({
            "user_id": user, "device_id": device, "access_token": "t",
        });
        let logged_in = read_login(body.to_string().into_bytes(), 0)?;
        logged_in.check(expected, "DEV".into())?;
        Ok(logged_in)
    }

    #[test]
    fn the_user_and_the_device_asked_for_are_the_ones_used() {
        assert!(read("@bot:a.b", "DEV", "bot").is_ok());
        assert!(read("@bot:a.b", "DEV", "@bot:a.b").is_ok());
        assert!(matches!(
            read("@bob:a.b", "DEV", "bot"),
            Err(LoginError::OtherUser(_))
        ));
        assert!(matches!(
            read("@bot:x.y", "DEV", "@bot:a.b"),
            Err(LoginError::OtherUser(_))
        ));
        assert!(matches!(
            read("@bot:a.b", "ELSE", "bot"),
            Err(LoginError::OtherDevice(_))
        ));
    }

    #[test]
    fn device_ids_are_letters() {
        let id = new_device_id().unwrap();
        assert_eq!(id.as_str().len(), DEVICE_ID_LENGTH);
        assert!(id.as_str().chars().all(|c| c.is_ascii_uppercase()));
    }

    fn body(info: &LoginInfo<'_>) -> serde_json::Value {
        serde_json::from_slice(&login_call(info, "DEV".into()).body).unwrap()
    }

    #[test]
    fn each_way_to_log_in_has_its_body() {
        let secret = Secret::new("s3".to_owned());
        let (device, name) = ("DEV", DEVICE_NAME);
        let by_password = LoginInfo {
            kind: "m.login.password",
            user: Some("bot"),
            secret: &secret,
        };
        assert_eq!(
            body(&by_password),
            serde_json::json!({
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": "bot"},
                "password": "s3",
                "device_id": device, "initial_device_display_name": name, "refresh_token": true,
            })
        );
        let by_token_of = LoginInfo {
            kind: "com.famedly.login.token",
            user: Some("bot"),
            secret: &secret,
        };
        assert_eq!(
            body(&by_token_of),
            serde_json::json!({
                "type": "com.famedly.login.token",
                "identifier": {"type": "m.id.user", "user": "bot"},
                "token": "s3",
                "device_id": device, "initial_device_display_name": name, "refresh_token": true,
            })
        );
        let by_token = LoginInfo {
            kind: "m.login.token",
            user: None,
            secret: &secret,
        };
        assert_eq!(
            body(&by_token),
            serde_json::json!({
                "type": "m.login.token", "token": "s3",
                "device_id": device, "initial_device_display_name": name, "refresh_token": true,
            })
        );
    }

    #[test]
    fn flows_are_types_and_providers() {
        let flows = read_flows(
            br#"{"flows": [
                {"type": "m.login.password"},
                {"type": "m.login.sso", "identity_providers": [
                    {"id": "oidc-keycloak", "name": "Keycloak"}, {"id": "oidc-x", "name": "X"}]},
                {"type": "a\nb"}]}"#,
        )
        .unwrap();
        assert_eq!(flows.kinds, ["m.login.password", "m.login.sso", r"a\nb"]);
        assert_eq!(flows.providers, ["oidc-keycloak", "oidc-x"]);
        let odd = read_flows(
            br#"{"flows": [null, 5, {"type": null}, {"type": "m.login.password",
                "identity_providers": null}, {"type": "m.login.sso", "identity_providers": [
                null, {"name": "x"}, {"id": "oidc-x", "brand": null}]}], "x": 1}"#,
        )
        .unwrap();
        assert_eq!(odd.kinds, ["m.login.password", "m.login.sso"]);
        assert_eq!(odd.providers, ["oidc-x"]);
        for body in [&b"<html>"[..], b"{}", br#"{"flows": {}}"#] {
            assert_eq!(read_flows(body), None);
        }
    }
}
