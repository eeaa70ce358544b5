//! The times at which a change that is followed is looked at.

use std::time::Duration;

/// No change for so long is stuck, in milliseconds.
pub(super) const STUCK_MS: u64 = 5_000;

/// From one look for a cause to the next, in milliseconds.
pub(super) const LOOK_MS: u64 = 10_000;

/// From a look that has to be confirmed to the next, in milliseconds.
pub(super) const SECOND_LOOK_MS: u64 = 5_000;

/// For how long after its deadline the cause of a start is still looked for.
pub(super) const OVERTIME_MS: u64 = 15_000;

/// For how long a controller may leave a change unseen before that is told.
pub(super) const NOT_BEGUN_MS: u64 = 60_000;

/// After this time without a change, unready pods are taken for what holds a stop up.
pub(super) const BLOCKED_MS: u64 = 30_000;

/// For how long it is looked whether something ends after all, in milliseconds.
pub(super) const LATE_MS: u64 = 3_600_000;

/// For how long it is looked whether an end stays so, in milliseconds: autoscalers take
/// 15 to 30 s to set a number back.
pub(super) const SETTLED_MS: u64 = 90_000;

/// The grace that an API server gives a pod that says nothing of it, in seconds.
const DEFAULT_GRACE_SECS: u32 = 30;

/// The time after the grace period in which a node that lives ends a pod, in milliseconds.
const NODE_MS: u64 = 60_000;

/// The part that was told of the end of a change that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    Following,
    /// That it is not done in time; it may still be.
    Late,
    /// That it is done; it may be undone.
    Settled,
}

impl Stage {
    /// Its name in a store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Late => "late",
            Self::Settled => "settled",
        }
    }

    /// The stage of such a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Following, Self::Late, Self::Settled]
            .into_iter()
            .find(|stage| stage.as_str() == name)
    }

    /// The time that it lasts at most, in milliseconds.
    pub(super) fn lasts(self) -> u64 {
        match self {
            Self::Following => u64::MAX,
            Self::Late => LATE_MS,
            Self::Settled => SETTLED_MS,
        }
    }

    /// From one read to the next, after an end was told.
    pub(super) fn gap(self) -> Duration {
        Duration::from_secs(match self {
            Self::Following => 5,
            Self::Late => 30,
            Self::Settled => 15,
        })
    }
}

/// From one read to the next, of a change of this age in milliseconds.
pub(super) fn of_age(age: u64) -> Duration {
    Duration::from_secs(match age {
        ..10_000 => 1,
        10_000..60_000 => 2,
        60_000.. => 5,
    })
}

/// From a failed read to the next.
pub(super) fn after_failures(failures: u32, age: u64) -> Duration {
    let back_off = Duration::from_secs(u64::from(failures.min(30)));
    back_off.max(of_age(age))
}

/// The time in which a pod should have ended, in milliseconds; its grace period is 0 where
/// it is not known.
pub(super) fn grace_ms(grace_period_secs: u32) -> u64 {
    let secs = match grace_period_secs {
        0 => DEFAULT_GRACE_SECS,
        secs => secs,
    };
    u64::from(secs)
        .saturating_mul(1_000)
        .saturating_add(NODE_MS)
}
