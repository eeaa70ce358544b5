//! A limit to the things that one person may ask for in a row.

use ruma::{OwnedUserId, UserId};

use crate::util::SortedMap;

/// Requests that may come at once.
const BURST: u64 = 10;

/// The time after which another one may come, in milliseconds.
const REFILL_MS: u64 = 3_000;

/// The requests of each person who may ask. They are few: who may ask is configured.
#[derive(Debug, Default)]
pub struct Flood(SortedMap<OwnedUserId, Bucket>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// The time at which it is full again.
    full_at: u64,
    is_told: bool,
}

/// The treatment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It is looked at.
    Pass,
    /// It is one too many, and its author is told so.
    Tell,
    /// It is one too many, and its author was told so.
    Drop,
}

impl Flood {
    /// Counts a request of a person at `now`, in milliseconds of a clock that is never
    /// set.
    pub fn take(&mut self, user: &UserId, now: u64) -> Flow {
        let bucket = match self.0.get_mut(user) {
            Some(bucket) => bucket,
            None => self.0.or_insert_with(user.to_owned(), || Bucket {
                full_at: now,
                is_told: false,
            }),
        };
        let full_at = bucket.full_at.max(now);
        if full_at.saturating_sub(now) > (BURST - 1) * REFILL_MS {
            let flow = match bucket.is_told {
                true => Flow::Drop,
                false => Flow::Tell,
            };
            bucket.is_told = true;
            return flow;
        }
        bucket.full_at = full_at.saturating_add(REFILL_MS);
        bucket.is_told = false;
        Flow::Pass
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn ten_at_once_then_one_in_three_seconds_and_one_word_about_it() {
        let mut flood = Flood::default();
        let (alice, bob) = (user_id!("@alice:test"), user_id!("@bob:test"));
        for _ in 0..10 {
            assert_eq!(flood.take(alice, 1_000), Flow::Pass);
        }
        assert_eq!(flood.take(alice, 1_000), Flow::Tell);
        assert_eq!(flood.take(alice, 2_000), Flow::Drop);
        assert_eq!(flood.take(bob, 2_000), Flow::Pass, "others go on");
        assert_eq!(flood.take(alice, 4_000), Flow::Pass);
        assert_eq!(flood.take(alice, 4_000), Flow::Tell, "told once more");
        for _ in 0..10 {
            assert_eq!(flood.take(alice, 60_000), Flow::Pass, "full again");
        }
        assert_eq!(flood.take(alice, 60_000), Flow::Tell);
    }
}
