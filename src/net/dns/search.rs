//! The choice between the names that a name may stand for, and the time at which each is
//! asked for: the rules, without IO. Times are since the search began.
//!
//! A candidate is asked for once all before it have failed, in whatever way, or
//! after [`HEDGE`] of silence. It is taken once it has an address and all before
//! it have failed or were silent for too long: which server answers first never
//! decides who is connected to.

use std::net::IpAddr;
use std::time::Duration;

use super::message::{Family, LookupFault};
use super::unresolved::Answered;

/// After so long without an end to what was asked, all that is left is asked too.
const HEDGE: Duration = Duration::from_secs(1);

/// A candidate that was silent for so long keeps later ones waiting no longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The same for a family of a name that does not exist, says the other one.
const PATIENCE_FOR_NO_NAME: Duration = Duration::from_secs(1);

/// The wait for the addresses of the other family, once there are those of one
/// (<https://www.rfc-editor.org/rfc/rfc8305#section-3> has 50 ms for one direction).
const OTHER_FAMILY: Duration = Duration::from_millis(300);

/// The candidates of one name.
#[derive(Debug)]
pub(super) struct Search {
    candidates: Vec<Candidate>,
    /// [`PATIENCE`], or less if the configuration says so.
    patience: Duration,
    last_start: Duration,
}

#[derive(Debug, Clone)]
struct Candidate {
    started: Option<Duration>,
    /// The time of its first address.
    found_at: Option<Duration>,
    families: Vec<(Family, Option<Outcome>)>,
}

/// The outcome of the question for one family of a candidate: one address or more, or the
/// last word of each server that was asked.
pub(super) type Outcome = Result<Vec<IpAddr>, Vec<Answered>>;

/// The next step of the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To ask for these candidates, by their numbers.
    Ask(Vec<usize>),
    /// To wait for an outcome, and where a time is given no longer than until then.
    Wait(Option<Duration>),
    /// To take the addresses of this candidate.
    Take(usize),
    /// To give up.
    GiveUp,
}

/// The state of a candidate.
enum State {
    Unasked,
    /// Has addresses, and waits for more until this time.
    Found(Duration),
    Failed,
    /// Keeps later ones waiting until this time.
    Open(Duration),
}

impl Search {
    /// So many candidates, none asked for.
    pub(super) fn new(candidates: usize, families: &[Family], patience: Duration) -> Self {
        let candidate = Candidate {
            started: None,
            found_at: None,
            families: families.iter().map(|family| (*family, None)).collect(),
        };
        Self {
            candidates: vec![candidate; candidates],
            patience: patience.min(PATIENCE),
            last_start: Duration::ZERO,
        }
    }

    /// Takes an outcome in.
    pub(super) fn answered(
        &mut self,
        number: usize,
        family: Family,
        outcome: Outcome,
        now: Duration,
    ) {
        let Some(candidate) = self.candidates.get_mut(number) else {
            return;
        };
        if outcome.is_ok() {
            candidate.found_at.get_or_insert(now);
        }
        let of_family = candidate.families.iter_mut().find(|(of, _)| *of == family);
        if let Some((_, slot)) = of_family {
            *slot = Some(outcome);
        }
    }

    /// The step to take now.
    pub(super) fn step(&mut self, now: Duration) -> Step {
        // Until when those before the candidate that is looked at keep it waiting.
        let mut held: Option<Duration> = None;
        // Those that were asked for are the first ones.
        let mut is_asking = false;
        for (number, candidate) in self.candidates.iter().enumerate() {
            match candidate.state(self.patience) {
                State::Failed => {}
                // What comes after one that has addresses is never taken.
                State::Found(_) if held.is_some() => return Step::Wait(held),
                State::Found(settled) if now < settled => return Step::Wait(Some(settled)),
                State::Found(_) => return Step::Take(number),
                State::Open(holds) => {
                    is_asking = true;
                    if now < holds {
                        held = Some(held.map_or(holds, |until| until.min(holds)));
                    }
                }
                State::Unasked => {
                    let hedge = self.last_start + HEDGE;
                    return match is_asking {
                        false => self.start(number, number + 1, now),
                        true if now >= hedge => self.start(number, self.candidates.len(), now),
                        true => Step::Wait(Some(held.map_or(hedge, |until| until.min(hedge)))),
                    };
                }
            }
        }
        match is_asking {
            true => Step::Wait(held),
            false => Step::GiveUp,
        }
    }

    /// The addresses of a candidate, of both families.
    pub(super) fn into_addresses(self, number: usize) -> Vec<IpAddr> {
        let candidate = self.candidates.into_iter().nth(number);
        let families = candidate.into_iter().flat_map(|one| one.families);
        let found = families.filter_map(|(_, outcome)| outcome?.ok());
        found.flatten().collect()
    }

    /// The answers to each question, candidate by candidate, after all of them
    /// have failed.
    pub(super) fn into_failures(self) -> Vec<Vec<(Family, Vec<Answered>)>> {
        let of = |candidate: Candidate| {
            let families = candidate.families.into_iter();
            let why = |outcome: Option<Outcome>| outcome.and_then(Result::err).unwrap_or_default();
            families
                .map(|(family, outcome)| (family, why(outcome)))
                .collect()
        };
        self.candidates.into_iter().map(of).collect()
    }

    /// Starts the candidates of these numbers, the second one left out.
    fn start(&mut self, first: usize, end: usize, now: Duration) -> Step {
        for candidate in self.candidates.iter_mut().take(end).skip(first) {
            candidate.started = Some(now);
        }
        self.last_start = now;
        Step::Ask((first..end).collect())
    }
}

impl Candidate {
    fn state(&self, patience: Duration) -> State {
        let Some(started) = self.started else {
            return State::Unasked;
        };
        let is_pending = self.families.iter().any(|(_, outcome)| outcome.is_none());
        match self.found_at {
            Some(found) if is_pending => return State::Found(found + OTHER_FAMILY),
            Some(found) => return State::Found(found),
            None if !is_pending => return State::Failed,
            None => {}
        }
        let outcomes = self
            .families
            .iter()
            .filter_map(|(_, outcome)| outcome.as_ref());
        let mut words = outcomes
            .filter_map(|outcome| outcome.as_ref().err())
            .flatten();
        State::Open(
            match words.any(|answered| answered.said == LookupFault::NoName) {
                true => started + patience.min(PATIENCE_FOR_NO_NAME),
                false => started + patience,
            },
        )
    }
}
