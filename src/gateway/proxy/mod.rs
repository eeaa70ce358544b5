//! HTTP/1.1 between clients and apps: which requests are taken, where they go, what is
//! added and removed, upgrades, and the page that is shown while a target starts.

mod admission;
mod answer;
mod app_stream;
mod cold;
mod comments;
mod exchange;
mod forward;
mod frames;
mod head;
mod page;
mod pool;
mod replies;
mod request;
mod scan;
mod scratch;
mod service;
mod silence;
mod socket;
mod standing;
mod status;
mod talk;
#[cfg(test)]
mod tests;
mod trouble;
mod tunnel;
mod upgrade;
mod upload;
mod usage;
mod visit;
mod visitor;
mod who;

pub use answer::Answer;
pub use service::serve_connection;
pub(super) use socket::ClientSocket;
pub(super) use talk::talk;
