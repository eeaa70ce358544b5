//!
//! A moment is a number of milliseconds since the Unix epoch (UTC), and is computed once,
//! when a text is read: what is stored does not move when the rules of a zone change.

mod clock_watch;
mod describe;
mod duration;
mod fault;
mod schedule;
mod schedule_rule;
mod timer;
mod until;
#[cfg(test)]
mod until_table;
mod words;
mod zone;

pub use clock_watch::{ClockJump, ClockView, ClockWatch};
pub use describe::{date_and_time, describe, describe_duration};
pub use duration::{MAX_DURATION, MIN_DURATION, parse_duration};
pub use fault::TimeFault;
pub use schedule::{Edge, Schedule};
pub use schedule_rule::ScheduleFault;
pub use timer::{GRACE_MS, Timer, TimerStep, extend};
pub use until::parse_until;
pub use zone::{Zone, ZoneFault};
