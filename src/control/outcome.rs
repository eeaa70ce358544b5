//! The outcome of a command, as data: each door has its own words for it.

/// The result of a command that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The workload was scaled to this many replicas.
    Scaled {
        /// As the API server has stored it.
        replicas: i32,
    },
    /// The state of the workload.
    Status {
        /// Replicas that are asked for.
        desired: i32,
        /// Replicas that are ready.
        ready: i32,
        /// Replicas that are available.
        available: i32,
    },
    /// The list of commands was asked for.
    Help,
}
