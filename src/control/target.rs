//! The Deployment that is scaled.
//!
//! Specification of its names:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names>.

use std::fmt;

/// The longest label of RFC 1123, in bytes.
const MAX_LABEL: usize = 63;

/// The longest subdomain of RFC 1123, in bytes.
const MAX_SUBDOMAIN: usize = 253;

/// A namespace's name: lower-case letters, digits and `-`, at most 63, with a
/// letter or digit at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

/// A Deployment's name: as a [`Namespace`], but up to 253 and with `.` between
/// such parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentName(String);

/// A Deployment in a namespace. Both names are safe in a URL's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: DeploymentName,
}

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

impl DeploymentName {
    /// Takes a text that is a name; see [`DeploymentName`] for the rule.
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
fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DeploymentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `namespace/name`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "0", "claw-bot-2", &"a".repeat(63)] {
            assert!(Namespace::parse(good).is_some(), "{good}");
            assert!(DeploymentName::parse(good).is_some(), "{good}");
        }
        assert!(DeploymentName::parse("a.b-c.0").is_some());
        assert!(DeploymentName::parse(&"a".repeat(253)).is_some());
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
            assert_eq!(DeploymentName::parse(name), None, "{name:?}");
        }
    }
}
