//! The connections that have room, give way, or are refused.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;

use super::*;

const HTTP: usize = Places::PLAIN.http;

/// A task, and those that were ended.
struct Ends(usize, Rc<RefCell<Vec<usize>>>);

impl Task for Ends {
    fn end(&self) {
        self.1.borrow_mut().push(self.0);
    }
}

fn peer(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// Runs a test by a clock that only [`advance`] moves.
fn paused(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test);
}

/// Connections, each a second younger than the one before.
struct World {
    open: Connections<Ends>,
    all: Vec<(Id, Arc<Usage>)>,
    ended: Rc<RefCell<Vec<usize>>>,
}

impl World {
    fn new(max: usize) -> Self {
        Self::of(max, Places::PLAIN)
    }

    fn of(max: usize, places: Places) -> Self {
        Self {
            open: Connections::new(max, places),
            all: Vec::new(),
            ended: Rc::default(),
        }
    }

    /// One more, of a trusted address or of one that is not. Its number, if it was taken.
    async fn come(&mut self, port: Port, of: u8, is_trusted: bool) -> Option<usize> {
        advance(Duration::from_secs(1)).await;
        let (id, usage) = self.open.admit(port, peer(of), is_trusted)?;
        let number = self.all.len();
        self.open
            .served_by(id, Ends(number, Rc::clone(&self.ended)));
        self.all.push((id, usage));
        self.agrees();
        Some(number)
    }

    /// So many that are busy, from addresses of their own.
    async fn busy(&mut self, count: usize, is_trusted: bool) -> usize {
        for done in 0..count {
            let of = u8::try_from(self.all.len() % 250).unwrap();
            match self.come(Port::Proxy, of, is_trusted).await {
                Some(number) => self.usage(number).busy(),
                None => return done,
            }
        }
        count
    }

    fn usage(&self, number: usize) -> &Usage {
        &self.all[number].1
    }

    fn pass(&mut self, number: usize) -> bool {
        let passes = self.open.pass(self.all[number].0);
        self.agrees();
        passes
    }

    fn ended(&self) -> Vec<usize> {
        self.ended.borrow().clone()
    }

    fn taken(&self) -> usize {
        self.open.all.taken.load(Relaxed)
    }

    /// The counts of the addresses are together those of all.
    fn agrees(&self) {
        let sum = |count: fn(&Counts) -> usize| -> usize {
            let peers = self.open.peers.values();
            peers.map(|peer| count(&peer.places)).sum()
        };
        assert_eq!(sum(|counts| counts.taken.load(Relaxed)), self.taken());
        let idle = self.open.open.values();
        let idle = idle.filter(|entry| entry.usage.idle_since().is_some());
        let idle = idle.count() * self.open.places.http;
        assert_eq!(self.open.all.idle.load(Relaxed), idle);
        let (of_proxy, of_api) = (&self.open.of_proxy, &self.open.of_api);
        let taken = |counts: &Counts| counts.taken.load(Relaxed);
        assert_eq!(taken(of_proxy) + taken(of_api), self.taken());
        let idle_of = |counts: &Counts| counts.idle.load(Relaxed);
        assert_eq!(idle_of(of_proxy) + idle_of(of_api), idle);
        assert_eq!(sum(|counts| counts.idle.load(Relaxed)), idle);
    }
}

#[test]
fn the_connection_that_is_idle_for_longest_gives_way() {
    paused(async {
        // Room for three, and for a request of one of them.
        let mut world = World::new(3 * HTTP + OF_PASSING);
        for of in 1..=3 {
            world.come(Port::Proxy, of, false).await.unwrap();
        }
        world.usage(0).busy();
        advance(Duration::from_secs(1)).await;
        world.usage(0).idle();
        world.come(Port::Proxy, 4, false).await.unwrap();
        assert_eq!(world.ended(), [1]);
        // Where all are busy, the newest is refused.
        for number in [0, 2, 3] {
            world.usage(number).busy();
        }
        assert_eq!(world.come(Port::Proxy, 5, false).await, None);
        // Sockets take less.
        world.usage(2).socket();
        assert_eq!(world.come(Port::Proxy, 5, false).await, None);
        world.usage(0).socket();
        assert_eq!(world.come(Port::Proxy, 5, false).await, Some(4));
        world.open.ended(world.all[4].0);
        world.agrees();
        assert_eq!(world.open.len(), 3);
        assert_eq!(world.ended(), [1]);
    });
}

#[test]
fn connections_of_the_api_give_way_to_none_of_the_proxy_within_their_own_part() {
    paused(async {
        // The API's part has room for four.
        let mut world = World::new(256);
        let mut of_api = Vec::new();
        for of in 1..=4 {
            of_api.push(world.come(Port::Api, of, true).await.unwrap());
        }
        for _ in 0..400 {
            world.come(Port::Proxy, 9, true).await.unwrap();
        }
        let is_one = |number: &usize| of_api.contains(number);
        assert!(world.ended().len() > 200 && !world.ended().iter().any(is_one));
        // Where all of the proxy is busy, there is no room, and nobody of the API is ended.
        let numbers: Vec<usize> = (0..world.all.len()).collect();
        for number in numbers.iter().filter(|number| !is_one(number)) {
            world.usage(*number).busy();
        }
        assert_eq!(world.come(Port::Proxy, 9, true).await, None);
        assert!(!world.ended().iter().any(is_one));
    });
    paused(async {
        // One more than its part: the idlest of all gives way.
        let mut world = World::new(256);
        for of in 1..=5 {
            world.come(Port::Api, of, true).await.unwrap();
        }
        for _ in 0..200 {
            world.come(Port::Proxy, 9, true).await.unwrap();
        }
        assert_eq!(world.ended().first(), Some(&0));
        assert!(!world.ended().contains(&1));
    });
    paused(async {
        // Of an ingress that asks for both, and where several have to go at once.
        let mut world = World::new(256);
        for _ in 0..5 {
            world.come(Port::Api, 9, true).await.unwrap();
        }
        let mut last = 0;
        while world.taken() < 242 {
            last = world.come(Port::Proxy, 9, true).await.unwrap();
        }
        for number in [last, last - 1] {
            assert!(world.ended().is_empty());
            world.usage(number).busy();
            assert!(world.pass(number));
        }
        let of_api = world.ended().iter().filter(|number| **number < 5).count();
        assert_eq!((world.ended().len(), of_api), (3, 1));
    });
}

#[test]
fn what_is_passed_on_has_room_only_where_others_are_idle() {
    // The places, the connections that are idle, whether there is room, and those left then.
    for (max, idle, has_room, left) in [
        (HTTP + OF_PASSING, 0, true, 1),
        (HTTP + OF_PASSING + 1, 0, true, 1),
        (2 * HTTP + OF_PASSING, 1, true, 2),
        (2 * HTTP + OF_PASSING + 1, 1, true, 2),
    ] {
        paused(async move {
            let mut world = World::new(max);
            world.busy(1, true).await;
            for of in 1..=idle {
                world.come(Port::Api, of, true).await.unwrap();
            }
            assert_eq!(world.pass(0), has_room, "{max} {idle}");
            assert_eq!(world.open.len(), left, "{max} {idle}");
            assert_eq!(world.come(Port::Proxy, 9, true).await, None);
            world.usage(0).passed();
            world.agrees();
            world.usage(0).idle();
            assert!(world.come(Port::Proxy, 9, true).await.is_some());
            for (id, usage) in &world.all {
                world.open.ended(*id);
                world.open.ended(*id);
                usage.socket();
                usage.idle();
            }
            assert_eq!(world.taken(), 0);
            world.agrees();
        });
    }
}

#[test]
fn nobody_is_closed_for_one_to_whom_that_is_not_enough() {
    paused(async {
        let mut world = World::new(2 * HTTP + 2 * OF_PASSING);
        assert_eq!(world.busy(2, true).await, 2);
        assert!(world.pass(0));
        let idle = world.come(Port::Api, 3, true).await.unwrap();
        // 6 are needed, 4 are free, and the idle one has 2: it gives way.
        assert!(world.pass(1));
        assert_eq!(world.ended(), [idle]);
        world.usage(1).passed();
        world.come(Port::Api, 3, true).await.unwrap();
        world.come(Port::Api, 4, true).await.unwrap();
        world.usage(2 + 1).busy();
        // Of 4 that take 2 each only one is idle: that is not enough.
        assert!(!world.pass(1));
        assert_eq!(world.ended(), [idle]);
        world.usage(2 + 1).idle();
        assert!(world.pass(1));
        assert_eq!(world.ended().len(), 3);
    });
}

#[test]
fn connections_that_all_wait_leave_room_for_one_of_them() {
    for places in [Places::PLAIN, Places::ENCRYPTED] {
        paused(async move {
            let mut world = World::of(64, places);
            let count = world.busy(100, true).await;
            assert!(count >= 17, "{count}");
            assert!(world.pass(count - 1));
            assert!(!world.pass(0));
            world.usage(count - 1).passed();
            assert!(world.pass(0));
        });
    }
}

#[test]
fn the_api_has_a_part_of_its_own() {
    paused(async {
        let mut world = World::new(640);
        let mut number = 0;
        while world.busy(1, true).await == 1 && world.pass(number) {
            number += 1;
        }
        // As many as take all but the API's part, which is 20.
        assert_eq!(number, 77);
        assert_eq!(world.taken(), 77 * (HTTP + OF_PASSING));
        assert_eq!(world.come(Port::Proxy, 1, true).await, None);
        let mut api = Vec::new();
        while let Some(one) = world.come(Port::Api, 2, true).await {
            world.usage(one).busy();
            api.push(one);
        }
        assert_eq!(api.len(), (640 - 77 * 8) / HTTP);
        assert!(world.ended().is_empty());
        // One that was answered gives way to the next.
        world.usage(api[3]).idle();
        assert!(world.come(Port::Api, 2, true).await.is_some());
        assert_eq!(world.ended(), [api[3]]);
    });
}

#[test]
fn one_address_has_its_share_and_a_trusted_proxy_all() {
    paused(async {
        let mut world = World::new(640);
        let mut passed = 0;
        while let Some(number) = world.come(Port::Proxy, 1, false).await {
            world.usage(number).busy();
            assert!(world.pass(number));
            passed += 1;
        }
        assert_eq!(passed, 640 * 5 / 8 / (HTTP + OF_PASSING));
        assert_eq!(world.come(Port::Api, 1, false).await, None);
        // Others are served.
        for _ in 0..27 {
            let number = world.come(Port::Proxy, 2, false).await.unwrap();
            world.usage(number).busy();
            assert!(world.pass(number));
        }
        assert!(world.ended().is_empty());

        let mut world = World::new(640);
        for of in [1, 1, 2] {
            let number = world.come(Port::Proxy, of, true).await.unwrap();
            world.usage(number).busy();
            assert!(world.pass(number));
        }
        while let Some(number) = world.come(Port::Proxy, 1, true).await {
            world.usage(number).busy();
            assert!(world.pass(number));
        }
        assert_eq!(world.open.len(), 77);
    });
}

#[test]
fn its_own_are_not_closed_for_an_address_where_all_is_taken() {
    paused(async {
        let mut world = World::new(640);
        for (of, count) in [(1, 49), (2, 27)] {
            for _ in 0..count {
                let number = world.come(Port::Proxy, of, false).await.unwrap();
                world.usage(number).busy();
                assert!(world.pass(number));
            }
            if of == 1 {
                // Enough for its share.
                for _ in 0..4 {
                    world.come(Port::Api, of, false).await.unwrap();
                }
            }
        }
        for _ in 0..6 {
            let number = world.come(Port::Api, 3, true).await.unwrap();
            world.usage(number).busy();
        }
        assert_eq!(world.come(Port::Proxy, 1, false).await, None);
        assert!(world.ended().is_empty());
    });
}

#[test]
fn one_address_has_so_many_connections() {
    paused(async {
        let mut world = World::new(10_000);
        for _ in 0..MAX_PER_PEER {
            let number = world.come(Port::Proxy, 1, false).await.unwrap();
            world.usage(number).busy();
        }
        assert_eq!(world.come(Port::Proxy, 1, false).await, None);
        for (of, is_trusted) in [(1, true), (2, false)] {
            let number = world.come(Port::Proxy, of, is_trusted).await.unwrap();
            world.usage(number).busy();
        }
        assert!(world.ended().is_empty());
        // Only its own give way.
        world.usage(7).idle();
        assert!(world.come(Port::Proxy, 1, false).await.is_some());
        assert_eq!(world.ended(), [7]);
    });
}

#[test]
fn what_is_encrypted_takes_more() {
    paused(async {
        for (places, count) in [(Places::PLAIN, 7), (Places::ENCRYPTED, 4)] {
            let mut world = World::of(20, places);
            assert_eq!(world.busy(100, true).await, count);
            for number in 0..count {
                world.usage(number).socket();
                world.usage(number).socket();
                world.agrees();
            }
            assert_eq!(world.taken(), count * places.socket);
        }
    });
}
