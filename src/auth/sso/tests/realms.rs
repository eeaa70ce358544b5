//! One Keycloak, and realms of different people: the password is for one of them.

use super::*;

const KEYCLOAK: &str = "http://127.0.0.1:8080";

/// A login at the configured Keycloak, which gets these answers.
fn login_in(realm: Option<&str>, answers: Vec<Response>) -> Outcome {
    let password = Secret::new("p&ss".to_owned());
    let account = Account {
        user: "bot",
        password: &password,
        code: None,
        provider_url: Some(KEYCLOAK),
        realm,
    };
    converse(HOMESERVER, &account, answers)
}

fn at(path: &str) -> String {
    format!("{KEYCLOAK}{path}")
}

fn assert_refused(outcome: &Outcome, why: &str) {
    assert!(outcome.forms().is_empty(), "{:?}", outcome.asked);
    let text = outcome.fault().to_string();
    assert!(text.contains(why), "{text}");
    assert!(!outcome.fault().is_transient());
}

#[test]
fn a_page_of_the_configured_realm_is_told_the_password() {
    let own = "/realms/r/login-actions/authenticate?execution=e";
    for realm in [Some("r"), None] {
        let outcome = login_in(
            realm,
            vec![
                redirect(AUTH),
                redirect(&at(own)),
                page(&pages::login_to(own, "")),
                redirect(CALLBACK),
                end(),
            ],
        );
        assert_eq!(outcome.token(), "syl_hunter2");
        assert_eq!(outcome.forms().len(), 1);
    }
}

/// A realm that leads to another one's login page, as one does that takes its
/// users from there.
#[test]
fn the_way_to_the_configured_realm_may_lead_over_another() {
    let outcome = login_in(
        Some("r"),
        vec![
            redirect(&at("/realms/front/protocol/openid-connect/auth")),
            redirect(&at("/realms/front/broker/r/login")),
            redirect(AUTH),
            page(&pages::login_to("/realms/r/login-actions/authenticate", "")),
            redirect(&at("/realms/front/broker/r/endpoint")),
            redirect(CALLBACK),
            end(),
        ],
    );
    assert_eq!(outcome.token(), "syl_hunter2");
}

#[test]
fn another_realm_or_path_of_the_same_keycloak_is_not_told_the_password() {
    for other in [
        "/realms/evil/protocol/openid-connect/auth",
        "/realms/rr/protocol/openid-connect/auth",
        "/realms/R/login-actions/authenticate",
        "/realms/r/../evil/login-actions/authenticate",
        "/realms/r/..%2fevil/login-actions/authenticate",
        "/realms/r%2f..%2fevil/login-actions/authenticate",
        "/realms/r;/../evil/login-actions/authenticate",
        "/auth/realms/r/login-actions/authenticate",
        "/evil",
        "/",
    ] {
        // At once, or after the realm's own page.
        for first in [vec![], vec![redirect(AUTH)]] {
            let mut answers = first;
            answers.push(redirect(&at(other)));
            answers.push(page(&pages::login_to("", "")));
            let why = "and not at http://127.0.0.1:8080/realms/r, which is KEYCLOAK_URL and \
                       KEYCLOAK_REALM";
            assert_refused(&login_in(Some("r"), answers), why);
        }
    }
    for other in ["/auth/realms/r/login-actions/authenticate", "/evil"] {
        let answers = vec![redirect(&at(other)), page(&pages::login_to("", ""))];
        let why = "and not at http://127.0.0.1:8080, which is KEYCLOAK_URL, so";
        assert_refused(&login_in(None, answers), why);
    }
}

#[test]
fn the_user_name_is_not_told_to_another_realm_either() {
    let answers = vec![
        redirect(&at("/realms/evil/protocol/openid-connect/auth")),
        page(&pages::login_with("username")),
    ];
    assert_refused(&login_in(Some("r"), answers), "realms/evil/protocol");
}

#[test]
fn a_form_of_the_realm_that_leads_to_another_gets_no_password() {
    for action in [
        "/realms/evil/login-actions/authenticate",
        "../../../evil/login-actions/authenticate",
        "/realms/r/..%2fevil/login-actions/authenticate",
        "/realms/rr/login-actions/authenticate",
        "/evil",
    ] {
        let answers = vec![redirect(AUTH), page(&pages::login_to(action, ""))];
        let outcome = login_in(Some("r"), answers);
        assert_eq!(*outcome.fault(), Error::FormLeadsAway, "{action}");
        assert!(outcome.forms().is_empty(), "{action}");
    }
}
