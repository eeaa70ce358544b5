//! The real binary against loopback fakes of everything it talks to. One program
//! for all of it: the fakes are compiled once, and since most tests wait, they do
//! it while others compute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test stops at the first surprise"
)]
#![cfg_attr(
    not(all(feature = "keycloak", feature = "sso")),
    allow(
        dead_code,
        unused_imports,
        reason = "fakes of what the build leaves out"
    )
)]

mod cli;
mod docs;
mod fakes;
mod fifty;
#[cfg(feature = "gateway")]
#[allow(dead_code, reason = "the harness is there before all its users")]
mod gateway;
#[cfg(all(feature = "keycloak", feature = "sso"))]
mod keycloak;
mod layers;
#[cfg(all(feature = "keycloak", feature = "sso"))]
mod logins;
mod memory;
mod names;
mod olm;
mod scale;
mod scenarios;
mod subcommands;
mod support;
