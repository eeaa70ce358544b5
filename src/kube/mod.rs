//! The Kubernetes API server: scale workloads, look at them and at their pods, as a service
//! account that may do nothing else, or as a kubeconfig says. Knows nothing of Matrix.

mod access;
mod api;
mod api_client;
mod autoscaler;
mod call;
mod change;
mod clock;
mod credentials;
mod error;
mod events;
mod kubeconfig;
mod list;
mod node;
mod object;
mod observe;
mod operation;
mod pods;
mod refusal;
mod refusals;
mod restart;
mod rights;
mod scale;
mod service_account;
mod slots;
mod traces;
mod watch;
mod watch_lines;

#[cfg(test)]
mod tests;

pub use api::{Api, Preflight};
pub use call::DryRun;
pub use change::{Conditional, Started};
pub use credentials::Credentials;
pub use error::Error;
pub use kubeconfig::{Fault, Kubeconfig, KubeconfigAccess, Subject};
pub use rights::WorkloadRights;
pub use scale::ScaleAnswer;
pub use service_account::{LoadError, ServiceAccount};
pub use traces::Trace;
pub use watch::Watch;
