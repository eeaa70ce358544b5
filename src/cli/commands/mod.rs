//! The subcommands, each done in one go.

#[cfg(feature = "gateway")]
pub(super) mod call;
#[cfg(feature = "gateway")]
mod call_answer;
pub(super) mod check_config;
pub(super) mod conntest;
#[cfg(feature = "gateway")]
pub(super) mod gateway;
pub(super) mod healthcheck;
pub(super) mod identities;
pub(super) mod jwt_test;
pub(super) mod logout;
