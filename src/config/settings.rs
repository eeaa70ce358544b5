//! The configuration as the program uses it.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use ruma::{OwnedRoomId, OwnedUserId};
use vodozemac::Ed25519PublicKey;

use super::fault::Faults;
use super::reader::{Env, Reader, list, masked};
use super::table::{
    ALLOWED_ROOMS, ALLOWED_USERS, COMMAND_MAX_AGE, COMMAND_PREFIX, CROSS_SIGNING_SEED_FILE,
    CRYPTO_STORE_PATH, DEVICE_TRUST, ECHO_MODE, HEALTH_ADDR, HEALTH_SYNC_MAX_AGE,
    MATRIX_RECOVERY_KEY, MAX_FOR, PINNED_IDENTITIES, PROGRESS, REQUIRE_ENCRYPTION, TARGETS,
    TARGETS_FILE, TZ, VIEWERS, WORKLOAD_EVENTS,
};
use super::{
    Account, ChatGateway, KubernetesAccess, ListenAddress, Overrides, health, log, policy, secrets,
    targets, values,
};
use crate::control::{
    Targets, Traces,
    time::{Zone, describe_duration},
};
use crate::crypto::{DeviceTrust, RecoveryKey, Seed};
use crate::telemetry::LogFilter;
use crate::util::{SortedMap, SortedSet, gathered};

/// Everything the program was told, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot's account, and how to log in.
    pub account: Account,
    /// The key of the account's secret storage (`MATRIX_RECOVERY_KEY`,
    /// `MATRIX_RECOVERY_KEY_FILE`).
    pub recovery_key: Option<Rc<RecoveryKey>>,
    /// The seed of the bot's cross-signing keys, if not the one in the store
    /// (`CROSS_SIGNING_SEED_FILE`).
    pub cross_signing_seed: Option<Rc<Seed>>,
    /// The users who may give commands; never empty (`ALLOWED_USERS`).
    pub allowed_users: SortedSet<OwnedUserId>,
    /// The users who may ask how targets are, and change nothing (`VIEWERS`).
    pub viewers: SortedSet<OwnedUserId>,
    /// The master keys of those whose identity is known beforehand, each of
    /// them an allowed user or a viewer (`PINNED_IDENTITIES`).
    pub pinned_identities: SortedMap<OwnedUserId, Ed25519PublicKey>,
    /// The devices of an allowed user that are believed (`DEVICE_TRUST`).
    pub device_trust: DeviceTrust,
    /// The rooms that commands are taken from, never empty; `None` for any
    /// room (`ALLOWED_ROOMS`).
    pub allowed_rooms: Option<SortedSet<OwnedRoomId>>,
    /// True if commands in rooms that are not encrypted are refused
    /// (`REQUIRE_ENCRYPTION`).
    pub require_encryption: bool,
    /// The beginning of a command in rooms of three or more (`COMMAND_PREFIX`).
    pub command_prefix: Option<String>,
    /// The time zone of times in commands and answers (`TZ`).
    pub zone: Zone,
    /// The longest time that a target may be asked to run for, unless it says otherwise
    /// (`MAX_FOR`).
    pub max_for: Option<Duration>,
    /// All that is scaled (`DEPLOYMENT_NAMESPACE`, `DEPLOYMENT_NAME`, `TARGETS`, `TARGETS_FILE`).
    pub targets: Targets,
    /// True if it is told how a command goes on after its first answer (`PROGRESS`).
    pub progress: bool,
    /// The Events that tell of changes (`WORKLOAD_EVENTS`).
    pub traces: Traces,
    /// The gateway that wakes targets and puts them to sleep (`GATEWAY_LEASES`,
    /// `ANNOUNCE_ROOM`).
    pub gateway: Option<ChatGateway>,
    /// The directory of keys and state; it need not exist yet
    /// (`CRYPTO_STORE_PATH`).
    pub store_path: PathBuf,
    /// True if messages are echoed before they are answered (`ECHO_MODE`).
    pub echo: bool,
    /// The age from which a command is refused, 5 s to 1 h
    /// (`COMMAND_MAX_AGE`).
    pub command_max_age: Duration,
    /// The address of the health endpoints; `None` for none (`HEALTH_ADDR`).
    pub health: Option<ListenAddress>,
    /// The age of the last sync from which the bot is not ready
    /// (`HEALTH_SYNC_MAX_AGE`).
    pub health_sync_max_age: Duration,
    /// The way to the API server (`KUBERNETES_SERVICE_HOST`,
    /// `KUBERNETES_SERVICE_PORT`, `SERVICE_ACCOUNT_DIR`; or `KUBECONFIG`, `KUBE_CONTEXT`).
    pub kubernetes: KubernetesAccess,
    /// The log filter (`RUST_LOG`, else `LOGURU_LEVEL`).
    pub log_filter: LogFilter,
    summary: String,
}

impl Settings {
    /// Reads the variables of [`super::SETTINGS`].
    ///
    /// # Errors
    /// Every fault there is, so that one look at the log cures them all.
    pub fn from_env(env: Env<'_>) -> Result<Self, Faults> {
        let mut r = Reader::new(env);
        let account = Account::read(&mut r, Overrides::default());
        let recovery_key = r.optional(&MATRIX_RECOVERY_KEY, secrets::recovery_key, masked);
        let cross_signing_seed = r.optional(&CROSS_SIGNING_SEED_FILE, secrets::seed, masked);
        let allowed_users = r.read(&ALLOWED_USERS, policy::users, |users| list(users));
        let viewers = r.optional(&VIEWERS, policy::users, |users| list(users));
        let viewers = viewers.map(Option::unwrap_or_default);
        let heard = || {
            let users = allowed_users.as_ref()?.iter().chain(viewers.as_ref()?);
            Some(gathered(users.cloned()))
        };
        let pins = |text: &str| policy::pins(text, heard().as_ref());
        let pinned_identities = r.optional(&PINNED_IDENTITIES, pins, |pins| list(pins.keys()));
        let device_trust = r.read(&DEVICE_TRUST, policy::device_trust, trust);
        let allowed_rooms = r.optional(&ALLOWED_ROOMS, policy::rooms, |rooms| list(rooms));
        let require_encryption = r.read(&REQUIRE_ENCRYPTION, values::switch, bool::to_string);
        let command_prefix = r.optional(&COMMAND_PREFIX, values::prefix, String::clone);
        // Containers of all kinds have it set, to anything: it matters where it is used.
        let has_times = r.given_by(&TARGETS).or(r.given_by(&TARGETS_FILE)).is_some();
        let zone = match has_times {
            true => r.read(&TZ, values::zone, |zone| zone.name().to_owned()),
            false => Some(Zone::utc()),
        };
        let max_for = r.optional(&MAX_FOR, values::span, |time| describe_duration(*time));
        let known = targets::Known {
            homeserver: account.as_ref().map(|account| &account.homeserver),
            users: allowed_users.as_ref(),
            viewers: viewers.as_ref(),
            rooms: allowed_rooms.as_ref().and_then(Option::as_ref),
            zone: zone.as_ref(),
            max_for: max_for.flatten(),
        };
        let targets = targets::read(&mut r, &known);
        let progress = r.optional(&PROGRESS, values::switch, bool::to_string);
        let traces = r.read(&WORKLOAD_EVENTS, values::traces, traces);
        let gateway = ChatGateway::read(&mut r, known.rooms);
        let store_path = r.read(&CRYPTO_STORE_PATH, values::path, |path| {
            values::shown_path(path)
        });
        let echo = r.read(&ECHO_MODE, values::switch, bool::to_string);
        let command_max_age = r.read(&COMMAND_MAX_AGE, values::age, seconds);
        let health = r.optional(&HEALTH_ADDR, health::address, ListenAddress::to_string);
        let health_sync_max_age = r.read(&HEALTH_SYNC_MAX_AGE, values::age, seconds);
        let kubernetes = KubernetesAccess::read(&mut r);
        let log_filter = log::filter(&mut r);
        let summary = r.summary();

        let settings = || {
            Some(Self {
                account: account?,
                recovery_key: recovery_key?,
                cross_signing_seed: cross_signing_seed?,
                allowed_users: allowed_users?,
                viewers: viewers?,
                pinned_identities: pinned_identities?.unwrap_or_default(),
                device_trust: device_trust?,
                allowed_rooms: allowed_rooms?,
                require_encryption: require_encryption?,
                command_prefix: command_prefix?,
                zone: zone?,
                max_for: max_for?,
                progress: progress?.unwrap_or(matches!(targets, Some(Targets::Named(_)))),
                targets: targets?,
                traces: traces?,
                gateway: gateway?,
                store_path: store_path?,
                echo: echo?,
                command_max_age: command_max_age?,
                health: health?,
                health_sync_max_age: health_sync_max_age?,
                kubernetes: kubernetes?,
                log_filter: log_filter?,
                summary,
            })
        };
        r.finish(settings())
    }

    /// A sentence for each setting that is allowed and had better be otherwise.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = self.account.warnings();
        warnings.extend(self.kubernetes.warnings(now));
        warnings
    }

    /// The start-up table: the program's version, then a line for each
    /// setting. Secrets are masked, whatever their length.
    pub fn summary(&self) -> &str {
        &self.summary
    }
}

/// The directory of keys and state, by itself: all of the configuration that is
/// needed to work on a store beside the running bot. It need not exist.
///
/// # Errors
/// `CRYPTO_STORE_PATH` is not UTF-8.
pub fn store_path(env: Env<'_>) -> Result<PathBuf, Faults> {
    let mut r = Reader::new(env);
    let read = r.read(&CRYPTO_STORE_PATH, values::path, |path| {
        values::shown_path(path)
    });
    r.finish(read)
}

fn seconds(time: &Duration) -> String {
    format!("{}s", time.as_secs())
}

fn traces(traces: &Traces) -> String {
    match traces {
        Traces::None => "false",
        Traces::Nameless => "true",
        Traces::WithUser => "users",
    }
    .to_owned()
}

fn trust(trust: &DeviceTrust) -> String {
    match trust {
        DeviceTrust::CrossSigned => "cross-signed",
        DeviceTrust::Tofu => "tofu",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn the_store_path_needs_no_other_variable() {
        let given = |path: Option<&[u8]>| {
            let path = path.map(|path| OsString::from_vec(path.to_vec()));
            store_path(&|name| path.clone().filter(|_| name == "CRYPTO_STORE_PATH"))
        };
        assert_eq!(given(None), Ok(PathBuf::from("/data/crypto_store")));
        assert_eq!(given(Some(b"/state\n")), Ok(PathBuf::from("/state")));
        let faults = given(Some(b"/\xff")).unwrap_err();
        let named: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
        assert_eq!(named, ["CRYPTO_STORE_PATH"]);
    }
}
