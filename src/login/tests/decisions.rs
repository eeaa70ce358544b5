//! The decisions that need no server: the way to a session, and what is done about an error.

use std::time::Duration;

use http::Uri;
use ruma::{OwnedDeviceId, user_id};

use crate::auth::Responsible::{self, Configuration, Homeserver, Keycloak, Network};
use crate::auth::jwt::{DecodeError, MintError, TokenError};
use crate::auth::{keycloak, sso};
use crate::config::{AccessToken, Method, MethodName};
use crate::login::diagnosis::Diagnosis;
use crate::login::error::Error;
use crate::login::session::{Plan, SessionError};
use crate::matrix::client::{Fault, LoginError, VersionsFault};
use crate::net::{self, Authority, MAX_ATTEMPTS, Remedy, Stage, TlsUnavailable};
use crate::store::{LoginCredential, Session};
use crate::util::{Secret, Tokens};

const NOW: u64 = 1_000;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn tokens(refresh: Option<&str>, refresh_at: Option<u64>) -> Tokens {
    Tokens {
        access: secret("access"),
        refresh: refresh.map(secret),
        refresh_at,
    }
}

#[test]
fn the_stored_session_decides_what_is_tried_before_a_login() {
    let password = Method::Password(secret("hunter2"));
    let token = |text| {
        Method::Token(AccessToken {
            token: secret(text),
            device: "BOT".into(),
        })
    };
    let kept = |refresh, at| LoginCredential::Tokens(tokens(refresh, at));
    let lost = |refresh: Option<&str>, ended| LoginCredential::Lost {
        refresh: refresh.map(secret),
        ended,
    };
    // The attempts to refresh; stored tokens are used; a login is as the same device.
    for (method, credential, attempts, resumes, keeps_device) in [
        (&password, kept(None, None), None, true, true),
        (&password, kept(Some("r"), None), None, true, true),
        (&password, kept(Some("r"), Some(NOW + 1)), None, true, true),
        (&password, kept(Some("r"), Some(NOW)), Some(1), true, true),
        (&password, kept(None, Some(NOW)), None, true, true),
        (&password, lost(Some("r"), false), Some(3), false, true),
        (&password, lost(None, false), None, false, true),
        (
            &password,
            lost(Some("r"), true),
            Some(MAX_ATTEMPTS),
            false,
            false,
        ),
        (&password, lost(None, true), None, false, false),
        (&token("access"), kept(None, None), None, true, true),
        // Another token was configured since.
        (&token("other"), kept(None, None), None, false, true),
        (
            &token("other"),
            kept(Some("r"), Some(NOW)),
            None,
            false,
            true,
        ),
        (&token("access"), lost(None, true), None, false, false),
    ] {
        let session = Session {
            user: user_id!("@bot:test").to_owned(),
            device: "BOT".into(),
            proof: credential.clone(),
        };
        let plan = Plan::new(&session, method, NOW);
        let row = format!("{credential:?} with {:?}", method.name());
        assert_eq!(plan.refresh.map(|(_, times)| times), attempts, "{row}");
        assert_eq!(plan.resume.is_some(), resumes, "{row}");
        let device = keeps_device.then(|| OwnedDeviceId::from("BOT"));
        assert_eq!(plan.device, device, "{row}");
    }
}

fn silence(fault: net::Fault) -> net::Error {
    net::Error {
        authority: Authority::of(&Uri::from_static("https://hs.example")).unwrap(),
        fault,
    }
}

fn refusal(errcode: &str) -> Fault {
    Fault::Refused {
        status: 403,
        errcode: errcode.to_owned(),
        message: String::new(),
    }
}

fn refused(method: MethodName, errcode: &str) -> Error {
    Error::of(method, refusal(errcode))
}

fn diagnosed(diagnosis: Diagnosis) -> Error {
    Error::TokenRefused {
        fault: refusal("M_FORBIDDEN"),
        diagnosis,
    }
}

fn status(status: u16) -> Error {
    Error::NoHomeserver(VersionsFault::Status {
        url: "https://hs.example".to_owned(),
        status,
        hint: None,
    })
}

fn broken(status: u16) -> Error {
    Error::Homeserver(Fault::Broken {
        status,
        retry_after: None,
        redirect: None,
        words: None,
    })
}

#[test]
fn each_error_has_a_party_that_acts_and_is_tried_again_where_that_may_help() {
    let connecting = || net::Fault::Deadline {
        stage: Stage::Connecting,
        after: Duration::from_secs(1),
    };
    let other_user = || TokenError::OtherUser {
        claim: "sub".to_owned(),
        found: "a".to_owned(),
        expected: "bot".to_owned(),
    };
    let expired = || TokenError::Expired(Duration::from_secs(90));
    let user = || user_id!("@other:test").to_owned();
    let kc = |error| Error::Keycloak(error);
    let page = |server| {
        Error::Sso(sso::Error::Failing {
            server,
            status: 500,
            text: String::new(),
            retry_after: None,
        })
    };
    let rows: Vec<(Error, Responsible, bool)> = vec![
        (Error::TlsUnavailable(TlsUnavailable), Configuration, false),
        (status(404), Configuration, false),
        (status(429), Homeserver, true),
        (status(502), Homeserver, true),
        (
            Error::NoHomeserver(VersionsFault::Unanswered(silence(net::Fault::Refused))),
            Homeserver,
            true,
        ),
        (
            Error::Homeserver(Fault::Unreachable(silence(connecting()))),
            Network,
            true,
        ),
        (
            Error::Homeserver(Fault::Unreachable(silence(net::Fault::Closed(
                Stage::Waiting,
            )))),
            Homeserver,
            true,
        ),
        (
            Error::Homeserver(Fault::Unusable("x")),
            Configuration,
            false,
        ),
        (Error::Homeserver(Fault::Locked), Homeserver, true),
        (broken(200), Homeserver, true),
        (
            Error::NotOffered {
                wanted: "m.login.sso".to_owned(),
                offered: Vec::new(),
            },
            Homeserver,
            false,
        ),
        (Error::NoLogins, Homeserver, false),
        (
            refused(MethodName::Password, "M_FORBIDDEN"),
            Configuration,
            false,
        ),
        (refused(MethodName::Password, "M_X"), Homeserver, false),
        (
            refused(MethodName::Password, "M_USER_DEACTIVATED"),
            Homeserver,
            false,
        ),
        (refused(MethodName::Sso, "M_FORBIDDEN"), Homeserver, true),
        (
            refused(MethodName::Sso, "M_USER_DEACTIVATED"),
            Homeserver,
            false,
        ),
        (
            refused(MethodName::Token, "M_FORBIDDEN"),
            Configuration,
            false,
        ),
        (diagnosed(Diagnosis::Token(vec![expired()])), Network, true),
        (
            diagnosed(Diagnosis::Token(vec![expired(), other_user()])),
            Network,
            false,
        ),
        (
            diagnosed(Diagnosis::Token(vec![other_user()])),
            Configuration,
            false,
        ),
        (
            diagnosed(Diagnosis::Token(vec![TokenError::BadSignature])),
            Keycloak,
            true,
        ),
        (
            diagnosed(Diagnosis::Token(vec![DecodeError::Parts(5).into()])),
            Keycloak,
            true,
        ),
        (
            diagnosed(Diagnosis::NoKeys(keycloak::Error::WrongPath)),
            Configuration,
            true,
        ),
        (
            diagnosed(Diagnosis::Clock(Duration::from_secs(90))),
            Network,
            true,
        ),
        (diagnosed(Diagnosis::UnknownUser(user())), Homeserver, true),
        (
            diagnosed(Diagnosis::Sound {
                client: "bot".to_owned(),
            }),
            Homeserver,
            true,
        ),
        (diagnosed(Diagnosis::OwnSecret), Configuration, true),
        (
            kc(keycloak::Error::Unreachable(silence(net::Fault::Refused))),
            Keycloak,
            true,
        ),
        (
            kc(keycloak::Error::Unreachable(silence(connecting()))),
            Network,
            true,
        ),
        (
            kc(keycloak::Error::UnknownRealm("r".to_owned())),
            Configuration,
            false,
        ),
        (kc(keycloak::Error::Limited(None)), Keycloak, true),
        (kc(keycloak::Error::NoToken), Keycloak, false),
        (Error::Mint(MintError::Clock), Configuration, false),
        (page(sso::Server::Homeserver), Homeserver, true),
        (page(sso::Server::Keycloak), Keycloak, true),
        (
            page(sso::Server::Other("https://x.example".to_owned())),
            Network,
            true,
        ),
        (Error::Sso(sso::Error::CodeNeeded), Configuration, false),
        (Error::Sso(sso::Error::Consent), Keycloak, false),
        (Error::Sso(sso::Error::NoToken), Homeserver, false),
        (
            Error::Sso(sso::Error::TooLong(Duration::from_secs(60))),
            Network,
            true,
        ),
        (Error::Answer(LoginError::Malformed), Homeserver, false),
        (
            Error::Answer(LoginError::OtherUser(user())),
            Configuration,
            false,
        ),
        (Error::TokenEnded, Configuration, false),
        (Error::TokenOfOtherDevice(None), Configuration, false),
    ];
    for (error, responsible, is_transient) in rows {
        assert_eq!(error.responsible(), responsible, "{error}");
        assert_eq!(error.is_transient(), is_transient, "{error}");
        let sentence = error.to_string();
        assert!(
            !sentence.ends_with('.') && !sentence.contains('\n'),
            "{sentence}"
        );
    }
}

#[test]
fn a_server_that_asks_for_a_wait_gets_it() {
    let wait = Some(Duration::from_secs(7));
    for error in [
        Error::Homeserver(Fault::Limited(wait)),
        Error::Keycloak(keycloak::Error::Limited(wait)),
        Error::Sso(sso::Error::Limited {
            server: sso::Server::Homeserver,
            retry_after: wait,
        }),
    ] {
        assert_eq!(error.retry_after(), wait, "{error}");
    }
    assert_eq!(Error::NoLogins.retry_after(), None);
}

#[test]
fn the_last_line_says_what_to_fix_and_where() {
    let failed = SessionError::Failed(Error::TokenOfOtherDevice(Some("ELSE".into())).into());
    assert_eq!(
        failed.to_string(),
        "login failed: the token in MATRIX_ACCESS_TOKEN is of device ELSE, not of \
         MATRIX_DEVICE_ID: write there the device that the token was made for (to be fixed in: \
         this program's configuration)"
    );
    let gave_up = SessionError::GaveUp(Error::Homeserver(Fault::Locked).into());
    assert_eq!(
        gave_up.to_string(),
        "giving up on the login: the account is locked (M_USER_LOCKED): ask the homeserver's \
         administrator to unlock it (to be fixed in: the homeserver)"
    );
}
