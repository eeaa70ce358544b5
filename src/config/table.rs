//! The table of settings: everything that the help, the reading of the environment,
//! the summary of the start, `check-config` and the README's table know of a variable.
//!
//! A new setting is an entry here, a field of [`super::Settings`] (or of what is in it)
//! and the function that reads its text. The entries are in the order in which the help
//! and the summary show them.

use super::setting::{FileForm, Presence, Setting};

/// The values of an entry's fields unless it says otherwise.
const SETTING: Setting = Setting {
    name: "",
    file: None,
    secret: false,
    lower_case: false,
    presence: Presence::Optional,
    in_summary: true,
    unset: "none",
    help: "",
};

/// Names each entry, and lists them all: so that none can be left out of the list.
macro_rules! settings {
    ($($id:ident: $setting:expr,)*) => {
        $(pub(super) static $id: Setting = $setting;)*

        /// Every setting, in the order in which the help and the summary show them.
        pub static SETTINGS: &[&Setting] = &[$(&$id),*];
    };
}

settings! {
    HOMESERVER: Setting {
        name: "MATRIX_HOMESERVER",
        presence: Presence::Default("http://synapse.matrix.svc.cluster.local:8008"),
        help: "The homeserver: its URL, or the name that its users' ids end in, whose .well-known \
            then says where it is",
        ..SETTING
    },
    USER: Setting {
        name: "MATRIX_USER",
        presence: Presence::Required {
            cure: "give the bot's localpart, such as clawdbot-operator, or its full id, such as \
                @clawdbot-operator:example.com",
            mistaken_for: &["MATRIX_USERNAME", "MATRIX_USER_ID"],
        },
        help: "The bot's account: its localpart or its full id",
        ..SETTING
    },
    AUTH_METHOD: Setting {
        name: "AUTH_METHOD",
        presence: Presence::Default("password"),
        help: "How to log in: password; jwt, with a token of Keycloak or one made from JWT_SECRET; \
            sso, through Keycloak's login page; or token, with an access token made beforehand",
        ..SETTING
    },
    PASSWORD: Setting {
        name: "MATRIX_PASSWORD",
        file: Some(FileForm {
            name: "MATRIX_PASSWORD_FILE",
            holds: "password",
        }),
        secret: true,
        presence: Presence::Needed {
            when: "unless AUTH_METHOD=token or JWT_SECRET makes it needless",
            cure: "give the password of the bot's account, from a Kubernetes Secret",
            mistaken_for: &["MATRIX_PASS", "MATRIX_PASSWD"],
        },
        help: "The account's password, on the homeserver or in Keycloak; white space around it is \
            not part of it",
        ..SETTING
    },
    KEYCLOAK_URL: Setting {
        name: "KEYCLOAK_URL",
        unset: "any",
        presence: Presence::Needed {
            when: "with AUTH_METHOD=jwt, unless JWT_SECRET is set",
            cure: "give Keycloak's URL, such as https://keycloak.example.com",
            mistaken_for: &["KEYCLOAK_BASE_URL", "KEYCLOAK_SERVER_URL"],
        },
        help: "URL of Keycloak, without /realms; with AUTH_METHOD=sso, no other login page is told \
            the password",
        ..SETTING
    },
    KEYCLOAK_REALM: Setting {
        name: "KEYCLOAK_REALM",
        unset: "any",
        presence: Presence::Needed {
            when: "with AUTH_METHOD=jwt, unless JWT_SECRET is set",
            cure: "give the name of the realm that the bot's account is in",
            mistaken_for: &["KEYCLOAK_REALM_NAME"],
        },
        help: "Name of Keycloak's realm; with AUTH_METHOD=sso and KEYCLOAK_URL, no other realm's \
            login page is told the password",
        ..SETTING
    },
    KEYCLOAK_CLIENT_ID: Setting {
        name: "KEYCLOAK_CLIENT_ID",
        presence: Presence::Needed {
            when: "with AUTH_METHOD=jwt, unless JWT_SECRET is set",
            cure: "give the id of a client of that realm with direct access grants",
            mistaken_for: &["KEYCLOAK_CLIENT"],
        },
        help: "Id of a client of that realm that allows direct access grants",
        ..SETTING
    },
    CLIENT_SECRET: Setting {
        name: "KEYCLOAK_CLIENT_SECRET",
        file: Some(FileForm {
            name: "KEYCLOAK_CLIENT_SECRET_FILE",
            holds: "secret",
        }),
        secret: true,
        help: "That client's secret; a public client has none",
        ..SETTING
    },
    TOTP_SECRET: Setting {
        name: "KEYCLOAK_TOTP_SECRET",
        file: Some(FileForm {
            name: "KEYCLOAK_TOTP_SECRET_FILE",
            holds: "secret",
        }),
        secret: true,
        help: "Where the account has a one-time password: its secret in base32 as Keycloak shows \
            it, or its otpauth:// URI; with AUTH_METHOD=jwt or sso",
        ..SETTING
    },
    ISSUER: Setting {
        name: "KEYCLOAK_ISSUER",
        unset: "as Keycloak says",
        help: "The issuer (iss) that the homeserver expects in the token; unset, the one that \
            Keycloak says it is",
        ..SETTING
    },
    AUDIENCE: Setting {
        name: "JWT_AUDIENCE",
        unset: "any",
        help: "The audience (aud) that the homeserver expects in the token; unset, any",
        ..SETTING
    },
    JWT_LOGIN_TYPE: Setting {
        name: "JWT_LOGIN_TYPE",
        presence: Presence::Default("com.famedly.login.token.oauth"),
        help: "Login type that takes the token: com.famedly.login.token.oauth, \
            com.famedly.login.token or org.matrix.login.jwt; with AUTH_METHOD=jwt",
        ..SETTING
    },
    JWT_SECRET: Setting {
        name: "JWT_SECRET",
        file: Some(FileForm {
            name: "JWT_SECRET_FILE",
            holds: "secret",
        }),
        secret: true,
        help: "Secret of 64 bytes or more that the homeserver's module shares with the bot, which \
            makes the token with it instead of asking Keycloak; with \
            JWT_LOGIN_TYPE=com.famedly.login.token",
        ..SETTING
    },
    SSO_IDP_ID: Setting {
        name: "SSO_IDP_ID",
        presence: Presence::Default("keycloak"),
        help: "Identity provider to log in with, as the homeserver names it; with AUTH_METHOD=sso",
        ..SETTING
    },
    ACCESS_TOKEN: Setting {
        name: "MATRIX_ACCESS_TOKEN",
        file: Some(FileForm {
            name: "MATRIX_ACCESS_TOKEN_FILE",
            holds: "token",
        }),
        secret: true,
        presence: Presence::Needed {
            when: "with AUTH_METHOD=token",
            cure: "give an access token of the bot's account, from a Kubernetes Secret",
            mistaken_for: &["MATRIX_TOKEN"],
        },
        help: "Access token to use instead of a login",
        ..SETTING
    },
    DEVICE_ID: Setting {
        name: "MATRIX_DEVICE_ID",
        presence: Presence::Needed {
            when: "with AUTH_METHOD=token",
            cure: "give the id of the device that the token was made for; no other program may use it",
            mistaken_for: &["MATRIX_DEVICE"],
        },
        help: "The device that the token was made for",
        ..SETTING
    },
    CERT_FILE: Setting {
        name: "SSL_CERT_FILE",
        unset: "built in",
        help: "PEM file of the authorities believed for the homeserver and Keycloak, instead of \
            the built-in public ones",
        ..SETTING
    },
    EXTRA_CA_FILE: Setting {
        name: "EXTRA_CA_FILE",
        help: "PEM file of authorities believed beside those",
        ..SETTING
    },
    PROXY: Setting {
        name: "HTTPS_PROXY",
        file: Some(FileForm {
            name: "HTTPS_PROXY_FILE",
            holds: "URL",
        }),
        lower_case: true,
        help: "http:// URL of a proxy for https to the homeserver and Keycloak, with user and \
            password if it wants them; also as https_proxy; never used for the API server",
        ..SETTING
    },
    NO_PROXY: Setting {
        name: "NO_PROXY",
        lower_case: true,
        in_summary: false,
        help: "Hosts and domains, each with :port if need be, and networks reached without the \
            proxy, separated by commas; also as no_proxy",
        ..SETTING
    },
    RECOVERY_KEY: Setting {
        name: "MATRIX_RECOVERY_KEY",
        file: Some(FileForm {
            name: "MATRIX_RECOVERY_KEY_FILE",
            holds: "key",
        }),
        secret: true,
        help: "Recovery key of the bot's account, where other clients made its cross-signing keys",
        ..SETTING
    },
    SEED_FILE: Setting {
        name: "CROSS_SIGNING_SEED_FILE",
        secret: true,
        help: "File with the base64 of 32 random bytes, which the bot's cross-signing keys are \
            made from; with it they outlive the store",
        ..SETTING
    },
    ALLOWED_USERS: Setting {
        name: "ALLOWED_USERS",
        presence: Presence::Required {
            cure: "list who may give commands as full ids separated by commas, such as \
                @alice:example.com,@bob:example.com",
            mistaken_for: &["ALLOWED_USER", "MATRIX_ALLOWED_USERS"],
        },
        help: "Who may give commands: full Matrix ids, separated by commas",
        ..SETTING
    },
    PINNED_IDENTITIES: Setting {
        name: "PINNED_IDENTITIES",
        help: "Whose identity is known beforehand: @user:server=<master key in base64>, separated \
            by commas",
        ..SETTING
    },
    DEVICE_TRUST: Setting {
        name: "DEVICE_TRUST",
        presence: Presence::Default("cross-signed"),
        help: "Which devices of an allowed user are believed: cross-signed, those that the user's \
            identity signed, where there is one; or tofu, all of them",
        ..SETTING
    },
    ALLOWED_ROOMS: Setting {
        name: "ALLOWED_ROOMS",
        unset: "any",
        help: "Rooms that commands are taken from: room ids, separated by commas; unset, any room",
        ..SETTING
    },
    REQUIRE_ENCRYPTION: Setting {
        name: "REQUIRE_ENCRYPTION",
        presence: Presence::Default("false"),
        help: "Whether commands in rooms that are not encrypted are refused: true or false, as \
            for ECHO_MODE",
        ..SETTING
    },
    NAMESPACE: Setting {
        name: "DEPLOYMENT_NAMESPACE",
        presence: Presence::Default("clawdbot"),
        help: "Namespace of the Deployment",
        ..SETTING
    },
    DEPLOYMENT: Setting {
        name: "DEPLOYMENT_NAME",
        presence: Presence::Default("clawdbot"),
        help: "Name of the Deployment to scale",
        ..SETTING
    },
    STORE_PATH: Setting {
        name: "CRYPTO_STORE_PATH",
        presence: Presence::Default("/data/crypto_store"),
        help: "Directory for keys and state, on a volume that outlives the pod",
        ..SETTING
    },
    ECHO: Setting {
        name: "ECHO_MODE",
        presence: Presence::Default("true"),
        help: "Whether each message is repeated behind a lobster before its answer: \
            true/1/yes/on or false/0/no/off",
        ..SETTING
    },
    MAX_AGE: Setting {
        name: "COMMAND_MAX_AGE",
        presence: Presence::Default("2m"),
        help: "Age from which a command is refused instead of run: 120, 120s, 2m or 1h; \
            from 5s to 1h",
        ..SETTING
    },
    HEALTH_ADDR: Setting {
        name: "HEALTH_ADDR",
        help: "Where /livez, /readyz and /metrics are served over HTTP: IP:PORT, [IP6]:PORT or \
            :PORT for all addresses; unset, nowhere",
        ..SETTING
    },
    HEALTH_SYNC_MAX_AGE: Setting {
        name: "HEALTH_SYNC_MAX_AGE",
        presence: Presence::Default("90s"),
        help: "Age of the last sync from which the bot is not ready, written as COMMAND_MAX_AGE; \
            an idle sync takes 30s, so below 45s an idle bot is unready now and then",
        ..SETTING
    },
    API_HOST: Setting {
        name: "KUBERNETES_SERVICE_HOST",
        presence: Presence::Kubernetes { stand_in: "kubernetes.default.svc" },
        help: "Host of the API server; Kubernetes sets it in every container",
        ..SETTING
    },
    API_PORT: Setting {
        name: "KUBERNETES_SERVICE_PORT",
        presence: Presence::Kubernetes { stand_in: "443" },
        help: "Port of the API server; Kubernetes sets it in every container",
        ..SETTING
    },
    SERVICE_ACCOUNT: Setting {
        name: "SERVICE_ACCOUNT_DIR",
        presence: Presence::Default("/var/run/secrets/kubernetes.io/serviceaccount"),
        help: "Directory of the service account's token and ca.crt",
        ..SETTING
    },
    LOGURU_LEVEL: Setting {
        name: "LOGURU_LEVEL",
        in_summary: false,
        presence: Presence::Default("INFO"),
        help: "Log level: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL",
        ..SETTING
    },
    RUST_LOG: Setting {
        name: "RUST_LOG",
        in_summary: false,
        help: "Log filter in env_logger's syntax; if set, it overrules LOGURU_LEVEL",
        ..SETTING
    },
}
