//! The parts of the gateway's file, which may be that of OpenClaw with more in it.

use crate::config::document::{entries, unknown};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::json::Located;
use crate::util::{nearest, printable};

/// The keys at the top. The first names the file's schema, for editors.
pub(super) const KEYS: [&str; 6] = [
    "$schema",
    "gateway",
    "k8sTrust",
    "roles",
    "oidcRoles",
    "targets",
];

/// Those of them that no key of OpenClaw's can be a slip of.
const LONG: [&str; 3] = ["k8sTrust", "oidcRoles", "targets"];

/// The longest part of a foreign key that is shown, in bytes.
const MAX_SHOWN: usize = 40;

const SHAPE: &str = "write { \"targets\": { \"NAME\": { … } }, \"roles\": { … }, \"k8sTrust\": { … } \
    }, as docs/gateway.schema.json describes it";

const KEEP_ONE: &str = "keep one of the two";

/// The values of the parts.
#[derive(Default)]
pub(super) struct Outline<'a> {
    pub(super) targets: Option<Located<'a>>,
    pub(super) roles: Option<Located<'a>>,
    pub(super) oidc_roles: Option<Located<'a>>,
    pub(super) trust: Option<Located<'a>>,
    /// The paths of keys that another program has a use for.
    pub(super) foreign: Vec<String>,
}

/// Finds the parts.
pub(super) fn outline<'a>(root: Located<'a>, flaws: &mut Flaws) -> Outline<'a> {
    let mut outline = Outline::default();
    let top = match entries(root) {
        Ok(top) => top,
        Err(problem) => {
            flaws.note(Flaw::new(problem, SHAPE));
            return outline;
        }
    };
    let is_openclaw = top.iter().any(|(key, _)| key == "gateway");
    let mut gateway = None;
    for (key, value) in top {
        let line = value.line();
        let part = match key.as_str() {
            "$schema" => continue,
            "targets" => &mut outline.targets,
            "roles" => &mut outline.roles,
            "oidcRoles" => &mut outline.oidc_roles,
            "k8sTrust" => &mut outline.trust,
            "gateway" => &mut gateway,
            "workspaces" => {
                flaws.note(Flaw::new(
                    format!("has workspaces in line {line}, which are not in this version"),
                    "leave them out, and name workloads that are there as targets",
                ));
                continue;
            }
            other if is_openclaw && nearest(other, LONG).is_none() => {
                outline.foreign.push(printable(other, MAX_SHOWN));
                continue;
            }
            other => {
                flaws.note(Flaw::new(unknown(other, line, &KEYS), SHAPE));
                continue;
            }
        };
        if part.replace(value).is_some() {
            let key = quoted(&key);
            let problem = format!("has {key} a second time in line {line}");
            flaws.note(Flaw::new(problem, KEEP_ONE));
        }
    }
    if let Some(found) = gateway.and_then(|gateway| openclaw(gateway, &mut outline, flaws)) {
        let line = found.line();
        if outline.trust.replace(found).is_some() {
            flaws.note(Flaw::new(
                format!("has k8sTrust at its top and in line {line} under gateway.auth"),
                KEEP_ONE,
            ));
        }
    }
    if outline.targets.is_none() {
        flaws.note(Flaw::new("has no targets", SHAPE));
    }
    outline
}

/// Finds `auth.k8sTrust` in the object that OpenClaw calls `gateway`.
fn openclaw<'a>(
    gateway: Located<'a>,
    outline: &mut Outline<'a>,
    flaws: &mut Flaws,
) -> Option<Located<'a>> {
    let auth = step(gateway, "gateway", "auth", outline, flaws)?;
    step(auth, "gateway.auth", "k8sTrust", outline, flaws)
}

/// The value of one key of the object at a path; the others are another program's, unless
/// they are a slip of it.
fn step<'a>(
    value: Located<'a>,
    path: &str,
    wanted: &str,
    outline: &mut Outline<'a>,
    flaws: &mut Flaws,
) -> Option<Located<'a>> {
    let line = value.line();
    let fields = entries(value).map_err(|problem| {
        let problem = format!("has {path} in line {line}, which {problem}");
        flaws.note(Flaw::new(problem, "write an object, as OpenClaw has it"));
    });
    let mut found = None;
    for (key, value) in fields.ok()? {
        let line = value.line();
        let is_slip = LONG.contains(&wanted) && nearest(&key, [wanted]).is_some();
        if key == wanted {
            if found.replace(value).is_some() {
                let problem = format!("has {path}.{wanted} a second time in line {line}");
                flaws.note(Flaw::new(problem, KEEP_ONE));
            }
        } else if is_slip {
            flaws.note(Flaw::new(unknown(&key, line, &[wanted]), SHAPE));
        } else {
            outline
                .foreign
                .push(format!("{path}.{}", printable(&key, MAX_SHOWN)));
        }
    }
    found
}
