//! The bot's own clock, and how often it has started.
//!
//! What must not be fooled by a wall clock that jumps (how long ago a key came,
//! how old the fallback key is) is measured by this one: it goes on while the
//! process runs, whatever happens to the wall clock, and never back.

use super::{Error, Transaction};

/// The bot's own clock as it was stored last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnClock {
    /// Milliseconds; the Unix time of the first start, and counted from there.
    pub own_time: u64,
    /// The wall clock at that moment, milliseconds since the Unix epoch.
    pub wall_time: u64,
}

impl Transaction<'_> {
    /// The clock as it was stored last.
    pub fn own_clock(&self) -> Result<OwnClock, Error> {
        self.one("SELECT own_time, wall_time FROM own_clock", [], |row| {
            Ok(OwnClock {
                own_time: row.get::<_, i64>(0)?.cast_unsigned(),
                wall_time: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        })?
        .ok_or(Error::Corrupt("the bot's own clock"))
    }

    /// Stores the clock.
    pub fn put_own_clock(&self, clock: OwnClock) -> Result<(), Error> {
        self.execute(
            "UPDATE own_clock SET own_time = ?1, wall_time = ?2",
            (clock.own_time.cast_signed(), clock.wall_time.cast_signed()),
        )?;
        Ok(())
    }

    /// How often the bot has started on this store; 0 before the first start.
    pub fn life(&self) -> Result<i64, Error> {
        Ok(self
            .one("SELECT life FROM own_clock", [], |row| row.get(0))?
            .unwrap_or_default())
    }

    /// The bot starts: another life begins.
    pub fn begin_life(&self) -> Result<(), Error> {
        self.execute("UPDATE own_clock SET life = life + 1", [])?;
        Ok(())
    }
}
