//! `check-config`: tells what is wrong with the environment, or what it says.

use std::ffi::OsString;
use std::time::SystemTime;

use crate::config::{Env, Faults, Presence, SETTINGS, Settings};

/// The table of settings, ending in a newline.
///
/// # Errors
/// Every fault of the environment. What Kubernetes itself sets in every container is no
/// fault where it is missing: here may be no cluster.
pub(in crate::cli) fn run(env: Env<'_>, now: SystemTime) -> Result<String, Faults> {
    let given = |name: &str| env(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    let is_outside = given("KUBECONFIG").is_some();
    let stand_ins: Vec<_> = SETTINGS
        .iter()
        .filter_map(|setting| match setting.presence {
            Presence::Kubernetes { stand_in } if !is_outside && given(setting.name).is_none() => {
                Some((setting.name, stand_in))
            }
            _ => None,
        })
        .collect();
    let settings = Settings::from_env(&|name| {
        let stand_in = stand_ins.iter().find(|(known, _)| *known == name);
        stand_in.map_or_else(|| env(name), |(_, value)| Some(OsString::from(value)))
    })?;
    let mut text = format!("{}\n", settings.summary());
    for (name, value) in stand_ins {
        text.push_str(&format!(
            "{name} is not set here, {value} stands in for it: Kubernetes sets it in every \
             container\n"
        ));
    }
    for warning in settings.warnings(now) {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str("nothing is wrong with the configuration; conntest tells whether it logs in\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[(&str, &str)]) -> Result<String, String> {
        let env = |name: &str| {
            let found = given.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let told = run(&env, SystemTime::UNIX_EPOCH);
        told.map_err(|faults| faults.to_string())
    }

    const LOGIN: [(&str, &str); 3] = [
        ("MATRIX_USER", "bot"),
        ("MATRIX_PASSWORD", "hunter2"),
        ("ALLOWED_USERS", "@a:b.c"),
    ];

    #[test]
    fn no_cluster_is_no_fault() {
        let text = check(&LOGIN).unwrap();
        assert!(text.contains("KUBERNETES_SERVICE_PORT is not set here, 443 stands in"));
        assert!(text.contains("MATRIX_PASSWORD") && !text.contains("hunter2"));
        let given = [&LOGIN[..], &[("KUBERNETES_SERVICE_HOST", "1.2.3.4")]].concat();
        let text = check(&given).unwrap();
        assert!(text.contains("1.2.3.4") && !text.contains("HOST is not set"));
    }

    #[test]
    fn each_target_has_a_row() {
        let given = [
            &LOGIN[..],
            &[("TARGETS", "web=shop/front:3, db=statefulset/db")],
        ]
        .concat();
        let text = check(&given).unwrap();
        for row in [
            "web -> deployment shop/front, at most 3",
            "db -> statefulset clawdbot/db, at most 1",
        ] {
            assert!(text.contains(row), "{row} in {text}");
        }
        assert!(!text.contains("DEPLOYMENT_NAME "), "{text}");
    }

    #[cfg(feature = "keycloak")]
    #[test]
    fn all_faults_are_told() {
        let told = check(&[("KUBERNETES_SERVICE_PORT", "x"), ("AUTH_METHOD", "jwt")]).unwrap_err();
        for name in [
            "MATRIX_USER",
            "MATRIX_PASSWORD",
            "KEYCLOAK_URL",
            "KEYCLOAK_REALM",
            "KEYCLOAK_CLIENT_ID",
            "ALLOWED_USERS",
            "KUBERNETES_SERVICE_PORT",
        ] {
            let start = format!("configuration error: {name} ");
            assert!(told.lines().any(|line| line.starts_with(&start)), "{told}");
        }
        assert_eq!(told.lines().count(), 7, "{told}");
    }
}
