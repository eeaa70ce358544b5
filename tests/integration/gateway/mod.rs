//! The gateway: the real binary between clients, apps and an API server.

mod fakes;
mod smuggling;
mod support;
mod whole;
