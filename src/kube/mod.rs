//! The Kubernetes API server: scale workloads, look at them and at their pods, as a service
//! account that may do nothing else, or as a kubeconfig says. Knows nothing of Matrix.

mod about;
mod access;
#[cfg(feature = "gateway")]
mod access_review;
mod api;
mod api_client;
mod apply;
mod autoscaler;
mod call;
mod change;
mod clock;
mod collection;
mod collection_watch;
mod credentials;
#[cfg(feature = "gateway")]
mod endpoints;
mod error;
mod events;
mod follower;
#[cfg(feature = "gateway")]
mod images;
mod kubeconfig;
mod lease;
mod list;
mod look;
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
#[cfg(feature = "gateway")]
mod service;
mod service_account;
mod slots;
#[cfg(feature = "gateway")]
mod token_review;
mod traces;
mod watch;
mod watch_events;
mod watch_lines;
mod watch_stream;

#[cfg(test)]
mod tests;

#[cfg(feature = "gateway")]
pub use access_review::Right;
pub use api::{Api, Preflight};
pub use apply::{Applied, Apply};
pub use call::DryRun;
pub use change::{Conditional, Started};
pub use collection_watch::{CollectionChange, CollectionWatch};
pub use credentials::Credentials;
#[cfg(all(test, feature = "gateway"))]
pub(crate) use endpoints::SliceEndpoint;
#[cfg(feature = "gateway")]
pub use endpoints::{EndpointSlice, SlicePort};
pub use error::Error;
pub use kubeconfig::{Fault, Kubeconfig, KubeconfigAccess, Subject};
pub use lease::{Lease, LeaseChange, LeaseWrite};
pub use look::LookAt;
pub use rights::WorkloadRights;
pub use scale::ScaleAnswer;
#[cfg(feature = "gateway")]
pub use service::Service;
#[cfg(all(test, feature = "gateway"))]
pub(crate) use service::ServicePort;
pub use service_account::{LoadError, ServiceAccount};
#[cfg(feature = "gateway")]
pub use token_review::TokenReview;
pub use traces::Trace;
pub use watch::Watch;
