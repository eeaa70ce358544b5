//! The two questions that every failed request raises.

use std::time::Duration;

/// The part that has to change before a failed request can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Responsible {
    /// The configuration of this program, and the rights that it was given.
    Configuration,
    /// The way to the server: names, routes, proxies, certificates, clocks.
    Network,
    /// The server that was asked.
    Server,
}

/// An error of a request: who has to act, and whether and when it helps to try again.
pub trait Remedy {
    /// The parts among which one has to change.
    type Party;

    /// The part that has to change, as far as can be told from here.
    fn responsible(&self) -> Self::Party;

    /// Returns whether the same request may succeed later without anybody's action.
    fn is_transient(&self) -> bool;

    /// The shortest time that the server asks to wait before the next attempt; None if
    /// it asks for none.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
