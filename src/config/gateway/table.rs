//! The table of the gateway's settings: everything that the help, the reading of the
//! environment, the summary of the start, `gateway check` and the table in
//! `docs/gateway.md` know of a variable. It is as that of the bot, some of whose entries
//! it shares.

use crate::config::setting::{InSummary, Presence, Setting};
use crate::config::table::{
    KUBE_CONTEXT, KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, LOGURU_LEVEL,
    NO_PROXY, RUST_LOG, SERVICE_ACCOUNT_DIR, SETTING, settings,
};

settings! {
    /// Every setting of the gateway, in the order in which the help and the summary show
    /// them.
    GATEWAY_SETTINGS [
        &NO_PROXY,
        &KUBERNETES_SERVICE_HOST,
        &KUBERNETES_SERVICE_PORT,
        &SERVICE_ACCOUNT_DIR,
        &KUBECONFIG,
        &KUBE_CONTEXT,
        &LOGURU_LEVEL,
        &RUST_LOG
    ]:
    GATEWAY_CONFIG {
        presence: Presence::Required,
        cure: "name the file with roles and targets, such as /etc/openclaw-gateway/config.json",
        mistaken_for: &["GATEWAY_CONFIG_FILE", "CONFIG_FILE"],
        help: "JSON file with the targets and with who may do what, as docs/gateway.schema.json \
            describes it; it is read again when it changes",
    }
    PROXY_ADDR {
        presence: Presence::Default(":8080"),
        help: "Where requests for the targets' hosts come in over HTTP: IP:PORT, [IP6]:PORT or \
            :PORT for all addresses; off for nowhere",
    }
    API_ADDR {
        presence: Presence::Default(":8081"),
        help: "Where the API for programs in the cluster is served, written as PROXY_ADDR",
    }
    HEALTH_ADDR {
        presence: Presence::Default(":8082"),
        help: "Where /livez, /readyz and /metrics are served, written as PROXY_ADDR",
    }
    TLS_CERT_FILE {
        unset: "HTTP without TLS",
        help: "PEM file of the certificate that PROXY_ADDR and API_ADDR show, those of its issuers \
            behind it; read again when it changes; unset, they speak HTTP without TLS",
    }
    TLS_KEY_FILE {
        in_summary: InSummary::IfSet,
        help: "PEM file of its private key",
    }
    TRUSTED_PROXIES {
        unset: "nobody",
        help: "Ingresses whose X-Forwarded-For, -Proto and -Host are believed: their addresses or \
            networks, such as 10.244.0.0/16, separated by commas; unset, nobody's are",
    }
    TOKEN_AUDIENCE {
        presence: Presence::Default("openclaw-gateway"),
        help: "Audience that the tokens of service accounts carry, and no other; it cannot be \
            empty",
    }
    OIDC_ISSUER_URL {
        help: "Issuer (iss) of the access tokens that persons and clients show, such as the URL of \
            a realm of Keycloak; unset, none are taken",
    }
    OIDC_AUDIENCE {
        presence: Presence::Needed("with OIDC_ISSUER_URL"),
        cure: "give the audience that the identity provider puts into tokens for this gateway",
        help: "Audience (aud) that these tokens carry",
    }
    OIDC_ALLOWED_CLIENTS {
        presence: Presence::Needed("with OIDC_ISSUER_URL"),
        cure: "list the ids of the clients that tokens may be made for, separated by commas",
        mistaken_for: &["OIDC_CLIENT_ID", "OIDC_CLIENTS"],
        help: "Clients (azp) that these tokens are made for: their ids, separated by commas",
    }
    OIDC_ROLES_CLAIM {
        presence: Presence::Default("realm_access.roles"),
        help: "Claim with the roles of these tokens: the keys on the way to it, with dots between \
            them; a dot that is part of a key has a backslash before it",
    }
    OIDC_ALGORITHMS {
        presence: Presence::Default("RS256,ES256"),
        help: "Algorithms that these tokens are signed with, separated by commas: RS256, RS384, \
            RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
    }
    OIDC_MAX_LIFETIME {
        presence: Presence::Default("1h"),
        help: "Longest lifetime of these tokens, such as 15m or 1h; from 1m to 24h",
    }
    POD_NAMESPACE {
        presence: Presence::Needed("outside a pod"),
        cure: "give the namespace that the gateway runs in, where its Leases are",
        help: "Namespace that the gateway runs in, where its Leases are; in a pod it is known",
    }
    POD_NAME {
        in_summary: InSummary::IfSet,
        help: "Name of this replica; unset, that of its host",
    }
    LEASE_PREFIX {
        presence: Presence::Default("openclaw-gateway-"),
        help: "Beginning of the name of each target's Lease, which ends in the target's name",
    }
    MAX_CONNECTIONS {
        presence: Presence::Default("640"),
        help: "Room for connections, in places of 32 KiB of memory; when it is full, the one that \
            is idle longest is closed",
    }
    MAX_HELD {
        presence: Presence::Default("300"),
        help: "Most requests that wait for a target at the same time, MAX_CONNECTIONS at most",
    }
    DRAIN_TIMEOUT {
        presence: Presence::Default("30s"),
        help: "Time that open connections have after SIGTERM, such as 30s or 2m; up to 1h",
    }
    SSL_CERT_FILE {
        unset: "built in",
        help: "PEM file of the authorities believed for the identity provider, instead of the \
            built-in public ones",
    }
    EXTRA_CA_FILE {
        help: "PEM file of authorities believed beside those",
    }
    HTTPS_PROXY {
        file: Some("URL"),
        lower_case: true,
        help: "http:// URL of a proxy for https to the identity provider, with user and password \
            if it wants them; also as https_proxy; never used for the API server or a target",
    }
}
