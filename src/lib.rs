//! The parts of `openclaw-k8s-toggle-operator`, bottom layer first; each knows
//! only the ones before it. `docs/architecture.md` has the picture.

pub mod bot;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod health;
pub mod http;
pub mod json;
pub mod jwt;
pub mod keycloak;
pub mod kube;
pub mod login;
pub mod matrix;
pub mod ops;
pub mod serve;
pub mod sso;
pub mod store;
pub mod subcommands;
