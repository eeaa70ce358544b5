//! The password grant (<https://www.rfc-editor.org/rfc/rfc6749#section-4.3>), which Keycloak
//! calls direct access grants.

use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroize;

use super::answer;
use super::error::Error;
use super::realm::Realm;
use crate::auth::form;
use crate::auth::jwt::IssuedToken;
use crate::json::lenient;
use crate::net::Client;
use crate::util::Secret;

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
    /// Requests an access token of `user`; `totp` is a one-time password, for a user who
    /// has one set up.
    ///
    /// The client's secret goes into the body (`client_secret_post`), which Keycloak accepts
    /// from every client with a secret. No `scope` is requested: `preferred_username` is in
    /// the client scope `profile`, which clients have by default. A request for it would
    /// make Keycloak refuse clients that get the claim in another way, and `openid` only adds
    /// an ID token.
    ///
    /// # Errors
    /// Keycloak does not answer with a token.
    pub async fn token(
        &self,
        http: &Client,
        user: &str,
        password: &Secret,
        totp: Option<&Secret>,
    ) -> Result<IssuedToken, Error> {
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
        let (path, form) = ("protocol/openid-connect/token", form::encode(fields));
        let mut response = self.send(http, path, Some(form)).await?;
        let answer: Option<Answer> = serde_json::from_slice(&response.body).ok();
        if let Some(mut answer) = answer {
            answer.refresh_token.zeroize();
            if let Some(token) = answer.access_token.filter(|token| !token.is_empty()) {
                response.body.zeroize();
                return Ok(IssuedToken {
                    token: Secret::new(token),
                    expires_in: answer
                        .expires_in
                        .and_then(|seconds| u64::try_from(seconds).ok())
                        .map(Duration::from_secs),
                });
            }
        }
        let error = answer::grant_error(&response, self, user, totp.is_some());
        response.body.zeroize();
        Err(error)
    }
}
