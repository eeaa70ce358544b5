//! Reads a JSON text piece by piece and keeps only what is asked for: a [`Sieve`] takes
//! the bytes of an answer as they arrive and writes a smaller document of a [`Shape`].
//! Its memory depends on what is kept, not on what is sent.

mod gate;
mod lenient;
mod located;
mod output;
mod scan;
mod shape;
mod sieve;
#[cfg(test)]
mod tests;

pub use gate::{Admission, Gate, Gates, Open, Skipped};
pub use lenient::{Lenient, lenient, of_value, read, whole_number};
pub use located::{Content, Document, Located};
pub use output::Sifted;
pub use scan::Malformed;
pub use shape::{Many, Shape};
pub use sieve::Sieve;
