//! The rules for who may do what through the gateway.

use std::sync::Arc;

use super::{Actions, Permissions, Pod, Principal, Role, ServiceAccountName};
use crate::control::TargetName;
use crate::util::SortedMap;

/// The rules for who may do what through the gateway: identities have roles, and roles have
/// targets and actions. What no role allows is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The roles by name. They are shared by all that was computed from them, which is kept
    /// for each token.
    pub roles: SortedMap<String, Arc<Role>>,
    /// Service accounts and what they may be.
    pub identities: Vec<Identity>,
    /// The roles of this configuration by those that tokens of the identity provider say.
    pub oidc_roles: SortedMap<String, Vec<String>>,
    /// The actions that anybody may do with a target without showing anything. Whoever shows one
    /// may do that, too.
    pub anonymous: Arc<SortedMap<TargetName, Actions>>,
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
    /// The rights of this principal: computed once for each token, then looked up.
    ///
    /// The roles of all entries that a service account matches add up. A token that is bound
    /// to no pod matches only the entries that take such tokens, so that one entry which
    /// does opens none of the others.
    pub fn permissions(&self, principal: &Principal) -> Permissions {
        let mut permissions = Permissions::by_name(Arc::clone(&self.anonymous));
        match principal {
            Principal::Anonymous => {}
            Principal::ServiceAccount(account, pod) => {
                for role in self
                    .matching(account, pod.as_ref())
                    .flat_map(|one| &one.roles)
                {
                    self.give(role, &mut permissions);
                }
            }
            Principal::Person(person) => {
                let mapped = person
                    .roles
                    .iter()
                    .filter_map(|said| self.oidc_roles.get(said));
                for role in mapped.flatten() {
                    self.give(role, &mut permissions);
                }
            }
        }
        permissions
    }

    /// Returns true if a token of this service account that is bound to no pod is taken.
    pub fn allows_unbound(&self, account: &ServiceAccountName) -> bool {
        self.matching(account, None).next().is_some()
    }

    /// The entries for this service account's token.
    fn matching(
        &self,
        account: &ServiceAccountName,
        pod: Option<&Pod>,
    ) -> impl Iterator<Item = &Identity> {
        let is_bound = pod.is_some();
        let identities = self.identities.iter();
        identities.filter(move |one| (is_bound || one.allow_unbound) && one.is(account))
    }

    /// Gives a role, if there is one of this name.
    fn give(&self, name: &str, permissions: &mut Permissions) {
        if let Some(role) = self.roles.get(name) {
            permissions.give(name, role);
        }
    }
}

impl Identity {
    fn is(&self, account: &ServiceAccountName) -> bool {
        let is = |wanted: &Option<String>, given: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == given)
        };
        is(&self.namespace, &account.namespace) && is(&self.name, &account.name)
    }
}
