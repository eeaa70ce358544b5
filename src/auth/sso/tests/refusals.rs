//! The refusals of honest servers.

use super::*;
use crate::auth::sso::Server;

/// The sentence has these words, and what trying again would do is known.
fn assert_says(outcome: &Outcome, words: &[&str], is_transient: bool) {
    let fault = outcome.fault();
    let text = fault.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
    assert_eq!(fault.is_transient(), is_transient, "{text}");
}

#[test]
fn a_wrong_password_is_said_in_keycloaks_words_and_sent_once() {
    let outcome = after_password(vec![page(&pages::login("Invalid username or password."))]);
    let words = [
        "Keycloak",
        "\"Invalid username or password.\"",
        "MATRIX_PASSWORD",
    ];
    assert_says(&outcome, &words, false);
    assert_eq!(outcome.forms().len(), 1);

    let outcome = login(vec![
        redirect(AUTH),
        page(&pages::login_with("username")),
        page(&pages::login_with("username")),
    ]);
    let text = String::new();
    assert_eq!(*outcome.fault(), Error::PasswordRefused(text));
}

#[test]
fn words_on_the_first_page_refuse_nothing() {
    let first = pages::login("You took too long to login. Login process starting from beginning.");
    let outcome = login(vec![
        redirect(AUTH),
        page(&first),
        redirect(CALLBACK),
        end(),
    ]);
    assert_eq!(outcome.token(), "syl_hunter2");
}

#[test]
fn a_one_time_password_is_missing_or_wrong() {
    let outcome = after_password(vec![page(&pages::otp(""))]);
    assert_eq!(*outcome.fault(), Error::CodeNeeded);
    assert_says(&outcome, &["Keycloak", "KEYCLOAK_TOTP_SECRET"], false);

    let code = || Secret::new("123456".to_owned());
    let outcome = login_at(
        HOMESERVER,
        Some(&code),
        vec![
            redirect(AUTH),
            page(&pages::login("")),
            page(&pages::otp("")),
            page(&pages::otp("Invalid authenticator code.")),
        ],
    );
    let words = [
        "\"Invalid authenticator code.\"",
        "KEYCLOAK_TOTP_SECRET",
        "clocks",
    ];
    assert_says(&outcome, &words, false);
}

#[test]
fn consent_is_asked_for_by_page_or_by_address() {
    let by_page = after_password(vec![page(&pages::consent())]);
    let by_address = after_password(vec![
        redirect("/realms/r/login-actions/required-action?execution=OAUTH_GRANT&tab_id=t"),
        page("<html>themed beyond recognition</html>"),
    ]);
    for outcome in [by_page, by_address] {
        assert_eq!(*outcome.fault(), Error::Consent);
        assert_says(&outcome, &["Keycloak", "Consent required"], false);
    }
}

#[test]
fn a_required_action_is_named() {
    let outcome = after_password(vec![
        redirect("/realms/r/login-actions/required-action?execution=UPDATE_PASSWORD&tab_id=t"),
        page(&pages::update_password()),
    ]);
    assert_says(&outcome, &["Keycloak", "UPDATE_PASSWORD", "browser"], false);
    assert_eq!(outcome.forms().len(), 1);
}

#[test]
fn keycloaks_error_page_is_about_the_client() {
    let text = "Invalid parameter: redirect_uri";
    let outcome = login(vec![redirect(AUTH), answer(400, &[], &pages::error(text))]);
    let words = [
        "Keycloak",
        "\"Invalid parameter: redirect_uri\"",
        "oidc_providers",
    ];
    assert_says(&outcome, &words, false);
}

#[test]
fn synapses_error_page_is_repeated() {
    let at_callback = |status, code: &str, text: &str| {
        let body = pages::synapse_error(code, text);
        after_password(vec![redirect(CALLBACK), answer(status, &[], &body)])
    };
    let outcome = at_callback(400, "mapping_error", "No such user");
    let words = ["the homeserver", "(mapping_error, \"No such user\")", "log"];
    assert_says(&outcome, &words, false);
    let outcome = at_callback(400, "fetch_error", "no answer");
    assert_says(&outcome, &["the homeserver"], true);
    let outcome = at_callback(400, "missing_session", "No session cookie found");
    assert_eq!(*outcome.fault(), Error::SessionLost);
    assert_says(&outcome, &["the homeserver", "https"], false);

    let deactivated = "<h1>Your account has been deactivated</h1><p>No account found</p>";
    let outcome = after_password(vec![redirect(CALLBACK), answer(403, &[], deactivated)]);
    assert_says(
        &outcome,
        &["status 403", "Your account has been deactivated"],
        false,
    );
}

#[test]
fn a_matrix_error_is_repeated() {
    let body = r#"{"errcode":"M_NOT_FOUND","error":"Unknown identity provider"}"#;
    let outcome = login(vec![answer(404, &[], body)]);
    assert_says(
        &outcome,
        &["(M_NOT_FOUND, \"Unknown identity provider\")"],
        false,
    );
}

#[test]
fn an_account_that_is_not_there_yet_is_explained() {
    for path in ["pick_username/account_details", "new_user_consent"] {
        let outcome = after_password(vec![
            redirect(CALLBACK),
            redirect(&format!("/_synapse/client/{path}")),
            page("<form><input name=username></form>"),
        ]);
        assert_eq!(*outcome.fault(), Error::NewAccount);
        assert_says(&outcome, &["the homeserver", "localpart_template"], false);
    }
}

#[test]
fn who_fails_or_asks_to_slow_down_is_named() {
    let headers = [("retry-after", "7")];
    let outcome = login(vec![answer(
        503,
        &headers,
        "<h1>This login provider is unavailable</h1>",
    )]);
    let words = [
        "the homeserver failed",
        "503",
        "This login provider is unavailable",
    ];
    assert_says(&outcome, &words, true);
    assert_eq!(outcome.fault().retry_after().unwrap().as_secs(), 7);

    let outcome = login(vec![redirect(AUTH), answer(502, &[], "Bad gateway")]);
    assert_says(&outcome, &["Keycloak failed", "502"], true);
    let outcome = after_password(vec![answer(429, &headers, "")]);
    assert_says(&outcome, &["Keycloak asks to slow down"], true);
    assert_eq!(outcome.fault().retry_after().unwrap().as_secs(), 7);
}

#[test]
fn an_unknown_page_is_named_by_its_title() {
    let outcome = login(vec![
        redirect(AUTH),
        page("<title>Sign in</title><div id=root></div><script src=app.js></script>"),
    ]);
    let expected = Error::UnknownPage {
        server: Server::Keycloak,
        status: 200,
        title: "Sign in".to_owned(),
    };
    assert_eq!(*outcome.fault(), expected);
    assert_says(&outcome, &["Keycloak", "\"Sign in\"", "AUTH_METHOD"], false);

    let outcome = login(vec![page("<title>nginx</title>")]);
    assert_says(&outcome, &["the homeserver", "\"nginx\""], false);
    let outcome = after_password(vec![redirect(CALLBACK), redirect(REDIRECT_URL)]);
    assert_eq!(*outcome.fault(), Error::NoToken);
}
