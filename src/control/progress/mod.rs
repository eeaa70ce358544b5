//! The outcome of a change: from what the API server shows of a workload and its pods to
//! "done", "not yet" or the reason why not.

mod cause;
mod causes;
mod edits;
mod ending;
mod follow;
mod judge;
mod observation;
mod pace;
mod step;
mod symptoms;
#[cfg(test)]
mod tests;
mod words;

pub use cause::{
    Barrier, Cause, Details, Finding, Image, NoNode, PullFault, Resource, Right, SetupFault,
};
pub use causes::{find, is_owned, silent_pod};
pub use ending::{Ending, Lingering, Progress, ReadError};
pub use follow::Follow;
pub use judge::{Direction, Goal, Remark, State, WaitsFor, judge};
pub use observation::{
    Condition, ConditionStatus, ContainerState, ContainerView, EventView, Observation, Owner,
    PodOwner, PodView, Termination, UpdateStrategy,
};
pub use pace::Stage;
pub use step::{Look, Next, Snapshot, Step};
