//! A realm: its URLs, its keys and its issuer.

use std::time::Duration;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answer;
use super::fault::Fault;
use crate::auth::jwt::Jwks;
use crate::net::{Client, Limits, Request, Response};
use crate::util::Secret;

/// What one request may cost. Keycloak hashes passwords slowly on purpose.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(15),
    body: 256 * 1024,
};

/// What stands in a segment of a path as it is (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A realm of a Keycloak and the client that this program is there.
#[derive(Debug, Clone)]
pub struct Realm {
    /// The URL of Keycloak, `http` or `https`, as this program reaches it.
    pub base: String,
    /// The name of the realm.
    pub realm: String,
    /// The id of the client.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<Secret>,
}

impl Realm {
    /// The realm's URL: the issuer of its tokens, unless Keycloak has a public
    /// URL that differs from [`Realm::base`].
    pub fn url(&self) -> String {
        let realm = utf8_percent_encode(&self.realm, SEGMENT);
        format!("{}/realms/{realm}", self.base.trim_end_matches('/'))
    }

    /// The keys that the realm signs with.
    pub async fn keys(&self, http: &Client) -> Result<Jwks, Fault> {
        let answer = self.get(http, "protocol/openid-connect/certs").await?;
        Jwks::parse(&answer.body).map_err(Fault::Keys)
    }

    /// The issuer that Keycloak puts into this realm's tokens, as it tells this
    /// program: without a fixed public URL, it follows the URL of the request
    /// (OpenID Connect Discovery, section 4).
    pub async fn issuer(&self, http: &Client) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
        }
        let answer = self.get(http, ".well-known/openid-configuration").await?;
        match serde_json::from_slice::<Configuration>(&answer.body) {
            Ok(configuration) => Ok(configuration.issuer),
            Err(_) => Err(Fault::NotKeycloak {
                status: answer.status,
            }),
        }
    }

    async fn get(&self, http: &Client, path: &str) -> Result<Response, Fault> {
        let answer = self.send(http, Method::GET, path, Vec::new()).await?;
        if (200..=299).contains(&answer.status) {
            return Ok(answer);
        }
        Err(answer::fault(&answer, self))
    }

    pub(super) async fn send(
        &self,
        http: &Client,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response, Fault> {
        use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
        let url = format!("{}/{path}", self.url());
        let is_form = method == Method::POST;
        let mut request = Request::new(method, &url, body, LIMITS)
            .map_err(Fault::Url)?
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if is_form {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request = request.header(CONTENT_TYPE, form);
        }
        http.send(request).await.map_err(Fault::Unreachable)
    }
}
