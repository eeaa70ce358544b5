//! The table of settings: everything that the help, the reading of the environment,
//! the summary of the start, `check-config` and the README's table know of a variable.
//!
//! A new setting is an entry here, a field of [`super::Settings`] (or of what is in it)
//! and the function that reads its text. The entries are in the order in which the help
//! and the summary show them.

use super::setting::{InSummary, Presence, Setting};

/// The values of an entry's fields unless it says otherwise.
pub(super) const SETTING: Setting = Setting {
    name: "",
    file_name: "",
    file: None,
    secret: false,
    lower_case: false,
    presence: Presence::Optional,
    cure: "set it",
    mistaken_for: &[],
    in_summary: InSummary::Always,
    unset: "none",
    help: "",
};

/// The cure where a variable of Kubernetes's is missing.
const IN_CLUSTER: &str = "Kubernetes gives it to every container inside a cluster; elsewhere set \
    KUBECONFIG to a kubeconfig file, such as ~/.kube/config";

/// Makes a setting of each entry, which is named as its variable, and lists them all, with
/// those of another table that are in brackets behind them: so that none can be left out of
/// the list.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $all:ident [$($shared:expr),*]:
        $($name:ident { $($field:ident: $value:expr,)* })*
    ) => {
        $(pub(in crate::config) static $name: Setting = Setting {
            name: stringify!($name),
            file_name: concat!(stringify!($name), "_FILE"),
            $($field: $value,)*
            ..SETTING
        };)*

        $(#[$about])*
        pub static $all: &[&Setting] = &[$(&$name,)* $($shared,)*];
    };
}
#[cfg(feature = "gateway")]
pub(super) use settings;

settings! {
    /// Every setting, in the order in which the help and the summary show them.
    SETTINGS []:
    MATRIX_HOMESERVER {
        presence: Presence::Default("http://synapse.matrix.svc.cluster.local:8008"),
        help: "The homeserver: its URL, or the name that its users' ids end in, whose .well-known \
            then says where it is",
    }
    MATRIX_USER {
        presence: Presence::Required,
        cure: "give the bot's localpart, such as clawdbot-operator, or its full id, such as \
            @clawdbot-operator:example.com",
        mistaken_for: &["MATRIX_USERNAME", "MATRIX_USER_ID"],
        help: "The bot's account: its localpart or its full id",
    }
    AUTH_METHOD {
        presence: Presence::Default("password"),
        help: "How to log in: password; jwt, with a token of Keycloak or one made from JWT_SECRET; \
            sso, through Keycloak's login page; or token, with an access token made beforehand",
    }
    MATRIX_PASSWORD {
        file: Some("password"),
        secret: true,
        presence: Presence::Needed("unless AUTH_METHOD=token or JWT_SECRET makes it needless"),
        cure: "give the password of the bot's account, from a Kubernetes Secret",
        mistaken_for: &["MATRIX_PASS", "MATRIX_PASSWD"],
        help: "The account's password, on the homeserver or in Keycloak; white space around it is \
            not part of it",
    }
    KEYCLOAK_URL {
        unset: "any",
        presence: Presence::Needed("with AUTH_METHOD=jwt, unless JWT_SECRET is set"),
        cure: "give Keycloak's URL, such as https://keycloak.example.com",
        mistaken_for: &["KEYCLOAK_BASE_URL", "KEYCLOAK_SERVER_URL"],
        help: "URL of Keycloak, without /realms; with AUTH_METHOD=sso, no other login page is told \
            the password",
    }
    KEYCLOAK_REALM {
        unset: "any",
        presence: Presence::Needed("with AUTH_METHOD=jwt, unless JWT_SECRET is set"),
        cure: "give the name of the realm that the bot's account is in",
        mistaken_for: &["KEYCLOAK_REALM_NAME"],
        help: "Name of Keycloak's realm; with AUTH_METHOD=sso and KEYCLOAK_URL, no other realm's \
            login page is told the password",
    }
    KEYCLOAK_CLIENT_ID {
        presence: Presence::Needed("with AUTH_METHOD=jwt, unless JWT_SECRET is set"),
        cure: "give the id of a client of that realm with direct access grants",
        mistaken_for: &["KEYCLOAK_CLIENT"],
        help: "Id of a client of that realm that allows direct access grants",
    }
    KEYCLOAK_CLIENT_SECRET {
        file: Some("secret"),
        secret: true,
        help: "That client's secret; a public client has none",
    }
    KEYCLOAK_TOTP_SECRET {
        file: Some("secret"),
        secret: true,
        help: "Where the account has a one-time password: its secret in base32 as Keycloak shows \
            it, or its otpauth:// URI; with AUTH_METHOD=jwt or sso",
    }
    KEYCLOAK_ISSUER {
        unset: "as Keycloak says",
        help: "The issuer (iss) that the homeserver expects in the token; unset, the one that \
            Keycloak says it is",
    }
    JWT_AUDIENCE {
        unset: "any",
        help: "The audience (aud) that the homeserver expects in the token; unset, any",
    }
    JWT_LOGIN_TYPE {
        presence: Presence::Default("com.famedly.login.token.oauth"),
        help: "Login type that takes the token: com.famedly.login.token.oauth, \
            com.famedly.login.token or org.matrix.login.jwt; with AUTH_METHOD=jwt",
    }
    JWT_SECRET {
        file: Some("secret"),
        secret: true,
        help: "Secret of 64 bytes or more that the homeserver's module shares with the bot, which \
            makes the token with it instead of asking Keycloak; with \
            JWT_LOGIN_TYPE=com.famedly.login.token",
    }
    SSO_IDP_ID {
        presence: Presence::Default("keycloak"),
        help: "Identity provider to log in with, as the homeserver names it; with AUTH_METHOD=sso",
    }
    MATRIX_ACCESS_TOKEN {
        file: Some("token"),
        secret: true,
        presence: Presence::Needed("with AUTH_METHOD=token"),
        cure: "give an access token of the bot's account, from a Kubernetes Secret",
        mistaken_for: &["MATRIX_TOKEN"],
        help: "Access token to use instead of a login",
    }
    MATRIX_DEVICE_ID {
        presence: Presence::Needed("with AUTH_METHOD=token"),
        cure: "give the id of the device that the token was made for; no other program may use it",
        mistaken_for: &["MATRIX_DEVICE"],
        help: "The device that the token was made for",
    }
    SSL_CERT_FILE {
        unset: "built in",
        help: "PEM file of the authorities believed for the homeserver and Keycloak, instead of \
            the built-in public ones",
    }
    EXTRA_CA_FILE {
        help: "PEM file of authorities believed beside those",
    }
    HTTPS_PROXY {
        file: Some("URL"),
        lower_case: true,
        help: "http:// URL of a proxy for https to the homeserver and Keycloak, with user and \
            password if it wants them; also as https_proxy; never used for the API server",
    }
    NO_PROXY {
        lower_case: true,
        in_summary: InSummary::Never,
        help: "Hosts and domains, each with :port if need be, and networks reached without the \
            proxy, separated by commas; also as no_proxy",
    }
    MATRIX_RECOVERY_KEY {
        file: Some("key"),
        secret: true,
        help: "Recovery key of the bot's account, where other clients made its cross-signing keys",
    }
    CROSS_SIGNING_SEED_FILE {
        secret: true,
        help: "File with the base64 of 32 random bytes, which the bot's cross-signing keys are \
            made from; with it they outlive the store",
    }
    ALLOWED_USERS {
        presence: Presence::Required,
        cure: "list who may give commands as full ids separated by commas, such as \
            @alice:example.com,@bob:example.com",
        mistaken_for: &["ALLOWED_USER", "MATRIX_ALLOWED_USERS"],
        help: "Who may give commands: full Matrix ids, separated by commas",
    }
    VIEWERS {
        in_summary: InSummary::IfSet,
        help: "Who may ask how targets are and change nothing: full Matrix ids, separated by commas",
    }
    PINNED_IDENTITIES {
        help: "Whose identity is known beforehand: @user:server=<master key in base64>, separated \
            by commas",
    }
    DEVICE_TRUST {
        presence: Presence::Default("cross-signed"),
        help: "Which devices of an allowed user are believed: cross-signed, those that the user's \
            identity signed, where there is one; or tofu, all of them",
    }
    ALLOWED_ROOMS {
        unset: "any",
        help: "Rooms that commands are taken from: room ids, separated by commas; unset, any room",
    }
    REQUIRE_ENCRYPTION {
        presence: Presence::Default("false"),
        help: "Whether commands in rooms that are not encrypted are refused: true or false, as \
            for ECHO_MODE",
    }
    COMMAND_PREFIX {
        in_summary: InSummary::IfSet,
        help: "What a command begins with in rooms of three or more, such as !toggle; there, a \
            message without it is taken only if it mentions the bot or replies to it",
    }
    TZ {
        in_summary: InSummary::IfSet,
        presence: Presence::Default("UTC"),
        help: "Time zone of times in commands and answers: its name, such as Europe/Berlin, or a \
            POSIX rule, such as CET-1CEST,M3.5.0,M10.5.0/3",
    }
    MAX_FOR {
        in_summary: InSummary::IfSet,
        help: "Longest time that a target may be asked to run for, extensions included, such as \
            90m, 24h or 7d; unset, any",
    }
    DEPLOYMENT_NAMESPACE {
        presence: Presence::Default("clawdbot"),
        help: "Namespace of the Deployment, and of each target that names none",
    }
    DEPLOYMENT_NAME {
        presence: Presence::Default("clawdbot"),
        help: "Name of the Deployment to scale, without TARGETS and TARGETS_FILE",
    }
    TARGETS {
        in_summary: InSummary::Never,
        help: "What is scaled, where it is more than one Deployment or is to have a name in the \
            chat: NAME=[NAMESPACE/][KIND/]OBJECT[:MAX], separated by commas",
    }
    TARGETS_FILE {
        in_summary: InSummary::Never,
        help: "JSON file with the targets and all that can be said of each, instead of TARGETS",
    }
    PROGRESS {
        in_summary: InSummary::IfSet,
        help: "Whether it is told how a command goes on after its first answer: true or false, as \
            for ECHO_MODE; unset, true with TARGETS or TARGETS_FILE, else false",
    }
    WORKLOAD_EVENTS {
        in_summary: InSummary::IfSet,
        presence: Presence::Default("false"),
        help: "Whether a change of a target leaves an Event on its workload: true or false, as for \
            ECHO_MODE; or users, with the id of who asked for it",
    }
    GATEWAY_LEASES {
        in_summary: InSummary::IfSet,
        help: "Where a gateway wakes targets: NAMESPACE/PREFIX of its Leases, such as \
            openclaw/openclaw-gateway-; with TARGETS or TARGETS_FILE",
    }
    ANNOUNCE_ROOM {
        in_summary: InSummary::IfSet,
        help: "Room that is told when the gateway wakes a target or puts it to sleep: a room id, \
            one of ALLOWED_ROOMS where that is set; with GATEWAY_LEASES",
    }
    CRYPTO_STORE_PATH {
        presence: Presence::Default("/data/crypto_store"),
        help: "Directory for keys and state, on a volume that outlives the pod",
    }
    ECHO_MODE {
        presence: Presence::Default("true"),
        help: "Whether each message is repeated behind a lobster before its answer: \
            true/1/yes/on or false/0/no/off",
    }
    COMMAND_MAX_AGE {
        presence: Presence::Default("2m"),
        help: "Age from which a command is refused instead of run: 120, 120s, 2m or 1h; \
            from 5s to 1h",
    }
    HEALTH_ADDR {
        help: "Where /livez, /readyz and /metrics are served over HTTP: IP:PORT, [IP6]:PORT or \
            :PORT for all addresses; unset, nowhere",
    }
    HEALTH_SYNC_MAX_AGE {
        presence: Presence::Default("90s"),
        help: "Age of the last sync from which the bot is not ready, written as COMMAND_MAX_AGE; \
            an idle sync takes 30s, so below 45s an idle bot is unready now and then",
    }
    KUBERNETES_SERVICE_HOST {
        presence: Presence::Kubernetes { stand_in: "kubernetes.default.svc" },
        cure: IN_CLUSTER,
        help: "Host of the API server; Kubernetes sets it in every container",
    }
    KUBERNETES_SERVICE_PORT {
        presence: Presence::Kubernetes { stand_in: "443" },
        cure: IN_CLUSTER,
        help: "Port of the API server; Kubernetes sets it in every container",
    }
    SERVICE_ACCOUNT_DIR {
        presence: Presence::Default("/var/run/secrets/kubernetes.io/serviceaccount"),
        help: "Directory of the service account's token and ca.crt",
    }
    KUBECONFIG {
        in_summary: InSummary::Never,
        help: "Outside a cluster: the kubeconfig file of the cluster, instead of the three above; \
            several are separated by colons, and the first that has a name counts",
    }
    KUBE_CONTEXT {
        in_summary: InSummary::Never,
        help: "Context of the kubeconfig; unset, its current-context",
    }
    LOGURU_LEVEL {
        in_summary: InSummary::Never,
        presence: Presence::Default("INFO"),
        help: "Log level: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL",
    }
    RUST_LOG {
        in_summary: InSummary::Never,
        help: "Log filter in env_logger's syntax; if set, it overrules LOGURU_LEVEL",
    }
}
