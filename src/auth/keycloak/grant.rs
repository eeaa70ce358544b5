//! The password grant (RFC 6749, section 4.3), which Keycloak calls direct
//! access grants.

use std::time::Duration;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::answer;
use super::fault::Fault;
use super::realm::Realm;
use crate::json::lenient;
use crate::net::Client;
use crate::util::Secret;

/// What stands in a form as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

/// A token as Keycloak gave it out. The refresh token and the session that come
/// with it are dropped: the token is needed for one login.
#[derive(Debug, Clone)]
pub struct TokenAnswer {
    /// The access token, a JWT by default.
    pub token: Secret,
    /// For how long it is good, as Keycloak says.
    pub expires_in: Option<Duration>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "lenient")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    expires_in: Option<i64>,
    /// Read to be wiped.
    #[serde(default, deserialize_with = "lenient")]
    refresh_token: Option<String>,
}

impl Realm {
    /// Asks for an access token of `user`; `totp` is a one-time password, for a
    /// user who has one set up.
    ///
    /// The client's secret goes into the body (`client_secret_post`), which
    /// Keycloak takes from every client with a secret. No `scope` is asked for:
    /// `preferred_username` is in the client scope `profile`, which clients have
    /// by default; asking for it has Keycloak refuse the clients that get the
    /// claim in another way, and `openid` only adds an ID token.
    pub async fn token(
        &self,
        http: &Client,
        user: &str,
        password: &Secret,
        totp: Option<&Secret>,
    ) -> Result<TokenAnswer, Fault> {
        let body = self.form(user, password, totp);
        let mut response = self
            .send(http, Method::POST, "protocol/openid-connect/token", body)
            .await?;
        let answer: Option<Answer> = serde_json::from_slice(&response.body).ok();
        if let Some(mut answer) = answer {
            answer.refresh_token.zeroize();
            if let Some(token) = answer.access_token.filter(|token| !token.is_empty()) {
                response.body.zeroize();
                return Ok(TokenAnswer {
                    token: Secret::new(token),
                    expires_in: answer
                        .expires_in
                        .and_then(|seconds| u64::try_from(seconds).ok())
                        .map(Duration::from_secs),
                });
            }
        }
        let fault = answer::grant_fault(&response, self, user, totp.is_some());
        response.body.zeroize();
        Err(fault)
    }

    fn form(&self, user: &str, password: &Secret, totp: Option<&Secret>) -> Vec<u8> {
        let secret = self.client_secret.as_ref();
        let fields = [
            ("grant_type", Some("password")),
            ("client_id", Some(self.client_id.as_str())),
            ("client_secret", secret.map(Secret::expose)),
            ("username", Some(user)),
            ("password", Some(password.expose())),
            ("totp", totp.map(Secret::expose)),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        // Made large enough at once: a buffer that grows leaves copies behind.
        let most = fields
            .clone()
            .map(|(name, value)| name.len() + 3 * value.len() + 2)
            .sum();
        let mut form = Zeroizing::new(String::with_capacity(most));
        for (name, value) in fields {
            if !form.is_empty() {
                form.push('&');
            }
            form.push_str(name);
            form.push('=');
            form.extend(utf8_percent_encode(value, FORM));
        }
        // The request wipes it.
        std::mem::take(&mut *form).into_bytes()
    }
}
