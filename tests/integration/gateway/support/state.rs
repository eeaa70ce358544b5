//! The state of the stand-in for an API server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::follow::Follow;
use super::serving::Objects;
use crate::support::faults::{Faults, Faulty};

/// One request as it came in. The method of a watch is `WATCH`.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub target: String,
    pub content_type: String,
    pub body: Value,
}

/// The condition that the API server is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Well,
    /// It closes each connection.
    Down,
    /// Each answer takes so much longer.
    Slow(Duration),
    /// It turns each request away with a 429.
    Overloaded,
}

#[derive(Default)]
pub struct State {
    pub objects: Objects,
    pub calls: Vec<Call>,
    pub faults: Faults,
    pub mood: Mood,
    /// Grows when watches are to end as if their time was over.
    pub ended: usize,
    /// The pods that follow a workload, by its collection and name.
    pub follows: BTreeMap<(String, String), Follow>,
}

impl Faulty for State {
    fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }
}
