//! The roles of the gateway's file, and the names that persons' tokens have for them.

use std::sync::Arc;

use super::words;
use crate::config::document::{Object, Shape, entries, replicas, span};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::control::TargetName;
use crate::control::access::{Actions, Role};
use crate::json::Located;
use crate::util::{SortedMap, SortedSet, gathered, nearest};

/// All that can be said of a role.
pub(super) const KEYS: [&str; 4] = ["targets", "verbs", "maxReplicas", "maxFor"];

/// The longest name of a role, in bytes.
const MAX_NAME: usize = 63;

/// The longest name of a role in a token, in bytes.
const MAX_CLAIM: usize = 255;

/// The most roles there may be, of either kind.
pub(super) const MAX_ROLES: usize = 200;

/// The word for any.
pub(super) const ANY: &str = "*";

static SHAPE: Shape = Shape {
    keys: &KEYS,
    unknown: "write keys of docs/gateway.schema.json",
    missing: "say of each role its targets, or [\"*\"] for all of them, and its verbs",
};

/// The names that other parts of the file may use, those of faulty parts among them.
#[derive(Default)]
pub(super) struct Names {
    /// The targets.
    pub(super) targets: SortedSet<TargetName>,
    /// The roles.
    pub(super) roles: SortedSet<String>,
}

impl Names {
    /// The target of this name.
    fn target(&self, text: &str) -> Result<TargetName, Flaw> {
        let found = TargetName::parse(text).ok();
        found
            .filter(|name| self.targets.contains(name))
            .ok_or_else(|| {
                let mut problem = format!("names {}, which is none of the targets", quoted(text));
                let known = self.targets.iter().map(TargetName::as_str);
                if let Some(meant) = nearest(text, known) {
                    problem.push_str(&format!(" (perhaps {meant})"));
                }
                Flaw::new(
                    problem,
                    "write names of \"targets\", or [\"*\"] for all of them",
                )
            })
    }

    /// The role of this name; if it is none, the fault shows how it would be made.
    pub(super) fn role(&self, text: &str) -> Result<String, Flaw> {
        let name = role_name(text)?;
        if self.roles.contains(&name) {
            return Ok(name);
        }
        let mut problem = format!("names {}, which is none of the roles", quoted(text));
        if let Some(meant) = nearest(text, self.roles.iter().map(String::as_str)) {
            problem.push_str(&format!(" (perhaps {meant})"));
        }
        let target = self.targets.first().map_or(ANY, TargetName::as_str);
        problem.push_str(&format!(
            "; \"{name}\": {{\"targets\": [\"{target}\"], \"verbs\": [\"status\", \"wait\", \
             \"wake\", \"connect\"]}} would be one"
        ));
        Err(Flaw::new(
            problem,
            "add such a block to \"roles\", with the targets and verbs that are meant",
        ))
    }
}

/// A name that a role may have: it is written into logs and headers.
fn role_name(text: &str) -> Result<String, Flaw> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    match !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(Flaw::new(
            format!("is not the name of a role: {}", quoted(text)),
            "write at most 63 letters, digits, dashes, dots, colons and underscores",
        )),
    }
}

/// The names of the roles in this object, as far as they can be told.
pub(super) fn names(roles: Option<Located<'_>>) -> SortedSet<String> {
    let entries = roles.and_then(|roles| entries(roles).ok());
    let names = entries.unwrap_or_default().into_iter();
    gathered(names.map(|(name, _)| name))
}

/// The roles.
pub(super) fn roles(
    value: Option<Located<'_>>,
    names: &Names,
    flaws: &mut Flaws,
) -> SortedMap<String, Arc<Role>> {
    let mut found = SortedMap::new();
    for (name, value) in members(value, "roles", flaws) {
        if let Some(role) = role(&name, value, names, flaws) {
            found.insert(name, Arc::new(role));
        }
    }
    found
}

fn role(name: &str, value: Located<'_>, names: &Names, flaws: &mut Flaws) -> Option<Role> {
    let line = value.line();
    let called = format!("role {}", quoted(name));
    let mut wrong = |problem: String, cure| {
        flaws.note(Flaw::new(
            format!("has {called} (line {line}), {problem}"),
            cure,
        ));
    };
    let named = role_name(name).map_err(|_| {
        wrong(
            "whose name is not one".to_owned(),
            "write at most 63 letters, digits, dashes, dots, colons and underscores",
        );
    });
    let fields = entries(value).map_err(|problem| {
        wrong(
            format!("which {problem}"),
            "write { \"targets\": [ … ], \"verbs\": [ … ] }",
        );
    });
    let mut object = Object::new(fields.ok()?, called, line, &SHAPE, flaws);
    let targets = targets(&mut object, names);
    let verbs = object.some(
        "verbs",
        "name the verbs that it allows, or leave the role out",
        words::action,
    );
    if let Some(None) = &verbs {
        object.lacks("verbs");
    }
    let max_replicas = object.read("maxReplicas", replicas);
    let max_for = object.read("maxFor", span);
    named.ok()?;
    Some(Role {
        targets: targets?,
        actions: verbs??.into_iter().collect::<Actions>(),
        max_replicas: max_replicas?,
        max_for: max_for?,
    })
}

/// The targets of a role: None for all of them.
fn targets(object: &mut Object<'_, '_>, names: &Names) -> Option<Option<SortedSet<TargetName>>> {
    let cure = "name the targets that it is about, or leave the role out";
    // The word for all of them is found first, as none.
    let read = object.some("targets", cure, |text| match text {
        ANY => Ok(None),
        name => names.target(name).map(Some),
    })?;
    let Some(read) = read else {
        object.lacks("targets");
        return None;
    };
    match (read.contains(&None), read.len()) {
        (false, _) => Some(Some(gathered(read.into_iter().flatten()))),
        (true, 1) => Some(None),
        (true, _) => {
            object.flaw(
                ", whose targets are * and others beside it",
                "write [\"*\"] alone for all of them, or the names alone",
            );
            None
        }
    }
}

/// The roles that those of tokens stand for.
pub(super) fn oidc_roles(
    value: Option<Located<'_>>,
    names: &Names,
    flaws: &mut Flaws,
) -> SortedMap<String, Vec<String>> {
    static SHAPE: Shape = Shape {
        keys: &["roles"],
        unknown: "",
        missing: "",
    };
    let mut found = SortedMap::new();
    for (said, value) in members(value, "oidcRoles", flaws) {
        let line = value.line();
        let called = format!("the role {} of tokens", quoted(&said));
        if words::shown(&said, MAX_CLAIM, "role", "").is_err() {
            flaws.note(Flaw::new(
                format!("has {called} (line {line}), which is no text that can be one"),
                "write the role as the identity provider shows it",
            ));
        }
        // A list is read as the only key of an object, which knows its line.
        let fields = vec![("roles".to_owned(), value)];
        let mut object = Object::new(fields, called, line, &SHAPE, flaws);
        let cure = "name the roles that it stands for, or leave it out";
        let roles = object.some("roles", cure, |text| names.role(text));
        if let Some(Some(roles)) = roles {
            found.insert(said, roles.into_iter().collect());
        }
    }
    found
}

/// The members of an object at the top of the file, each of another name.
pub(super) fn members<'a>(
    value: Option<Located<'a>>,
    key: &str,
    flaws: &mut Flaws,
) -> Vec<(String, Located<'a>)> {
    let Some(value) = value else {
        return Vec::new();
    };
    let line = value.line();
    let mut found = match entries(value) {
        Ok(found) => found,
        Err(problem) => {
            flaws.note(Flaw::new(
                format!("has {key} in line {line}, which {problem}"),
                "write an object, with what it is about as keys: { \"NAME\": … }",
            ));
            return Vec::new();
        }
    };
    if found.len() > MAX_ROLES {
        let problem = format!("has {} {key} in line {line}", found.len());
        flaws.note(Flaw::new(
            problem,
            "name at most 200, and run a second gateway",
        ));
        found.truncate(MAX_ROLES);
    }
    let mut seen = SortedSet::new();
    for (name, value) in &found {
        if !seen.insert(name) {
            let (name, line) = (quoted(name), value.line());
            flaws.note(Flaw::new(
                format!("has {name} a second time in line {line}, among {key}"),
                "keep one of the two",
            ));
        }
    }
    found
}
