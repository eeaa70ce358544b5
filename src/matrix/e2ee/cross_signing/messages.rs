//! The sentences, in the log and in `status`, for a device that is not signed by its
//! account's identity: the reason, and the cure.

use crate::util::name;

pub(crate) const CONSEQUENCE: &str = "Clients that exclude unverified devices neither give me keys nor show \
    my replies.";

pub(crate) const UNSEEN: &str = "My device is not signed by my account's identity: the homeserver no longer \
    shows the identity that the account had. Ask its administrator. If it is lost for good, a new one is \
    made by \"openclaw-k8s-toggle-operator identities reset\" beside me: everybody who has \
    verified me must do so again.";

pub(crate) const NOT_KEPT: &str = "My device is not signed by my account's identity: the homeserver did not \
    keep the signature. I try again at my next start.";

pub(crate) const NO_STORAGE: &str = "My device is not signed by my account's identity: MATRIX_RECOVERY_KEY is \
    set, but the account's secret storage holds no self-signing key. Set up recovery for the \
    account in a client, and give me the key it shows.";

pub(crate) const NEEDS_PERSON: &str = "My device is not signed by my account's identity: the homeserver lets \
    only a person upload an identity, or refuses MATRIX_PASSWORD for it. Sign my device from \
    another session of the account, or give me its MATRIX_RECOVERY_KEY.";

pub(crate) const NOT_SHOWN: &str = "My device is not signed by my account's identity: the \
    homeserver does not show the identity that I uploaded. I try again at my next start.";

pub(crate) const STALE_SECRET: &str = "My device is not signed by my account's identity: the key \
    in the account's secret storage is not the one of its identity. Set up recovery for the \
    account anew in a client, and give me the MATRIX_RECOVERY_KEY it shows.";

pub(crate) const UNPROVEN: &str = "I cannot tell whether the identity that the homeserver shows for \
    my account is the account's own: its secret storage holds no master key. Set up recovery for \
    the account anew in a client, and give me the MATRIX_RECOVERY_KEY it shows.";

pub(super) fn foreign(device: &ruma::DeviceId) -> String {
    // With a token, its id is whatever the configuration says.
    let device = name(device.as_str()).map_or_else(String::new, |name| format!(" {name}"));
    format!(
        "My device{device} is not signed by my account's identity: the account has an identity \
         whose keys I do not hold. {CONSEQUENCE} Give me MATRIX_RECOVERY_KEY (the account's \
         recovery key), or sign my device from another session of the account. If nobody has \
         either any more, \"openclaw-k8s-toggle-operator identities reset\" beside me replaces the \
         identity: everybody who has verified me must do so again."
    )
}

pub(super) fn unrecovered(fault: &dyn std::fmt::Display) -> String {
    format!(
        "My device is not signed by my account's identity: MATRIX_RECOVERY_KEY does not open the \
         account's secret storage: {fault}. Give me the account's current recovery key."
    )
}
