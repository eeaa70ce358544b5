//! The gateway: the real binary between clients, apps and an API server.

mod api;
mod call;
mod callers;
mod checking;
mod fakes;
mod hostile_apps;
mod hostile_words;
mod hostile_world;
mod replicas;
mod smuggling;
mod support;
mod waking;
mod whole;
