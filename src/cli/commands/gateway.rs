//! `gateway check`, and what `gateway` begins with.

use std::ffi::OsString;

use crate::cli::error::Error;
use crate::config::gateway::{GatewayFile, GatewaySettings};
use crate::config::{Env, Faults};
use crate::gateway;
use crate::util::Clock;

/// Values for what has to be set, where the environment's own are wrong or missing. They
/// stand in for those, so that the others can be looked at, and nobody is asked by them.
const STAND_INS: [(&str, &str); 4] = [
    ("GATEWAY_CONFIG", "/"),
    ("KUBERNETES_SERVICE_HOST", "localhost"),
    ("KUBERNETES_SERVICE_PORT", "443"),
    ("POD_NAMESPACE", "default"),
];

/// The beginnings of the settings that the cluster is asked by.
const OF_THE_CLUSTER: [&str; 3] = ["KUBE", "POD_", "LEAS"];

/// The environment and the file as they are.
struct Found {
    /// All that is wrong with both.
    faults: Faults,
    /// The settings; where there are faults, those that have none, and stand-ins.
    settings: Option<GatewaySettings>,
    /// The file, if it could be read.
    file: Option<GatewayFile>,
}

/// The environment and the file.
///
/// # Errors
/// Every fault of both.
pub(in crate::cli) fn read(env: Env<'_>) -> Result<(GatewaySettings, GatewayFile), Faults> {
    match Found::of(env) {
        Found {
            faults,
            settings: Some(settings),
            file: Some(file),
        } if faults.is_empty() => Ok((settings, file)),
        found => Err(found.faults),
    }
}

/// The settings, and that nothing is wrong with them and what they need of the cluster.
///
/// # Errors
/// Every fault of the environment and the file, and everything that is lacking.
pub(in crate::cli) async fn check(env: Env<'_>, clock: Clock) -> Result<String, Error> {
    let found = Found::of(env);
    let mut told = Vec::new();
    if !found.faults.is_empty() {
        told.push(found.faults.to_string());
    }
    let mut warnings = Vec::new();
    let file = found.file.as_ref();
    if let Some(settings) = &found.settings {
        warnings.extend(settings.warnings(clock.now()));
        if !found.is_faulty(|begin| OF_THE_CLUSTER.contains(&begin)) {
            let checked = gateway::check(settings, file, clock).await;
            told.extend(checked.faults);
            warnings.extend(checked.warnings);
        }
    }
    warnings.extend(file.iter().flat_map(|file| file.warnings.clone()));
    let warnings: String = warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"))
        .collect();
    match (&found.settings, told.is_empty()) {
        (Some(settings), true) => Ok(format!(
            "{}\n{warnings}nothing is wrong with the configuration, and nothing is lacking\n",
            settings.summary()
        )),
        _ => Err(Error::Unwell(warnings + &told.join("\n"))),
    }
}

impl Found {
    fn of(env: Env<'_>) -> Self {
        let mut found = Self {
            faults: Faults::default(),
            settings: None,
            file: None,
        };
        match GatewaySettings::from_env(env) {
            Ok(settings) => found.settings = Some(settings),
            Err(faults) => {
                found.faults = faults;
                found.settings = found.sound(env);
            }
        }
        if let Some(settings) = &found.settings
            && !found.is_faulty(|begin| begin == "GATE")
        {
            match GatewayFile::read(&settings.file, &settings.vital) {
                Ok(file) => found.file = Some(file),
                Err(faults) => found.faults.extend(faults),
            }
        }
        found
    }

    /// The settings without those that have faults, and without the ports, which clash with
    /// each other. The identity provider is left out: the way to it has several settings.
    fn sound(&self, env: Env<'_>) -> Option<GatewaySettings> {
        let sound = |name: &str| {
            let is_own = name.ends_with("_ADDR") || self.is_faulty(|begin| begin == start(name));
            match is_own {
                false => env(name),
                true => STAND_INS
                    .iter()
                    .find(|(needed, _)| *needed == name)
                    .map(|(_, value)| OsString::from(value)),
            }
        };
        let mut settings = GatewaySettings::from_env(&sound).ok()?;
        settings.oidc = None;
        Some(settings)
    }

    /// True if a setting with such a beginning has a fault.
    fn is_faulty(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.faults
            .iter()
            .any(|fault| is_meant(start(fault.variable)))
    }
}

/// The beginning of a setting's name: those that depend on each other have the same one.
fn start(name: &str) -> &str {
    name.get(..4).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fake::{closed_port, run};
    use crate::util::temp::TempFile;

    const FILE: &str = r#"{"roles": {"ops": {"verbs": ["status"], "targets": ["web"]}},
        "oidcRoles": {"operator": ["ops"]},
        "targets": {"web": {"kind": "Deployment", "namespace": "apps", "name": "web"}}}"#;

    /// The outcome of a check of a gateway with this file, and these variables instead of
    /// others.
    fn told(file: &str, given: &[(&str, &str)]) -> Result<String, String> {
        let file = TempFile::new(file);
        let port = closed_port().to_string();
        let account = std::env::temp_dir().display().to_string();
        let env = |name: &str| {
            let given = given.iter().find(|(given, _)| *given == name);
            let value = match (given, name) {
                (Some((_, value)), _) => value,
                (_, "GATEWAY_CONFIG") => file.path(),
                (_, "KUBERNETES_SERVICE_HOST") => "127.0.0.1",
                (_, "KUBERNETES_SERVICE_PORT") => &port,
                (_, "SERVICE_ACCOUNT_DIR") => &account,
                (_, "POD_NAMESPACE") => "gateway",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let read = read(&env).map(|_| ()).map_err(|faults| faults.to_string());
        let checked = run(check(&env, Clock::stopped())).map_err(|error| error.to_string());
        // A start ends with the same faults, and without those of the cluster.
        if let Err(faults) = read {
            let said = checked.as_ref().unwrap_err();
            assert!(said.contains(&faults), "{said}\n{faults}");
        }
        checked
    }

    #[test]
    fn faults_of_the_environment_the_file_and_the_cluster_are_told_at_once() {
        let cluster = "the service account cannot be used";
        let faulty = FILE.replace("operator\": [\"ops\"]", "operator\": [\"nobody\"]");
        let none: &[(&str, &str)] = &[];
        for (given, file, faults) in [
            (none, FILE, &[cluster][..]),
            (none, &faulty, &["GATEWAY_CONFIG", "\"nobody\"", cluster]),
            (&[("MAX_HELD", "x")], FILE, &["MAX_HELD is no", cluster]),
            (
                &[("MAX_CONNECTIONS", "100")],
                &faulty,
                &["MAX_HELD is 300", "\"nobody\"", cluster],
            ),
            (
                &[("API_ADDR", ":8080"), ("OIDC_ISSUER_URL", "x")],
                &faulty,
                &["API_ADDR is", "OIDC_ISSUER_URL", "\"nobody\"", cluster],
            ),
        ] {
            let said = told(file, given).unwrap_err();
            for fault in faults {
                assert!(said.contains(fault), "{given:?}: {fault}: {said}");
            }
        }
    }

    #[test]
    fn the_cluster_is_not_asked_by_settings_that_stand_in_for_wrong_ones() {
        let faulty = FILE.replace("Deployment", "DaemonSet");
        for (name, value) in [
            ("KUBERNETES_SERVICE_HOST", ""),
            ("KUBERNETES_SERVICE_PORT", "x"),
            ("KUBECONFIG", "/nonexistent"),
            ("POD_NAMESPACE", "A B"),
            ("LEASE_PREFIX", "A B"),
        ] {
            let said = told(&faulty, &[(name, value)]).unwrap_err();
            assert!(said.contains(name), "{said}");
            assert!(said.contains("DaemonSet"), "{name}: {said}");
            assert!(!said.contains("service account"), "{name}: {said}");
        }
        let said = told(&faulty, &[("GATEWAY_CONFIG", " ")]).unwrap_err();
        assert!(said.contains("GATEWAY_CONFIG is not set"), "{said}");
        assert_eq!(said.matches("GATEWAY_CONFIG").count(), 1, "{said}");
    }

    #[test]
    fn warnings_are_told_beside_faults() {
        let idle = FILE.replace("\"oidcRoles\": {\"operator\": [\"ops\"]},", "");
        let said = told(&idle, &[("DRAIN_TIMEOUT", "x")]).unwrap_err();
        let warning = "warning: GATEWAY_CONFIG allows nobody anything";
        assert!(said.contains(warning), "{said}");
        assert!(
            said.contains("configuration error: DRAIN_TIMEOUT"),
            "{said}"
        );
    }
}
