//! Who may do what through the gateway: principals, roles, and the decision about a
//! request. Pure, as the chat's [`Policy`](super::Policy) is.

mod action;
mod grants;
mod permissions;
mod principal;

pub use action::{Action, Actions};
pub use grants::{Grants, Identity, Role};
pub use permissions::{Access, Ask, Permission, Permissions};
pub use principal::{Person, Pod, Principal, ServiceAccountName};
