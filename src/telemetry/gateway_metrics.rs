//! The numbers of the gateway. Nothing here is allocated for a request.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::exposition::Exposition;
use super::histogram::Histogram;
use super::rejections::{Rejection, Rejections};
use crate::util::SortedMap;

/// The name of what is counted under no name of its own: a namespace that is not in the
/// configuration, and a target that was never registered.
const OTHER: &str = "other";

/// The classes of statuses; what is no status is counted as the last.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The ends of an idle stop; another one is counted as the last.
const IDLE_STOPS: [&str; 4] = ["stopped", "kept", "lost", "failed"];

/// The numbers of the gateway, which the metrics page shows.
#[derive(Default)]
pub struct GatewayMetrics {
    authenticated: AtomicU64,
    not_authenticated: AtomicU64,
    held: AtomicI64,
    config_refused: AtomicBool,
    sessions: Mutex<SortedMap<String, Active>>,
    rejected: Rejections,
    targets: Mutex<SortedMap<String, Arc<TargetMetrics>>>,
}

/// The sessions of one namespace. They are counted under it whether it has a name of its own
/// or not, so that one that begins before the file is read again ends under the same name.
#[derive(Default)]
struct Active {
    has_series: bool,
    count: u64,
}

/// The numbers of one target.
struct TargetMetrics {
    requests: [AtomicU64; CLASSES.len()],
    idle_stops: [AtomicU64; IDLE_STOPS.len()],
    wakes: Histogram,
}

impl Default for TargetMetrics {
    fn default() -> Self {
        Self {
            requests: Default::default(),
            idle_stops: Default::default(),
            wakes: Histogram::of_starts(),
        }
    }
}

impl TargetMetrics {
    /// A request ended with this status (`openclaw_gateway_requests_total`).
    fn request(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        add(self.requests.get(class).or(self.requests.last()));
    }

    /// It was ready so long after its wake (`openclaw_gateway_wake_seconds`).
    fn woken(&self, after: Duration) {
        self.wakes.observe(after);
    }

    /// An idle stop ended so: `stopped`, `kept`, `lost`, `failed`
    /// (`openclaw_gateway_idle_stops_total`).
    fn idle_stop(&self, outcome: &str) {
        let at = IDLE_STOPS.iter().position(|known| *known == outcome);
        let counter = at.and_then(|at| self.idle_stops.get(at));
        add(counter.or(self.idle_stops.last()));
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Relaxed);
    }
}

impl GatewayMetrics {
    /// Begins the series of these targets, and of the sessions of service accounts in these
    /// namespaces; those of others are told together. What was counted before stays, so
    /// this may be called again when the file is read again.
    pub fn register<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a str>,
        namespaces: impl IntoIterator<Item = &'a str>,
    ) {
        let mut known = locked(&self.targets);
        for name in targets {
            if !known.contains_key(name) {
                known.insert(name.to_owned(), Arc::default());
            }
        }
        let mut known = locked(&self.sessions);
        for name in namespaces {
            known.or_default(name.to_owned()).has_series = true;
        }
    }

    /// The numbers of a target; those of a target that is not registered are counted
    /// together.
    fn target(&self, name: &str) -> Arc<TargetMetrics> {
        let mut known = locked(&self.targets);
        match known.get(name) {
            Some(target) => Arc::clone(target),
            None => Arc::clone(known.or_default(OTHER.to_owned())),
        }
    }

    /// Counts an attempt to authenticate (`openclaw_k8s_auth_attempts_total`).
    pub fn auth_attempt(&self, ok: bool) {
        add(Some(match ok {
            true => &self.authenticated,
            false => &self.not_authenticated,
        }));
    }

    /// A session of a namespace's service account begins (`openclaw_k8s_sessions_active`).
    /// The authenticator counts them: nobody else calls this.
    pub fn session_began(&self, namespace: &str) {
        let mut known = locked(&self.sessions);
        known.or_default(namespace.to_owned()).count += 1;
    }

    /// A session that was told by [`GatewayMetrics::session_began`] ends.
    pub fn session_ended(&self, namespace: &str) {
        let mut known = locked(&self.sessions);
        let Some(active) = known.get_mut(namespace) else {
            return;
        };
        active.count = active.count.saturating_sub(1);
        // So that there are never more names here than sessions and names in the file.
        if active.count == 0 && !active.has_series {
            known.remove(namespace);
        }
    }

    /// A target was ready so long after its wake (`openclaw_gateway_wake_seconds`).
    pub fn woken(&self, target: &str, after: Duration) {
        self.target(target).woken(after);
    }

    /// Adds to the number of requests that are held (`openclaw_gateway_held`), `1` or `-1`.
    pub fn held(&self, by: i64) {
        self.held.fetch_add(by, Relaxed);
    }

    /// The file, or the certificate and its key, is on disk in a form that is not in force
    /// (`openclaw_gateway_config_refused`).
    pub fn config_refused(&self, is_refused: bool) {
        self.config_refused.store(is_refused, Relaxed);
    }

    /// A request, or a connection, was turned away (`openclaw_gateway_rejected_total`).
    pub fn rejected(&self, reason: Rejection) {
        self.rejected.count(reason);
    }

    /// A request for a target ended with this status (`openclaw_gateway_requests_total`).
    pub fn request(&self, target: &str, status: u16) {
        self.target(target).request(status);
    }

    /// An idle stop ended so: `stopped`, `kept`, `lost`, `failed`
    /// (`openclaw_gateway_idle_stops_total`).
    pub fn idle_stop(&self, target: &str, outcome: &'static str) {
        self.target(target).idle_stop(outcome);
    }

    /// All of them as text, for tests.
    #[cfg(test)]
    pub(crate) fn shown(&self) -> String {
        let mut out = Exposition::default();
        self.write(&mut out);
        out.into_text()
    }

    /// Writes all of them.
    pub(super) fn write(&self, out: &mut Exposition) {
        let read = |number: &AtomicU64| number.load(Relaxed);
        let mut family = out.counter(
            "openclaw_k8s_auth_attempts_total",
            "Tokens of service accounts that were checked: taken, or not.",
        );
        family.labelled(&[("result", "success")], read(&self.authenticated));
        family.labelled(&[("result", "failed")], read(&self.not_authenticated));
        let mut family = out.gauge(
            "openclaw_k8s_sessions_active",
            "Sessions of service accounts that were used within two minutes, by their namespace.",
        );
        let mut others = 0;
        for (namespace, active) in locked(&self.sessions).iter() {
            match active.has_series && namespace != OTHER {
                true => family.labelled(&[("namespace", namespace)], active.count),
                false => others += active.count,
            }
        }
        family.labelled(&[("namespace", OTHER)], others);
        out.gauge(
            "openclaw_gateway_held",
            "Requests that wait until their target is ready.",
        )
        .value(self.held.load(Relaxed));
        out.gauge(
            "openclaw_gateway_config_refused",
            "Whether the file, or the certificate and its key, has faults, so that what was there \
             before is in force.",
        )
        .value(u8::from(self.config_refused.load(Relaxed)));
        self.rejected.write(out);
        self.write_targets(out);
    }

    fn write_targets(&self, out: &mut Exposition) {
        let targets = locked(&self.targets).clone();
        let mut family = out.counter(
            "openclaw_gateway_requests_total",
            "Requests for a target that were answered, by the class of the status.",
        );
        for (name, target) in targets.iter() {
            for (class, count) in CLASSES.iter().zip(&target.requests) {
                family.labelled(&[("target", name), ("class", class)], count.load(Relaxed));
            }
        }
        let mut family = out.counter(
            "openclaw_gateway_idle_stops_total",
            "Stops of a target that nobody used, by what became of them.",
        );
        for (name, target) in targets.iter() {
            for (outcome, count) in IDLE_STOPS.iter().zip(&target.idle_stops) {
                let labels = [("target", &**name), ("outcome", outcome)];
                family.labelled(&labels, count.load(Relaxed));
            }
        }
        let mut family = out.histogram(
            "openclaw_gateway_wake_seconds",
            "Time from the wake of a target until it could be reached.",
        );
        for (name, target) in targets.iter() {
            family.buckets(("target", name), &target.wakes);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(metrics: &GatewayMetrics, line: &str) {
        let page = metrics.shown();
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }

    #[test]
    fn all_series_are_there_from_the_start() {
        let metrics = GatewayMetrics::default();
        metrics.register(["app"], ["openclaw"]);
        for line in [
            "openclaw_k8s_auth_attempts_total{result=\"success\"} 0",
            "openclaw_k8s_auth_attempts_total{result=\"failed\"} 0",
            "openclaw_k8s_sessions_active{namespace=\"openclaw\"} 0",
            "openclaw_gateway_held 0",
            "openclaw_gateway_config_refused 0",
            "openclaw_gateway_rejected_total{reason=\"full\"} 0",
            "openclaw_gateway_requests_total{target=\"app\",class=\"5xx\"} 0",
            "openclaw_gateway_idle_stops_total{target=\"app\",outcome=\"stopped\"} 0",
            "openclaw_gateway_wake_seconds_count{target=\"app\"} 0",
        ] {
            has(&metrics, line);
        }
    }

    #[test]
    fn what_happens_is_counted_under_its_name() {
        let metrics = GatewayMetrics::default();
        metrics.register(["app"], ["openclaw"]);
        let app = metrics.target("app");
        for status in [101, 200, 204, 304, 404, 503, 0, 999] {
            app.request(status);
        }
        metrics.woken("app", Duration::from_secs(3));
        metrics.idle_stop("app", "kept");
        metrics.held(1);
        metrics.held(1);
        metrics.held(-1);
        metrics.config_refused(true);
        metrics.rejected(Rejection::Full);
        metrics.rejected(Rejection::Credential);
        metrics.auth_attempt(true);
        metrics.auth_attempt(false);
        metrics.session_began("openclaw");
        // A file that is read again leaves what was counted.
        metrics.register(["app", "other-app"], ["openclaw"]);
        for line in [
            "openclaw_gateway_requests_total{target=\"app\",class=\"1xx\"} 1",
            "openclaw_gateway_requests_total{target=\"app\",class=\"2xx\"} 2",
            "openclaw_gateway_requests_total{target=\"app\",class=\"3xx\"} 1",
            "openclaw_gateway_requests_total{target=\"app\",class=\"4xx\"} 1",
            "openclaw_gateway_requests_total{target=\"app\",class=\"5xx\"} 3",
            "openclaw_gateway_wake_seconds_bucket{target=\"app\",le=\"5\"} 1",
            "openclaw_gateway_idle_stops_total{target=\"app\",outcome=\"kept\"} 1",
            "openclaw_gateway_held 1",
            "openclaw_gateway_config_refused 1",
            "openclaw_gateway_rejected_total{reason=\"full\"} 1",
            "openclaw_gateway_rejected_total{reason=\"credential\"} 1",
            "openclaw_k8s_auth_attempts_total{result=\"success\"} 1",
            "openclaw_k8s_auth_attempts_total{result=\"failed\"} 1",
            "openclaw_k8s_sessions_active{namespace=\"openclaw\"} 1",
            "openclaw_gateway_requests_total{target=\"other-app\",class=\"2xx\"} 0",
        ] {
            has(&metrics, line);
        }
    }

    #[test]
    fn sessions_are_never_fewer_than_none() {
        let metrics = GatewayMetrics::default();
        metrics.register([], ["openclaw"]);
        metrics.session_began("openclaw");
        metrics.session_began("ci");
        metrics.session_began(OTHER);
        has(
            &metrics,
            "openclaw_k8s_sessions_active{namespace=\"other\"} 2",
        );
        // Names come with the file, before and after what is counted under them.
        metrics.register([], ["ci", OTHER]);
        for line in [
            "openclaw_k8s_sessions_active{namespace=\"openclaw\"} 1",
            "openclaw_k8s_sessions_active{namespace=\"ci\"} 1",
            "openclaw_k8s_sessions_active{namespace=\"other\"} 1",
        ] {
            has(&metrics, line);
        }
        for namespace in ["ci", "ci", "nobody", OTHER, "openclaw"] {
            metrics.session_ended(namespace);
        }
        for namespace in ["ci", OTHER, "openclaw"] {
            let line = format!("openclaw_k8s_sessions_active{{namespace=\"{namespace}\"}} 0");
            has(&metrics, &line);
        }
    }

    #[test]
    fn names_that_nobody_configured_make_one_series() {
        let metrics = GatewayMetrics::default();
        for number in 0..1_000 {
            metrics.session_began(&format!("ns-{number}"));
            metrics.request(&format!("target-{number}"), 200);
        }
        metrics.session_ended("ns-0");
        has(
            &metrics,
            "openclaw_k8s_sessions_active{namespace=\"other\"} 999",
        );
        has(
            &metrics,
            "openclaw_gateway_requests_total{target=\"other\",class=\"2xx\"} 1000",
        );
        assert!(metrics.shown().lines().count() < 80);
    }
}
