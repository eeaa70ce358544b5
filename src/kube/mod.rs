//! The Kubernetes API server: scale a Deployment and look at it, as a service
//! account that may do nothing else. Knows nothing of Matrix.

mod api;
mod call;
mod clock;
mod credentials;
mod error;
mod link;
mod refusal;
mod service_account;
mod target;

#[cfg(test)]
mod tests;

pub use api::{Api, DeploymentStatus, Preflight, Run, Scaled};
pub use credentials::Credentials;
pub use error::{Act, Detail, Error};
pub use service_account::{DIRECTORY, LoadError, ServiceAccount};
pub use target::{DeploymentName, NameError, Namespace, Target};
