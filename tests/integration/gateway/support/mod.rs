//! Loopback stand-ins for everything that the gateway talks to, and for everybody who
//! talks to it.
//!
//! [`cluster`] is an API server whose objects are JSON, with versions, watches and owners
//! of the number of replicas; [`backend`] an app that takes anything and can misbehave;
//! [`issuer`] an identity provider; [`client`] somebody who writes bytes; [`world`] all of
//! them and the real binary.

pub mod backend;
pub mod client;
pub mod cluster;
pub mod fields;
pub mod follow;
pub mod frames;
pub mod issuer;
pub mod reviews;
pub mod script;
pub mod serving;
pub mod state;
pub mod store;
pub mod watcher;
pub mod world;
