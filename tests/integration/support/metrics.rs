//! A reader of Prometheus' text format that takes nothing on trust: what a real
//! one would let pass by chance is an error here.

use std::collections::{BTreeMap, BTreeSet};

/// Series by how they are written, such as `x_total{result="ok"}`.
#[derive(Debug)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
}

/// A family whose head was read.
struct Family {
    name: String,
    kind: String,
}

impl Metrics {
    /// Reads an exposition, version 0.0.4.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut samples = BTreeMap::new();
        let mut families = BTreeSet::new();
        let mut family: Option<Family> = None;
        let mut helped = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(!help.is_empty() && !help.contains('\\'), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(helped.as_deref(), Some(name), "the help comes before");
                assert!(families.insert(name.to_owned()), "{name} is there twice");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                family = Some(Family {
                    name: name.to_owned(),
                    kind: kind.to_owned(),
                });
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = split(series);
                let family = family.as_ref().expect("a type comes before");
                assert!(family.owns(name), "{name} below {}", family.name);
                assert_eq!(labels.contains_key("le"), name.ends_with("_bucket"));
                let value: f64 = value.parse().expect("a number");
                assert!(value >= 0.0 && value.is_finite(), "{line}");
                let twice = samples.insert(series.to_owned(), value);
                assert_eq!(twice, None, "{series} is there twice");
            }
        }
        let metrics = Self { samples };
        metrics.check_histograms();
        metrics
    }

    /// The value of a series, which must be there.
    pub fn get(&self, series: &str) -> f64 {
        let found = self.samples.get(series);
        *found.unwrap_or_else(|| panic!("{series} is not in {:#?}", self.samples))
    }

    /// The series whose name and labels begin so, and their sum.
    pub fn sum(&self, start: &str) -> f64 {
        let found = self.samples.iter();
        found
            .filter(|(name, _)| name.starts_with(start))
            .map(|(_, v)| v)
            .sum()
    }

    /// All series.
    pub fn series(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }

    /// Buckets never shrink with their bound, and the last one is the count.
    fn check_histograms(&self) {
        let mut buckets: BTreeMap<(String, String), Vec<(f64, f64)>> = BTreeMap::new();
        for (series, value) in &self.samples {
            let (name, mut labels) = split(series);
            let Some(base) = name.strip_suffix("_bucket") else {
                continue;
            };
            let bound = labels.remove("le").expect("a bound");
            let bound = match bound.as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().expect("a bound"),
            };
            let key = (base.to_owned(), written(&labels));
            buckets.entry(key).or_default().push((bound, *value));
        }
        for ((base, labels), mut buckets) in buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1),
                "{base} {buckets:?}"
            );
            let (bound, last) = *buckets.last().expect("a bucket");
            assert_eq!(bound, f64::INFINITY);
            assert_eq!(last, self.get(&format!("{base}_count{labels}")));
            let sum = self.get(&format!("{base}_sum{labels}"));
            assert_eq!(sum == 0.0, last == 0.0);
        }
    }
}

impl Family {
    fn owns(&self, sample: &str) -> bool {
        match self.kind.as_str() {
            "histogram" => sample
                .strip_prefix(&self.name)
                .is_some_and(|suffix| ["_bucket", "_sum", "_count"].contains(&suffix)),
            _ => sample == self.name,
        }
    }
}

/// The name of a series, and its labels.
fn split(series: &str) -> (&str, BTreeMap<String, String>) {
    let (name, mut rest) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').expect("a closing brace")),
    };
    assert!(is_name(name, true), "{series}");
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").expect("a label");
        assert!(is_name(label, false), "{series}");
        let (value, after) = unescaped(value);
        assert_eq!(labels.insert(label.to_owned(), value), None, "{series}");
        rest = after.strip_prefix(',').unwrap_or(after);
        assert_eq!(rest.is_empty(), after.is_empty(), "{series}");
    }
    (name, labels)
}

/// The value up to its closing quote, and what follows.
fn unescaped(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => panic!("{other:?} cannot be escaped"),
            }),
            c => value.push(c),
        }
    }
    panic!("{text} is not closed");
}

fn written(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
    format!("{{{}}}", pairs.join(","))
}

fn is_name(text: &str, colons: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}
