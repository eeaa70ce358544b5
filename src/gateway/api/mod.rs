//! The HTTP API: list, status, start, stop, scale, wait.

mod service;

pub use service::serve_connection;
