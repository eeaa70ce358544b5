//! The proxy over real sockets of loopback.

mod exchanges;
mod peers;
mod sockets;
mod tunnels;
