//! The API's pure parts, as tables.

mod answers;
mod bodies;
mod description;
mod routes;
mod service;
mod validate;
mod world;

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use super::answer::Now;
use crate::control::TargetName;
use crate::gateway::wake::{Phase, View};

/// 2026-11-21T12:00:00Z.
const NOON_MS: u64 = 1_795_262_400_000;

fn name(text: &str) -> TargetName {
    TargetName::parse(text).unwrap()
}

fn now() -> Now {
    Now {
        instant: Instant::now() + Duration::from_secs(3_600),
        wall: UNIX_EPOCH + Duration::from_millis(NOON_MS),
    }
}

/// A target of which there is nothing to tell but its phase, which it has since 11:58:30.
fn view(phase: Phase, now: Now) -> View {
    View {
        phase,
        since: now.instant - Duration::from_secs(90),
        reason: None,
        desired: None,
        ready: 0,
        started_by: None,
        idle_left: None,
        keep_until_ms: None,
    }
}

/// A target of which everything is known.
fn full_view(now: Now) -> View {
    View {
        reason: Some("image \"x\"\ncannot be pulled".to_owned()),
        desired: Some(2),
        ready: 1,
        started_by: Some("sa:ci/runner".to_owned()),
        idle_left: Some(Duration::from_millis(1_799_999)),
        keep_until_ms: Some(NOON_MS + 500),
        ..view(Phase::Ready, now)
    }
}
