//! What the kernel says of the bot's process, and the bot itself of its loop.

use std::fs;
use std::time::Duration;

use crate::support::bot::Bot;

/// The turns of the loop from now on. The bot logs those of 10 ms and more itself:
/// its health port has a thread of its own, and shows nothing of them.
pub struct Watch {
    /// Lines of the log that were there before.
    before: usize,
}

impl Watch {
    pub fn start(bot: &Bot) -> Self {
        Self {
            before: bot.log().lines().count(),
        }
    }

    /// The longest turn; zero if none took 10 ms.
    pub fn stop(self, bot: &Bot) -> Duration {
        let log = bot.log();
        let turns = log.lines().skip(self.before).filter_map(|line| {
            let (_, took) = line.split_once("a turn of the loop took ")?;
            took.strip_suffix(" ms")?.parse().ok()
        });
        Duration::from_millis(turns.max().unwrap_or(0))
    }
}

/// The CPU time of a process so far.
pub fn on_cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanos = stat.split(' ').next().unwrap_or_default();
    Duration::from_nanos(nanos.parse().unwrap_or(0))
}

/// A figure of a process's `/proc/…/status`, in kB.
pub fn status_kb(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
