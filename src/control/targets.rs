//! Everything that can be switched, as it is configured.

use super::{Target, Workload};

/// The workloads that the program switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// One Deployment without a name: commands and replies are those of the Python
    /// program that this one stands in for, to the letter.
    Reference(Workload),
    /// Those that are named by `TARGETS` or `TARGETS_FILE`: never empty, each name and
    /// each workload once.
    Named(Vec<Target>),
}
