//! The bot's own clock, and how often it has started.
//!
//! Ages that a wall clock must not change by jumping (of received keys, of the
//! fallback key) are measured by this one: it goes on while the
//! process runs, whatever happens to the wall clock, and never back.

use crate::store::{Error, Transaction};

/// The bot's own clock as it was stored last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnClock {
    /// Milliseconds; the Unix time of the first start, and counted from there.
    pub own_time: u64,
    /// The wall clock at that moment, milliseconds since the Unix epoch.
    pub wall_time: u64,
}

/// The bot's own clock.
pub struct ClockRow<'a>(pub(in crate::store) &'a Transaction<'a>);

impl ClockRow<'_> {
    /// The clock as it was stored last.
    pub fn load(&self) -> Result<OwnClock, Error> {
        self.0
            .one("SELECT own_time, wall_time FROM own_clock", [], |row| {
                Ok(OwnClock {
                    own_time: row.get::<_, i64>(0)?.cast_unsigned(),
                    wall_time: row.get::<_, i64>(1)?.cast_unsigned(),
                })
            })?
            .ok_or(Error::Corrupt("the bot's own clock"))
    }

    /// Stores the clock.
    pub fn put(&self, clock: OwnClock) -> Result<(), Error> {
        self.0.run(
            "UPDATE own_clock SET own_time = ?1, wall_time = ?2",
            (clock.own_time.cast_signed(), clock.wall_time.cast_signed()),
        )
    }

    /// The bot starts: another life begins.
    pub fn begin_life(&self) -> Result<(), Error> {
        self.0.run("UPDATE own_clock SET life = life + 1", [])
    }
}
