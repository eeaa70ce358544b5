//! The parts of `openclaw-k8s-toggle-operator`. `docs/architecture.md` says which
//! folder knows which, and a test keeps it so.

pub mod auth;
pub mod bot;
pub mod cli;
pub mod config;
pub mod control;
pub mod crypto;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod json;
pub(crate) mod kube;
pub(crate) mod login;
pub mod matrix;
pub mod net;
pub mod store;
pub mod telemetry;
pub mod util;
