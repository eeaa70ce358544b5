//! The HTTP API: list, status, start, stop, scale, wait. `docs/openapi.json` describes it.

mod answer;
mod body;
mod caller;
mod problem;
mod route;
mod service;
#[cfg(test)]
mod tests;

pub use service::serve_connection;
