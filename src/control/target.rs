//! The Deployment that is scaled.
//!
//! Specification of its names:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names>.

use std::fmt;

use thiserror::Error;

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
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse_label(text, MAX_LABEL)?;
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DeploymentName {
    /// Takes a text that is a name; see [`DeploymentName`] for the rule.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_SUBDOMAIN {
            return Err(NameError::TooLong(MAX_SUBDOMAIN));
        }
        for label in text.split('.') {
            parse_label(label, MAX_SUBDOMAIN)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn parse_label(text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > limit {
        return Err(NameError::TooLong(limit));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(c) = text.chars().find(|&c| !allowed(c)) {
        return Err(NameError::Character(c));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Edge);
    }
    Ok(())
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

/// The rule for names that a text breaks. `Display` goes after the name of what
/// was given: "DEPLOYMENT_NAME must not be empty".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// There is nothing, or nothing between two dots.
    #[error("must not be empty, nor have an empty part")]
    Empty,
    /// There are more than this many bytes.
    #[error("must not be longer than {0} characters")]
    TooLong(usize),
    /// This character is not allowed.
    #[error("must be of lower-case letters, digits and '-' (RFC 1123), not {0:?}")]
    Character(char),
    /// There is a `-` at an end, or next to a dot.
    #[error("must start and end with a letter or digit (RFC 1123)")]
    Edge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "0", "claw-bot-2", &"a".repeat(63)] {
            assert!(Namespace::parse(good).is_ok(), "{good}");
            assert!(DeploymentName::parse(good).is_ok(), "{good}");
        }
        assert!(DeploymentName::parse("a.b-c.0").is_ok());
        assert!(DeploymentName::parse(&"a".repeat(253)).is_ok());
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_the_rule() {
        let namespace = |text: &str| Namespace::parse(text).unwrap_err();
        let name = |text: &str| DeploymentName::parse(text).unwrap_err();
        assert_eq!(namespace(""), NameError::Empty);
        assert_eq!(namespace(&"a".repeat(64)), NameError::TooLong(63));
        assert_eq!(namespace("a.b"), NameError::Character('.'));
        assert_eq!(namespace("a-"), NameError::Edge);
        assert_eq!(name(&"a".repeat(254)), NameError::TooLong(253));
        assert_eq!(name("a..b"), NameError::Empty);
        assert_eq!(name(".."), NameError::Empty);
        assert_eq!(name("a.-b"), NameError::Edge);
        assert_eq!(name("A"), NameError::Character('A'));
        assert_eq!(name("ä"), NameError::Character('ä'));
        for hostile in ["a/b", "a?b", "a#b", "a%2fb", "a b", "a\n", "a\0"] {
            assert!(
                matches!(name(hostile), NameError::Character(_)),
                "{hostile:?}"
            );
        }
        assert_eq!(
            name("a\nb").to_string(),
            "must be of lower-case letters, digits and '-' (RFC 1123), not '\\n'"
        );
    }
}
