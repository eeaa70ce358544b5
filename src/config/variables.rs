//! The environment variables: their names, defaults and meanings.

use super::variable::{Presence, Variable};

const CLUSTER_CURE: &str = "Kubernetes gives it to every container, and the program runs inside \
    a cluster; elsewhere give the host and port of an API server";

pub(super) const HOMESERVER: Variable = Variable {
    name: "MATRIX_HOMESERVER",
    presence: Presence::Default("http://synapse.matrix.svc.cluster.local:8008"),
    meaning: "The homeserver: its URL, or the name that its users' ids end in, whose .well-known \
        then says where it is",
};
pub(super) const USER: Variable = Variable {
    name: "MATRIX_USER",
    presence: Presence::Required {
        cure: "give the bot's localpart, such as clawdbot-operator, or its full id, such as \
            @clawdbot-operator:example.com",
        mistaken_for: &["MATRIX_USERNAME", "MATRIX_USER_ID"],
    },
    meaning: "The bot's account: its localpart or its full id",
};
pub(super) const AUTH_METHOD: Variable = Variable {
    name: "AUTH_METHOD",
    presence: Presence::Default("password"),
    meaning: "How to log in: password; jwt, with a token of Keycloak or one made from JWT_SECRET; \
        sso, through Keycloak's login page; or token, with an access token made beforehand",
};
pub(super) const PASSWORD: Variable = Variable {
    name: "MATRIX_PASSWORD",
    presence: Presence::Needed {
        when: "unless AUTH_METHOD=token or JWT_SECRET makes it needless",
        cure: "give the password of the bot's account, from a Kubernetes Secret",
        mistaken_for: &["MATRIX_PASS", "MATRIX_PASSWD"],
    },
    meaning: "The account's password, on the homeserver or in Keycloak; white space around it is \
        not part of it",
};
pub(super) const PASSWORD_FILE: Variable = Variable {
    name: "MATRIX_PASSWORD_FILE",
    presence: Presence::Optional,
    meaning: "File with that password, to set instead",
};
pub(super) const KEYCLOAK_URL: Variable = Variable {
    name: "KEYCLOAK_URL",
    presence: Presence::Needed {
        when: "with AUTH_METHOD=jwt, unless JWT_SECRET is set",
        cure: "give Keycloak's URL, such as https://keycloak.example.com",
        mistaken_for: &["KEYCLOAK_BASE_URL", "KEYCLOAK_SERVER_URL"],
    },
    meaning: "URL of Keycloak, without /realms; with AUTH_METHOD=sso, no other login page is told \
        the password",
};
pub(super) const KEYCLOAK_REALM: Variable = Variable {
    name: "KEYCLOAK_REALM",
    presence: Presence::Needed {
        when: "with AUTH_METHOD=jwt, unless JWT_SECRET is set",
        cure: "give the name of the realm that the bot's account is in",
        mistaken_for: &["KEYCLOAK_REALM_NAME"],
    },
    meaning: "Name of Keycloak's realm; with AUTH_METHOD=sso and KEYCLOAK_URL, no other realm's \
        login page is told the password",
};
pub(super) const KEYCLOAK_CLIENT_ID: Variable = Variable {
    name: "KEYCLOAK_CLIENT_ID",
    presence: Presence::Needed {
        when: "with AUTH_METHOD=jwt, unless JWT_SECRET is set",
        cure: "give the id of a client of that realm with direct access grants",
        mistaken_for: &["KEYCLOAK_CLIENT"],
    },
    meaning: "Id of a client of that realm that allows direct access grants",
};
pub(super) const CLIENT_SECRET: Variable = Variable {
    name: "KEYCLOAK_CLIENT_SECRET",
    presence: Presence::Optional,
    meaning: "That client's secret; a public client has none",
};
pub(super) const CLIENT_SECRET_FILE: Variable = Variable {
    name: "KEYCLOAK_CLIENT_SECRET_FILE",
    presence: Presence::Optional,
    meaning: "File with that secret, to set instead",
};
pub(super) const TOTP_SECRET: Variable = Variable {
    name: "KEYCLOAK_TOTP_SECRET",
    presence: Presence::Optional,
    meaning: "Where the account has a one-time password: its secret in base32 as Keycloak shows \
        it, or its otpauth:// URI; with AUTH_METHOD=jwt or sso",
};
pub(super) const TOTP_SECRET_FILE: Variable = Variable {
    name: "KEYCLOAK_TOTP_SECRET_FILE",
    presence: Presence::Optional,
    meaning: "File with that secret, to set instead",
};
pub(super) const ISSUER: Variable = Variable {
    name: "KEYCLOAK_ISSUER",
    presence: Presence::Optional,
    meaning: "The issuer (iss) that the homeserver expects in the token; unset, the one that \
        Keycloak says it is",
};
pub(super) const AUDIENCE: Variable = Variable {
    name: "JWT_AUDIENCE",
    presence: Presence::Optional,
    meaning: "The audience (aud) that the homeserver expects in the token; unset, any",
};
pub(super) const JWT_LOGIN_TYPE: Variable = Variable {
    name: "JWT_LOGIN_TYPE",
    presence: Presence::Default("com.famedly.login.token.oauth"),
    meaning: "Login type that takes the token: com.famedly.login.token.oauth, \
        com.famedly.login.token or org.matrix.login.jwt; with AUTH_METHOD=jwt",
};
pub(super) const JWT_SECRET: Variable = Variable {
    name: "JWT_SECRET",
    presence: Presence::Optional,
    meaning: "Secret of 64 bytes or more that the homeserver's module shares with the bot, which \
        makes the token with it instead of asking Keycloak; with \
        JWT_LOGIN_TYPE=com.famedly.login.token",
};
pub(super) const JWT_SECRET_FILE: Variable = Variable {
    name: "JWT_SECRET_FILE",
    presence: Presence::Optional,
    meaning: "File with that secret, to set instead",
};
pub(super) const SSO_IDP_ID: Variable = Variable {
    name: "SSO_IDP_ID",
    presence: Presence::Default("keycloak"),
    meaning: "Identity provider to log in with, as the homeserver names it; with AUTH_METHOD=sso",
};
pub(super) const ACCESS_TOKEN: Variable = Variable {
    name: "MATRIX_ACCESS_TOKEN",
    presence: Presence::Needed {
        when: "with AUTH_METHOD=token",
        cure: "give an access token of the bot's account, from a Kubernetes Secret",
        mistaken_for: &["MATRIX_TOKEN"],
    },
    meaning: "Access token to use instead of a login",
};
pub(super) const ACCESS_TOKEN_FILE: Variable = Variable {
    name: "MATRIX_ACCESS_TOKEN_FILE",
    presence: Presence::Optional,
    meaning: "File with that token, to set instead",
};
pub(super) const DEVICE_ID: Variable = Variable {
    name: "MATRIX_DEVICE_ID",
    presence: Presence::Needed {
        when: "with AUTH_METHOD=token",
        cure: "give the id of the device that the token was made for; no other program may use it",
        mistaken_for: &["MATRIX_DEVICE"],
    },
    meaning: "The device that the token was made for",
};
pub(super) const CERT_FILE: Variable = Variable {
    name: "SSL_CERT_FILE",
    presence: Presence::Optional,
    meaning: "PEM file of the authorities believed for the homeserver and Keycloak, instead of \
        the built-in public ones",
};
pub(super) const EXTRA_CA_FILE: Variable = Variable {
    name: "EXTRA_CA_FILE",
    presence: Presence::Optional,
    meaning: "PEM file of authorities believed beside those",
};
pub(super) const PROXY: Variable = Variable {
    name: "HTTPS_PROXY",
    presence: Presence::Optional,
    meaning: "http:// URL of a proxy for https to the homeserver and Keycloak, with user and \
        password if it wants them; also as https_proxy; never used for the API server",
};
pub(super) const PROXY_FILE: Variable = Variable {
    name: "HTTPS_PROXY_FILE",
    presence: Presence::Optional,
    meaning: "File with that URL, to set instead",
};
pub(super) const NO_PROXY: Variable = Variable {
    name: "NO_PROXY",
    presence: Presence::Optional,
    meaning: "Hosts and domains, each with :port if need be, and networks reached without the \
        proxy, separated by commas; also as no_proxy",
};
pub(super) const RECOVERY_KEY: Variable = Variable {
    name: "MATRIX_RECOVERY_KEY",
    presence: Presence::Optional,
    meaning: "Recovery key of the bot's account, where other clients made its cross-signing keys",
};
pub(super) const RECOVERY_KEY_FILE: Variable = Variable {
    name: "MATRIX_RECOVERY_KEY_FILE",
    presence: Presence::Optional,
    meaning: "File with that key, to set instead",
};
pub(super) const SEED_FILE: Variable = Variable {
    name: "CROSS_SIGNING_SEED_FILE",
    presence: Presence::Optional,
    meaning: "File with the base64 of 32 random bytes, which the bot's cross-signing keys are \
        made from; with it they outlive the store",
};
pub(super) const ALLOWED_USERS: Variable = Variable {
    name: "ALLOWED_USERS",
    presence: Presence::Required {
        cure: "list who may give commands as full ids separated by commas, such as \
            @alice:example.com,@bob:example.com",
        mistaken_for: &["ALLOWED_USER", "MATRIX_ALLOWED_USERS"],
    },
    meaning: "Who may give commands: full Matrix ids, separated by commas",
};
pub(super) const PINNED_IDENTITIES: Variable = Variable {
    name: "PINNED_IDENTITIES",
    presence: Presence::Optional,
    meaning: "Whose identity is known beforehand: @user:server=<master key in base64>, separated \
        by commas",
};
pub(super) const DEVICE_TRUST: Variable = Variable {
    name: "DEVICE_TRUST",
    presence: Presence::Default("cross-signed"),
    meaning: "Which devices of an allowed user are believed: cross-signed, those that the user's \
        identity signed, where there is one; or tofu, all of them",
};
pub(super) const ALLOWED_ROOMS: Variable = Variable {
    name: "ALLOWED_ROOMS",
    presence: Presence::Optional,
    meaning: "Rooms that commands are taken from: room ids, separated by commas; unset, any room",
};
pub(super) const REQUIRE_ENCRYPTION: Variable = Variable {
    name: "REQUIRE_ENCRYPTION",
    presence: Presence::Default("false"),
    meaning: "Whether commands in rooms that are not encrypted are refused: true or false, as \
        for ECHO_MODE",
};
pub(super) const NAMESPACE: Variable = Variable {
    name: "DEPLOYMENT_NAMESPACE",
    presence: Presence::Default("clawdbot"),
    meaning: "Namespace of the Deployment",
};
pub(super) const DEPLOYMENT: Variable = Variable {
    name: "DEPLOYMENT_NAME",
    presence: Presence::Default("clawdbot"),
    meaning: "Name of the Deployment to scale",
};
pub(super) const STORE_PATH: Variable = Variable {
    name: "CRYPTO_STORE_PATH",
    presence: Presence::Default("/data/crypto_store"),
    meaning: "Directory for keys and state, on a volume that outlives the pod",
};
pub(super) const ECHO: Variable = Variable {
    name: "ECHO_MODE",
    presence: Presence::Default("true"),
    meaning: "Whether each message is repeated behind a lobster before its answer: \
        true/1/yes/on or false/0/no/off",
};
pub(super) const MAX_AGE: Variable = Variable {
    name: "COMMAND_MAX_AGE",
    presence: Presence::Default("2m"),
    meaning: "Age from which a command is refused instead of run: 120, 120s, 2m or 1h; \
        from 5s to 1h",
};
pub(super) const HEALTH_ADDR: Variable = Variable {
    name: "HEALTH_ADDR",
    presence: Presence::Optional,
    meaning: "Where /livez, /readyz and /metrics are served over HTTP: IP:PORT, [IP6]:PORT or \
        :PORT for all addresses; unset, nowhere",
};
pub(super) const HEALTH_SYNC_MAX_AGE: Variable = Variable {
    name: "HEALTH_SYNC_MAX_AGE",
    presence: Presence::Default("90s"),
    meaning: "Age of the last sync from which the bot is not ready, written as COMMAND_MAX_AGE; \
        an idle sync takes 30s, so below 45s an idle bot is unready now and then",
};
pub(super) const API_HOST: Variable = Variable {
    name: "KUBERNETES_SERVICE_HOST",
    presence: Presence::Required {
        cure: CLUSTER_CURE,
        mistaken_for: &[],
    },
    meaning: "Host of the API server; Kubernetes sets it in every container",
};
pub(super) const API_PORT: Variable = Variable {
    name: "KUBERNETES_SERVICE_PORT",
    presence: Presence::Required {
        cure: CLUSTER_CURE,
        mistaken_for: &[],
    },
    meaning: "Port of the API server; Kubernetes sets it in every container",
};
pub(super) const SERVICE_ACCOUNT: Variable = Variable {
    name: "SERVICE_ACCOUNT_DIR",
    presence: Presence::Default("/var/run/secrets/kubernetes.io/serviceaccount"),
    meaning: "Directory of the service account's token and ca.crt",
};
pub(super) const LOGURU_LEVEL: Variable = Variable {
    name: "LOGURU_LEVEL",
    presence: Presence::Default("INFO"),
    meaning: "Log level: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL",
};
pub(super) const RUST_LOG: Variable = Variable {
    name: "RUST_LOG",
    presence: Presence::Optional,
    meaning: "Log filter in env_logger's syntax; if set, it overrules LOGURU_LEVEL",
};

/// Every variable, in the order in which the help shows them and faults are
/// reported.
pub const VARIABLES: [Variable; 46] = [
    HOMESERVER,
    USER,
    AUTH_METHOD,
    PASSWORD,
    PASSWORD_FILE,
    KEYCLOAK_URL,
    KEYCLOAK_REALM,
    KEYCLOAK_CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    TOTP_SECRET,
    TOTP_SECRET_FILE,
    ISSUER,
    AUDIENCE,
    JWT_LOGIN_TYPE,
    JWT_SECRET,
    JWT_SECRET_FILE,
    SSO_IDP_ID,
    ACCESS_TOKEN,
    ACCESS_TOKEN_FILE,
    DEVICE_ID,
    CERT_FILE,
    EXTRA_CA_FILE,
    PROXY,
    PROXY_FILE,
    NO_PROXY,
    RECOVERY_KEY,
    RECOVERY_KEY_FILE,
    SEED_FILE,
    ALLOWED_USERS,
    PINNED_IDENTITIES,
    DEVICE_TRUST,
    ALLOWED_ROOMS,
    REQUIRE_ENCRYPTION,
    NAMESPACE,
    DEPLOYMENT,
    STORE_PATH,
    ECHO,
    MAX_AGE,
    HEALTH_ADDR,
    HEALTH_SYNC_MAX_AGE,
    API_HOST,
    API_PORT,
    SERVICE_ACCOUNT,
    LOGURU_LEVEL,
    RUST_LOG,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
