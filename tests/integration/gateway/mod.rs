//! The gateway: the real binary between clients, apps and an API server.

mod fakes;
mod support;
mod whole;
