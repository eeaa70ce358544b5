//! The service accounts that are trusted: `k8sTrust`.

use super::roles::{ANY, Names};
use crate::config::document::{Object, Shape, entries, list, switch, text};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::control::access::Identity;
use crate::control::{Namespace, ObjectName};
use crate::json::{Content, Located};

/// All that can be said of the trust in service accounts.
pub(super) const KEYS: [&str; 4] = [
    "enabled",
    "allowedIdentities",
    "ephemeralSessions",
    "auditLog",
];

/// All that can be said of a service account.
pub(super) const IDENTITY_KEYS: [&str; 4] = [
    "namespace",
    "serviceAccount",
    "allowedRoles",
    "allowUnbound",
];

/// The most service accounts that may be named.
const MAX_IDENTITIES: usize = 500;

const BLOCK: &str = "write { \"enabled\": true, \"allowedIdentities\": [ { \"namespace\": …, \
    \"serviceAccount\": …, \"allowedRoles\": [ … ] } ] }";

static SHAPE: Shape = Shape {
    keys: &KEYS,
    unknown: "write keys of docs/gateway.schema.json",
    missing: BLOCK,
};

static IDENTITY_SHAPE: Shape = Shape {
    keys: &IDENTITY_KEYS,
    unknown: "write keys of docs/gateway.schema.json",
    missing: "say of each identity its namespace, its serviceAccount and its allowedRoles: what is \
        left out allows nobody, and never everybody",
};

/// The trust in service accounts; by default there is none.
pub(super) struct Trust {
    pub(super) enabled: bool,
    pub(super) identities: Vec<Identity>,
    /// True if who was let in is logged, whatever they showed.
    pub(super) audit_successes: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            enabled: false,
            identities: Vec::new(),
            audit_successes: true,
        }
    }
}

/// Reads `k8sTrust`.
pub(super) fn trust(value: Located<'_>, names: &Names, flaws: &mut Flaws) -> Trust {
    let line = value.line();
    let fields = match entries(value) {
        Ok(fields) => fields,
        Err(problem) => {
            let problem = format!("has k8sTrust in line {line}, which {problem}");
            flaws.note(Flaw::new(problem, BLOCK));
            return Trust::default();
        }
    };
    let mut object = Object::new(fields, "k8sTrust".to_owned(), line, &SHAPE, flaws);
    let enabled = object.needed("enabled", switch).unwrap_or(true);
    let audit_successes = object.read("auditLog", switch).flatten();
    object.read("ephemeralSessions", ephemeral);
    let items = match enabled {
        true => object.needed("allowedIdentities", list),
        false => object.read("allowedIdentities", list).flatten(),
    };
    let mut items = items.unwrap_or_default();
    let at = object.take("allowedIdentities").map(|value| value.line());
    if let (true, true, Some(line)) = (enabled, items.is_empty(), at) {
        let is_list = object
            .take("allowedIdentities")
            .and_then(|value| value.content().ok());
        if matches!(is_list, Some(Content::List(_))) {
            let flaw = Flaw::new(
                "is empty, so that nobody is trusted",
                "name the service accounts that are, or write \"enabled\": false",
            );
            object.flaw_of("allowedIdentities", line, flaw);
        }
    }
    if items.len() > MAX_IDENTITIES {
        let problem = format!(", whose allowedIdentities are {}", items.len());
        object.flaw(&problem, "name at most 500");
        items.truncate(MAX_IDENTITIES);
    }
    let flaws = object.flaws;
    let identities = items
        .into_iter()
        .zip(1..)
        .filter_map(|(item, number)| identity(item, number, names, flaws));
    let identities: Vec<Identity> = identities.collect();
    Trust {
        enabled,
        identities: if enabled { identities } else { Vec::new() },
        audit_successes: audit_successes.unwrap_or(true),
    }
}

/// There is nothing to keep beyond a session.
fn ephemeral(content: Content<'_>) -> Result<(), Flaw> {
    match switch(content)? {
        true => Ok(()),
        false => Err(Flaw::new(
            "is false, and there is nothing else",
            "write true, or leave it out: no record of a caller outlives its token",
        )),
    }
}

fn identity(
    value: Located<'_>,
    number: usize,
    names: &Names,
    flaws: &mut Flaws,
) -> Option<Identity> {
    let line = value.line();
    let called = format!("identity {number}");
    let fields = entries(value).map_err(|problem| {
        let problem = format!("has {called} (line {line}), which {problem}");
        let cure = "write { \"namespace\": …, \"serviceAccount\": …, \"allowedRoles\": [ … ] }";
        flaws.note(Flaw::new(problem, cure));
    });
    let mut object = Object::new(fields.ok()?, called, line, &IDENTITY_SHAPE, flaws);
    let namespace = object.needed("namespace", |content| {
        part(content, |text| Namespace::parse(text).is_some())
    });
    let name = object.needed("serviceAccount", |content| {
        part(content, |text| ObjectName::parse(text).is_some())
    });
    let cure = "name the roles that it has, or leave the identity out";
    let roles = object.some("allowedRoles", cure, |text| names.role(text));
    if let Some(None) = &roles {
        object.lacks("allowedRoles");
    }
    let allow_unbound = object.read("allowUnbound", switch);
    if let (Some(None), Some(None)) = (&namespace, &name) {
        object.flaw(
            ", whose namespace and serviceAccount are both *: that is every pod of the cluster",
            "name one of the two",
        );
        return None;
    }
    Some(Identity {
        namespace: namespace?,
        name: name?,
        roles: roles??.into_iter().collect(),
        allow_unbound: allow_unbound?.unwrap_or(false),
    })
}

/// A name, or none for any.
fn part(content: Content<'_>, is_name: impl Fn(&str) -> bool) -> Result<Option<String>, Flaw> {
    let text = text(content)?;
    if text == ANY {
        return Ok(None);
    }
    if text.contains('*') {
        return Err(Flaw::new(
            format!("has a * in a name: {}", quoted(&text)),
            "write a whole name, or \"*\" alone for any",
        ));
    }
    match is_name(&text) {
        true => Ok(Some(text)),
        false => Err(Flaw::new(
            format!("is not a name that Kubernetes allows: {}", quoted(&text)),
            "write its name as kubectl shows it, or \"*\" for any",
        )),
    }
}
