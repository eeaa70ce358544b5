//! The reasons for which targets gave no answer, as the log has them: of each target the first
//! one, and then one a minute, since apps that fail do so with each request.

use std::cell::RefCell;
use std::time::Duration;

use log::warn;
use tokio::time::Instant;

use crate::control::TargetName;
use crate::util::SortedMap;

/// The time between two lines about one target.
const PAUSE: Duration = Duration::from_secs(60);

/// The last line about a target.
#[derive(Debug)]
struct LastLine {
    at: Instant,
    /// The number of those since that were not told.
    untold: u64,
}

thread_local! {
    // All requests are served by one thread.
    static TOLD: RefCell<SortedMap<TargetName, LastLine>> = const { RefCell::new(SortedMap::new()) };
}

/// Tells that a target gave no answer, unless that was just told.
pub(super) fn tell(target: &TargetName, reason: &str) {
    let untold = TOLD.with_borrow_mut(|told| due(told, target, Instant::now()));
    match untold {
        None => {}
        Some(0) => warn!("{target} gave no answer: {reason}"),
        Some(untold) => warn!("{target} gave no answer, as {untold} times before: {reason}"),
    }
}

/// The number of those that were not told since the last one, if it is time to tell of one.
fn due(
    told: &mut SortedMap<TargetName, LastLine>,
    target: &TargetName,
    now: Instant,
) -> Option<u64> {
    let first = LastLine { at: now, untold: 0 };
    let Some(last) = told.get_mut(target) else {
        told.insert(target.clone(), first);
        return Some(0);
    };
    if now.duration_since(last.at) < PAUSE {
        last.untold += 1;
        return None;
    }
    Some(std::mem::replace(last, first).untold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_one_a_minute_with_the_number_of_the_others() {
        let (one, other) = (
            TargetName::parse("one").unwrap(),
            TargetName::parse("other").unwrap(),
        );
        let (mut told, begun) = (SortedMap::new(), Instant::now());
        for (second, target, expected) in [
            (0, &one, Some(0)),
            (1, &one, None),
            (2, &other, Some(0)),
            (59, &one, None),
            (60, &one, Some(2)),
            (119, &one, None),
            (120, &one, Some(1)),
            (300, &one, Some(0)),
            (300, &other, Some(0)),
        ] {
            let at = begun + Duration::from_secs(second);
            assert_eq!(due(&mut told, target, at), expected, "{second} {target}");
        }
    }
}
