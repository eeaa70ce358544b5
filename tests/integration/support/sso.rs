//! The login page of an identity provider on loopback, and the ways of a
//! homeserver to it and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::faults::Fault;
use super::homeserver::Homeserver;
use super::redaction::hide;
use super::tokens::forbidden;
use super::wire::{Answer, Listener, Request, Response, query, serve};

const LOGIN_TOKEN: &str = "syl_login-token-of-sso";
const CODE: &str = "authorization-code-of-sso";
const COOKIE: &str = "AUTH_SESSION_ID=cookie-of-the-login-page";
const PATH: &str = "/realms/matrix/login-actions/authenticate";

/// The page; it is there for as long as this is kept.
pub struct LoginPage {
    listener: Listener,
    posts: Arc<AtomicUsize>,
}

impl LoginPage {
    /// Sends who logs in with `m.login.sso` to a page that knows one user, and
    /// lets that user in.
    pub fn start(hs: &Homeserver, user: &str, password: &str) -> Self {
        for secret in [LOGIN_TOKEN, CODE, "cookie-of-the-login-page"] {
            hide("what single sign-on hands over", secret);
        }
        let right = (user.to_owned(), password.to_owned());
        let back = format!("{}/_synapse/client/oidc/callback?code={CODE}", hs.url());
        let posts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&posts);
        let listener = Listener::start(move |stream| {
            let _ = serve(stream, |request| {
                if request.method == "POST" {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                Answer::Reply(answer(&request, &right, &back))
            });
        });
        let page = format!("http://127.0.0.1:{}/realms/matrix/auth", listener.port);
        let to_page = redirect(&page);
        let to_client = redirect(&format!(
            "http://localhost/openclaw-k8s-toggle-operator?loginToken={LOGIN_TOKEN}"
        ));
        hs.fault("/sso/redirect/oidc-keycloak", 9, Fault::Answer(to_page));
        hs.fault(
            "/_synapse/client/oidc/callback",
            9,
            Fault::Answer(to_client),
        );
        let name = user.to_owned();
        hs.with(|state| {
            let types = &mut state.sessions.by_token;
            types.insert("m.login.sso".into(), Box::new(|_: &Value| Err(forbidden())));
            let verify = move |login: &Value| {
                let good = login["token"] == LOGIN_TOKEN;
                good.then(|| name.clone()).ok_or_else(forbidden)
            };
            types.insert("m.login.token".into(), Box::new(verify));
        });
        hs.rewrite("GET /login", |body| {
            let flows = body["flows"].as_array_mut().into_iter().flatten();
            for flow in flows.filter(|flow| flow["type"] == "m.login.sso") {
                flow["identity_providers"] = json!([{"id": "oidc-keycloak", "name": "Keycloak"}]);
            }
        });
        Self { listener, posts }
    }

    /// The Keycloak that it is a page of.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listener.port)
    }

    /// The number of times that a form was sent to it.
    pub fn posts(&self) -> usize {
        self.posts.load(Ordering::Relaxed)
    }
}

fn redirect(to: &str) -> Response {
    Response::text(302, "text/html", "").header("Location", to)
}

fn answer(request: &Request, right: &(String, String), back: &str) -> Response {
    if request.method == "GET" {
        return form("").header(
            "Set-Cookie",
            &format!("{COOKIE}; Path=/realms/matrix/; Secure"),
        );
    }
    if request.path() != PATH || request.header("cookie") != Some(COOKIE) {
        return Response::text(400, "text/html", "<title>We are sorry...</title>");
    }
    let fields = format!("?{}", String::from_utf8_lossy(&request.body));
    let field = |name: &str| query(&fields, name).unwrap_or_default();
    match (field("username"), field("password")) == *right {
        true => redirect(back),
        false => form("Invalid username or password."),
    }
}

fn form(problem: &str) -> Response {
    let page = format!(
        "<title>Sign in to matrix</title><form id=\"kc-form-login\" action=\"{PATH}\" \
         method=\"post\"><input name=\"username\"><input name=\"password\" type=\"password\">\
         <div id=\"input-error-username\">{problem}</div></form>"
    );
    Response::text(200, "text/html", &page)
}
