//! The Leases of the gateway: its replicas agree by them on what each target does, and the
//! chat tells them there what people want
//! (<https://kubernetes.io/docs/concepts/architecture/leases/>).

use std::fmt;

use super::{Namespace, ObjectName, TargetName};

/// The longest beginning of a Lease's name, in bytes: the longest name of a target follows.
const MAX_PREFIX: usize = 253 - 63;

/// The names of the Leases of a gateway (`GATEWAY_LEASES`): one a target, in the gateway's
/// namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leases {
    /// The gateway's namespace.
    pub namespace: Namespace,
    prefix: String,
}

/// The reason why a text does not name the Leases of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeasesFault {
    /// It has no `/`.
    #[error("has no / between the gateway's namespace and the beginning of its Leases' names")]
    NoSlash,
    /// The namespace is none.
    #[error("begins with what is not the name of a namespace")]
    Namespace,
    /// Nothing that begins so is a name.
    #[error("ends in what no name of a Lease begins with")]
    Prefix,
}

impl Leases {
    /// Reads `NAMESPACE/PREFIX`.
    ///
    /// # Errors
    /// The part of it that is wrong.
    pub fn parse(text: &str) -> Result<Self, LeasesFault> {
        let (namespace, prefix) = text.split_once('/').ok_or(LeasesFault::NoSlash)?;
        let namespace = Namespace::parse(namespace).ok_or(LeasesFault::Namespace)?;
        let begins_a_name = ObjectName::parse(&format!("{prefix}a")).is_some();
        match begins_a_name && (1..=MAX_PREFIX).contains(&prefix.len()) {
            true => Ok(Self {
                namespace,
                prefix: prefix.to_owned(),
            }),
            false => Err(LeasesFault::Prefix),
        }
    }

    /// The beginning of their names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of the Lease of a target; None for the target without a name.
    pub fn of(&self, target: &TargetName) -> Option<ObjectName> {
        let name = (!target.is_unnamed()).then(|| format!("{}{target}", self.prefix))?;
        ObjectName::parse(&name)
    }

    /// The name of the target that a Lease is about, if it is one of these.
    pub fn target<'a>(&self, lease: &'a str) -> Option<&'a str> {
        lease.strip_prefix(self.prefix.as_str())
    }
}

impl fmt::Display for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_named_after_its_target() {
        let leases = Leases::parse("openclaw/openclaw-gateway-").unwrap();
        assert_eq!(leases.to_string(), "openclaw/openclaw-gateway-");
        let worker = TargetName::parse("worker").unwrap();
        let name = leases.of(&worker).unwrap();
        assert_eq!(name.as_str(), "openclaw-gateway-worker");
        assert_eq!(leases.target(name.as_str()), Some("worker"));
        assert_eq!(leases.target("kube-scheduler"), None);
        assert_eq!(leases.of(&TargetName::unnamed()), None);
    }

    #[test]
    fn what_names_no_lease_is_refused_for_its_part() {
        for (text, fault) in [
            ("openclaw", LeasesFault::NoSlash),
            ("", LeasesFault::NoSlash),
            ("Open/gateway-", LeasesFault::Namespace),
            ("/gateway-", LeasesFault::Namespace),
            ("openclaw/", LeasesFault::Prefix),
            ("openclaw/Gateway-", LeasesFault::Prefix),
            ("openclaw/gate/way-", LeasesFault::Prefix),
            ("openclaw/-", LeasesFault::Prefix),
            (&format!("a/{}", "a".repeat(191)), LeasesFault::Prefix),
        ] {
            assert_eq!(Leases::parse(text), Err(fault), "{text}");
        }
        let longest = format!("a/{}", "a".repeat(190));
        let leases = Leases::parse(&longest).unwrap();
        let target = TargetName::parse(&"b".repeat(63)).unwrap();
        assert!(leases.of(&target).is_some());
    }
}
