//! Others' words decide neither how much memory the bot needs, nor whether it
//! answers. `make memory` runs the release binary (`BOT_BINARY`) in a control group
//! of the manifest's limit through all of it; plain `cargo test` looks at a few
//! cases, and at nothing but that the bot goes on.
//!
//! `CASE=…` picks the cases whose name contains that, and shows the bot's log
//! where one fails. A row: the store, the case, how long Alice's question took,
//! the most memory that was resident, the longest wait of a health request, what
//! was computed.

mod answers;
mod cases;
mod cgroup;
mod cluster;
mod devices;
mod figures;
mod process;
mod stage;
mod starts;
mod syncs;
mod targets;
mod to_device;
