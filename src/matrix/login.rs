//! `POST /login` with a password.
//!
//! Specification: client-server API, "Login".

use std::fmt;

use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, UserId,
    api::client::{
        session::login::v3::{LoginInfo, Password, Request},
        uiaa::{MatrixUserIdentifier, UserIdentifier},
    },
};
use serde::Deserialize;
use zeroize::Zeroize;

use super::api::{BuildError, Call};
use crate::ops::Secret;

const DEVICE_NAME: &str = "openclaw-k8s-toggle-operator";
const DEVICE_ID_LENGTH: usize = 10;

/// Why an answer to a login is not used.
#[derive(Debug)]
pub enum LoginError {
    /// Not the JSON that the specification asks for.
    Malformed,
    /// Somebody else was logged in.
    OtherUser(OwnedUserId),
    /// The server chose another device id than the one asked for.
    OtherDevice(OwnedDeviceId),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the homeserver's answer to the login is malformed"),
            Self::OtherUser(user) => {
                write!(
                    f,
                    "the homeserver logged in {user} instead: check MATRIX_USER"
                )
            }
            Self::OtherDevice(device) => {
                write!(
                    f,
                    "the homeserver gave device {device} instead of the one asked for"
                )
            }
        }
    }
}

/// A random device id: made here and stored before the login, so that a crash
/// during it does not leave devices behind.
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

/// The call that logs `user` (a localpart or a full id) in as `device`.
pub fn login_call(user: &str, password: &Secret, device: &DeviceId) -> Result<Call, BuildError> {
    let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(user.to_owned()));
    let password = Password::new(user, password.expose().to_owned());
    let mut request = Request::new(LoginInfo::Password(password));
    request.device_id = Some(device.to_owned());
    request.initial_device_display_name = Some(DEVICE_NAME.to_owned());
    Call::new(request)
}

/// Reads the answer; `expected` is the user this store belongs to, or the
/// localpart asked for.
pub fn read_login(
    mut body: Vec<u8>,
    expected: &str,
    device: &DeviceId,
) -> Result<(OwnedUserId, Secret), LoginError> {
    #[derive(Deserialize)]
    struct Answer {
        user_id: OwnedUserId,
        access_token: String,
        device_id: OwnedDeviceId,
    }
    let answer: Result<Answer, _> = serde_json::from_slice(&body);
    body.zeroize();
    let answer = answer.map_err(|_| LoginError::Malformed)?;
    let token = Secret::new(answer.access_token);
    if answer.device_id != device {
        return Err(LoginError::OtherDevice(answer.device_id));
    }
    if !is_user(&answer.user_id, expected) {
        return Err(LoginError::OtherUser(answer.user_id));
    }
    Ok((answer.user_id, token))
}

/// Whether `user` is the account that was asked for, a localpart or a full id.
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

    fn read(user: &str, device: &str, expected: &str) -> Result<(OwnedUserId, Secret), LoginError> {
        let body = serde_json::json!({
            "user_id": user, "device_id": device, "access_token": "t",
        });
        read_login(body.to_string().into_bytes(), expected, "DEV".into())
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
}
