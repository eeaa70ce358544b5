//! Reads what is scaled, in whichever way it is told.

use std::path::Path;

use super::checks::{self, Placed, Vital};
use super::{file, known::Known, list};
use crate::config::cluster;
use crate::config::fault::{Flaw, Flaws};
use crate::config::reader::Reader;
use crate::config::table::{
    DEPLOYMENT_NAME, DEPLOYMENT_NAMESPACE, SERVICE_ACCOUNT_DIR, TARGETS, TARGETS_FILE,
};
use crate::control::{Kind, Namespace, ObjectName, Target, Targets, Workload};
use crate::util::BoundedFile;

/// The most targets that the summary names.
const MOST_SHOWN: usize = 20;

/// The longest file taken for the name of the pod's namespace, in bytes.
const MAX_NAMESPACE_FILE: usize = 256;

/// All that is scaled.
pub(in crate::config) fn read(r: &mut Reader<'_>, known: &Known<'_>) -> Option<Targets> {
    let namespace = r.read(
        &DEPLOYMENT_NAMESPACE,
        cluster::namespace,
        Namespace::to_string,
    );
    let given: Vec<&'static str> = [&TARGETS, &TARGETS_FILE]
        .into_iter()
        .filter_map(|setting| r.given_by(setting))
        .collect();
    let Some(by) = given.first() else {
        let name = r.read(&DEPLOYMENT_NAME, cluster::name, ObjectName::to_string);
        return Some(Targets::Reference(Workload {
            kind: Kind::Deployment,
            namespace: namespace?,
            name: name?,
        }));
    };
    if let Some(name) = r.given_by(&DEPLOYMENT_NAME) {
        let flaw = Flaw::new(
            format!("is set, and so is {by}"),
            "unset DEPLOYMENT_NAME, and name its Deployment among the targets",
        );
        r.fault(name, flaw);
    }
    let vital = Vital {
        own: own(r),
        homeserver: known.homeserver,
    };
    // A namespace that is at fault makes no target's fault.
    let namespace = namespace.or_else(|| Namespace::parse(DEPLOYMENT_NAMESPACE.default()?))?;
    let listed = |text: &str| {
        let placed = list::targets(text, &namespace, known.max_for)?;
        checked(placed, Flaws::default(), &vital)
    };
    let targets = r.optional(&TARGETS, listed, |_| String::new());
    if given.len() > 1 {
        let flaw = Flaw::new("is set, and so is TARGETS", "keep one of them");
        r.fault(TARGETS_FILE.name, flaw);
        return None;
    }
    let filed = |path: &str| {
        let (placed, flaws) = file::targets(path, &namespace, known);
        checked(placed, flaws, &vital)
    };
    let from_file = r.optional(&TARGETS_FILE, filed, |_| String::new());
    let targets = targets?.or(from_file?)?;
    for row in rows(&targets) {
        r.row(by, row);
    }
    Some(Targets::Named(targets))
}

/// The targets, if they have no flaws by themselves, beside each other or in what they are.
fn checked(placed: Vec<Placed>, mut flaws: Flaws, vital: &Vital<'_>) -> Result<Vec<Target>, Flaws> {
    for flaw in checks::flaws(&placed, vital) {
        flaws.note(flaw);
    }
    match flaws.0.is_empty() {
        true => Ok(placed.into_iter().filter_map(|one| one.target).collect()),
        false => Err(flaws),
    }
}

/// The Deployment that the bot runs as, where that is known: in a pod, `HOSTNAME` is its
/// name.
fn own(r: &Reader<'_>) -> Option<(Namespace, String)> {
    let pod = r.text("HOSTNAME")?;
    let deployment = cluster::deployment_of(&pod)?;
    let namespace = r.text("POD_NAMESPACE").or_else(|| {
        let account = r.text(SERVICE_ACCOUNT_DIR.name);
        let account = account.or_else(|| SERVICE_ACCOUNT_DIR.default().map(str::to_owned))?;
        let path = Path::new(&account).join("namespace");
        let file = BoundedFile::read(&path, MAX_NAMESPACE_FILE).ok()?;
        Some(str::from_utf8(&file.bytes).ok()?.trim().to_owned())
    })?;
    Some((Namespace::parse(&namespace)?, deployment.to_owned()))
}

/// The words of the summary for the targets: the first ones, and how many more there are.
fn rows(targets: &[Target]) -> Vec<String> {
    let shown = targets.iter().take(MOST_SHOWN).map(|target| {
        let Target {
            name,
            workload,
            max,
            ..
        } = target;
        let Workload {
            kind,
            namespace,
            name: object,
        } = workload;
        format!(
            "{name} -> {} {namespace}/{object}, at most {max}",
            kind.word()
        )
    });
    let more = targets.len().saturating_sub(MOST_SHOWN);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect()
}
