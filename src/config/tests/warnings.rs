//! Warnings: secrets on the way in clear, others who may be told one, and what has no
//! effect.

use std::ffi::OsString;

use super::super::{Account, Overrides};

/// The warnings of an account from these variables and a user.
fn warnings(given: &[(&str, &str)]) -> Vec<String> {
    let env = |name: &str| {
        let user = [("MATRIX_USER", "bot")];
        let found = given.iter().chain(&user).find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let account = Account::from_env(&env, Overrides::default()).unwrap();
    account.warnings()
}

const HOMESERVER: &str = "MATRIX_HOMESERVER";
const PASSWORD: (&str, &str) = ("MATRIX_PASSWORD", "hunter2");

/// These, with a homeserver that is not warned of.
fn on_https<'a>(given: &[(&'a str, &'a str)]) -> Vec<String> {
    warnings(
        &[
            given,
            &[PASSWORD, (HOMESERVER, "https://matrix.example.com")],
        ]
        .concat(),
    )
}

#[test]
fn a_homeserver_on_plain_http_is_warned_of_unless_it_is_on_this_machine() {
    let default = warnings(&[PASSWORD]);
    assert_eq!(
        default,
        [
            "MATRIX_HOMESERVER is http://synapse.matrix.svc.cluster.local:8008, which is not \
             encrypted: the password, access tokens and the contents of unencrypted rooms go \
             there in clear, and whoever is on the way can read them, use them and change the \
             answers. Give an https:// URL, or keep that way within one cluster whose network \
             encrypts it or that you trust"
        ]
    );
    for url in [
        "http://synapse",
        "http://10.0.0.1:8008",
        "http://localhost.example.com",
        "http://[fe80::1]",
    ] {
        let told = warnings(&[PASSWORD, (HOMESERVER, url)]);
        assert_eq!(told.len(), 1, "{url}");
        assert!(told[0].contains(&format!("is {url}, ")), "{told:?}");
    }
    for url in [
        "https://synapse",
        "HTTPS://10.0.0.1:8008",
        "http://127.0.0.1:8008",
        "http://127.1.2.3",
        "http://[::1]:8008",
        "http://localhost:8008",
        "example.com",
    ] {
        let told = warnings(&[PASSWORD, (HOMESERVER, url)]);
        assert!(told.is_empty(), "{told:?}");
    }
    let token = [
        ("AUTH_METHOD", "token"),
        ("MATRIX_ACCESS_TOKEN", "syt_hunter2"),
        ("MATRIX_DEVICE_ID", "BOT"),
    ];
    let told = warnings(&token).concat();
    assert!(
        told.contains(": the access token and the contents"),
        "{told}"
    );
    assert!(!told.contains("hunter2"));
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn a_keycloak_on_plain_http_is_warned_of() {
    let jwt = |url| {
        on_https(&[
            ("AUTH_METHOD", "jwt"),
            ("KEYCLOAK_URL", url),
            ("KEYCLOAK_REALM", "matrix"),
            ("KEYCLOAK_CLIENT_ID", "synapse"),
        ])
    };
    let told = jwt("http://keycloak.svc:8080");
    assert_eq!(told.len(), 1, "{told:?}");
    let start = "KEYCLOAK_URL is http://keycloak.svc:8080, which is not encrypted: the password,";
    assert!(told[0].starts_with(start), "{told:?}");
    assert!(jwt("http://127.0.0.1:8080").is_empty());
    assert!(jwt("https://keycloak.svc").is_empty());

    let sso = |given: &[(&str, &str)]| {
        let method = [("AUTH_METHOD", "sso")];
        on_https(&[given, &method].concat())
    };
    let told = sso(&[("KEYCLOAK_URL", "http://keycloak.svc:8080")]).concat();
    assert!(
        told.contains("a login page there is not told the password"),
        "{told}"
    );
    // A secret made here goes to the homeserver alone.
    let made = on_https(&[
        ("AUTH_METHOD", "jwt"),
        ("JWT_LOGIN_TYPE", "com.famedly.login.token"),
        ("JWT_SECRET", &"0123456789abcdef".repeat(4)),
    ]);
    assert!(made.is_empty(), "{made:?}");
}

#[cfg(feature = "sso")]
#[test]
fn a_login_page_that_may_be_anywhere_is_warned_of() {
    let sso = |given: &[(&str, &str)]| {
        let method = [("AUTH_METHOD", "sso")];
        on_https(&[given, &method].concat()).concat()
    };
    let url = ("KEYCLOAK_URL", "https://keycloak.example");
    assert!(sso(&[]).starts_with("KEYCLOAK_URL is not set: the password is told to whatever"));
    assert!(sso(&[url]).starts_with("KEYCLOAK_REALM is not set: the password is told to the"));
    assert_eq!(sso(&[url, ("KEYCLOAK_REALM", "matrix")]), "");
    let of_realm = ("KEYCLOAK_URL", "https://keycloak.example/realms/matrix");
    assert_eq!(sso(&[of_realm]), "");
}

#[test]
fn exceptions_to_the_proxy_without_effect_are_named() {
    let told = |no_proxy| {
        on_https(&[
            ("HTTPS_PROXY", "http://proxy.example:3128"),
            ("no_proxy", no_proxy),
        ])
        .concat()
    };
    assert_eq!(told("hs.example:8448, .svc, 10.0.0.0/8, [::1]:443, *"), "");
    let warned = told("http://hs.example,.svc,10.0.0.0/33,b:hunter2@c");
    let start = "NO_PROXY holds \"http://hs.example\", \"10.0.0.0/33\", \"[masked]\", which can \
                 match no server and has no effect: write hosts,";
    assert!(warned.starts_with(start), "{warned}");
    let many = told("*1,*2,*3,*4,*5,*6,*7");
    assert!(many.contains("\"*5\" and 2 more, which"), "{many}");
    assert!(
        on_https(&[("NO_PROXY", "*1")]).is_empty(),
        "there is no proxy"
    );
}

#[test]
fn authorities_whose_key_is_of_no_use_are_named() {
    let told = |variable, made: &str| {
        let path = format!(
            "{}/src/net/tests/certificates/{made}.root.pem",
            env!("CARGO_MANIFEST_DIR")
        );
        on_https(&[(variable, &path)]).concat()
    };
    for (made, key) in [
        ("signed-by-p-521", "\"P-521 Root\" (ECDSA on P-521)"),
        ("signed-by-rsa-1024", "\"RSA Root\" (RSA of 1024 bits)"),
    ] {
        for variable in ["SSL_CERT_FILE", "EXTRA_CA_FILE"] {
            let start = format!("{variable} holds {key}, whose kind of key is not accepted: ");
            let told = told(variable, made);
            assert!(told.starts_with(&start), "{told}");
        }
    }
    assert_eq!(told("EXTRA_CA_FILE", "signed-by-sha-1"), "");
    assert_eq!(told("EXTRA_CA_FILE", "issued"), "");
}
