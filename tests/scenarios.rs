//! The real binary against loopback fakes: a homeserver, an API server, people.
//! One program for all scenarios, since most of them wait: they do it while the
//! crashes compute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

#[path = "scenarios/attacks.rs"]
mod attacks;
#[path = "scenarios/claims.rs"]
mod claims;
#[path = "scenarios/clock.rs"]
mod clock;
#[path = "scenarios/commands.rs"]
mod commands;
#[path = "scenarios/congestion.rs"]
mod congestion;
#[path = "scenarios/crashes.rs"]
mod crashes;
#[path = "scenarios/encryption.rs"]
mod encryption;
#[path = "scenarios/families.rs"]
mod families;
#[path = "scenarios/files.rs"]
mod files;
#[path = "scenarios/foreign_text.rs"]
mod foreign_text;
#[path = "scenarios/full_disk.rs"]
mod full_disk;
#[path = "scenarios/gaps.rs"]
mod gaps;
#[path = "scenarios/health.rs"]
mod health;
#[path = "scenarios/health_crowd.rs"]
mod health_crowd;
#[path = "scenarios/identity.rs"]
mod identity;
#[path = "scenarios/in_clear.rs"]
mod in_clear;
#[path = "scenarios/invites.rs"]
mod invites;
#[path = "scenarios/logouts.rs"]
mod logouts;
#[path = "scenarios/old_commands.rs"]
mod old_commands;
#[path = "scenarios/other_lives.rs"]
mod other_lives;
#[path = "scenarios/own_master.rs"]
mod own_master;
#[path = "scenarios/replay.rs"]
mod replay;
#[path = "scenarios/server_words.rs"]
mod server_words;
#[path = "scenarios/sessions.rs"]
mod sessions;
#[path = "scenarios/signed_out.rs"]
mod signed_out;
mod support;
#[path = "scenarios/survival.rs"]
mod survival;
#[path = "scenarios/threads.rs"]
mod threads;
#[path = "scenarios/trust.rs"]
mod trust;
#[path = "scenarios/unreachable.rs"]
mod unreachable;
#[path = "scenarios/withheld.rs"]
mod withheld;
