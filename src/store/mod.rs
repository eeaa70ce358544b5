//! The one database: keys, devices, rooms, and the queues of what came in and
//! what goes out. Everything is read and written inside a [`Transaction`], so
//! that a sync is taken in whole or not at all.

pub mod caps;

mod checkpoint;
mod counts;
mod crash;
mod database;
mod error;
mod forget;
mod limit;
mod limits;
mod memory;
mod open_error;
mod predecessor;
mod prune;
mod repositories;
mod schema;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod volume;

pub use caps::Cap;
pub use counts::Counts;
pub use database::Store;
pub use error::Error;
pub use open_error::OpenError;
pub use predecessor::Predecessor;
pub use tables::*;
pub use transaction::Transaction;
