//! The candidate that wins, and the time at which it does.

use std::time::Duration;

use crate::net::dns::message::Family::{self, V4, V6};
use crate::net::dns::message::LookupFault;
use crate::net::dns::search::{Outcome, PATIENCE, Search, Step};
use crate::net::dns::unresolved::Answered;

const BOTH: [Family; 2] = [V4, V6];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn search(candidates: usize) -> Search {
    let mut search = Search::new(candidates, &BOTH, PATIENCE);
    assert_eq!(search.step(ms(0)), Step::Ask(vec![0]));
    search
}

fn found(address: &str) -> Outcome {
    Ok(vec![address.parse().unwrap()])
}

fn nothing(said: LookupFault) -> Outcome {
    let server = "10.96.0.10".parse().unwrap();
    Err(vec![Answered { server, said }])
}

fn fail(search: &mut Search, number: usize, said: LookupFault, now: u64) {
    for family in BOTH {
        search.answered(number, family, nothing(said), ms(now));
    }
}

/// Everything that a server can say, none of it an address.
fn all_failures() -> [LookupFault; 8] {
    [
        LookupFault::NoName,
        LookupFault::NoAddress,
        LookupFault::Error(2),
        LookupFault::Error(5),
        LookupFault::NotResponsible,
        LookupFault::Malformed,
        LookupFault::Silence(8000),
        LookupFault::Unreachable(std::io::ErrorKind::ConnectionRefused),
    ]
}

#[test]
fn whatever_fails_the_next_is_asked() {
    for said in all_failures() {
        let mut search = search(2);
        fail(&mut search, 0, said, 7);
        assert_eq!(search.step(ms(7)), Step::Ask(vec![1]), "{said:?}");
        search.answered(1, V4, found("10.0.0.1"), ms(9));
        search.answered(1, V6, nothing(LookupFault::NoAddress), ms(9));
        assert_eq!(search.step(ms(9)), Step::Take(1), "{said:?}");
        assert_eq!(search.into_addresses(1).len(), 1);
    }
}

#[test]
fn one_family_is_enough_whatever_the_other_says() {
    for said in all_failures() {
        for (good, bad) in [(V4, V6), (V6, V4)] {
            for good_first in [true, false] {
                let mut search = search(2);
                let mut events = [(good, found("10.0.0.1")), (bad, nothing(said))];
                if !good_first {
                    events.reverse();
                }
                for (family, outcome) in events {
                    search.answered(0, family, outcome, ms(5));
                }
                assert_eq!(search.step(ms(5)), Step::Take(0), "{said:?}");
            }
        }
    }
}

#[test]
fn addresses_wait_a_moment_for_those_of_the_other_family() {
    let mut search = search(3);
    search.answered(0, V4, found("10.0.0.1"), ms(20));
    assert_eq!(search.step(ms(20)), Step::Wait(Some(ms(320))));
    assert_eq!(search.step(ms(319)), Step::Wait(Some(ms(320))));
    assert_eq!(search.step(ms(320)), Step::Take(0));
    search.answered(0, V6, found("::1"), ms(320));
    assert_eq!(search.into_addresses(0).len(), 2);
}

/// With `ndots:5`, the Service `matrix` in the namespace `dev` comes before the
/// internet's `matrix.dev`, though the latter's server is quicker.
#[test]
fn a_later_candidate_waits_for_an_earlier_one() {
    let mut search = search(3);
    assert_eq!(search.step(ms(1)), Step::Wait(Some(ms(1000))));
    // Silence: all the others are asked.
    assert_eq!(search.step(ms(1000)), Step::Ask(vec![1, 2]));
    fail(&mut search, 1, LookupFault::NoName, 1001);
    search.answered(2, V4, found("192.0.2.1"), ms(1001));
    search.answered(2, V6, nothing(LookupFault::NoAddress), ms(1001));
    assert_eq!(search.step(ms(1001)), Step::Wait(Some(ms(3000))));
    search.answered(0, V4, found("10.0.0.1"), ms(2999));
    search.answered(0, V6, nothing(LookupFault::NoAddress), ms(2999));
    assert_eq!(search.step(ms(2999)), Step::Take(0));
}

#[test]
fn a_silent_candidate_is_given_up() {
    let mut search = search(3);
    assert_eq!(search.step(ms(1000)), Step::Ask(vec![1, 2]));
    fail(&mut search, 1, LookupFault::NoName, 1001);
    search.answered(2, V4, found("192.0.2.1"), ms(1001));
    search.answered(2, V6, nothing(LookupFault::NoAddress), ms(1001));
    assert_eq!(search.step(ms(3000)), Step::Take(2));
}

#[test]
fn half_an_answer_that_there_is_no_such_name_is_nearly_one() {
    let mut search = search(2);
    search.answered(0, V4, nothing(LookupFault::NoName), ms(2));
    assert_eq!(search.step(ms(2)), Step::Wait(Some(ms(1000))));
    assert_eq!(search.step(ms(1000)), Step::Ask(vec![1]));
    search.answered(1, V4, found("192.0.2.1"), ms(1001));
    search.answered(1, V6, nothing(LookupFault::NoAddress), ms(1001));
    assert_eq!(search.step(ms(1001)), Step::Take(1));
}

#[test]
fn nobody_else_waiting_a_slow_answer_is_taken() {
    let mut search = search(2);
    assert_eq!(search.step(ms(1000)), Step::Ask(vec![1]));
    fail(&mut search, 1, LookupFault::NoName, 1001);
    assert_eq!(search.step(ms(1001)), Step::Wait(Some(ms(3000))));
    assert_eq!(search.step(ms(3000)), Step::Wait(None));
    search.answered(0, V4, found("10.0.0.1"), ms(7500));
    assert_eq!(search.step(ms(7500)), Step::Wait(Some(ms(7800))));
    assert_eq!(search.step(ms(7800)), Step::Take(0));
}

#[test]
fn with_nothing_left_it_gives_up() {
    let mut search = search(2);
    fail(&mut search, 0, LookupFault::NoName, 1);
    assert_eq!(search.step(ms(1)), Step::Ask(vec![1]));
    fail(&mut search, 1, LookupFault::Error(2), 2);
    assert_eq!(search.step(ms(2)), Step::GiveUp);
    let failures = search.into_failures();
    assert_eq!(failures.len(), 2);
    assert!(
        failures[1]
            .iter()
            .all(|(_, said)| said[0].said == LookupFault::Error(2))
    );
    // Nothing to ask for at all.
    assert_eq!(Search::new(0, &BOTH, PATIENCE).step(ms(0)), Step::GiveUp);
}

#[test]
fn the_configuration_can_only_shorten_the_patience() {
    for (configured, holds) in [(1, 1000), (2, 2000), (30, 3000)] {
        let mut search = Search::new(2, &[V4], Duration::from_secs(configured));
        assert_eq!(search.step(ms(0)), Step::Ask(vec![0]));
        assert_eq!(search.step(ms(1000)), Step::Ask(vec![1]));
        search.answered(1, V4, found("192.0.2.1"), ms(1000));
        if holds > 1000 {
            assert_eq!(search.step(ms(1000)), Step::Wait(Some(ms(holds))));
        }
        assert_eq!(search.step(ms(holds)), Step::Take(1));
    }
}
