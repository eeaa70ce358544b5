//! The client-server API: log in, sync, rooms, send. [`Homeserver`] speaks
//! HTTP; [`Engine`] takes answers into a store transaction and derives from the
//! store what to ask next, without IO of its own.

pub mod client;
pub mod e2ee;

pub use client::*;
pub use e2ee::*;
