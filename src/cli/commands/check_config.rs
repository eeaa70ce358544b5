//! `check-config`: what is wrong with the environment, or what it says.

use std::ffi::OsString;

use crate::config::Settings;

/// What Kubernetes sets in every container, and what stands in for it where
/// there is none.
const STAND_INS: [(&str, &str); 2] = [
    ("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"),
    ("KUBERNETES_SERVICE_PORT", "443"),
];

/// The table of settings, ending in a newline.
///
/// # Errors
/// Every fault of the environment, one line each. What Kubernetes itself sets in
/// every container is no fault where it is missing: here may be no cluster.
pub fn run(env: &impl Fn(&str) -> Option<OsString>) -> Result<String, String> {
    let given = |name: &str| env(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    let missing = STAND_INS.iter().filter(|(name, _)| given(name).is_none());
    let env = |name: &str| {
        let stand_in = STAND_INS.iter().find(|(known, _)| *known == name);
        given(name).or_else(|| stand_in.map(|(_, value)| OsString::from(value)))
    };
    let settings = Settings::from_env(&env).map_err(|faults| {
        let lines = faults
            .iter()
            .map(|fault| format!("configuration error: {fault}\n"));
        lines.collect::<String>()
    })?;
    let mut text = format!("{}\n", settings.summary());
    for (name, value) in missing {
        text.push_str(&format!(
            "{name} is not set here, {value} stands in for it: Kubernetes sets it in every \
             container\n"
        ));
    }
    for warning in settings.account.warnings() {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str("nothing is wrong with the configuration; conntest tells whether it logs in\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[(&str, &str)]) -> Result<String, String> {
        run(&|name| {
            let found = given.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
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
