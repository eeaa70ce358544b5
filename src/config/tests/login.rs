//! The ways to log in: each says what it misses.

use std::ffi::OsString;

use super::super::*;
use super::{REQUIRED, secret_file};
use crate::net::Roots;

const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The account from these variables and a user.
fn account(given: &[(&str, &str)]) -> Result<Account, String> {
    with(given, Overrides::default())
}

fn with(given: &[(&str, &str)], overrides: Overrides) -> Result<Account, String> {
    let env = |name: &str| {
        let user = [("MATRIX_USER", "bot")];
        let found = given.iter().chain(&user).find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Account::from_env(&env, overrides).map_err(|faults| super::told(&faults))
}

/// The summary of all settings, with these.
fn summary(given: &[(&str, &str)]) -> String {
    let env = |name: &str| {
        let mut given = given.iter().chain(&REQUIRED);
        let (_, value) = given.find(|(known, _)| *known == name)?;
        Some(OsString::from(value))
    };
    Settings::from_env(&env).unwrap().summary().to_owned()
}

/// The names in front of the faults.
#[cfg(all(feature = "keycloak", feature = "sso"))]
fn named(given: &[(&str, &str)]) -> Vec<String> {
    let faults = account(given).unwrap_err();
    let names = faults.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[cfg(feature = "keycloak")]
const KEYCLOAK: [(&str, &str); 5] = [
    ("AUTH_METHOD", "jwt"),
    ("MATRIX_PASSWORD", "hunter2"),
    ("KEYCLOAK_URL", "https://keycloak.example.com/"),
    ("KEYCLOAK_REALM", "matrix"),
    ("KEYCLOAK_CLIENT_ID", "synapse-oauth"),
];

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn each_method_says_what_it_misses() {
    for (method, missing) in [
        ("password", &["MATRIX_PASSWORD"][..]),
        (
            "JWT",
            &[
                "MATRIX_PASSWORD",
                "KEYCLOAK_URL",
                "KEYCLOAK_REALM",
                "KEYCLOAK_CLIENT_ID",
            ],
        ),
        ("sso", &["MATRIX_PASSWORD"]),
        ("Token", &["MATRIX_ACCESS_TOKEN", "MATRIX_DEVICE_ID"]),
    ] {
        assert_eq!(named(&[("AUTH_METHOD", method)]), missing, "{method}");
    }
    let told = account(&[("AUTH_METHOD", "jwt"), ("MATRIX_PASS", "x")]).unwrap_err();
    assert!(told.starts_with(
        "MATRIX_PASSWORD is not set (but MATRIX_PASS is), and AUTH_METHOD=jwt needs it: give"
    ));
    let told = account(&[("AUTH_METHOD", "oauth")]).unwrap_err();
    assert_eq!(
        told,
        "AUTH_METHOD is no way to log in: \"oauth\": write password, jwt, sso or token"
    );
}

#[cfg(feature = "keycloak")]
#[test]
fn a_token_comes_from_keycloak() {
    let account = account(&KEYCLOAK).unwrap();
    let Method::Jwt(jwt) = &account.method else {
        panic!("{account:?}");
    };
    assert_eq!(jwt.login_type, JwtLoginType::FamedlyOauth);
    assert_eq!(jwt.audience, None);
    let JwtSource::Keycloak(keycloak) = &jwt.source else {
        panic!("{account:?}");
    };
    assert_eq!(keycloak.url.as_str(), "https://keycloak.example.com");
    assert_eq!(keycloak.issuer, None);
    assert!(keycloak.client_secret.is_none() && keycloak.totp.is_none());
}

#[cfg(feature = "keycloak")]
#[test]
fn what_is_known_of_keycloak_reaches_its_fields() {
    let given = [
        &KEYCLOAK[..],
        &[
            ("KEYCLOAK_CLIENT_SECRET", "s3cret"),
            ("KEYCLOAK_TOTP_SECRET", "JBSWY3DPEHPK3PXP"),
            ("KEYCLOAK_ISSUER", "https://sso.example.com/realms/matrix"),
            ("JWT_AUDIENCE", "matrix"),
            ("JWT_LOGIN_TYPE", "org.matrix.login.jwt"),
        ],
    ]
    .concat();
    let summary = summary(&given);
    let rows: Vec<String> = summary
        .lines()
        .filter_map(|line| line.trim_start().split_once("  "))
        .map(|(name, value)| format!("{name}={}", value.trim_start()))
        .collect();
    for row in [
        "AUTH_METHOD=jwt",
        "MATRIX_PASSWORD=********",
        "KEYCLOAK_CLIENT_SECRET=********",
        "KEYCLOAK_TOTP_SECRET=********",
        "KEYCLOAK_ISSUER=https://sso.example.com/realms/matrix",
        "JWT_AUDIENCE=matrix",
        "JWT_LOGIN_TYPE=org.matrix.login.jwt",
    ] {
        assert!(rows.iter().any(|shown| shown == row), "{row} in {rows:?}");
    }
    let shown = format!("{:?} {summary}", account(&given));
    for secret in ["hunter2", "s3cret", "JBSWY3"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn a_token_may_be_made_here() {
    let given = [
        ("AUTH_METHOD", "jwt"),
        ("JWT_LOGIN_TYPE", "com.famedly.login.token"),
        ("JWT_SECRET", LONG),
    ];
    let account = account(&given).unwrap();
    assert!(matches!(
        account.method,
        Method::Jwt(jwt) if matches!(jwt.source, JwtSource::Secret(_))
    ));
}

#[test]
fn a_secret_for_tokens_is_long_and_of_one_use() {
    let fault = |more: &[(&str, &str)]| {
        let given = [&[("AUTH_METHOD", "jwt")], more].concat();
        account(&given).unwrap_err()
    };
    let famedly = ("JWT_LOGIN_TYPE", "com.famedly.login.token");
    let short = fault(&[famedly, ("JWT_SECRET", "hunter2")]);
    assert!(short.starts_with("JWT_SECRET is shorter than 64 bytes: make one"));
    assert!(!short.contains("hunter2"));
    let other = fault(&[("JWT_SECRET", LONG)]);
    assert!(other.starts_with("JWT_SECRET is set, and this login type takes no token made"));
    let both = fault(&[famedly, ("JWT_SECRET", LONG), ("KEYCLOAK_URL", "https://k")]);
    assert!(both.starts_with("JWT_SECRET is set, and so is KEYCLOAK_URL: keep"));
    let all = fault(&[("JWT_SECRET", "short"), ("KEYCLOAK_URL", "https://k")]);
    assert_eq!(all.lines().count(), 3, "{all}");
}

#[cfg(feature = "keycloak")]
#[test]
fn bad_values_of_a_login_are_named() {
    for (name, value, said) in [
        ("KEYCLOAK_URL", "keycloak", "does not begin with http://"),
        ("KEYCLOAK_REALM", "a/b", "is no name: \"a/b\""),
        ("KEYCLOAK_TOTP_SECRET", "1!", "is no secret of one-time"),
        ("JWT_LOGIN_TYPE", "jwt", "is no login type that takes"),
        (
            "SSL_CERT_FILE",
            "/nonexistent",
            "names \"/nonexistent\", which",
        ),
        (
            "HTTPS_PROXY",
            "socks5://x",
            "names no proxy that can be used",
        ),
    ] {
        let given: Vec<_> = KEYCLOAK
            .iter()
            .filter(|(known, _)| *known != name)
            .collect();
        let given: Vec<_> = given.into_iter().copied().chain([(name, value)]).collect();
        let told = account(&given).unwrap_err();
        assert!(told.starts_with(&format!("{name} {said}")), "{told}");
        assert_eq!(told.lines().count(), 1);
    }
}

#[cfg(feature = "keycloak")]
#[test]
fn every_secret_may_lie_in_a_file() {
    let token = secret_file("syt_token");
    let given = [
        ("AUTH_METHOD", "token"),
        ("MATRIX_ACCESS_TOKEN_FILE", token.path()),
        ("MATRIX_DEVICE_ID", "DEVICE"),
    ];
    let Method::Token(made) = account(&given).unwrap().method else {
        panic!("a token was given");
    };
    assert_eq!(made.token.expose(), "syt_token");
    assert_eq!(made.device, "DEVICE");

    let (password, client) = (secret_file("hunter2"), secret_file("s3cret"));
    let totp = secret_file("JBSWY3DPEHPK3PXP");
    let mut given = KEYCLOAK.to_vec();
    given.retain(|(name, _)| *name != "MATRIX_PASSWORD");
    given.extend([
        ("MATRIX_PASSWORD_FILE", password.path()),
        ("KEYCLOAK_CLIENT_SECRET_FILE", client.path()),
        ("KEYCLOAK_TOTP_SECRET_FILE", totp.path()),
    ]);
    let Method::Jwt(jwt) = account(&given).unwrap().method else {
        panic!("a token was asked for");
    };
    let JwtSource::Keycloak(keycloak) = jwt.source else {
        panic!("it is Keycloak's");
    };
    assert_eq!(keycloak.password.expose(), "hunter2");
    assert_eq!(keycloak.client_secret.unwrap().expose(), "s3cret");
    assert!(keycloak.totp.is_some());

    let secret = secret_file(LONG);
    let given = [
        ("AUTH_METHOD", "jwt"),
        ("JWT_LOGIN_TYPE", "com.famedly.login.token"),
        ("JWT_SECRET_FILE", secret.path()),
    ];
    assert!(account(&given).is_ok());
    let proxy = secret_file("http://me:hunter2@proxy:3128");
    let given = [("MATRIX_PASSWORD", "x"), ("HTTPS_PROXY_FILE", proxy.path())];
    assert!(account(&given).unwrap().network.proxy.is_some());
}

#[test]
fn a_proxy_is_given_in_upper_or_lower_case_and_its_password_is_not_shown() {
    for names in [["HTTPS_PROXY", "NO_PROXY"], ["https_proxy", "no_proxy"]] {
        let given = [
            ("MATRIX_PASSWORD", "x"),
            (names[0], "http://me:hunter2@proxy:3128"),
            (names[1], "inside.example"),
        ];
        let account = account(&given).unwrap();
        let proxy = account.network.proxy.as_ref().unwrap();
        assert!(proxy.serves(&"https://outside.example".parse().unwrap()));
        assert!(!proxy.serves(&"https://hs.inside.example".parse().unwrap()));
        let shown = format!("{account:?} {}", summary(&given));
        assert!(shown.contains("proxy:3128") && !shown.contains("hunter2"));
    }
}

#[test]
fn authorities_come_instead_of_the_public_ones_or_beside_them() {
    let authority = crate::net::fake::Authority::new();
    let file = secret_file(&authority.pem());
    let roots = |names: &[&'static str]| {
        let mut given = vec![("MATRIX_PASSWORD", "x")];
        given.extend(names.iter().map(|name| (*name, file.path())));
        account(&given).unwrap().network.roots
    };
    assert!(matches!(roots(&[]), Roots::Mozilla));
    assert!(matches!(roots(&["SSL_CERT_FILE"]), Roots::Bundle(_)));
    assert!(matches!(roots(&["EXTRA_CA_FILE"]), Roots::MozillaAnd(_)));
    let both = roots(&["SSL_CERT_FILE", "EXTRA_CA_FILE"]);
    assert!(matches!(both, Roots::Bundle(_)));
    let broken = secret_file("no certificate");
    let told = account(&[("MATRIX_PASSWORD", "x"), ("EXTRA_CA_FILE", broken.path())]).unwrap_err();
    assert!(told.contains("there is no PEM certificate in it"), "{told}");
}

#[cfg(feature = "keycloak")]
#[test]
fn arguments_overrule_the_environment() {
    let overrides = Overrides {
        method: Some(MethodName::Jwt),
        login_type: Some(JwtLoginType::Native),
    };
    let mut given = KEYCLOAK.to_vec();
    given.retain(|(name, _)| *name != "AUTH_METHOD");
    given.push(("JWT_LOGIN_TYPE", "nonsense that is not looked at"));
    let account = with(&given, overrides).unwrap();
    assert!(matches!(
        account.method,
        Method::Jwt(jwt) if jwt.login_type == JwtLoginType::Native
    ));
}

#[cfg(not(feature = "sso"))]
#[test]
fn a_build_without_sso_says_so() {
    assert_eq!(
        account(&[("AUTH_METHOD", "sso")]).unwrap_err(),
        "AUTH_METHOD is sso, which needs a build with the feature sso: build the program with its \
         default features, or choose another way to log in"
    );
}

#[cfg(not(feature = "keycloak"))]
#[test]
fn a_build_without_keycloak_says_so() {
    assert_eq!(
        account(&[("AUTH_METHOD", "jwt")]).unwrap_err(),
        "AUTH_METHOD is jwt, which needs JWT_SECRET or a build with the feature keycloak: set \
         JWT_SECRET, or build the program with its default features"
    );
}
