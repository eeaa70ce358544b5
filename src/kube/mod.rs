//! The Kubernetes API server: scale a Deployment and look at it, as a service
//! account that may do nothing else, or as a kubeconfig says. Knows nothing of Matrix.

mod access;
mod api;
mod api_client;
mod call;
mod clock;
mod credentials;
mod error;
mod kubeconfig;
mod refusal;
mod service_account;

#[cfg(test)]
mod tests;

pub use api::{Api, Preflight};
pub use call::DryRun;
pub use credentials::Credentials;
pub use kubeconfig::{Fault, Kubeconfig, KubeconfigAccess, Subject};
pub use service_account::{LoadError, ServiceAccount};
