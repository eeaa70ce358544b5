//! The kubeconfig file: which API server, whose word it has to give, and who asks.
//!
//! Specification:
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>.

mod cluster;
mod context;
mod entry;
mod fault;
mod files;
mod loaded;
mod renewal;
mod user;
mod yaml;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Subject};
pub use loaded::Kubeconfig;
pub use renewal::KubeconfigAccess;
