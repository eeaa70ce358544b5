//! The errors of an address that is not the homeserver's.

use std::ffi::OsString;

use crate::auth::Responsible;
use crate::config::{Account, Overrides};
use crate::login::Login;
use crate::login::error::Error;
use crate::net::Remedy;
use crate::net::fake::{Fake, Reply, run};
use crate::util::Clock;

const UNRECOGNIZED: &str = r#"{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}"#;
const SPEAKS: &str = r#"{"versions":["v1.11"]}"#;

/// The error of a login by this method at a server that answers so, and its being
/// transient; the configuration is responsible.
fn fault(method: &[(&str, &str)], replies: &[Reply]) -> (String, bool) {
    run(async {
        let server = Fake::plain(replies.to_vec());
        let url = server.url("");
        let url = url.trim_end_matches('/');
        let given = [("MATRIX_USER", "bot"), ("MATRIX_HOMESERVER", url)];
        let env = |name: &str| {
            let found = given.iter().chain(method).find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let account = Account::from_env(&env, Overrides::default()).unwrap();
        let login = Login::find(&account, Clock::stopped()).await.unwrap();
        let attempt = login.attempt("bot", "BOT".into()).await;
        let fault = attempt.map(|_| ()).unwrap_err();
        assert_eq!(server.requests().len(), replies.len());
        let is_ours = fault.responsible() == Responsible::Configuration;
        assert!(is_ours || matches!(fault, Error::NoLogins), "{fault}");
        (fault.to_string().replace(url, "URL"), fault.is_transient())
    })
}

const PASSWORD: &[(&str, &str)] = &[("MATRIX_PASSWORD", "hunter2")];
const TOKEN: &[(&str, &str)] = &[
    ("AUTH_METHOD", "token"),
    ("MATRIX_ACCESS_TOKEN", "syt_hunter2"),
    ("MATRIX_DEVICE_ID", "BOT"),
];

#[test]
fn a_redirect_is_named_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        for (method, path) in [(PASSWORD, "login"), (TOKEN, "account/whoami")] {
            let to = format!("Location: https://hs.example/_matrix/client/v3/{path}\r\n");
            let (said, again) = fault(method, &[Reply::with(status, &to, "<html>")]);
            assert_eq!(
                said,
                format!(
                    "the homeserver's address redirects to https://hs.example ({status}), which \
                     is not followed: write https://hs.example into MATRIX_HOMESERVER"
                )
            );
            // What may be different tomorrow is tried again.
            assert_eq!(again, !matches!(status, 301 | 308));
        }
    }
    let page = "Location: /login?next=x\r\n";
    let (said, _) = fault(PASSWORD, &[Reply::with(302, page, "")]);
    assert!(
        said.contains("redirects to URL/login (302)") && said.contains("may be a login page"),
        "{said}"
    );
}

#[test]
fn what_is_no_homeserver_is_not_taken_for_one_without_logins() {
    let none = "no homeserver is found: URL/_matrix/client/versions";
    let page = "<!DOCTYPE html><title>Element</title>";
    let tls = "Client sent an HTTP request to an HTTPS server.\n";
    let nginx = "<html><h1>400</h1>The plain HTTP request was sent to HTTPS port</html>";
    for (status, body, words) in [
        (
            404,
            UNRECOGNIZED,
            "answers 404; check MATRIX_HOMESERVER: give the homeserver's URL",
        ),
        (
            404,
            page,
            "answers 404; check MATRIX_HOMESERVER: a web site answers there",
        ),
        (
            404,
            "404 page not found\n",
            "answers 404; check MATRIX_HOMESERVER: give",
        ),
        (
            200,
            page,
            "does not answer with a list of versions; check MATRIX_HOMESERVER: a web",
        ),
        (
            200,
            "{}",
            "does not answer with a list of versions; check MATRIX_HOMESERVER: give",
        ),
        (
            400,
            tls,
            "answers 400; check MATRIX_HOMESERVER: this port speaks TLS",
        ),
        (
            400,
            nginx,
            "answers 400; check MATRIX_HOMESERVER: this port speaks TLS",
        ),
    ] {
        for method in [PASSWORD, TOKEN] {
            // Whoever has a token asks for no logins: a 200 is looked at there.
            if (status, method) == (200, TOKEN) {
                continue;
            }
            let replies = [Reply::new(status, body), Reply::new(status, body)];
            let (said, again) = fault(method, &replies);
            assert!(said.starts_with(&format!("{none} {words}")), "{said}");
            assert!(!again, "{said}");
        }
    }
}

#[test]
fn a_homeserver_without_logins_is_one() {
    let replies = [Reply::new(404, UNRECOGNIZED), Reply::new(200, SPEAKS)];
    let (said, again) = fault(PASSWORD, &replies);
    assert!(
        said.contains("where Matrix Authentication Service does them"),
        "{said}"
    );
    assert!(!again);
}
