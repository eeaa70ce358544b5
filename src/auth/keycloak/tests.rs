//! The grant against a server that answers what Keycloak answers, and what
//! stands in front of it.

use std::time::Duration;

use super::*;
use crate::auth::jwt::JwksError;
use crate::net::Remedy;
use crate::net::fake::{Authority, Fake, Reply, closed_port, run};
use crate::net::{Client, Roots};
use crate::util::{Clock, Secret};

const JSON: &str = "Content-Type: application/json\r\n";
const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";

fn client() -> Client {
    Client::new(Roots::Mozilla, Clock::stopped()).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn realm(base: String) -> Realm {
    Realm {
        base,
        realm: "my realm".to_owned(),
        client_id: "bot".to_owned(),
        client_secret: Some(secret("s&cret")),
    }
}

/// The fault that an answer to the grant is.
fn fault(reply: Reply) -> Error {
    run(async {
        let server = Fake::plain([reply]);
        realm(server.url("/"))
            .token(&client(), "alice", &secret("pw"), None)
            .await
            .unwrap_err()
    })
}

fn json_fault(status: u16, body: &str) -> Error {
    fault(Reply::with(status, JSON, body))
}

fn oauth_fault(error: &str, description: &str) -> Error {
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    let faults = [400, 401].map(|status| json_fault(status, &body));
    assert_eq!(faults[0], faults[1], "the status decides nothing");
    faults[0].clone()
}

#[test]
fn the_form_is_encoded_and_the_token_read() {
    run(async {
        let answer = r#"{"access_token":"a.b.c","expires_in":300,"refresh_token":"r","scope":"x"}"#;
        let server = Fake::plain([
            Reply::with(200, JSON, answer),
            Reply::with(200, JSON, r#"{"access_token":"d"}"#),
        ]);
        let mut realm = realm(server.url("/auth/"));
        let (password, code) = (secret("p&w +ü=%"), secret("012345"));
        let got = realm
            .token(&client(), "alice", &password, Some(&code))
            .await
            .unwrap();
        assert_eq!(got.token.expose(), "a.b.c");
        assert_eq!(got.expires_in, Some(Duration::from_secs(300)));
        realm.client_secret = None;
        let got = realm
            .token(&client(), "alice", &password, None)
            .await
            .unwrap();
        assert_eq!((got.token.expose(), got.expires_in), ("d", None));

        let sent = server.requests();
        let path = "POST /auth/realms/my%20realm/protocol/openid-connect/token HTTP/1.1\r\n";
        assert!(sent[0].starts_with(path), "{}", sent[0]);
        let kind = "content-type: application/x-www-form-urlencoded\r\n";
        assert!(sent[0].contains(kind), "{}", sent[0]);
        let body = |request: &str| request.split_once("\r\n\r\n").unwrap().1.to_owned();
        assert_eq!(
            body(&sent[0]),
            "grant_type=password&client_id=bot&client_secret=s%26cret&username=alice\
             &password=p%26w+%2B%C3%BC%3D%25&totp=012345"
        );
        assert_eq!(
            body(&sent[1]),
            "grant_type=password&client_id=bot&username=alice&password=p%26w+%2B%C3%BC%3D%25"
        );
    });
}

#[test]
fn each_refusal_of_keycloak_has_its_own_name_and_cure() {
    let credentials = oauth_fault("invalid_grant", "Invalid user credentials").to_string();
    for part in [
        "user alice",
        "MATRIX_PASSWORD",
        "the realm has the user",
        "locked",
        "KEYCLOAK_TOTP_SECRET",
    ] {
        assert!(credentials.contains(part), "{part} in {credentials}");
    }
    for (error, description, part) in [
        (
            "invalid_grant",
            "Account disabled",
            "alice disabled: enable it",
        ),
        (
            "invalid_grant",
            "Account is not fully set up",
            "clear its required actions",
        ),
        (
            "unauthorized_client",
            "Invalid client or Invalid client credentials",
            "set KEYCLOAK_CLIENT_SECRET to",
        ),
        (
            "invalid_client",
            "Invalid client or Invalid client credentials",
            "realm my realm has no client bot",
        ),
        (
            "unauthorized_client",
            "Client not allowed for direct access grants",
            "turn direct access grants on",
        ),
        (
            "invalid_client",
            "Client requires user consent",
            "turn consent off",
        ),
        (
            "invalid_request",
            "HTTPS required",
            "use https in KEYCLOAK_URL",
        ),
        (
            "invalid_x",
            "odd\\n\\u001b",
            r#"status 401, "invalid_x: odd\n\u{1b}": see Keycloak's log"#,
        ),
    ] {
        let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
        let fault = json_fault(401, &body);
        assert!(fault.to_string().contains(part), "{fault}");
        assert!(!fault.is_transient(), "{fault}");
    }
    let realm = json_fault(404, r#"{"error":"Realm does not exist"}"#);
    assert!(
        realm
            .to_string()
            .contains("no realm my realm: check KEYCLOAK_REALM")
    );
    let path = json_fault(
        404,
        r#"{"error":"Unable to find matching target resource method"}"#,
    );
    assert_eq!(path, Error::WrongPath);
}

#[test]
fn what_was_sent_decides_what_to_look_at() {
    run(async {
        let refuse = |error: &str, description: &str| {
            let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
            Reply::with(401, JSON, &body)
        };
        let server = Fake::plain([
            refuse("unauthorized_client", "Invalid client or …"),
            refuse("invalid_grant", "Invalid user credentials"),
        ]);
        let mut realm = realm(server.url(""));
        realm.client_secret = None;
        let mut said = Vec::new();
        for _ in 0..2 {
            let (password, code) = (secret("pw"), secret("012345"));
            let fault = realm
                .token(&client(), "alice", &password, Some(&code))
                .await
                .unwrap_err();
            said.push(fault.to_string());
        }
        assert!(
            said[0].contains("asks for a secret of client bot"),
            "{said:?}"
        );
        assert!(said[1].contains("this machine's clock"), "{said:?}");
    });
}

#[test]
fn what_stands_in_front_of_keycloak_is_recognised() {
    let page = "<!DOCTYPE html><HTML><head><Title lang=en>\n 502  Bad\tGateway </TITLE></head>";
    let gateway = fault(Reply::with(502, HTML, page));
    assert_eq!(
        gateway.to_string(),
        "instead of Keycloak's answer came a page of status 502, \"502 Bad Gateway\": check \
         KEYCLOAK_URL, and the proxies in front of Keycloak"
    );
    assert!(gateway.is_transient());
    let long = format!("\u{feff} <html><title>{}</title>", "\u{1b}é".repeat(500));
    let Error::Page { title, .. } = fault(Reply::with(200, HTML, &long)) else {
        panic!("it is a page");
    };
    assert!(title.is_some_and(|title| title.len() <= 80 && !title.contains('\u{1b}')));
    for untitled in [
        "  <p>hello",
        "<title>",
        "<title",
        "<title></title>",
        "<title>ü",
    ] {
        let fault = fault(Reply::new(404, untitled));
        let page = Error::Page {
            status: 404,
            title: None,
            retry_after: None,
        };
        assert_eq!(fault, page, "{untitled}");
        assert!(!fault.is_transient());
    }

    let there = "Location: https://kc.example/x?secret=1\r\n";
    assert_eq!(
        fault(Reply::with(308, there, "<html>")),
        Error::Redirected("https://kc.example/x".to_owned())
    );
    // The same realm somewhere else: what stands before it is to be written.
    let there = "Location: https://u:p@kc.example/auth/realms/matrix/x?secret=1\r\n";
    let said = fault(Reply::with(301, there, "")).to_string();
    assert!(
        said.contains("redirects to \"https://kc.example/auth\", which is not followed: write"),
        "{said}"
    );
    let wait = Some(Duration::from_secs(7));
    for (status, html) in [(429, ""), (429, "<html>"), (503, ""), (503, "<html>")] {
        let fault = fault(Reply::with(status, "Retry-After: 7\r\n", html));
        assert!(fault.is_transient(), "{fault}");
        assert_eq!(fault.retry_after(), wait, "{fault}");
    }
    let failing = json_fault(500, r#"{"error":"unknown_error"}"#);
    assert!(failing.is_transient() && failing.to_string().contains("status 500"));
}

#[test]
fn an_answer_without_a_token_is_none() {
    for body in [
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":null}"#,
        r#"{"error":7}"#,
    ] {
        assert_eq!(json_fault(200, body), Error::NoToken, "{body}");
    }
    for body in ["", "hello", "[]", "\u{7f}", &"[".repeat(100_000)] {
        assert_eq!(json_fault(200, body), Error::NotKeycloak(200));
    }
    let large = fault(Reply::new(200, &" ".repeat(256 * 1024 + 1)));
    assert!(
        large.to_string().contains("larger than 262144 bytes"),
        "{large}"
    );
}

#[test]
fn nobody_there_is_named_and_may_come_back() {
    run(async {
        let realm = realm(format!("http://127.0.0.1:{}", closed_port()));
        let fault = realm.keys(&client()).await.unwrap_err();
        assert!(fault.is_transient());
        let said = fault.to_string();
        assert!(
            said.contains("refused the connection; check KEYCLOAK_URL"),
            "{said}"
        );
    });
    run(async {
        let server = Fake::tls(Authority::new().issue(), []);
        let realm = realm(server.url(""));
        let said = realm.keys(&client()).await.unwrap_err().to_string();
        assert!(
            said.contains("its certificate is self-signed")
                && said.contains("; give this very certificate in EXTRA_CA_FILE"),
            "{said}"
        );
    });
    run(async {
        let fault = realm("keycloak".to_owned()).keys(&client()).await;
        assert!(matches!(fault, Err(Error::Url(_))));
    });
}

#[test]
fn keys_and_issuer_are_the_realms() {
    run(async {
        let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"AAAA"}]}"#;
        let server = Fake::plain([
            Reply::with(200, JSON, key),
            Reply::with(200, JSON, r#"{"keys":[]}"#),
            Reply::with(404, JSON, r#"{"error":"Realm does not exist"}"#),
            Reply::with(
                200,
                JSON,
                r#"{"issuer":"https://kc.example/realms/r","x":1}"#,
            ),
            Reply::with(200, JSON, "{}"),
            Reply::with(502, HTML, "<title>x</title>"),
        ]);
        let realm = realm(server.url(""));
        assert!(realm.keys(&client()).await.is_ok());
        let empty = realm.keys(&client()).await.unwrap_err();
        assert_eq!(empty, Error::Keys(JwksError::Empty));
        let unknown = realm.keys(&client()).await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownRealm { .. }));
        let issuer = realm.issuer(&client()).await.unwrap();
        assert_eq!(issuer, "https://kc.example/realms/r");
        let fault = realm.issuer(&client()).await.unwrap_err();
        assert_eq!(fault, Error::NotKeycloak(200));
        let page = realm.issuer(&client()).await.unwrap_err();
        assert!(matches!(page, Error::Page { status: 502, .. }));
        let sent = server.requests();
        let paths: Vec<&str> = sent
            .iter()
            .map(|request| request.split(' ').nth(1).unwrap())
            .collect();
        assert_eq!(paths[0], "/realms/my%20realm/protocol/openid-connect/certs");
        assert_eq!(
            paths[3],
            "/realms/my%20realm/.well-known/openid-configuration"
        );
    });
}
