//! The gateway's environment: variables reach their fields, faults are told at once, and the
//! table knows what is read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{create_dir, write};
use std::time::{Duration, SystemTime};

use super::super::{GATEWAY_SETTINGS, GatewaySettings, Vital};
use crate::config::tests::told;
use crate::config::{Faults, Presence, SETTINGS};
use crate::net::Roots;
use crate::util::temp::TempDir;

const REQUIRED: [(&str, &str); 4] = [
    ("GATEWAY_CONFIG", "/etc/gateway.json"),
    ("POD_NAMESPACE", "tools"),
    ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
    ("KUBERNETES_SERVICE_PORT", "443"),
];

const ISSUER: (&str, &str) = ("OIDC_ISSUER_URL", "https://id.example.org/realms/A/");

/// The settings from the required variables and these; later ones win.
pub(super) fn with(extra: &[(&str, &str)]) -> Result<GatewaySettings, Faults> {
    let env = |name: &str| {
        let given = extra.iter().rev().chain(&REQUIRED);
        let (_, value) = given.clone().find(|(variable, _)| *variable == name)?;
        Some(OsString::from(value))
    };
    GatewaySettings::from_env(&env)
}

pub(super) fn fault(extra: &[(&str, &str)]) -> String {
    told(&with(extra).unwrap_err())
}

#[test]
fn defaults() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings.file.to_str(), Some("/etc/gateway.json"));
    let shown = |address: Option<crate::config::ListenAddress>| address.unwrap().to_string();
    assert_eq!(shown(settings.proxy), ":8080");
    assert_eq!(shown(settings.api), ":8081");
    assert_eq!(shown(settings.health), ":8082");
    assert!(settings.trusted_proxies.is_empty());
    assert_eq!(settings.audience, "openclaw-gateway");
    assert_eq!(settings.oidc, None);
    assert_eq!(settings.namespace.as_str(), "tools");
    assert_eq!(settings.lease_prefix, "openclaw-gateway-");
    assert_eq!(settings.replica, "gateway");
    assert_eq!(settings.vital, Vital::default());
    assert_eq!((settings.max_connections, settings.max_held), (640, 300));
    assert_eq!(settings.drain, Duration::from_secs(30));
    assert!(matches!(settings.network.roots, Roots::Mozilla));
    assert!(settings.network.proxy.is_none());
    assert!(settings.warnings(SystemTime::UNIX_EPOCH).is_empty());
}

#[test]
fn what_is_said_reaches_its_fields() {
    let settings = with(&[
        ("PROXY_ADDR", "Off"),
        ("API_ADDR", "127.0.0.1:80"),
        ("HEALTH_ADDR", "off"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/64,192.0.2.7"),
        ("TOKEN_AUDIENCE", "https://gateway.example.org"),
        ISSUER,
        ("OIDC_AUDIENCE", "gateway"),
        ("OIDC_ALLOWED_CLIENTS", "web, cli"),
        ("OIDC_ROLES_CLAIM", "resource_access.my\\.app.roles"),
        ("OIDC_ALGORITHMS", "EdDSA,PS512"),
        ("OIDC_MAX_LIFETIME", "15m"),
        ("POD_NAME", "openclaw-gateway-6d4f7c9b58-x2x4z"),
        ("LEASE_PREFIX", "gw."),
        ("MAX_CONNECTIONS", "10"),
        ("MAX_HELD", "10"),
        ("DRAIN_TIMEOUT", "2m"),
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("NO_PROXY", "example.org,/"),
    ])
    .unwrap();
    assert_eq!((settings.proxy, settings.health), (None, None));
    assert_eq!(settings.api.unwrap().to_string(), "127.0.0.1:80");
    let proxies: Vec<_> = settings
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "fd00::/64", "192.0.2.7/32"]);
    assert_eq!(settings.audience, "https://gateway.example.org");
    let oidc = settings.oidc.as_ref().unwrap();
    // To the byte, its slash included.
    assert_eq!(oidc.issuer, ISSUER.1);
    assert_eq!(oidc.audience, "gateway");
    assert_eq!(oidc.clients, ["web", "cli"]);
    assert_eq!(oidc.roles_claim, ["resource_access", "my.app", "roles"]);
    assert_eq!(oidc.algorithms, ["EdDSA", "PS512"]);
    assert_eq!(oidc.max_lifetime, Duration::from_secs(900));
    assert_eq!(settings.replica, "openclaw-gateway-6d4f7c9b58-x2x4z");
    let own = settings.vital.own.as_ref().unwrap();
    assert_eq!(own.to_string(), "tools/openclaw-gateway");
    assert_eq!(settings.vital.issuer.as_deref(), Some(ISSUER.1));
    assert_eq!(settings.lease_prefix, "gw.");
    assert_eq!((settings.max_connections, settings.max_held), (10, 10));
    assert_eq!(settings.drain, Duration::from_secs(120));
    assert!(settings.network.proxy.is_some());
    let [warning] = settings
        .warnings(SystemTime::UNIX_EPOCH)
        .try_into()
        .unwrap();
    assert!(
        warning.starts_with("NO_PROXY holds \"/\", which can match no"),
        "{warning}"
    );
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    for (name, value, wanted) in [
        (
            "GATEWAY_CONFIG",
            "",
            "is not set: name the file with roles and targets",
        ),
        ("PROXY_ADDR", "8080", "is no address to listen on: \"8080\""),
        ("API_ADDR", "on", "is no address to listen on"),
        (
            "TRUSTED_PROXIES",
            "0.0.0.0/0",
            "holds the network of all addresses: \"0.0.0.0/0\"",
        ),
        (
            "TRUSTED_PROXIES",
            "10.0.0.0/8,::/0",
            "holds the network of all addresses: \"::/0\"",
        ),
        (
            "TRUSTED_PROXIES",
            "10.0.0.1/8",
            "holds a network whose first address is another",
        ),
        ("TRUSTED_PROXIES", ",", "names no network"),
        (
            "TOKEN_AUDIENCE",
            "",
            "is empty, which would let every token of the cluster pass",
        ),
        ("TOKEN_AUDIENCE", " \n", "is empty"),
        ("TOKEN_AUDIENCE", "a,b", "is no audience: \"a,b\""),
        ("TOKEN_AUDIENCE", "a\u{202e}b", "holds what is no audience"),
        (
            "POD_NAMESPACE",
            "a.b",
            "is not a name that Kubernetes allows",
        ),
        ("POD_NAME", "a_b", "is not a name that Kubernetes allows"),
        (
            "LEASE_PREFIX",
            "-a",
            "cannot begin a name of Kubernetes: \"-a\"",
        ),
        ("LEASE_PREFIX", "A", "cannot begin a name"),
        ("LEASE_PREFIX", &"a".repeat(191), "cannot begin a name"),
        (
            "MAX_CONNECTIONS",
            "0",
            "is no number, or out of range: \"0\"",
        ),
        (
            "MAX_CONNECTIONS",
            "8",
            "is 8, and one request needs 9: raise it",
        ),
        ("MAX_CONNECTIONS", "+5", "is no number, or out of range"),
        ("MAX_HELD", "100001", "is no number, or out of range"),
        (
            "MAX_HELD",
            "641",
            "is 641, and MAX_CONNECTIONS is 640: lower it",
        ),
        ("DRAIN_TIMEOUT", "2h", "is no time, or out of range: \"2h\""),
        (
            "OIDC_AUDIENCE",
            "x",
            "is set, and OIDC_ISSUER_URL is not: set OIDC_ISSUER_URL",
        ),
        (
            "OIDC_ALGORITHMS",
            "RS256",
            "is set, and OIDC_ISSUER_URL is not",
        ),
    ] {
        let told = fault(&[(name, value)]);
        assert!(told.starts_with(&format!("{name} {wanted}")), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_provider_is_said_whole_or_not_at_all() {
    let [audience, clients] = with(&[ISSUER])
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let start = "OIDC_AUDIENCE is not set, and OIDC_ISSUER_URL needs it: give the audience";
    assert!(audience.starts_with(start), "{audience}");
    assert!(
        clients.starts_with("OIDC_ALLOWED_CLIENTS is not set, and"),
        "{clients}"
    );
    let rest = [
        ISSUER,
        ("OIDC_AUDIENCE", "a"),
        ("OIDC_ALLOWED_CLIENTS", "c"),
    ];
    assert!(with(&rest).unwrap().oidc.is_some());
    for (name, value, wanted) in [
        (
            "OIDC_ISSUER_URL",
            "http://id.example.org",
            "is not encrypted: ",
        ),
        ("OIDC_ISSUER_URL", "http://keycloak", "is not encrypted: "),
        (
            "OIDC_ISSUER_URL",
            "id.example.org",
            "does not begin with http:// or https://",
        ),
        (
            "OIDC_ISSUER_URL",
            "https://a:b@c",
            "holds a user name or password",
        ),
        ("OIDC_ISSUER_URL", "https://a?b", "has a query"),
        (
            "OIDC_ALGORITHMS",
            "HS256",
            "names \"HS256\", which cannot be taken: write RS256",
        ),
        (
            "OIDC_ALGORITHMS",
            "none",
            "names \"none\", which cannot be taken",
        ),
        (
            "OIDC_ALGORITHMS",
            "rs256",
            "names \"rs256\", which cannot be taken",
        ),
        (
            "OIDC_ALGORITHMS",
            "ES512",
            "names \"ES512\", which cannot be taken",
        ),
        (
            "OIDC_ROLES_CLAIM",
            "a..b",
            "is not the path of a claim: \"a..b\"",
        ),
        (
            "OIDC_ROLES_CLAIM",
            "a.b.c.d.e.f.g.h.i",
            "is not the path of a claim",
        ),
        ("OIDC_ROLES_CLAIM", ".", "is not the path of a claim"),
        ("OIDC_ALLOWED_CLIENTS", ",", "names no client"),
        (
            "OIDC_MAX_LIFETIME",
            "59",
            "is no time, or out of range: \"59\"",
        ),
        ("OIDC_MAX_LIFETIME", "25h", "is no time, or out of range"),
    ] {
        let told = fault(&[rest[0], rest[1], rest[2], (name, value)]);
        assert!(told.starts_with(&format!("{name} {wanted}")), "{told}");
    }
    for near in [
        "http://keycloak.id.svc:8080/realms/a",
        "http://localhost:8080",
        "http://[::1]",
    ] {
        assert!(
            with(&[rest[1], rest[2], ("OIDC_ISSUER_URL", near)]).is_ok(),
            "{near}"
        );
    }
}

#[test]
fn there_is_something_to_serve_on_addresses_of_their_own() {
    assert_eq!(
        fault(&[("PROXY_ADDR", "off"), ("API_ADDR", "off")]),
        "PROXY_ADDR is off, and so is API_ADDR: there is nothing to serve: give one of them an \
         address"
    );
    for (api, health, is_fault) in [
        (":8080", ":8082", true),
        ("127.0.0.1:8080", ":8082", true),
        (":8081", "[::1]:8080", true),
        (":8081", ":8081", true),
        ("127.0.0.1:9", "127.0.0.2:9", false),
        ("127.0.0.1:9", "0.0.0.0:9", true),
        ("127.0.0.1:9", "127.0.0.1:9", true),
        ("off", ":8081", false),
    ] {
        let read = with(&[("API_ADDR", api), ("HEALTH_ADDR", health)]);
        assert_eq!(read.is_err(), is_fault, "{api} {health}");
    }
    assert_eq!(
        fault(&[("API_ADDR", ":8080")]),
        "API_ADDR is :8080, which PROXY_ADDR is, too: :8080: give each a port of its own"
    );
}

#[test]
fn the_namespace_is_that_of_the_pod() {
    let directory = TempDir::new();
    let account = directory.path().join("account");
    create_dir(&account).unwrap();
    write(account.join("namespace"), "mounted\n").unwrap();
    let account = account.to_str().unwrap();
    let mounted = [("POD_NAMESPACE", ""), ("SERVICE_ACCOUNT_DIR", account)];
    assert_eq!(with(&mounted).unwrap().namespace.as_str(), "mounted");
    let given = [("POD_NAMESPACE", "given"), ("SERVICE_ACCOUNT_DIR", account)];
    assert_eq!(with(&given).unwrap().namespace.as_str(), "given");
    let none = [
        ("POD_NAMESPACE", ""),
        ("SERVICE_ACCOUNT_DIR", "/nonexistent"),
    ];
    let told = fault(&none);
    assert!(
        told.starts_with("POD_NAMESPACE is not set, and the service account's"),
        "{told}"
    );
    // The host's name stands for the pod's.
    let settings = with(&[("HOSTNAME", "gw-6d4f7c9b58-x2x4z")]).unwrap();
    assert_eq!(settings.replica, "gw-6d4f7c9b58-x2x4z");
    assert_eq!(settings.vital.own.unwrap().to_string(), "tools/gw");
}

#[test]
fn all_faults_are_told_at_once() {
    let bad = "\u{1b}bad\n=/value";
    let skipped = [
        "KUBECONFIG",
        "KUBE_CONTEXT",
        "NO_PROXY",
        "SERVICE_ACCOUNT_DIR",
        "GATEWAY_CONFIG",
    ];
    // Of a pair, one given by itself excludes the one in a file.
    let names = GATEWAY_SETTINGS.iter().map(|setting| setting.name);
    let extra: Vec<_> = names
        .filter(|name| !skipped.contains(name))
        // A name may be anything that can be shown.
        .map(|name| (name, bad))
        .collect();
    let faults = with(&extra).unwrap_err();
    let told: BTreeSet<_> = faults.iter().map(|fault| fault.variable).collect();
    let given: BTreeSet<_> = extra.iter().map(|(name, _)| *name).collect();
    assert_eq!(told, given);
    for fault in faults.iter() {
        assert!(!fault.to_string().contains(char::is_control), "{fault}");
    }
}

#[test]
fn the_table_knows_all_that_is_read_and_nothing_else() {
    let asked = RefCell::new(BTreeSet::new());
    for issuer in [None, Some("https://a")] {
        let env = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            let value = issuer.filter(|_| name == "OIDC_ISSUER_URL");
            value.map(OsString::from)
        };
        assert!(GatewaySettings::from_env(&env).is_err());
    }
    let mut known = BTreeSet::from(["HOSTNAME".to_owned()]);
    for setting in GATEWAY_SETTINGS {
        for name in setting.variables() {
            assert!(known.insert(name.to_owned()), "{name} is there twice");
            if setting.lower_case {
                known.insert(name.to_ascii_lowercase());
            }
        }
        known.extend(setting.mistaken_for.iter().map(|name| (*name).to_owned()));
    }
    // Read only beside KUBECONFIG, or in a pod.
    let asked = asked.into_inner();
    let missing: Vec<_> = known.symmetric_difference(&asked).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn settings_of_both_programs_are_read_alike() {
    for setting in GATEWAY_SETTINGS {
        let Some(other) = SETTINGS.iter().find(|other| other.name == setting.name) else {
            continue;
        };
        if setting.name == "HEALTH_ADDR" {
            assert_eq!(setting.presence, Presence::Default(":8082"));
            continue;
        }
        let of = |setting: &crate::config::Setting| {
            (
                setting.file,
                setting.secret,
                setting.lower_case,
                setting.default(),
            )
        };
        assert_eq!(of(setting), of(other), "{}", setting.name);
    }
}

#[test]
fn the_summary_is_a_table_of_the_settings() {
    let settings = with(&[
        ISSUER,
        ("OIDC_AUDIENCE", "a"),
        ("OIDC_ALLOWED_CLIENTS", "c,d"),
    ]);
    let settings = settings.unwrap();
    let mut lines = settings.summary().lines();
    let version = concat!("openclaw-k8s-toggle-operator ", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines.next(), Some(version));
    for (line, wanted) in lines.by_ref().zip([
        "  GATEWAY_CONFIG           /etc/gateway.json",
        "  PROXY_ADDR               :8080",
        "  API_ADDR                 :8081",
        "  HEALTH_ADDR              :8082",
        "  TLS_CERT_FILE            HTTP without TLS",
        "  TRUSTED_PROXIES          nobody",
        "  TOKEN_AUDIENCE           openclaw-gateway",
        "  OIDC_ISSUER_URL          https://id.example.org/realms/A/",
        "  OIDC_AUDIENCE            a",
        "  OIDC_ALLOWED_CLIENTS     c, d",
        "  OIDC_ROLES_CLAIM         realm_access, roles",
        "  OIDC_ALGORITHMS          RS256, ES256",
        "  OIDC_MAX_LIFETIME        1 h",
        "  POD_NAMESPACE            tools",
        "  LEASE_PREFIX             openclaw-gateway-",
    ]) {
        assert_eq!(line, wanted);
    }
}
