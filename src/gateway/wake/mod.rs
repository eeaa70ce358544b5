//! Targets that wake and sleep: what is known of each, who may start and stop it when, and
//! the agreement of several replicas by Leases.

mod activity;
mod agreement;
mod asked;
mod cluster;
mod decide;
#[cfg(test)]
pub(crate) mod fake;
mod handle;
mod idle;
mod keeper;
mod keepers;
mod lifecycle;
mod looks;
mod observe;
mod outcome;
mod readiness;
mod reason;
mod service_read;
mod shared;
#[cfg(test)]
mod tests;
mod view;
mod watches;
mod work;

pub use activity::Use;
pub use asked::{Change, Changed, Cold, Refusal, Wanted, WokenBy};
pub use handle::{InUse, StopMark, TargetHandle};
pub use keepers::Keepers;
pub use view::{Endpoint, Phase, View};
