//! The things that the gateway does, folded to what a room can bear: a line a target and
//! minute, ten lines a minute in all, and one that says how many more there were. Without
//! IO; the clock is handed in.

use tokio::time::{Duration, Instant};

use crate::util::SortedMap;

/// The time in which a target has one line, and the room so many.
const MINUTE: Duration = Duration::from_secs(60);

/// The lines of a minute.
const MOST_LINES: usize = 10;

/// The lines that a room is told.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    targets: SortedMap<String, Known>,
    /// The minute in which lines are counted.
    window: Option<Window>,
}

/// A target whose state is known.
#[derive(Debug)]
struct Known {
    /// None if nothing is known of it.
    is_awake: Option<bool>,
    /// The state that the room knows of.
    told: Option<bool>,
    last_line: Option<Instant>,
    /// The line about its state that the room was not told yet.
    waiting: Option<String>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: usize,
    more: usize,
}

impl Announcer {
    /// Takes in the state of a target, None for one that tells nothing. The first one of each
    /// is where it begins, and is not told. `line` tells that it has changed; None for a
    /// change that the room knows of.
    pub(super) fn see(
        &mut self,
        target: &str,
        is_awake: Option<bool>,
        line: impl FnOnce() -> Option<String>,
    ) {
        let Some(known) = self.targets.get_mut(target) else {
            let known = Known {
                is_awake,
                told: is_awake,
                last_line: None,
                waiting: None,
            };
            self.targets.insert(target.to_owned(), known);
            return;
        };
        if is_awake.is_none() || known.is_awake == is_awake {
            return;
        }
        known.is_awake = is_awake;
        known.waiting = line();
        if known.waiting.is_none() {
            known.told = is_awake;
        }
    }

    /// The lines to tell now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(window) = &self.window
            && now.duration_since(window.began) >= MINUTE
        {
            if window.more > 0 {
                lines.push(format!("… and {} more changes of targets", window.more));
            }
            self.window = None;
        }
        for known in self.targets.values_mut() {
            if known.told == known.is_awake {
                // It is as it was before it was told.
                known.waiting = None;
            }
            let is_free = known
                .last_line
                .is_none_or(|at| now.duration_since(at) >= MINUTE);
            let Some(line) = known.waiting.take_if(|_| is_free) else {
                continue;
            };
            known.told = known.is_awake;
            known.last_line = Some(now);
            let window = self.window.get_or_insert(Window {
                began: now,
                lines: 0,
                more: 0,
            });
            if window.lines < MOST_LINES {
                window.lines += 1;
                lines.push(line);
            } else {
                window.more += 1;
            }
        }
        lines
    }

    /// The time at which there may be lines to tell, without another change.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.targets.values();
        let waiting = waiting.filter(|known| known.waiting.is_some());
        let waiting = waiting.filter_map(|known| known.last_line);
        let window = self.window.iter().filter(|window| window.more > 0);
        let window = window.map(|window| window.began);
        waiting.chain(window).min().map(|at| at + MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &str, is_awake: bool) -> Option<String> {
        Some(format!("{target} {}", if is_awake { "up" } else { "down" }))
    }

    struct Room {
        announcer: Announcer,
        began: Instant,
    }

    impl Room {
        fn new(targets: &[&str]) -> Self {
            let mut announcer = Announcer::default();
            for target in targets {
                announcer.see(target, Some(false), || line(target, false));
            }
            let mut room = Self {
                announcer,
                began: Instant::now(),
            };
            assert_eq!(room.due(0), Vec::<String>::new());
            room
        }

        fn due(&mut self, seconds: u64) -> Vec<String> {
            self.announcer
                .due(self.began + Duration::from_secs(seconds))
        }

        fn see(&mut self, target: &str, is_awake: bool) {
            self.announcer
                .see(target, Some(is_awake), || line(target, is_awake));
        }

        /// The seconds until there is more.
        fn next(&self) -> Option<u64> {
            let next = self.announcer.next();
            next.map(|at| at.duration_since(self.began).as_secs())
        }
    }

    #[test]
    fn a_change_is_told_and_what_is_so_already_is_not() {
        let mut room = Room::new(&["worker"]);
        room.see("worker", false);
        room.see("new", true);
        assert!(room.due(1).is_empty());
        room.see("worker", true);
        assert_eq!(room.due(2), ["worker up"]);
        room.see("worker", true);
        assert!(room.due(200).is_empty());
        room.see("worker", false);
        assert_eq!(room.due(201), ["worker down"]);
        assert_eq!(room.next(), None);
    }

    #[test]
    fn the_first_state_of_a_target_that_was_never_woken_is_told() {
        let mut room = Room::new(&[]);
        room.announcer.see("worker", None, || None);
        assert!(room.due(1).is_empty());
        room.see("worker", true);
        assert_eq!(room.due(2), ["worker up"]);
        // On its way down.
        room.announcer.see("worker", None, || None);
        assert!(room.due(70).is_empty());
        room.see("worker", false);
        assert_eq!(room.due(71), ["worker down"]);
    }

    #[test]
    fn what_the_chat_did_is_known_to_the_room() {
        let mut room = Room::new(&["worker"]);
        room.announcer.see("worker", Some(true), || None);
        assert!(room.due(1).is_empty());
        room.see("worker", false);
        assert_eq!(room.due(2), ["worker down"]);
    }

    #[test]
    fn a_target_has_a_line_a_minute_and_the_last_state_counts() {
        let mut room = Room::new(&["worker"]);
        room.see("worker", true);
        assert_eq!(room.due(10), ["worker up"]);
        room.see("worker", false);
        assert!(room.due(20).is_empty());
        assert_eq!(room.next(), Some(70));
        room.see("worker", true);
        assert!(room.due(30).is_empty());
        // It is as it was told.
        assert_eq!(room.next(), None);
        room.see("worker", false);
        assert!(room.due(69).is_empty());
        assert_eq!(room.due(70), ["worker down"]);
    }

    #[test]
    fn ten_lines_a_minute_are_told_and_the_rest_is_counted() {
        let names: Vec<String> = (0..13).map(|number| format!("t{number:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut room = Room::new(&names);
        for name in &names[..9] {
            room.see(name, true);
        }
        assert_eq!(room.due(0).len(), 9);
        for name in &names[9..] {
            room.see(name, true);
        }
        assert_eq!(room.due(5), ["t09 up"]);
        assert_eq!(room.next(), Some(60));
        assert_eq!(room.due(60), ["… and 3 more changes of targets"]);
        assert_eq!(room.next(), None);
        room.see("t12", false);
        assert_eq!(room.due(70), ["t12 down"]);
    }
}
