//! A histogram of durations.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The number of buckets.
const BUCKETS: usize = 12;

/// Upper bounds in microseconds, each with the text it is shown by in seconds.
type Bounds = [(u64, &'static str); BUCKETS];

/// For requests to another server.
static OF_REQUESTS: Bounds = [
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (u64::MAX, "+Inf"),
];

/// For starts of workloads.
#[cfg(feature = "gateway")]
static OF_STARTS: Bounds = [
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_000_000, "2"),
    (3_000_000, "3"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (20_000_000, "20"),
    (30_000_000, "30"),
    (60_000_000, "60"),
    (120_000_000, "120"),
    (300_000_000, "300"),
    (u64::MAX, "+Inf"),
];

/// The number of durations in each bucket; of requests by default.
pub(super) struct Histogram {
    bounds: &'static Bounds,
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::of(&OF_REQUESTS)
    }
}

impl Histogram {
    fn of(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            buckets: Default::default(),
            sum_us: AtomicU64::new(0),
        }
    }

    /// For starts of workloads, from half a second to five minutes.
    #[cfg(feature = "gateway")]
    pub(super) fn of_starts() -> Self {
        Self::of(&OF_STARTS)
    }

    pub(super) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut buckets = self.bounds.iter().zip(&self.buckets);
        if let Some((_, fits)) = buckets.find(|((bound, _), _)| us <= *bound) {
            fits.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// Upper bounds, in seconds, each with the number of durations up to it; the last one
    /// has all.
    pub(super) fn cumulative(&self) -> Vec<(&'static str, u64)> {
        let mut count = 0;
        let buckets = self.bounds.iter().zip(&self.buckets);
        let cumulative = buckets.map(|((_, bound), bucket)| {
            count += bucket.load(Relaxed);
            (*bound, count)
        });
        cumulative.collect()
    }

    /// The sum of the durations, in seconds.
    pub(super) fn sum(&self) -> f64 {
        Duration::from_micros(self.sum_us.load(Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for ms in [0, 5, 6, 2_500, 10_000, 10_001] {
            histogram.observe(Duration::from_millis(ms));
        }
        let buckets = histogram.cumulative();
        assert_eq!(buckets.first(), Some(&("0.005", 2)));
        assert_eq!(buckets.get(1), Some(&("0.01", 3)));
        assert_eq!(buckets.get(8), Some(&("2.5", 4)));
        assert_eq!(buckets.get(10), Some(&("10", 5)));
        assert_eq!(buckets.last(), Some(&("+Inf", 6)));
        assert!((histogram.sum() - 22.512).abs() < 1e-9);
    }

    #[test]
    #[cfg(feature = "gateway")]
    fn bounds_are_what_they_are_shown_as() {
        for histogram in [Histogram::default(), Histogram::of_starts()] {
            let (last, bounds) = histogram.bounds.split_last().unwrap();
            assert_eq!(last.1, "+Inf");
            for (us, shown) in bounds {
                let seconds: f64 = shown.parse().unwrap();
                assert_eq!(Duration::from_micros(*us), Duration::from_secs_f64(seconds));
            }
        }
    }
}
