//! Targets that wake and sleep: what is known of each, who may start and stop it when, and
//! the agreement of several replicas by Leases.

mod activity;
mod asked;
#[cfg(test)]
pub(crate) mod fake;
mod handle;
mod shared;
#[cfg(test)]
mod tests;
mod view;

pub use asked::{Change, Changed, Cold, Refusal, Wanted};
pub use handle::{InUse, TargetHandle};
pub use view::{Endpoint, Phase, View};
