//! The budget of a text: who decides on each item, and what is counted of those that
//! were left out.

use std::sync::Arc;

use crate::util::SortedMap;

/// The number of items that were left out, by the name of their kind.
pub type Skipped = SortedMap<&'static str, u64>;

/// Decides on each item of a [`Many`](super::Many) whose size and number are within its
/// limits.
pub trait Gate: Send {
    /// Decides on one item. `name` is its name in an object as it stands in the JSON
    /// text, without quotes, and empty in an array; `item` is what would be kept of it.
    fn admit(&mut self, what: &'static str, name: &[u8], item: &[u8]) -> Admission;
}

/// Makes a gate for each text of several.
pub type Gates = Arc<dyn Fn() -> Box<dyn Gate> + Send + Sync>;

/// A decision on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is kept.
    Keep,
    /// Nobody looks at such an item: it is left out and not counted.
    Irrelevant,
    /// There is no room for it: it is left out and counted.
    TooMuch,
}

/// Keeps every item.
pub struct Open;

impl Gate for Open {
    fn admit(&mut self, _: &'static str, _: &[u8], _: &[u8]) -> Admission {
        Admission::Keep
    }
}
