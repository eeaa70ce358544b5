//! The configuration as the program uses it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ruma::OwnedUserId;

use crate::kube::Target;
use crate::ops::{LogFilter, Secret, printable};

use super::variable::{
    ALLOWED_USERS, API_HOST, API_PORT, AUTH_METHOD, DEPLOYMENT, ECHO, HOMESERVER, LOGURU_LEVEL,
    MAX_AGE, NAMESPACE, PASSWORD, RUST_LOG, SERVICE_ACCOUNT, STORE_PATH, USER,
};
use super::{
    BotUser, Faults, Homeserver, KubernetesAccess, access, age, deployment, log_level, switch, user,
};

/// Longest value shown in the summary, in bytes.
const MAX_SHOWN_BYTES: usize = 400;

/// Everything the program was told, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the homeserver is (`MATRIX_HOMESERVER`).
    pub homeserver: Homeserver,
    /// The bot's account (`MATRIX_USER`).
    pub user: BotUser,
    /// The account's password (`MATRIX_PASSWORD`).
    pub password: Secret,
    /// Who may give commands; never empty (`ALLOWED_USERS`).
    pub allowed_users: BTreeSet<OwnedUserId>,
    /// What is scaled (`DEPLOYMENT_NAMESPACE`, `DEPLOYMENT_NAME`).
    pub target: Target,
    /// The directory of keys and state; it need not exist yet
    /// (`CRYPTO_STORE_PATH`).
    pub store_path: PathBuf,
    /// Whether messages are echoed before they are answered (`ECHO_MODE`).
    pub echo: bool,
    /// The age from which a command is refused, 5 s to 1 h
    /// (`COMMAND_MAX_AGE`).
    pub command_max_age: Duration,
    /// How the API server is reached (`KUBERNETES_SERVICE_HOST`,
    /// `KUBERNETES_SERVICE_PORT`, `SERVICE_ACCOUNT_DIR`).
    pub kubernetes: KubernetesAccess,
    /// What is logged (`RUST_LOG`, else `LOGURU_LEVEL`).
    pub log_filter: LogFilter,
}

impl Settings {
    /// Reads the variables of [`super::VARIABLES`] from `env`, which gives a
    /// variable's value (`std::env::var_os`, but for its argument's type).
    ///
    /// # Errors
    /// Every fault there is, so that one look at the log cures them all.
    pub fn from_env(env: &impl Fn(&str) -> Option<OsString>) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        // In the order of `VARIABLES`.
        let homeserver = faults.keep(HOMESERVER.read(env, Homeserver::parse));
        let user = faults.keep(USER.read(env, BotUser::parse));
        let password = faults.keep(PASSWORD.read(env, |text| Ok(Secret::new(text.to_owned()))));
        let allowed_users = faults.keep(ALLOWED_USERS.read_each(env, user::allowed_users));
        let login = faults.keep(AUTH_METHOD.read(env, switch::password_login));
        let namespace = faults.keep(NAMESPACE.read(env, deployment::namespace));
        let name = faults.keep(DEPLOYMENT.read(env, deployment::name));
        let store_path = faults.keep(STORE_PATH.read(env, |text| Ok(PathBuf::from(text))));
        let echo = faults.keep(ECHO.read(env, switch::switch));
        let command_max_age = faults.keep(MAX_AGE.read(env, age::command_age));
        let host = faults.keep(API_HOST.read(env, access::host));
        let port = faults.keep(API_PORT.read(env, access::port));
        let service_account_dir =
            faults.keep(SERVICE_ACCOUNT.read(env, |text| Ok(PathBuf::from(text))));
        let level = faults.keep(LOGURU_LEVEL.read(env, log_level::loguru));
        let directives = faults.keep(RUST_LOG.read(env, log_level::directives));

        let settings = || {
            login?;
            Some(Self {
                homeserver: homeserver?,
                user: user?,
                password: password?,
                allowed_users: allowed_users?,
                target: Target {
                    namespace: namespace?,
                    name: name?,
                },
                store_path: store_path?,
                echo: echo?,
                command_max_age: command_max_age?,
                kubernetes: KubernetesAccess {
                    host: host?,
                    port: port?,
                    service_account_dir: service_account_dir?,
                },
                log_filter: directives?.or(level)?,
            })
        };
        settings().ok_or(faults)
    }

    /// The start-up table: the program's version, then a line for each
    /// setting. The password is masked, whatever its length.
    pub fn summary(&self) -> String {
        let users: Vec<_> = self.allowed_users.iter().map(|id| id.as_str()).collect();
        let rows = [
            (HOMESERVER.name, self.homeserver.to_string()),
            (USER.name, self.user.to_string()),
            (PASSWORD.name, "********".to_owned()),
            (ALLOWED_USERS.name, users.join(", ")),
            (NAMESPACE.name, self.target.namespace.to_string()),
            (DEPLOYMENT.name, self.target.name.to_string()),
            (STORE_PATH.name, self.store_path.display().to_string()),
            (ECHO.name, self.echo.to_string()),
            (MAX_AGE.name, format!("{}s", self.command_max_age.as_secs())),
            (API_HOST.name, self.kubernetes.host.clone()),
            (API_PORT.name, self.kubernetes.port.to_string()),
            (
                SERVICE_ACCOUNT.name,
                self.kubernetes.service_account_dir.display().to_string(),
            ),
            ("log filter", self.log_filter.to_string()),
        ];
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut table = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        for (name, value) in rows {
            let value = printable(&value, MAX_SHOWN_BYTES);
            table.push_str(&format!("\n  {name:width$}  {value}"));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::super::VARIABLES;
    use super::*;

    const SECRET: &str = "correct horse battery staple";
    const REQUIRED: [(&str, &str); 5] = [
        ("MATRIX_USER", "clawdbot-operator"),
        ("MATRIX_PASSWORD", SECRET),
        ("ALLOWED_USERS", "@a:example.com"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ];

    /// The settings from the required variables and these; later ones win.
    fn with(extra: &[(&str, &str)]) -> Result<Settings, Faults> {
        let env = |name: &str| {
            let given = extra.iter().rev().chain(&REQUIRED);
            let (_, value) = given.clone().find(|(variable, _)| *variable == name)?;
            Some(OsString::from(value))
        };
        Settings::from_env(&env)
    }

    #[test]
    fn defaults() {
        let settings = with(&[]).unwrap();
        assert_eq!(
            settings.homeserver.as_str(),
            "http://synapse.matrix.svc.cluster.local:8008"
        );
        assert_eq!(settings.target.to_string(), "clawdbot/clawdbot");
        assert_eq!(settings.store_path.to_str(), Some("/data/crypto_store"));
        assert!(settings.echo);
        assert_eq!(settings.command_max_age, Duration::from_secs(120));
        assert_eq!(settings.kubernetes.base_url(), "https://10.96.0.1:443");
        assert_eq!(
            settings.kubernetes.service_account_dir.to_str(),
            Some("/var/run/secrets/kubernetes.io/serviceaccount")
        );
        assert_eq!(
            settings.log_filter,
            LogFilter::level(log::LevelFilter::Info)
        );
        assert_eq!(settings.password.expose(), SECRET);
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
            ("SERVICE_ACCOUNT_DIR", "/sa"),
        ])
        .unwrap();
        assert_eq!(settings.homeserver.as_str(), "https://hs.example");
        assert_eq!(settings.user.full().unwrap(), "@bot:example.com");
        assert_eq!(settings.allowed_users.len(), 2);
        assert_eq!(settings.target.to_string(), "ns/web");
        assert_eq!(settings.store_path, PathBuf::from("state"));
        assert!(!settings.echo);
        assert_eq!(settings.command_max_age, Duration::from_secs(3600));
        assert_eq!(
            settings.kubernetes.service_account_dir,
            PathBuf::from("/sa")
        );
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
        let named: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
        assert_eq!(named, REQUIRED.map(|(name, _)| name));
        assert!(faults.to_string().contains("inside a cluster"));
    }

    #[test]
    fn every_fault_is_reported_at_once_each_on_one_line() {
        let bad = "\u{1b}bad\n=/value";
        let extra: Vec<_> = VARIABLES
            .iter()
            .filter(|variable| !variable.name.ends_with("PATH") && !variable.name.ends_with("DIR"))
            .map(|variable| (variable.name, bad))
            .filter(|(name, _)| *name != "MATRIX_PASSWORD")
            .collect();
        let faults = with(&extra).unwrap_err();
        for (name, _) in &extra {
            assert!(faults.name(name), "{name}");
        }
        for fault in faults.iter() {
            assert!(!fault.to_string().contains(char::is_control), "{fault}");
        }
        assert_eq!(faults.to_string().lines().count(), extra.len());
    }

    #[test]
    fn no_secret_is_shown() {
        let settings = with(&[]).unwrap();
        for shown in [settings.summary(), format!("{settings:?}")] {
            assert!(!shown.contains("battery"), "{shown}");
        }
        let faults = with(&[("MATRIX_USER", "")]).unwrap_err();
        assert!(!format!("{faults:?} {faults}").contains("battery"));
    }

    #[test]
    fn the_summary_is_a_table_of_the_settings() {
        let path = ("CRYPTO_STORE_PATH", "/da\nta");
        let summary = with(&[path]).unwrap().summary();
        let mut lines = summary.lines();
        let version = concat!("openclaw-k8s-toggle-operator ", env!("CARGO_PKG_VERSION"));
        assert_eq!(lines.next(), Some(version));
        assert!(summary.contains("\n  MATRIX_PASSWORD          ********\n"));
        assert!(summary.contains(r"  CRYPTO_STORE_PATH        /da\nta"));
        assert_eq!(lines.count(), 13);
    }
}
