//! What others write does not decide how much memory the bot needs, nor whether
//! it answers. `make memory` runs the release binary (`BOT_BINARY`) in a control
//! group of the manifest's limit through all of it; plain `cargo test` looks at
//! a few cases, and at nothing but that the bot goes on.
//!
//! `CASE=…` picks the cases whose name contains that, and shows the bot's log
//! where one fails. A row: the store, the case, how long Alice's question took,
//! the most memory that was resident, the longest wait of a health request, what
//! was computed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

#[path = "memory/answers.rs"]
mod answers;
#[path = "memory/cases.rs"]
mod cases;
#[path = "memory/cgroup.rs"]
mod cgroup;
#[path = "memory/cluster.rs"]
mod cluster;
#[path = "memory/devices.rs"]
mod devices;
#[path = "memory/figures.rs"]
mod figures;
#[path = "memory/stage.rs"]
mod stage;
#[path = "memory/starts.rs"]
mod starts;
mod support;
#[path = "memory/syncs.rs"]
mod syncs;
#[path = "memory/to_device.rs"]
mod to_device;
