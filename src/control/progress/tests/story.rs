//! A change that is followed while a cluster stays as it is, for tests.

use std::time::Duration;

use super::super::{
    Ending, Follow, Goal, Look, Next, Observation, PodView, Progress, ReadError, Step,
};

/// The beginning of the stories, on the monotonic clock and on the wall.
pub(super) const START: u64 = 7_000_000;
pub(super) const WALL: u64 = 1_790_000_000_000;

/// A change and its API server.
pub(super) struct Story {
    pub(super) follow: Follow,
    pub(super) now: u64,
    pub(super) told: Vec<(u64, Ending)>,
    pub(super) edits: Vec<(u64, Progress)>,
    pub(super) looks: Vec<u64>,
    pub(super) reads: Vec<u64>,
}

impl Story {
    pub(super) fn new(goal: Goal) -> Self {
        Self {
            follow: Follow::new(goal, START, Duration::from_secs(600)),
            now: START,
            told: Vec::new(),
            edits: Vec::new(),
            looks: Vec::new(),
            reads: Vec::new(),
        }
    }

    /// Does what the steps say for so many seconds, with a cluster that stays like this.
    /// True if the story has ended.
    pub(super) fn goes_on(&mut self, secs: u64, cluster: &Observation, pods: &[PodView]) -> bool {
        self.passes(secs, Ok(cluster), &look(pods))
    }

    pub(super) fn passes(
        &mut self,
        secs: u64,
        read: Result<&Observation, ReadError>,
        look: &Look,
    ) -> bool {
        let end = self.now + secs * 1_000;
        while self.now < end {
            self.reads.push(self.secs());
            let mut step = self.follow.on_observation(self.now, read);
            while self.take(&step) == Next::Look {
                self.looks.push(self.secs());
                step = self.follow.on_look(self.now, read.unwrap(), look);
                assert_ne!(step.next, Next::Look, "a look asks for no look");
            }
            match step.next {
                Next::Observe(after) => self.now += u64::try_from(after.as_millis()).unwrap(),
                Next::Look | Next::End => return true,
            }
        }
        false
    }

    pub(super) fn take(&mut self, step: &Step) -> Next {
        let at = self.secs();
        assert!(step.edit.is_none() || step.outcome.is_none(), "{step:?}");
        self.told
            .extend(step.outcome.clone().map(|told| (at, told)));
        self.edits.extend(step.edit.clone().map(|edit| (at, edit)));
        step.next
    }

    pub(super) fn secs(&self) -> u64 {
        (self.now - START) / 1_000
    }

    pub(super) fn endings(&self) -> Vec<Ending> {
        self.told.iter().map(|(_, ending)| ending.clone()).collect()
    }
}

pub(super) fn look(pods: &[PodView]) -> Look {
    Look {
        pods: Ok(pods.to_vec()),
        events: Ok(Vec::new()),
    }
}
