//! The names of namespaces and of objects.
//!
//! Specification:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names>.

use std::fmt;

/// The longest label of RFC 1123, in bytes.
const MAX_LABEL: usize = 63;

/// The longest subdomain of RFC 1123, in bytes.
const MAX_SUBDOMAIN: usize = 253;

/// A namespace's name: lower-case letters, digits and `-`, at most 63, with a
/// letter or digit at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

/// An object's name: as a [`Namespace`], but up to 253 and with `.` between
/// such parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl Namespace {
    /// Takes a text that is a name; see [`Namespace`] for the rule.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = text.len() <= MAX_LABEL && is_label(text);
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ObjectName {
    /// Takes a text that is a name; see [`ObjectName`] for the rule.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_label);
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True for a label of RFC 1123 of any length.
pub(super) fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "0", "claw-bot-2", &"a".repeat(63)] {
            assert!(Namespace::parse(good).is_some(), "{good}");
            assert!(ObjectName::parse(good).is_some(), "{good}");
        }
        assert!(ObjectName::parse("a.b-c.0").is_some());
        assert!(ObjectName::parse(&"a".repeat(253)).is_some());
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for namespace in ["", &"a".repeat(64), "a.b", "a-", "-a"] {
            assert_eq!(Namespace::parse(namespace), None, "{namespace:?}");
        }
        for name in [
            "",
            &"a".repeat(254),
            "a..b",
            "..",
            "a.",
            ".a",
            "a.-b",
            "a-.b",
            "A",
            "ä",
            "a/b",
            "a?b",
            "a#b",
            "a%2fb",
            "a b",
            "a\n",
            "a\0",
            "a\nb",
        ] {
            assert_eq!(ObjectName::parse(name), None, "{name:?}");
        }
    }
}
