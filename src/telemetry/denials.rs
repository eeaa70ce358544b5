//! Refusals that come again and again, told once a minute. Without IO.

use crate::util::SortedMap;

/// The time after a line in which what is refused of the same identity is only counted, in
/// milliseconds.
const WINDOW_MS: u64 = 60_000;

/// The most identities that are told apart in a minute.
const MAX_IDENTITIES: usize = 1_000;

/// The identities that something was refused to within the last minute, each with the number
/// of refusals that nobody was told of.
#[derive(Debug, Default)]
pub(super) struct Denials(SortedMap<String, Window>);

#[derive(Debug)]
struct Window {
    begun_ms: u64,
    untold: u64,
}

impl Window {
    /// A clock that went back ends it as well.
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms < self.begun_ms || now_ms - self.begun_ms >= WINDOW_MS
    }
}

impl Denials {
    /// Counts a refusal. Returns the number of those before it that were not told, if this
    /// one is to be told now. Beyond a thousand identities, those of `others` are one.
    pub(super) fn take(&mut self, identity: &str, others: &str, now_ms: u64) -> Option<u64> {
        let is_room = self.0.len() < MAX_IDENTITIES || self.0.contains_key(identity);
        let identity = if is_room { identity } else { others };
        let Some(window) = self.0.get_mut(identity) else {
            let begun = Window {
                begun_ms: now_ms,
                untold: 0,
            };
            self.0.insert(identity.to_owned(), begun);
            return Some(0);
        };
        if window.is_over(now_ms) {
            window.begun_ms = now_ms;
            return Some(std::mem::take(&mut window.untold));
        }
        window.untold += 1;
        None
    }

    /// Takes the numbers of those whose minute is over, or of all of them.
    pub(super) fn untold(&mut self, now_ms: u64, all: bool) -> Vec<(String, u64)> {
        let mut untold = Vec::new();
        self.0.retain(|identity, window| {
            let is_over = all || window.is_over(now_ms);
            if is_over && window.untold > 0 {
                untold.push((identity.clone(), window.untold));
                *window = Window {
                    begun_ms: now_ms,
                    untold: 0,
                };
                return true;
            }
            !is_over
        });
        untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_those_after_it_with_the_next() {
        let mut denials = Denials::default();
        assert_eq!(denials.take("a", "", 1_000), Some(0));
        for at in [1_000, 30_000, 60_999] {
            assert_eq!(denials.take("a", "", at), None);
        }
        assert_eq!(denials.take("b", "", 2_000), Some(0), "another one");
        assert_eq!(denials.take("a", "", 61_000), Some(3));
        assert_eq!(denials.take("a", "", 61_001), None);
    }

    #[test]
    fn what_nothing_follows_is_told_after_its_minute() {
        let mut denials = Denials::default();
        denials.take("a", "", 0);
        denials.take("a", "", 1);
        denials.take("b", "", 0);
        assert_eq!(denials.untold(59_999, false), []);
        assert_eq!(denials.untold(60_000, false), [("a".to_owned(), 1)]);
        assert_eq!(denials.take("b", "", 60_001), Some(0), "it was forgotten");
        assert_eq!(denials.take("a", "", 60_001), None, "it was just told");
        assert_eq!(denials.untold(60_002, true), [("a".to_owned(), 1)]);
    }

    #[test]
    fn a_clock_that_goes_back_silences_nobody() {
        let mut denials = Denials::default();
        denials.take("a", "", 1_000_000);
        assert_eq!(denials.take("a", "", 5), Some(0));
    }

    #[test]
    fn beyond_a_thousand_all_others_are_one() {
        let mut denials = Denials::default();
        let told = (0..5_000).filter(|number| {
            let identity = number.to_string();
            denials.take(&identity, "others", 0).is_some()
        });
        assert_eq!(told.count(), MAX_IDENTITIES + 1);
        assert_eq!(denials.0.len(), MAX_IDENTITIES + 1);
        let untold = denials.untold(60_000, false);
        assert_eq!(untold, [("others".to_owned(), 3_999)]);
    }
}
