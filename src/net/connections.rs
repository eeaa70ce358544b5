//! The quotas of a server's connections, and the choice of the one that is closed when
//! there are too many: the rules, without any input or output.
//!
//! Two quotas that do not touch each other: one for the machine itself, which is
//! where liveness is asked from, one for everybody else. Within the latter each
//! address has a share; where all shares together are too many, whoever holds
//! most of them gives one up. It is always the oldest connection that goes.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::util::SortedMap;

/// Connections that the machine itself may hold at the same time.
const MAX_OWN: usize = 32;

/// Connections that all strangers together may hold at the same time.
const MAX_STRANGERS: usize = 64;

/// The part of the files that this process may open that strangers may make it
/// open; the machine itself gets half as many.
const PART_OF_FILES: usize = 4;

/// Connections that one stranger may keep.
const SHARE: usize = 4;

/// Connections that the machine itself may keep.
const OWN_SHARE: usize = 16;

/// A connection beyond its peer's share is closed at this age: a well-behaved
/// client has its answer by then, however many it opened at once.
const GRACE: Duration = Duration::from_millis(100);

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// This machine: it comes from the very address that it goes to, or from the
    /// loopback address that a client of the same machine uses by itself.
    Own,
    /// Anybody else.
    Stranger(IpAddr),
}

impl Peer {
    /// The peer that connected from `peer` to `local`. A sidecar that passes strangers on
    /// from another address of loopback is one of them.
    pub(super) fn of(peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        let ip = peer.ip().to_canonical();
        let is_usual = ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
        let is_same = local.is_some_and(|local| local.ip().to_canonical() == ip);
        if is_usual || is_same {
            Self::Own
        } else {
            Self::Stranger(ip)
        }
    }

    const fn share(self) -> usize {
        match self {
            Self::Own => OWN_SHARE,
            Self::Stranger(_) => SHARE,
        }
    }
}

/// The task that serves a connection.
pub(super) trait Task {
    /// Returns whether it has ended.
    fn is_finished(&self) -> bool;
    /// Ends it, and closes its connection.
    fn end(&self);
}

impl Task for AbortHandle {
    fn is_finished(&self) -> bool {
        self.is_finished()
    }

    fn end(&self) {
        self.abort();
    }
}

/// Connections of one peer, each with the time at which it was opened.
type Queue<T> = VecDeque<(T, Instant)>;

/// The connections that are open.
pub(super) struct Connections<T> {
    /// Of each peer, the oldest first. No queue is empty.
    by_peer: SortedMap<Peer, Queue<T>>,
    max_own: usize,
    max_strangers: usize,
}

impl<T: Task> Connections<T> {
    /// None yet, in a process that may have this many files open.
    pub(super) fn new(files: usize) -> Self {
        let strangers = files / PART_OF_FILES;
        Self {
            by_peer: SortedMap::new(),
            max_own: (strangers / 2).clamp(1, MAX_OWN),
            max_strangers: strangers.clamp(1, MAX_STRANGERS),
        }
    }

    /// The next time at which [`Connections::trim`] has something to do, if nothing else
    /// happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.by_peer
            .iter()
            .filter(|(peer, open)| open.len() > peer.share())
            .filter_map(|(_, open)| Some(open.front()?.1 + GRACE))
            .min()
    }

    /// Forgets those that are done, and ends those beyond their peer's share that
    /// have had their time.
    pub(super) fn trim(&mut self, now: Instant) {
        for (peer, open) in self.by_peer.iter_mut() {
            open.retain(|(task, _)| !task.is_finished());
            while open.len() > peer.share() {
                match open.pop_front_if(|(_, since)| *since + GRACE <= now) {
                    Some((task, _)) => task.end(),
                    None => break,
                }
            }
        }
        self.by_peer.retain(|_, open| !open.is_empty());
    }

    /// Ends the oldest connection of whoever has to give one up, so that this
    /// peer may open one more. None has to go if there is room.
    pub(super) fn make_room(&mut self, peer: Peer, now: Instant) {
        self.trim(now);
        let is_own = peer == Peer::Own;
        let most = match is_own {
            true => self.max_own,
            false => self.max_strangers,
        };
        while self
            .quota(is_own)
            .map(|(_, open)| open.len())
            .sum::<usize>()
            >= most
        {
            self.give_up_one(is_own);
        }
    }

    /// Takes in a new connection.
    pub(super) fn add(&mut self, peer: Peer, task: T, now: Instant) {
        self.by_peer.or_default(peer).push_back((task, now));
    }

    /// Ends the oldest connection of whoever holds most: of the machine itself, or of
    /// the strangers.
    pub(super) fn give_up_one(&mut self, is_own: bool) {
        let largest = self.quota(is_own).max_by_key(|(_, open)| {
            let since = open.front().map(|(_, since)| *since);
            (open.len(), std::cmp::Reverse(since))
        });
        if let Some((_, open)) = largest
            && let Some((task, _)) = open.pop_front()
        {
            task.end();
        }
        self.by_peer.retain(|_, open| !open.is_empty());
    }

    /// The connections of the machine itself, or those of the strangers.
    fn quota(&mut self, is_own: bool) -> impl Iterator<Item = (&Peer, &mut Queue<T>)> {
        let all = self.by_peer.iter_mut();
        all.filter(move |(peer, _)| (**peer == Peer::Own) == is_own)
    }
}

/// The number of files that this process may have open, by `/proc/self/limits`.
pub(super) fn file_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    Some(soft.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Fake(Rc<Cell<bool>>);

    impl Task for Fake {
        fn is_finished(&self) -> bool {
            self.0.get()
        }

        fn end(&self) {
            self.0.set(true);
        }
    }

    fn stranger(number: u8) -> Peer {
        Peer::Stranger(IpAddr::from([10, 0, 0, number]))
    }

    /// Opens one, and gives what tells whether it was closed.
    fn open(all: &mut Connections<Fake>, peer: Peer, now: Instant) -> Fake {
        all.make_room(peer, now);
        let task = Fake::default();
        all.add(peer, task.clone(), now);
        task
    }

    fn open_ones(tasks: &[Fake]) -> usize {
        tasks.iter().filter(|task| !task.is_finished()).count()
    }

    #[test]
    fn who_is_of_this_machine() {
        for (peer, local, is_own) in [
            ("127.0.0.1:9", "127.0.0.1:80", true),
            ("127.0.0.1:9", "127.8.9.7:80", true),
            ("[::1]:9", "[::1]:80", true),
            ("[::ffff:127.0.0.1]:9", "[::ffff:127.0.0.1]:80", true),
            ("10.1.2.3:9", "10.1.2.3:80", true),
            ("[::ffff:10.1.2.3]:9", "10.1.2.3:80", true),
            ("127.0.0.6:9", "127.0.0.1:80", false),
            ("10.1.2.4:9", "10.1.2.3:80", false),
            ("[::2]:9", "[::1]:80", false),
        ] {
            let found = Peer::of(peer.parse().unwrap(), local.parse().ok());
            assert_eq!(found == Peer::Own, is_own, "{peer} to {local}");
        }
        let same = Peer::of("[::ffff:10.0.0.7]:9".parse().unwrap(), None);
        assert_eq!(same, stranger(7));
    }

    #[test]
    fn beyond_the_share_the_oldest_goes_once_it_had_its_time() {
        let mut all = Connections::new(1024);
        let start = Instant::now();
        let tasks: Vec<_> = (0..10)
            .map(|ms| open(&mut all, stranger(1), start + Duration::from_millis(ms)))
            .collect();
        assert_eq!(open_ones(&tasks), 10);
        assert_eq!(all.due(), Some(start + GRACE));
        all.trim(start + GRACE + Duration::from_millis(2));
        assert_eq!(open_ones(&tasks[..3]), 0);
        assert_eq!(open_ones(&tasks[3..]), 7);
        all.trim(start + GRACE * 2);
        assert_eq!(open_ones(&tasks[..6]), 0);
        assert_eq!(open_ones(&tasks[6..]), SHARE);
        assert_eq!(all.due(), None);
    }

    #[test]
    fn whoever_holds_most_gives_one_up_and_the_machine_itself_nothing() {
        let mut all = Connections::new(1024);
        let now = Instant::now();
        let own: Vec<_> = (0..MAX_OWN)
            .map(|_| open(&mut all, Peer::Own, now))
            .collect();
        let one = open(&mut all, stranger(200), now);
        let greedy: Vec<_> = (0..500).map(|_| open(&mut all, stranger(1), now)).collect();
        let many: Vec<_> = (2..62)
            .map(|at| open(&mut all, stranger(at), now))
            .collect();
        assert_eq!((open_ones(&own), open_ones(&[one])), (MAX_OWN, 1));
        assert_eq!(open_ones(&many), 60);
        assert_eq!(open_ones(&greedy), MAX_STRANGERS - 61);
        assert_eq!(open_ones(&greedy[..490]), 0, "the oldest went first");
        let again = open(&mut all, Peer::Own, now);
        assert_eq!((open_ones(&own), open_ones(&[again])), (MAX_OWN - 1, 1));
        assert_eq!(open_ones(&many), 60);
    }

    #[test]
    fn where_all_hold_one_the_oldest_goes() {
        let mut all = Connections::new(1024);
        let start = Instant::now();
        let at = |number: u8| start + Duration::from_millis(number.into());
        let tasks: Vec<_> = (0..100)
            .map(|number| open(&mut all, stranger(number), at(number)))
            .collect();
        assert_eq!(open_ones(&tasks), MAX_STRANGERS);
        assert_eq!(open_ones(&tasks[100 - MAX_STRANGERS..]), MAX_STRANGERS);
    }

    #[test]
    fn those_that_are_done_take_no_room() {
        let mut all = Connections::new(1024);
        let now = Instant::now();
        let first = open(&mut all, stranger(1), now);
        for number in 0..200 {
            open(&mut all, stranger(number), now).end();
        }
        assert!(!first.is_finished());
    }

    #[test]
    fn fewer_files_are_fewer_connections() {
        let caps = |files| {
            let all = Connections::<Fake>::new(files);
            (all.max_own, all.max_strangers)
        };
        assert_eq!(caps(usize::MAX), (MAX_OWN, MAX_STRANGERS));
        assert_eq!(caps(256), (MAX_OWN, MAX_STRANGERS));
        assert_eq!(caps(48), (6, 12));
        assert_eq!(caps(0), (1, 1));
        assert!(file_limit().is_some_and(|files| files > 0));
    }
}
