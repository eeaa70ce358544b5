//! The identity provider of a login.

use super::error::Error;

/// The prefix that Synapse puts before the `idp_id` of an entry of `oidc_providers`.
const OIDC_PREFIX: &str = "oidc-";

/// The id of an identity provider that the homeserver lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider(String);

impl IdentityProvider {
    /// The one of `listed` (`identity_providers[].id` of the flow `m.login.sso`,
    /// <https://spec.matrix.org/v1.11/client-server-api/#definition-mloginsso-flow-schema>)
    /// that `wanted` names: an exact id, or one without Synapse's `oidc-`.
    ///
    /// # Errors
    /// None of them is.
    pub fn choose(wanted: &str, listed: &[String]) -> Result<Self, Error> {
        let prefixed = format!("{OIDC_PREFIX}{wanted}");
        [wanted, &prefixed]
            .into_iter()
            .find(|id| listed.iter().any(|known| known == id))
            .map(|id| Self(id.to_owned()))
            .ok_or_else(|| Error::UnknownProvider {
                wanted: wanted.to_owned(),
                listed: listed.to_vec(),
            })
    }

    /// The id as the homeserver lists it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Remedy;

    fn choose(wanted: &str, listed: &[&str]) -> Result<IdentityProvider, Error> {
        let listed: Vec<String> = listed.iter().map(|&id| id.to_owned()).collect();
        IdentityProvider::choose(wanted, &listed)
    }

    #[test]
    fn an_exact_id_comes_before_one_with_the_prefix() {
        let chosen = |wanted, listed: &[&str]| choose(wanted, listed).unwrap().0;
        assert_eq!(chosen("keycloak", &["oidc-keycloak"]), "oidc-keycloak");
        assert_eq!(chosen("oidc-keycloak", &["oidc-keycloak"]), "oidc-keycloak");
        assert_eq!(
            chosen("keycloak", &["oidc-keycloak", "keycloak"]),
            "keycloak"
        );
    }

    #[test]
    fn an_unknown_id_is_answered_with_those_there_are() {
        let fault = choose("keycloak", &["oidc-a", "saml"]).unwrap_err();
        assert!(!fault.is_transient());
        let text = fault.to_string();
        assert!(text.contains("\"keycloak\""), "{text}");
        assert!(text.contains("only \"oidc-a\", \"saml\""), "{text}");
        let text = choose("keycloak", &[]).unwrap_err().to_string();
        assert!(text.contains("oidc_providers"), "{text}");
    }
}
