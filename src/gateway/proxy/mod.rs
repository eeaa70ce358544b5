//! HTTP/1.1 between clients and apps: which requests are taken, where they go, what is
//! added and removed, upgrades, and the page that is shown while a target starts.

mod service;

pub use service::serve_connection;
