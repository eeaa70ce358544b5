//! The identity provider of a login.

use super::error::Error;

/// The prefix that Synapse puts before the `idp_id` of an entry of `oidc_providers`.
const OIDC_PREFIX: &str = "oidc-";

/// The id of `listed` (`identity_providers[].id` of the flow `m.login.sso`,
/// <https://spec.matrix.org/v1.11/client-server-api/#definition-mloginsso-flow-schema>)
/// that `wanted` names: an exact one, or one without Synapse's `oidc-`.
///
/// # Errors
/// None of them is.
pub fn choose_provider<'a>(wanted: &str, listed: &'a [String]) -> Result<&'a str, Error> {
    let prefixed = format!("{OIDC_PREFIX}{wanted}");
    [wanted, &prefixed]
        .into_iter()
        .find_map(|id| listed.iter().find(|known| *known == id))
        .map(String::as_str)
        .ok_or_else(|| Error::UnknownProvider {
            wanted: wanted.to_owned(),
            listed: listed.to_vec(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Remedy;

    fn choose(wanted: &str, listed: &[&str]) -> Result<String, Error> {
        let listed: Vec<String> = listed.iter().map(|&id| id.to_owned()).collect();
        choose_provider(wanted, &listed).map(str::to_owned)
    }

    #[test]
    fn an_exact_id_comes_before_one_with_the_prefix() {
        let chosen = |wanted, listed: &[&str]| choose(wanted, listed).unwrap();
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
