//! The configuration as a whole: variables reach their fields, faults are told at once,
//! no secret is shown.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use vodozemac::Ed25519Keypair;

mod kubeconfig;
mod login;
mod warnings;

use super::{Faults, KubernetesAccess, Method, SETTINGS, Settings};
use crate::control::Targets;
use crate::crypto::DeviceTrust;
use crate::net::Roots;
use crate::telemetry::LogFilter;
use crate::util::temp::TempFile;

const SECRET: &str = "correct horse battery staple";
const RECOVERY_KEY: &str = "EsTj 3yST y93F SLpB jJsz eAXc 2XzA ygD3 w69H fGaN TKBj jXEd";
const SEED: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const REQUIRED: [(&str, &str); 5] = [
    ("MATRIX_USER", "clawdbot-operator"),
    ("MATRIX_PASSWORD", SECRET),
    ("ALLOWED_USERS", "@a:example.com"),
    ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
    ("KUBERNETES_SERVICE_PORT", "443"),
];

/// The settings from the required variables and these; later ones win.
pub(super) fn with(extra: &[(&str, &str)]) -> Result<Settings, Faults> {
    let env = |name: &str| {
        let given = extra.iter().rev().chain(&REQUIRED);
        let (_, value) = given.clone().find(|(variable, _)| *variable == name)?;
        Some(OsString::from(value))
    };
    Settings::from_env(&env)
}

/// The faults, one a line.
pub(super) fn told(faults: &Faults) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The way to the API server that a pod has.
fn pod(settings: &Settings) -> (&str, u16, &str) {
    match &settings.kubernetes {
        KubernetesAccess::Pod {
            host,
            port,
            service_account_dir,
        } => (host, *port, service_account_dir.to_str().unwrap()),
        KubernetesAccess::Kubeconfig(kubeconfig) => panic!("{kubeconfig:?}"),
    }
}

/// The one Deployment without a name.
fn deployment(settings: &Settings) -> String {
    match &settings.targets {
        Targets::Reference(workload) => workload.to_string(),
        Targets::Named(targets) => panic!("{targets:?}"),
    }
}

fn names(faults: &Faults) -> Vec<&'static str> {
    faults.iter().map(|fault| fault.variable).collect()
}

#[test]
fn defaults() {
    let settings = with(&[]).unwrap();
    assert_eq!(
        settings.account.homeserver.to_string(),
        "http://synapse.matrix.svc.cluster.local:8008"
    );
    assert_eq!(deployment(&settings), "clawdbot/clawdbot");
    assert_eq!(settings.store_path.to_str(), Some("/data/crypto_store"));
    assert!(settings.echo);
    assert_eq!(settings.command_max_age, Duration::from_secs(120));
    assert_eq!(settings.health, None);
    assert_eq!(settings.health_sync_max_age, Duration::from_secs(90));
    assert_eq!(
        pod(&settings),
        (
            "10.96.0.1",
            443,
            "/var/run/secrets/kubernetes.io/serviceaccount"
        )
    );
    assert_eq!(
        settings.log_filter,
        LogFilter::level(log::LevelFilter::Info)
    );
    let Method::Password(password) = settings.account.method else {
        panic!("the password is the default");
    };
    assert_eq!(password.expose(), SECRET);
    assert!(matches!(settings.account.network.roots, Roots::Mozilla));
    assert!(settings.account.network.proxy.is_none());
    assert_eq!(settings.device_trust, DeviceTrust::CrossSigned);
    assert!(!settings.require_encryption);
    assert!(settings.pinned_identities.is_empty());
    assert_eq!(settings.allowed_rooms, None);
    assert!(settings.recovery_key.is_none());
    assert!(settings.cross_signing_seed.is_none());
}

#[test]
fn given_values_reach_their_fields() {
    let settings = with(&[
        ("MATRIX_HOMESERVER", "https://hs.example/"),
        ("MATRIX_USER", "@bot:example.com"),
        ("ALLOWED_USERS", "@bot:example.com, @b:example.com"),
        ("AUTH_METHOD", "password"),
        ("DEPLOYMENT_NAMESPACE", "ns"),
        ("DEPLOYMENT_NAME", "web"),
        ("CRYPTO_STORE_PATH", "state"),
        ("ECHO_MODE", "no"),
        ("COMMAND_MAX_AGE", "1h"),
        ("HEALTH_ADDR", ":8080"),
        ("HEALTH_SYNC_MAX_AGE", "2m"),
        ("SERVICE_ACCOUNT_DIR", "/sa"),
    ])
    .unwrap();
    assert_eq!(
        settings.account.homeserver.to_string(),
        "https://hs.example"
    );
    assert_eq!(settings.account.user.full().unwrap(), "@bot:example.com");
    assert_eq!(settings.allowed_users.len(), 2);
    assert_eq!(deployment(&settings), "ns/web");
    assert_eq!(settings.store_path, PathBuf::from("state"));
    assert!(!settings.echo);
    assert_eq!(settings.command_max_age, Duration::from_secs(3600));
    assert_eq!(settings.health.as_ref().unwrap().to_string(), ":8080");
    assert_eq!(settings.health_sync_max_age, Duration::from_secs(120));
    let (_, _, service_account_dir) = pod(&settings);
    assert_eq!(service_account_dir, "/sa");
}

#[test]
fn who_may_command_reaches_its_fields() {
    let key = Ed25519Keypair::new().public_key();
    let pin = format!("@a:example.com={}", key.to_base64());
    let settings = with(&[
        ("PINNED_IDENTITIES", &pin),
        ("DEVICE_TRUST", "tofu"),
        ("ALLOWED_ROOMS", "!a:example.com,!b:example.com"),
        ("REQUIRE_ENCRYPTION", "true"),
        ("MATRIX_RECOVERY_KEY", RECOVERY_KEY),
    ])
    .unwrap();
    let pins: Vec<_> = settings.pinned_identities.iter().collect();
    assert_eq!(pins.len(), 1);
    assert_eq!((pins[0].0.as_str(), *pins[0].1), ("@a:example.com", key));
    assert_eq!(settings.device_trust, DeviceTrust::Tofu);
    assert_eq!(settings.allowed_rooms.unwrap().len(), 2);
    assert!(settings.require_encryption);
    assert!(settings.recovery_key.is_some());
}

/// A file with a secret and a line break.
pub(super) fn secret_file(line: &str) -> TempFile {
    TempFile::new(format!("{line}\n"))
}

#[test]
fn secrets_are_read_from_files() {
    let (key, seed) = (secret_file(RECOVERY_KEY), secret_file(SEED));
    let settings = with(&[
        ("MATRIX_RECOVERY_KEY_FILE", key.path()),
        ("CROSS_SIGNING_SEED_FILE", seed.path()),
    ])
    .unwrap();
    assert!(settings.recovery_key.is_some());
    let seed = settings.cross_signing_seed.unwrap();
    assert_eq!(seed.as_bytes(), &[0; 32]);
}

#[test]
fn a_secret_of_the_wrong_form_is_a_fault_that_does_not_show_it() {
    let seed = secret_file("not a seed");
    let faults = with(&[
        ("MATRIX_RECOVERY_KEY", SECRET),
        ("CROSS_SIGNING_SEED_FILE", seed.path()),
    ])
    .unwrap_err();
    let text = told(&faults);
    assert!(
        text.contains("MATRIX_RECOVERY_KEY is no recovery key"),
        "{text}"
    );
    assert!(
        text.contains("CROSS_SIGNING_SEED_FILE names a file whose"),
        "{text}"
    );
    assert!(
        !text.contains("battery") && !text.contains("not a seed"),
        "{text}"
    );
}

#[test]
fn a_pin_of_a_user_who_may_not_command_is_a_fault() {
    let key = Ed25519Keypair::new().public_key().to_base64();
    let pin = format!("@b:example.com={key}");
    let faults = with(&[("PINNED_IDENTITIES", &pin)]).unwrap_err();
    assert_eq!(
        told(&faults),
        "PINNED_IDENTITIES names \"@b:example.com\", who may give no commands: name the user in \
         ALLOWED_USERS too, or take the pin away"
    );
    // Who may is unknown then, so that would be a guess.
    let faults = with(&[("PINNED_IDENTITIES", &pin), ("ALLOWED_USERS", "b")]).unwrap_err();
    assert_eq!(names(&faults), ["ALLOWED_USERS"]);
}

#[test]
fn rust_log_overrules_loguru_level() {
    let filter = |extra: &[_]| with(extra).unwrap().log_filter.to_string();
    assert!(filter(&[("LOGURU_LEVEL", "DEBUG")]).starts_with("debug,"));
    let both = [("LOGURU_LEVEL", "DEBUG"), ("RUST_LOG", "warn,x=trace")];
    assert_eq!(filter(&both), "warn,x=trace");
}

#[test]
fn an_empty_environment_names_all_that_is_missing_in_order() {
    let faults = Settings::from_env(&|_| None).unwrap_err();
    assert_eq!(names(&faults), REQUIRED.map(|(name, _)| name));
    assert!(told(&faults).contains("inside a cluster"));
}

const ANYTHING: [&str; 3] = ["MATRIX_RECOVERY_KEY", "HTTPS_PROXY", "NO_PROXY"];

/// True for a variable of a way to log in; none is needed where `AUTH_METHOD` names
/// no way.
fn is_of_a_login(name: &str) -> bool {
    let starts = [
        "MATRIX_PASSWORD",
        "KEYCLOAK_",
        "JWT_",
        "SSO_",
        "MATRIX_ACCESS",
        "MATRIX_DEVICE",
    ];
    starts.iter().any(|start| name.starts_with(start))
}

#[test]
fn every_fault_is_reported_at_once_each_on_one_line() {
    let bad = "\u{1b}bad\n=/value";
    let extra: Vec<_> = SETTINGS
        .iter()
        .flat_map(|setting| setting.variables())
        .filter(|name| !name.ends_with("PATH") && !name.ends_with("DIR"))
        .filter(|name| !is_of_a_login(name))
        // It takes the place of others.
        .filter(|name| *name != "KUBECONFIG")
        // Any text may be a password or a name, and a secret in a file excludes
        // one that is given by itself.
        .filter(|name| !ANYTHING.contains(name))
        .map(|name| (name, bad))
        .collect();
    let faults = with(&extra).unwrap_err();
    let given: Vec<_> = extra.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&faults), given);
    for fault in faults.iter() {
        assert!(!fault.to_string().contains(char::is_control), "{fault}");
    }
}

/// The table and the reading of it know the same variables.
#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn every_setting_is_read_and_nothing_else() {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    let asked = RefCell::new(BTreeSet::new());
    for method in ["password", "jwt", "sso", "token"] {
        for more in [None, Some("JWT_SECRET_FILE")] {
            let env = |name: &str| {
                asked.borrow_mut().insert(name.to_owned());
                let value = match name {
                    "AUTH_METHOD" => method,
                    name if Some(name) == more => "/nonexistent",
                    _ => return None,
                };
                Some(OsString::from(value))
            };
            assert!(Settings::from_env(&env).is_err());
        }
    }
    let named = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        let given = [("TARGETS", "a=b"), ("HOSTNAME", "bot-6d4f7c9b58-x2x4z")];
        let found = given.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    assert!(Settings::from_env(&named).is_err());
    // Of the pod: they tell which Deployment is the bot's own.
    let mut known = BTreeSet::from(["HOSTNAME", "POD_NAMESPACE"].map(str::to_owned));
    for setting in SETTINGS {
        for name in setting.variables() {
            assert!(known.insert(name.to_owned()), "{name} is there twice");
            if setting.lower_case {
                known.insert(name.to_ascii_lowercase());
            }
        }
        known.extend(setting.mistaken_for.iter().map(|name| (*name).to_owned()));
    }
    assert_eq!(asked.into_inner(), known);
}

#[test]
fn no_secret_is_shown() {
    let settings = with(&[("MATRIX_RECOVERY_KEY", RECOVERY_KEY)]).unwrap();
    for shown in [settings.summary(), &format!("{settings:?}")] {
        assert!(
            !shown.contains("battery") && !shown.contains("y93F"),
            "{shown}"
        );
    }
    let faults = with(&[("MATRIX_USER", "")]).unwrap_err();
    assert!(!format!("{faults:?} {faults}").contains("battery"));
}

#[test]
fn the_summary_is_a_table_of_the_settings() {
    let path = ("CRYPTO_STORE_PATH", "/da\nta");
    let settings = with(&[path]).unwrap();
    let summary = settings.summary();
    let mut lines = summary.lines();
    let version = concat!("openclaw-k8s-toggle-operator ", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines.next(), Some(version));
    assert!(summary.contains("\n  MATRIX_PASSWORD          ********\n"));
    assert!(summary.contains(r"  CRYPTO_STORE_PATH        /da\nta"));
    assert_eq!(lines.count(), 25);
}

#[test]
fn the_summary_says_who_may_command() {
    let rows = |extra: &[_]| {
        let settings = with(extra).unwrap();
        let rows = settings.summary().lines().skip(1).map(|line| {
            let (name, value) = line.trim_start().split_once("  ").unwrap();
            (name.to_owned(), value.trim_start().to_owned())
        });
        rows.collect::<std::collections::BTreeMap<_, _>>()
    };
    let plain = rows(&[]);
    for (name, value) in [
        ("MATRIX_RECOVERY_KEY", "none"),
        ("CROSS_SIGNING_SEED_FILE", "none"),
        ("PINNED_IDENTITIES", "none"),
        ("DEVICE_TRUST", "cross-signed"),
        ("ALLOWED_ROOMS", "any"),
        ("REQUIRE_ENCRYPTION", "false"),
    ] {
        assert_eq!(plain[name], value, "{name}");
    }
    let key = Ed25519Keypair::new().public_key().to_base64();
    let seed = secret_file(SEED);
    let given = rows(&[
        ("MATRIX_RECOVERY_KEY", RECOVERY_KEY),
        ("CROSS_SIGNING_SEED_FILE", seed.path()),
        ("PINNED_IDENTITIES", &format!("@a:example.com={key}")),
        ("DEVICE_TRUST", "tofu"),
        ("ALLOWED_ROOMS", "!b:x,!a:x"),
        ("REQUIRE_ENCRYPTION", "on"),
    ]);
    for (name, value) in [
        ("MATRIX_RECOVERY_KEY", "********"),
        ("CROSS_SIGNING_SEED_FILE", "********"),
        ("PINNED_IDENTITIES", "@a:example.com"),
        ("DEVICE_TRUST", "tofu"),
        ("ALLOWED_ROOMS", "!a:x, !b:x"),
        ("REQUIRE_ENCRYPTION", "true"),
    ] {
        assert_eq!(given[name], value, "{name}");
    }
}
