//! Asking the API server whose token this is
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>).

use super::api::Api;
use super::error::Error;
use crate::util::Secret;

/// What the API server says of a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenReview {
    /// `status.authenticated`.
    pub authenticated: bool,
    /// `status.audiences`.
    pub audiences: Vec<String>,
    /// `status.user.username`.
    pub username: String,
    /// `authentication.kubernetes.io/pod-name` of `status.user.extra`, if it has one value.
    pub pod_name: Option<String>,
    /// `…/pod-uid`, if it has one value.
    pub pod_uid: Option<String>,
    /// `…/node-name`, if it has one value.
    pub node_name: Option<String>,
    /// `…/credential-id`, if it has one value.
    pub credential_id: Option<String>,
    /// `status.error`: for the debug log only, since it names audiences.
    pub error: String,
}

impl Api {
    /// Asks whose token this is, for one audience.
    ///
    /// # Errors
    /// The API server did not say.
    pub async fn review_token(&self, token: &Secret, audience: &str) -> Result<TokenReview, Error> {
        let _ = (token, audience);
        todo!()
    }
}
