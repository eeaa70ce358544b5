//! A JSON text is read piece by piece, and only what is asked for is kept: a
//! [`Sieve`] takes the bytes of an answer as they arrive and writes a smaller
//! document of a [`Shape`]. Its memory depends on what is kept, not on what is
//! sent.

mod lenient;
mod shape;
mod sieve;
#[cfg(test)]
mod tests;

pub use lenient::{Lenient, lenient, read, whole_number};
pub use shape::{Many, Shape};
pub use sieve::{Admission, Gate, Malformed, Open, Sieve, Sifted, Skipped};
