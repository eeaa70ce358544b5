//! Loopback stand-ins for everything the bot talks to, and a person to talk to
//! it. Every scenario runs the real binary against these.

#![allow(
    dead_code,
    reason = "each test crate compiles this module and uses its own part of it"
)]

pub mod apiserver;
pub mod bot;
pub mod evidence;
pub mod faults;
pub mod filling;
pub mod health;
pub mod homeserver;
pub mod keycloak;
pub mod messages;
pub mod metrics;
pub mod modules;
pub mod person;
pub mod redaction;
pub mod rooms;
pub mod secrets;
pub mod signing;
pub mod sso;
pub mod story;
pub mod temp;
pub mod tokens;
pub mod wire;
pub mod world;
