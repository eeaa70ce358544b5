//! Rights: who may do what with a target. The chat's [`Policy`](super::Policy) gives them to
//! people in rooms, the gateway's [`Grants`] to principals by roles; [`Permissions`] decide
//! about what any of them asks for. Pure.

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
