//! The state of the gateway that liveness, readiness and the metrics are computed from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use super::exposition::Exposition;
use super::gateway_metrics::GatewayMetrics;
use super::probe::{Probe, ProbeAnswer};
use super::process;
use super::server::State;

/// The loop comes round every few seconds; what takes longer than this hangs.
const LOOP_MAX_AGE: Duration = Duration::from_secs(30);

/// The state of the running gateway: written by its loop and read by the thread that serves
/// the pages.
pub struct GatewayHealth {
    started: Instant,
    started_at: SystemTime,
    /// In milliseconds since `started`.
    alive_at: AtomicU64,
    watches_ready: AtomicBool,
    draining: AtomicBool,
    metrics: Arc<GatewayMetrics>,
}

impl GatewayHealth {
    /// The state of a process that starts now, at `started_at` by the wall clock: alive, and
    /// not ready.
    pub fn new(started_at: SystemTime, metrics: Arc<GatewayMetrics>) -> Self {
        Self {
            started: Instant::now(),
            started_at,
            alive_at: AtomicU64::new(0),
            watches_ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            metrics,
        }
    }

    /// Notes that the loop came round: to be called every 10 s at least.
    pub fn loop_alive(&self) {
        self.alive_at.store(self.now(), Relaxed);
    }

    /// Notes that the watches have shown the state of the targets once.
    pub fn watches_ready(&self) {
        self.watches_ready.store(true, Relaxed);
    }

    /// Notes that the gateway is about to end: it is not ready from now on.
    pub fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since_loop(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.alive_at.load(Relaxed)))
    }
}

impl State for GatewayHealth {
    fn judge(&self, probe: Probe) -> ProbeAnswer {
        let (ok, text) = match probe {
            Probe::Live => live(self.since_loop()),
            Probe::Ready => ready(
                self.watches_ready.load(Relaxed),
                self.draining.load(Relaxed),
            ),
        };
        ProbeAnswer { ok, text }
    }

    fn metrics(&self) -> String {
        let mut out = Exposition::default();
        out.gauge("openclaw_gateway_build_info", "Which version this is.")
            .labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        out.gauge("openclaw_gateway_ready", "Whether /readyz says yes.")
            .value(u8::from(self.judge(Probe::Ready).ok));
        self.metrics.write(&mut out);
        process::write(self.started_at, &mut out);
        out.into_text()
    }
}

/// Nothing but this process can make it fail, since a restart would cure nothing else.
fn live(since_loop: Duration) -> (bool, String) {
    let age = since_loop.as_secs();
    match since_loop < LOOP_MAX_AGE {
        true => (true, format!("loop: ok ({age} s ago)\n")),
        false => {
            let limit = LOOP_MAX_AGE.as_secs();
            (false, format!("loop: {age} s ago, more than {limit} s\n"))
        }
    }
}

fn ready(watches: bool, draining: bool) -> (bool, String) {
    let watches_say = if watches { "ok" } else { "not yet" };
    let draining_says = if draining { "yes" } else { "no" };
    let text = format!("watches: {watches_say}\ndraining: {draining_says}\n");
    (watches && !draining, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> GatewayHealth {
        GatewayHealth::new(SystemTime::UNIX_EPOCH, Arc::default())
    }

    fn answer(health: &GatewayHealth, probe: Probe) -> (bool, String) {
        let answer = health.judge(probe);
        (answer.ok, answer.text)
    }

    #[test]
    fn it_is_ready_between_the_first_state_of_the_watches_and_the_end() {
        let health = health();
        let is_ready = |ok: bool, text: &str| {
            assert_eq!(answer(&health, Probe::Ready), (ok, text.to_owned()));
            let shown = format!("\nopenclaw_gateway_ready {}\n", u8::from(ok));
            assert!(health.metrics().contains(&shown));
            assert!(answer(&health, Probe::Live).0);
        };
        is_ready(false, "watches: not yet\ndraining: no\n");
        health.watches_ready();
        is_ready(true, "watches: ok\ndraining: no\n");
        health.draining();
        is_ready(false, "watches: ok\ndraining: yes\n");
    }

    #[test]
    fn a_loop_that_stands_still_is_not_alive() {
        let of = |seconds| live(Duration::from_secs(seconds));
        assert_eq!(of(29), (true, "loop: ok (29 s ago)\n".to_owned()));
        let dead = "loop: 30 s ago, more than 30 s\n".to_owned();
        assert_eq!(of(30), (false, dead));
        let health = health();
        health.loop_alive();
        assert!(health.since_loop() < Duration::from_secs(5));
    }
}
