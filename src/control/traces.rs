//! The traces that a change leaves behind in the cluster.

/// The Events that tell of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traces {
    /// None.
    #[default]
    None,
    /// One a change, which does not say who asked for it.
    Nameless,
    /// One a change, with the id of who asked for it.
    WithUser,
}
