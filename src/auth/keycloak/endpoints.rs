//! Requests to a realm: its keys and its issuer.

use std::time::Duration;

use http::header::ACCEPT;
use serde::Deserialize;

use super::answer;
use super::error::Error;
use super::realm::Realm;
use crate::auth::form;
use crate::auth::jwt::Jwks;
use crate::net::{Client, Limits, Response};
use crate::util::Secret;

/// The limits of one request. Keycloak hashes passwords slowly on purpose.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(15),
    body: 256 * 1024,
};

impl Realm {
    /// The keys that the realm signs with.
    ///
    /// # Errors
    /// Keycloak does not answer with a key set that can be used.
    pub async fn keys(&self, http: &Client) -> Result<Jwks, Error> {
        let answer = self.get(http, "protocol/openid-connect/certs").await?;
        Jwks::parse(&answer.body).map_err(Error::Keys)
    }

    /// The issuer of this realm's tokens
    /// (<https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig>). Where
    /// Keycloak has no fixed public URL, it follows from the URL of the request.
    ///
    /// # Errors
    /// Keycloak does not answer with the realm's configuration.
    pub async fn issuer(&self, http: &Client) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
        }
        let answer = self.get(http, ".well-known/openid-configuration").await?;
        let configuration: Option<Configuration> = serde_json::from_slice(&answer.body).ok();
        let issuer = configuration.map(|configuration| configuration.issuer);
        issuer.ok_or(Error::NotKeycloak(answer.status))
    }

    async fn get(&self, http: &Client, path: &str) -> Result<Response, Error> {
        let answer = self.send(http, path, None).await?;
        if (200..=299).contains(&answer.status) {
            return Ok(answer);
        }
        Err(answer::error(&answer, self))
    }

    /// Sends a `GET`, or a `POST` of a form.
    pub(super) async fn send(
        &self,
        http: &Client,
        path: &str,
        form: Option<Secret>,
    ) -> Result<Response, Error> {
        let url = format!("{}/{path}", self.url());
        let headers = [(ACCEPT, "application/json")];
        let request = form::request(&url, form, LIMITS, headers).map_err(Error::Url)?;
        http.send(request).await.map_err(Error::Unreachable)
    }
}
