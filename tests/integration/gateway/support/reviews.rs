//! The tokens that an API server knows, and the rights that it grants.

use std::time::Duration;

use serde_json::{Value, json};

/// A token as the API server knows it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The audiences that it is for.
    pub audiences: Vec<String>,
    pub username: String,
    /// The name and the uid of the pod that it is bound to.
    pub pod: Option<(String, String)>,
    /// Instead of an answer of its own.
    pub error: Option<String>,
    /// The answer takes so long.
    pub delay: Duration,
    /// The number of times that it was asked for.
    pub reviews: usize,
}

impl Token {
    /// A token of a service account's pod, for one audience.
    pub fn bound(namespace: &str, account: &str, audience: &str) -> Self {
        Self {
            audiences: vec![audience.to_owned()],
            username: format!("system:serviceaccount:{namespace}:{account}"),
            pod: Some((format!("{account}-0"), format!("pod-uid-of-{account}"))),
            error: None,
            delay: Duration::ZERO,
            reviews: 0,
        }
    }

    /// As `kubectl create token` makes it.
    pub fn unbound(namespace: &str, account: &str, audience: &str) -> Self {
        Self {
            pod: None,
            ..Self::bound(namespace, account, audience)
        }
    }

    /// The status of its review for these audiences.
    pub fn status(&self, wanted: &[String]) -> Value {
        let common: Vec<&String> = wanted
            .iter()
            .filter(|audience| self.audiences.contains(audience))
            .collect();
        if let Some(error) = &self.error {
            return json!({"user": {}, "error": error});
        }
        if common.is_empty() {
            let error = format!(
                "[invalid bearer token, token audiences {:?} is invalid for the target audiences \
                 {wanted:?}]",
                self.audiences
            );
            return json!({"user": {}, "error": error});
        }
        let mut extra = json!({"authentication.kubernetes.io/credential-id": ["JTI=of-the-token"]});
        if let Some((name, uid)) = &self.pod {
            extra["authentication.kubernetes.io/node-name"] = json!(["node-1"]);
            extra["authentication.kubernetes.io/pod-name"] = json!([name]);
            extra["authentication.kubernetes.io/pod-uid"] = json!([uid]);
        }
        json!({
            "authenticated": true,
            "user": {
                "username": self.username, "uid": "uid-of-the-account",
                "groups": ["system:serviceaccounts", "system:authenticated"], "extra": extra,
            },
            "audiences": common,
        })
    }
}

/// The status of the review of a token that nobody knows.
pub fn unknown() -> Value {
    json!({"user": {}, "error": "[invalid bearer token, square/go-jose: error in cryptographic primitive]"})
}

/// A right that is not granted; what is empty stands for all.
#[derive(Clone, Debug)]
pub struct Denied {
    pub verb: &'static str,
    /// With its subresource, such as `deployments/scale`.
    pub resource: &'static str,
    pub namespace: &'static str,
}

impl Denied {
    pub fn is(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let fits = |wanted: &str, given: &str| wanted.is_empty() || wanted == given;
        fits(self.verb, verb) && fits(self.resource, resource) && fits(self.namespace, namespace)
    }
}
