//! The proxy over real sockets of loopback.

mod apps;
mod colds;
mod encrypted;
mod exchanges;
mod flows;
mod peers;
mod rules;
mod sockets;
mod tunnels;
mod upgrades;
mod uses;
