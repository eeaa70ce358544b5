//! Pages and redirects of those who want the password, or our time.

use super::*;
use crate::auth::sso::Server;

/// Nothing but the address of the login page was asked for.
fn assert_kept(outcome: &Outcome) {
    assert!(outcome.forms().is_empty(), "{:?}", outcome.asked);
}

#[test]
fn a_form_that_leads_elsewhere_gets_no_password() {
    for action in [
        "https://evil.example/realms/r/x",
        "http://127.0.0.1:8081/realms/r/x",
        "https://127.0.0.1:8080/realms/r/x",
        "//evil.example/x",
        "http://localhost:8080/realms/r/x",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///x",
        "http://[",
    ] {
        let outcome = login(vec![redirect(AUTH), page(&pages::login_to(action, ""))]);
        assert_eq!(*outcome.fault(), Error::FormLeadsAway, "{action}");
        assert_kept(&outcome);
    }
}

#[test]
fn a_form_that_would_put_the_password_into_an_address_gets_none() {
    let get = pages::login("").replace("method=\"post\" novalidate", "method=\"get\"");
    let outcome = login(vec![redirect(AUTH), page(&get)]);
    assert_eq!(*outcome.fault(), Error::FormLeadsAway);
    assert_kept(&outcome);
}

#[test]
fn a_form_on_plain_http_gets_no_password() {
    let outcome = login_at(
        "http://synapse:8008",
        None,
        vec![
            redirect("http://kc.example/realms/r/auth"),
            page(&pages::login_to("/realms/r/x", "")),
        ],
    );
    let origin = "http://kc.example".to_owned();
    assert_eq!(*outcome.fault(), Error::Plaintext(origin));
    assert_kept(&outcome);
}

#[test]
fn only_where_the_homeserver_led_a_form_is_filled_in() {
    // Keycloak, or somebody in its place, leads on.
    let outcome = login(vec![
        redirect(AUTH),
        redirect("https://evil.example/realms/r/auth"),
        page(&pages::login_to("", "")),
    ]);
    let text = outcome.fault().to_string();
    assert!(text.contains("https://evil.example"), "{text}");
    let is_other = |server: &Server| *server == Server::Other("https://evil.example".to_owned());
    assert!(
        matches!(outcome.fault(), Error::UnknownPage { server, .. } if is_other(server)),
        "{text}"
    );
    assert_kept(&outcome);

    // With the user name sent here, the password is not sent there.
    let outcome = login(vec![
        redirect(AUTH),
        page(&pages::login_with("username")),
        redirect("https://evil.example/realms/r/auth"),
        page(&pages::login_to("", "")),
    ]);
    assert!(matches!(outcome.fault(), Error::UnknownPage { .. }));
    assert_eq!(outcome.forms().len(), 1);

    // A homeserver has no form to fill in, whoever it is.
    let outcome = login(vec![page(&pages::login_to("", ""))]);
    assert!(matches!(outcome.fault(), Error::UnknownPage { .. }));
    assert_kept(&outcome);
}

#[test]
fn redirects_end() {
    let outcome = login(vec![redirect(AUTH); 20]);
    assert_eq!(*outcome.fault(), Error::TooManyRedirects(10));
    assert_eq!(outcome.asked.len(), 11);
}

#[test]
fn pages_end() {
    let code = || Secret::new("123456".to_owned());
    let asked = login_at(
        HOMESERVER,
        Some(&code),
        vec![
            redirect(AUTH),
            page(&pages::login_with("username")),
            page(&pages::login_with("password")),
            page(&pages::otp("")),
            page(&pages::login_with("username")),
        ],
    );
    assert!(matches!(asked.fault(), Error::PasswordRefused { .. }));
    assert_eq!(asked.forms().len(), 3);
}

#[test]
fn a_redirect_out_of_the_web_or_without_an_address_is_refused() {
    for (answer, why) in [
        (redirect("file:///etc/passwd"), RedirectError::Scheme),
        (
            redirect("https://me:x@kc.example/"),
            RedirectError::Credentials,
        ),
        (redirect("http://["), RedirectError::Broken),
        (answer(302, &[], ""), RedirectError::Broken),
        (
            answer(302, &[("location", "/ü")], ""),
            RedirectError::Broken,
        ),
    ] {
        let outcome = login(vec![answer]);
        let server = Server::Homeserver;
        assert_eq!(*outcome.fault(), Error::Redirect { server, why });
    }
}

#[test]
fn a_redirect_that_keeps_the_form_is_refused() {
    let outcome = after_password(vec![answer(307, &[("location", CALLBACK)], "")]);
    let server = Server::Keycloak;
    let why = RedirectError::Repost;
    assert_eq!(*outcome.fault(), Error::Redirect { server, why });
    // Without a form it is a redirect like any other.
    let outcome = login(vec![
        answer(307, &[("location", AUTH)], ""),
        answer(308, &[("location", CALLBACK)], ""),
        end(),
    ]);
    assert_eq!(outcome.token(), "syl_hunter2");
}

#[test]
fn a_cookie_for_somebody_else_is_not_sent_there() {
    let outcome = login(vec![
        answer(
            302,
            &[
                ("location", "https://kc.example/auth"),
                ("set-cookie", "a=b; Domain=kc.example; Path=/"),
                ("set-cookie", "c=d; Domain=example; Path=/"),
            ],
            "",
        ),
        page(""),
    ]);
    assert_eq!(outcome.asked[1].cookies, None);
}

#[test]
fn a_huge_page_costs_little() {
    let page_of = |piece: &str| page(&piece.repeat(1024 * 1024 / piece.len()));
    for piece in [
        "<form id=kc-form-login>",
        "<input name=password>",
        "<p id=input-error>",
        "<div class='alert-error'><p>",
        "</p></div></form>",
        "<a href='http://localhost/openclaw-k8s-toggle-operator'>",
        "x='\"&amp;<!--",
        "<i a a=b ",
    ] {
        let started = std::time::Instant::now();
        let outcome = login(vec![redirect(AUTH), page_of(piece)]);
        assert_kept(&outcome);
        assert!(started.elapsed().as_secs() < 5, "{piece}");
    }
}
