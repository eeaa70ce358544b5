//! The conversation over real connections.

use super::*;
use crate::auth::sso::{Server, login_token};
use crate::net::fake::{Fake, Reply, closed_port, run};
use crate::net::{Client, Roots};
use crate::util::Clock;

fn login_over_http(base: &str) -> Result<Secret, Error> {
    let client = Client::new(Roots::Mozilla, Clock::stopped()).unwrap();
    let password = Secret::new("p&ss".to_owned());
    let account = Account {
        user: "bot",
        password: &password,
        code: None,
        provider_url: None,
        realm: None,
    };
    run(login_token(&client, base, "oidc-keycloak", &account))
}

#[test]
fn requests_carry_the_form_and_the_cookies() {
    // Homeserver and Keycloak behind one proxy.
    let server = Fake::plain([]);
    let to = |path: &str| format!("Location: {}\r\n", server.url(path));
    server.then([
        Reply::with(302, &to("/realms/r/auth"), ""),
        Reply::with(
            200,
            "Set-Cookie: AUTH_SESSION_ID=k; Path=/realms/r/; Secure\r\n",
            &pages::login_to("/realms/r/x?y&amp;z", ""),
        ),
        Reply::with(302, &to("/_synapse/client/oidc/callback?code=c"), ""),
        Reply::with(
            302,
            &format!("Location: {REDIRECT_URL}?loginToken=syl_hunter2\r\n"),
            "",
        ),
    ]);
    let token = login_over_http(&server.url("")).unwrap();
    assert_eq!(token.expose(), "syl_hunter2");
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    let post = &requests[2];
    assert!(post.starts_with("POST /realms/r/x?y&z HTTP/1.1"), "{post}");
    for line in [
        "cookie: AUTH_SESSION_ID=k\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "accept-language: en\r\n",
        "\r\n\r\nusername=bot&password=p%26ss&credentialId=x%26y",
    ] {
        assert!(post.contains(line), "{line:?} in {post:?}");
    }
    assert!(!requests[3].contains("cookie"), "{}", requests[3]);
}

#[test]
fn who_does_not_answer_is_named() {
    let port = closed_port();
    let homeserver = Fake::plain([Reply::with(
        302,
        &format!("Location: http://127.0.0.1:{port}/realms/r/auth?secret\r\n"),
        "",
    )]);
    let fault = login_over_http(&homeserver.url("")).unwrap_err();
    assert!(fault.is_transient());
    let text = fault.to_string();
    assert!(
        text.contains(&format!(
            "the way to Keycloak is broken: 127.0.0.1:{port} refused"
        )),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");

    let fault = login_over_http(&format!("http://127.0.0.1:{port}")).unwrap_err();
    let is_homeserver =
        matches!(&fault, Error::Unreachable { server, .. } if *server == Server::Homeserver);
    assert!(is_homeserver, "{fault}");
}

#[test]
fn a_page_beyond_the_limit_is_not_read() {
    let server = Fake::plain([Reply::new(200, &"x".repeat(1024 * 1024 + 1))]);
    let text = login_over_http(&server.url("")).unwrap_err().to_string();
    assert!(text.contains("larger than 1048576 bytes"), "{text}");
}
