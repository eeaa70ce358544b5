//! The text format of Prometheus, version 0.0.4: families of samples.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// The media type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families, written one after the other. Names, labels and help are the
/// program's own words, without anything to escape.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
}

/// One family, whose head is written.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    // Writing into a string cannot fail.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let text = &mut self.text;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text, name }
    }
}

impl Family<'_> {
    /// A sample without labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.sample("", &[], &value);
    }

    /// A sample with these labels.
    pub(super) fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, &value);
    }

    /// The samples of a histogram with this label.
    pub(super) fn buckets(&mut self, label: (&str, &str), histogram: &Histogram) {
        let mut all = 0;
        for (bound, count) in histogram.cumulative() {
            self.sample("_bucket", &[label, ("le", bound)], &count);
            all = count;
        }
        self.sample("_sum", &[label], &histogram.sum());
        self.sample("_count", &[label], &all);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: &dyn Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn families_and_samples() {
        let mut exposition = Exposition::default();
        exposition.gauge("a_seconds", "How long.").value(1.5);
        let mut family = exposition.counter("b_total", "How often.");
        family.labelled(&[("x", "y")], 0);
        family.labelled(&[("x", "z"), ("v", "w")], 2);
        assert_eq!(
            exposition.into_text(),
            "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
             # HELP b_total How often.\n# TYPE b_total counter\n\
             b_total{x=\"y\"} 0\nb_total{x=\"z\",v=\"w\"} 2\n"
        );
    }

    #[test]
    fn a_histogram() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(20));
        histogram.observe(Duration::from_secs(60));
        let mut exposition = Exposition::default();
        exposition
            .histogram("c_seconds", "How long.")
            .buckets(("x", "y"), &histogram);
        let text = exposition.into_text();
        for line in [
            "# TYPE c_seconds histogram",
            "c_seconds_bucket{x=\"y\",le=\"0.01\"} 0",
            "c_seconds_bucket{x=\"y\",le=\"0.025\"} 1",
            "c_seconds_bucket{x=\"y\",le=\"10\"} 1",
            "c_seconds_bucket{x=\"y\",le=\"+Inf\"} 2",
            "c_seconds_sum{x=\"y\"} 60.02",
            "c_seconds_count{x=\"y\"} 2",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}");
        }
    }
}
