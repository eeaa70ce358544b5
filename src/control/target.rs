//! Which Deployment.

use std::fmt;

/// A label of RFC 1123, in bytes.
const MAX_LABEL: usize = 63;

/// A subdomain of RFC 1123, in bytes.
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
    /// Where it is.
    pub namespace: Namespace,
    /// What it is called.
    pub name: DeploymentName,
}

impl Namespace {
    /// Takes a text that is a name; see [`Namespace`] for the rule.
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

/// Which rule for names a text breaks. `Display` goes after the name of what
/// was given: "DEPLOYMENT_NAME must not be empty".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing, or nothing between two dots.
    Empty,
    /// More than this many bytes.
    TooLong(usize),
    /// This character is not allowed.
    Character(char),
    /// A `-` at an end, or next to a dot.
    Edge,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty, nor have an empty part"),
            Self::TooLong(limit) => write!(f, "must not be longer than {limit} characters"),
            Self::Character(c) => write!(
                f,
                "must be of lower-case letters, digits and '-' (RFC 1123), not {c:?}"
            ),
            Self::Edge => f.write_str("must start and end with a letter or digit (RFC 1123)"),
        }
    }
}

impl std::error::Error for NameError {}

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
