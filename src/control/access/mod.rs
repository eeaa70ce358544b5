//! Rights: who may do what through the gateway: principals, roles, and the decision about a
//! request. Pure, as the chat's [`Policy`](super::Policy) is.

mod action;
mod grants;
#[cfg(test)]
mod grants_table;
mod permissions;
mod principal;
mod role;

pub use action::{Action, Actions};
pub use grants::{Grants, Identity};
pub use permissions::{Access, Ask, Permissions};
pub use principal::{Person, Pod, Principal, ServiceAccountName};
pub use role::Role;
