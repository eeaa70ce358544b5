//! The rules for who may do what through the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Actions, Permissions, Principal, ServiceAccountName};
use crate::control::TargetName;

/// The rules for who may do what through the gateway: identities have roles, and roles have
/// targets and actions. What no role allows is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Service accounts and what they may be.
    pub identities: Vec<Identity>,
    /// The roles of this configuration by those that tokens of the identity provider say.
    pub oidc_roles: BTreeMap<String, Vec<String>>,
    /// What anybody may do with a target without showing anything.
    pub anonymous: BTreeMap<TargetName, Actions>,
}

/// What a role allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The targets it is about; None for all of them (`*`).
    pub targets: Option<BTreeSet<TargetName>>,
    /// What may be done with them.
    pub actions: Actions,
    /// The largest number of replicas that may be asked for, beside the target's own.
    pub max_replicas: Option<i32>,
    /// The longest time that may be asked for.
    pub max_for: Option<Duration>,
}

/// A service account, or all of a namespace, and its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace; None for any (`*`).
    pub namespace: Option<String>,
    /// Its name; None for any (`*`).
    pub name: Option<String>,
    /// The roles that it has, each of them defined.
    pub roles: Vec<String>,
    /// True if a token that is bound to no pod is taken.
    pub allow_unbound: bool,
}

impl Grants {
    /// What this principal may do: computed once for each token, then looked up.
    pub fn permissions(&self, principal: &Principal) -> Permissions {
        let _ = principal;
        todo!()
    }

    /// Returns true if a token of this service account that is bound to no pod is taken.
    pub fn allows_unbound(&self, account: &ServiceAccountName) -> bool {
        let _ = account;
        todo!()
    }
}
