//! The principal of a request of the gateway, once that is proven.

use crate::util::printable;

/// The longest text of [`Principal::by`], in bytes.
const MAX_BY_BYTES: usize = 200;

/// The one that asks. Nothing in it is a secret; texts that others have chosen are shown only
/// through [`printable`](crate::util::printable).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody has shown anything.
    Anonymous,
    /// A program in the cluster, by the token of its service account.
    ServiceAccount(ServiceAccountName, Option<Pod>),
    /// A person or a client, by an access token of the identity provider.
    Person(Person),
}

impl Principal {
    /// A short text for Leases and people: `sa:NAMESPACE/NAME`, `person:NAME` or `anonymous`.
    pub fn by(&self) -> String {
        let (kind, name) = match self {
            Self::Anonymous => return "anonymous".to_owned(),
            Self::ServiceAccount(account, _) => {
                ("sa:", [&*account.namespace, "/", &account.name].concat())
            }
            Self::Person(person) if person.shown.is_empty() => ("person:", person.subject.clone()),
            Self::Person(person) => ("person:", person.shown.clone()),
        };
        printable(&[kind, &name].concat(), MAX_BY_BYTES)
    }
}

/// The name of a service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAccountName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The pod that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A subject of an identity provider. It is (`issuer`, `subject`); the rest changes hands
/// and is only shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `iss`, to the byte.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// The name that is shown, such as `preferred_username`; empty if there is none.
    pub shown: String,
    /// The roles that the token says, before they are mapped.
    pub roles: Vec<String>,
}
