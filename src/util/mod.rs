//! The lowest folder: clocks, secrets, and text that is safe to show.

mod bounded_file;
mod boxed;
mod carried;
mod clock;
mod collect;
mod cut;
mod nearest;
mod own_time;
mod pace;
mod printable;
mod race;
mod secret;
mod sorted_map;
#[cfg(test)]
pub(crate) mod temp;
mod tokens;
mod utc;
mod wiped;

pub use bounded_file::{BoundedFile, FileError};
pub use boxed::{Boxed, boxed};
pub use carried::{MAX_ID, MAX_POSITION, MAX_UIA_SESSION, is_carried};
pub use clock::{Ahead, Clock, ClockDifference, ServerClock};
pub use collect::{gathered, sorted_by};
pub use cut::cut;
pub use nearest::nearest;
pub use own_time::OwnTime;
pub use pace::{paced, patience};
pub use printable::{Printable, code, is_deceptive, name, printable, shown, unlinked, words};
pub use race::{First, race};
pub use secret::Secret;
pub use sorted_map::{SortedMap, SortedSet};
pub use tokens::Tokens;
pub use utc::{Utc, rfc3339, rfc3339_micros, rfc3339_ms};
pub use wiped::wiped_json;
