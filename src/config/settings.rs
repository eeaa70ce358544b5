//! The configuration as the program uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId};
use vodozemac::Ed25519PublicKey;

use crate::crypto::{DeviceTrust, RecoveryKey, Seed};
use crate::kube::Target;
use crate::telemetry::LogFilter;

use super::summary::{list, mask, table};
use super::variables::{
    ALLOWED_ROOMS, ALLOWED_USERS, API_HOST, API_PORT, DEPLOYMENT, DEVICE_TRUST, ECHO, HEALTH_ADDR,
    HEALTH_SYNC_MAX_AGE, LOGURU_LEVEL, MAX_AGE, NAMESPACE, PINNED_IDENTITIES, RECOVERY_KEY,
    RECOVERY_KEY_FILE, REQUIRE_ENCRYPTION, RUST_LOG, SEED_FILE, SERVICE_ACCOUNT, STORE_PATH,
};
use super::{
    Account, Faults, HealthAddress, KubernetesAccess, Overrides, access, age, deployment, file,
    health, log_level, own_identity, pins, rooms, store_path, switch, user,
};

/// Everything the program was told, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot's account, and how to log in.
    pub account: Account,
    /// What opens the account's secret storage (`MATRIX_RECOVERY_KEY`,
    /// `MATRIX_RECOVERY_KEY_FILE`).
    pub recovery_key: Option<Rc<RecoveryKey>>,
    /// What the bot's cross-signing keys are made from, if not from what is in
    /// the store (`CROSS_SIGNING_SEED_FILE`).
    pub cross_signing_seed: Option<Rc<Seed>>,
    /// Who may give commands; never empty (`ALLOWED_USERS`).
    pub allowed_users: BTreeSet<OwnedUserId>,
    /// The master keys of those whose identity is known beforehand, each of
    /// them an allowed user (`PINNED_IDENTITIES`).
    pub pinned_identities: BTreeMap<OwnedUserId, Ed25519PublicKey>,
    /// Which devices of an allowed user are believed (`DEVICE_TRUST`).
    pub device_trust: DeviceTrust,
    /// The rooms that commands are taken from, never empty; `None` for any
    /// room (`ALLOWED_ROOMS`).
    pub allowed_rooms: Option<BTreeSet<OwnedRoomId>>,
    /// Whether commands in rooms that are not encrypted are refused
    /// (`REQUIRE_ENCRYPTION`).
    pub require_encryption: bool,
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
    /// Where the bot tells how it is; `None` for nowhere (`HEALTH_ADDR`).
    pub health: Option<HealthAddress>,
    /// The age of the last sync from which the bot is not ready
    /// (`HEALTH_SYNC_MAX_AGE`).
    pub health_sync_max_age: Duration,
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
        let account = Account::read(env, Overrides::default(), &mut faults);
        let recovery_key = faults.keep(file::either(
            env,
            &RECOVERY_KEY,
            &RECOVERY_KEY_FILE,
            own_identity::recovery_key,
        ));
        let cross_signing_seed =
            faults.keep(SEED_FILE.read(env, |path| file::in_file(path, own_identity::seed)));
        let allowed_users = faults.keep(ALLOWED_USERS.read_each(env, user::allowed_users));
        let pinned_identities = faults.keep(
            PINNED_IDENTITIES.read_each(env, |text| pins::pins(text, allowed_users.as_ref())),
        );
        let device_trust = faults.keep(DEVICE_TRUST.read(env, pins::device_trust));
        let allowed_rooms = faults.keep(ALLOWED_ROOMS.read_each(env, rooms::allowed_rooms));
        let require_encryption = faults.keep(REQUIRE_ENCRYPTION.read(env, switch::switch));
        let namespace = faults.keep(NAMESPACE.read(env, deployment::namespace));
        let name = faults.keep(DEPLOYMENT.read(env, deployment::name));
        let store_path = faults.keep(store_path::read(env));
        let echo = faults.keep(ECHO.read(env, switch::switch));
        let command_max_age = faults.keep(MAX_AGE.read(env, age::age));
        let health = faults.keep(HEALTH_ADDR.read(env, health::address));
        let health_sync_max_age = faults.keep(HEALTH_SYNC_MAX_AGE.read(env, age::age));
        let host = faults.keep(API_HOST.read(env, access::host));
        let port = faults.keep(API_PORT.read(env, access::port));
        let service_account_dir =
            faults.keep(SERVICE_ACCOUNT.read(env, |text| Ok(PathBuf::from(text))));
        let level = faults.keep(LOGURU_LEVEL.read(env, log_level::loguru));
        let directives = faults.keep(RUST_LOG.read(env, log_level::directives));

        let settings = || {
            Some(Self {
                account: account?,
                recovery_key: recovery_key?,
                cross_signing_seed: cross_signing_seed?,
                allowed_users: allowed_users?,
                pinned_identities: pinned_identities?,
                device_trust: device_trust?,
                allowed_rooms: allowed_rooms?,
                require_encryption: require_encryption?,
                target: Target {
                    namespace: namespace?,
                    name: name?,
                },
                store_path: store_path?,
                echo: echo?,
                command_max_age: command_max_age?,
                health: health?,
                health_sync_max_age: health_sync_max_age?,
                kubernetes: KubernetesAccess {
                    host: host?,
                    port: port?,
                    service_account_dir: service_account_dir?,
                },
                log_filter: directives?.or(level)?,
            })
        };
        settings().filter(|_| faults.is_empty()).ok_or(faults)
    }

    /// The start-up table: the program's version, then a line for each
    /// setting. Secrets are masked, whatever their length.
    pub fn summary(&self) -> String {
        let rooms = self.allowed_rooms.as_ref();
        let mut rows = self.account.rows();
        rows.extend([
            (RECOVERY_KEY.name, mask(self.recovery_key.as_ref())),
            (SEED_FILE.name, mask(self.cross_signing_seed.as_ref())),
            (ALLOWED_USERS.name, list(&self.allowed_users)),
            (PINNED_IDENTITIES.name, list(self.pinned_identities.keys())),
            (DEVICE_TRUST.name, trust(self.device_trust)),
            (ALLOWED_ROOMS.name, rooms.map_or("any".to_owned(), list)),
            (REQUIRE_ENCRYPTION.name, self.require_encryption.to_string()),
            (NAMESPACE.name, self.target.namespace.to_string()),
            (DEPLOYMENT.name, self.target.name.to_string()),
            (STORE_PATH.name, self.store_path.display().to_string()),
            (ECHO.name, self.echo.to_string()),
            (MAX_AGE.name, format!("{}s", self.command_max_age.as_secs())),
            (
                HEALTH_ADDR.name,
                self.health
                    .map_or("none".to_owned(), |address| address.to_string()),
            ),
            (
                HEALTH_SYNC_MAX_AGE.name,
                format!("{}s", self.health_sync_max_age.as_secs()),
            ),
            (API_HOST.name, self.kubernetes.host.clone()),
            (API_PORT.name, self.kubernetes.port.to_string()),
            (
                SERVICE_ACCOUNT.name,
                self.kubernetes.service_account_dir.display().to_string(),
            ),
            ("log filter", self.log_filter.to_string()),
        ]);
        table(rows)
    }
}

fn trust(trust: DeviceTrust) -> String {
    match trust {
        DeviceTrust::CrossSigned => "cross-signed",
        DeviceTrust::Tofu => "tofu",
    }
    .to_owned()
}
