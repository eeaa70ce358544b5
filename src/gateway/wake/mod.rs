//! Targets that wake and sleep: what is known of each, who may start and stop it when, and
//! the agreement of several replicas by Leases.

mod handle;

pub use handle::{
    Change, Changed, Cold, Endpoint, InUse, Phase, Refusal, TargetHandle, View, Wanted,
};
