//! Whole conversations: pages in, requests out.

mod driver;
mod hostile;
mod pages;
mod realms;
mod refusals;

use std::time::SystemTime;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::form_urlencoded;

use super::Error;
use super::flow::{Account, Flow, PageRequest, Step};
use super::redirect::{REDIRECT_URL, RedirectError};
use crate::net::Remedy;
use crate::net::Response;
use crate::util::Secret;

const HOMESERVER: &str = "http://127.0.0.1:8008";
const AUTH: &str = "http://127.0.0.1:8080/realms/r/protocol/openid-connect/auth?client_id=synapse";
const CALLBACK: &str = "http://127.0.0.1:8008/_synapse/client/oidc/callback?code=c&state=s";

/// An answer; several headers of one name are kept.
fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        map.append(HeaderName::from_static(name), value);
    }
    Response {
        status,
        headers: map,
        body: body.as_bytes().to_vec(),
        skipped: Default::default(),
        is_cut: false,
        arrived: SystemTime::now(),
    }
}

fn page(body: &str) -> Response {
    answer(200, &[("content-type", "text/html")], body)
}

fn redirect(to: &str) -> Response {
    answer(302, &[("location", to)], "")
}

/// The redirect that ends a login well.
fn end() -> Response {
    redirect(&format!("{REDIRECT_URL}?loginToken=syl_hunter2"))
}

/// The requests and the end of a conversation.
struct Outcome {
    asked: Vec<PageRequest>,
    end: Result<Secret, Error>,
}

impl Outcome {
    fn token(&self) -> &str {
        self.end.as_ref().unwrap().expose()
    }

    fn fault(&self) -> &Error {
        self.end.as_ref().unwrap_err()
    }

    /// The forms that were sent, as pairs.
    fn forms(&self) -> Vec<Vec<(String, String)>> {
        let forms = self.asked.iter().filter_map(|ask| ask.form.as_ref());
        forms
            .map(|form| {
                form_urlencoded::parse(form.expose().as_bytes())
                    .into_owned()
                    .collect()
            })
            .collect()
    }
}

/// A login at `base` that gets these answers one after the other.
fn login_at(base: &str, code: Option<&dyn Fn() -> Secret>, answers: Vec<Response>) -> Outcome {
    let password = Secret::new("p&ss".to_owned());
    let account = Account {
        user: "bot",
        password: &password,
        code,
        provider_url: None,
        realm: None,
    };
    converse(base, &account, answers)
}

/// A login of `account` at `base` that gets these answers one after the other.
fn converse(base: &str, account: &Account<'_>, answers: Vec<Response>) -> Outcome {
    let (mut flow, ask) = Flow::begin(base, "oidc-keycloak", account).unwrap();
    let mut asked = vec![ask];
    for answer in answers {
        match flow.handle(answer, SystemTime::now()) {
            Ok(Step::Send(ask)) => asked.push(ask),
            Ok(Step::Done(token)) => {
                let end = Ok(token);
                return Outcome { asked, end };
            }
            Err(fault) => {
                let end = Err(fault);
                return Outcome { asked, end };
            }
        }
    }
    panic!("the login goes on with {:?}", asked.last());
}

fn login(answers: Vec<Response>) -> Outcome {
    login_at(HOMESERVER, None, answers)
}

/// A login whose password was sent, and then these answers.
fn after_password(answers: Vec<Response>) -> Outcome {
    let mut all = vec![redirect(AUTH), page(&pages::login(""))];
    all.extend(answers);
    login(all)
}

#[test]
fn a_login_goes_to_keycloak_and_back_with_its_cookies() {
    let outcome = login(vec![
        answer(
            302,
            &[
                ("location", AUTH),
                (
                    "set-cookie",
                    "oidc_session=m; Max-Age=3600; Path=/_synapse/client/oidc; Secure",
                ),
            ],
            "",
        ),
        answer(
            200,
            &[
                ("set-cookie", "AUTH_SESSION_ID=k; Path=/realms/r/; Secure"),
                ("set-cookie", "KC_RESTART=j; Path=/realms/r/; HttpOnly"),
            ],
            &pages::login(""),
        ),
        answer(
            302,
            &[
                ("location", CALLBACK),
                (
                    "set-cookie",
                    "KC_RESTART=; Expires=Thu, 01-Jan-1970 00:00:10 GMT; Path=/realms/r/",
                ),
            ],
            "",
        ),
        end(),
    ]);
    assert_eq!(outcome.token(), "syl_hunter2");
    let urls: Vec<&str> = outcome.asked.iter().map(|ask| ask.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "http://127.0.0.1:8008/_matrix/client/v3/login/sso/redirect/oidc-keycloak\
             ?redirectUrl=http%3A%2F%2Flocalhost%2Fopenclaw-k8s-toggle-operator",
            AUTH,
            "http://127.0.0.1:8080/realms/r/login-actions/authenticate\
             ?session_code=c&execution=e&tab_id=t",
            CALLBACK,
        ]
    );
    let cookies: Vec<&str> = outcome
        .asked
        .iter()
        .map(|ask| ask.cookies.as_ref().map_or("", |it| it.to_str().unwrap()))
        .collect();
    assert_eq!(
        cookies,
        ["", "", "AUTH_SESSION_ID=k; KC_RESTART=j", "oidc_session=m"]
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        outcome.forms(),
        [[
            pair("username", "bot"),
            pair("password", "p&ss"),
            pair("credentialId", "x&y")
        ]]
    );
}

#[test]
fn a_homeserver_may_lead_to_its_public_address_first() {
    let public =
        "https://matrix.example/_matrix/client/v3/login/sso/redirect/oidc-keycloak?redirectUrl=x";
    let outcome = login_at(
        "http://synapse:8008/",
        None,
        vec![
            redirect(public),
            redirect("https://kc.example/realms/r/auth"),
            page(&pages::login_to("/realms/r/x", "")),
            redirect("https://matrix.example/_synapse/client/oidc/callback?code=c"),
            end(),
        ],
    );
    assert_eq!(outcome.token(), "syl_hunter2");
    assert_eq!(
        outcome.asked[0].url.path(),
        "/_matrix/client/v3/login/sso/redirect/oidc-keycloak"
    );
    assert_eq!(
        outcome.asked[3].url.as_str(),
        "https://kc.example/realms/r/x"
    );
}

#[test]
fn the_continue_page_has_the_token_too() {
    let link = format!("{REDIRECT_URL}?loginToken=syl_hunter2&amp;x=y");
    let outcome = after_password(vec![
        redirect(CALLBACK),
        page(&pages::synapse_continue(&link)),
    ]);
    assert_eq!(outcome.token(), "syl_hunter2");
}

#[test]
fn user_name_and_password_may_have_a_page_each() {
    let outcome = login(vec![
        redirect(AUTH),
        page(&pages::login_with("username")),
        page(&pages::login_with("password")),
        redirect(CALLBACK),
        end(),
    ]);
    assert_eq!(outcome.token(), "syl_hunter2");
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(
        outcome.forms(),
        [pair("username", "bot"), pair("password", "p&ss")]
    );
}

#[test]
fn a_one_time_password_is_made_when_it_is_asked_for() {
    let code = || Secret::new("123456".to_owned());
    let outcome = login_at(
        HOMESERVER,
        Some(&code),
        vec![
            redirect(AUTH),
            page(&pages::login("")),
            page(&pages::otp("")),
            redirect(CALLBACK),
            end(),
        ],
    );
    assert_eq!(outcome.token(), "syl_hunter2");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        outcome.forms()[1],
        [pair("selectedCredentialId", "d1"), pair("otp", "123456")]
    );
}

#[test]
fn debug_shows_neither_token_nor_password_nor_queries() {
    let outcome = after_password(vec![redirect(CALLBACK), end()]);
    let shown = format!("{:?} {:?}", outcome.asked, outcome.end);
    for secret in ["hunter2", "p&ss", "p%26ss", "code=c", "session_code"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// The homeserver may lead anywhere; the password goes to one place.
#[test]
fn another_login_page_than_the_configured_one_is_not_told_the_password() {
    let password = Secret::new("p&ss".to_owned());
    let lead = |provider_url: Option<&str>, to: &str| {
        let account = Account {
            user: "bot",
            password: &password,
            code: None,
            provider_url,
            realm: None,
        };
        let (mut flow, _) = Flow::begin("https://hs.example", "oidc-keycloak", &account).unwrap();
        flow.handle(redirect(to), SystemTime::now()).map(drop)
    };
    let page = "https://evil.example/realms/matrix/protocol/openid-connect/auth";
    assert!(lead(None, page).is_ok());
    for good in ["https://evil.example", "https://evil.example:443/auth"] {
        assert!(lead(Some(good), page).is_ok());
    }
    for other in [
        "https://keycloak.example",
        "https://evil.example:8443",
        "http://evil.example",
        "nonsense",
    ] {
        let fault = lead(Some(other), page).unwrap_err();
        assert!(matches!(fault, Error::OtherProvider { .. }), "{fault}");
        assert!(
            fault.to_string().contains("https://evil.example"),
            "{fault}"
        );
    }
}
