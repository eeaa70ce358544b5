//! Checks of targets in view of each other and of the gateway, and what is told of a file
//! that is right.

use super::GatewayTarget;
use super::entry::Placed;
use super::vital::Vital;
use crate::config::document::before;
use crate::config::fault::Flaw;
use crate::control::TargetName;
use crate::control::access::{Action, Grants};
use crate::util::SortedMap;

/// The most names in one warning.
const MAX_NAMED: usize = 20;

/// The faults of targets that are right by themselves. `vital` is what the gateway
/// cannot do without.
pub(super) fn flaws(placed: &[Placed], vital: &Vital) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let (mut workloads, mut hosts) = (SortedMap::new(), SortedMap::new());
    let mut services = SortedMap::new();
    for one in placed {
        let place = one.place.as_str();
        if let Some(workload) = &one.workload {
            if let Some(first) = before(&mut workloads, workload, place) {
                flaws.push(Flaw::new(
                    format!("has {place}, whose object is that of {first}: {workload}"),
                    "keep one of the two, since what is asked of one would undo the other",
                ));
            }
            flaws.extend(vital.harm(one));
        }
        if let (Some(workload), Some(service)) = (&one.workload, &one.service) {
            let namespace = &workload.namespace;
            if let Some(first) = before(&mut services, (namespace, service), place) {
                flaws.push(Flaw::new(
                    format!("has {place}, whose Service is that of {first}: {namespace}/{service}"),
                    "give each target a Service of its own, for the pods of its object alone: by \
                     one of both, who may reach the one target would reach the other",
                ));
            }
        }
        for host in &one.hosts {
            if let Some(first) = before(&mut hosts, host.as_str(), place) {
                flaws.push(Flaw::new(
                    format!("has {place}, whose host is that of {first}: {host}"),
                    "give each target a host of its own: apps that share one share their cookies",
                ));
            }
        }
    }
    flaws
}

/// A sentence for each thing that is allowed and is seldom meant.
pub(super) fn warnings(
    vital: &Vital,
    foreign: &[String],
    grants: &Grants,
    targets: &[GatewayTarget],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if !foreign.is_empty() {
        warnings.push(format!(
            "GATEWAY_CONFIG has keys of another program, which are not used: {}",
            few(foreign.iter().map(String::as_str))
        ));
    }
    let backends = targets.iter().filter_map(|target| target.backend.as_ref());
    warnings.extend(vital.doubt(backends.flat_map(|backend| &backend.hosts)));
    let is_open = grants.anonymous.values().any(|actions| !actions.is_empty());
    if !is_open && grants.identities.is_empty() && grants.oidc_roles.is_empty() {
        warnings.push(
            "GATEWAY_CONFIG allows nobody anything: no identity is trusted, no role of tokens has \
             a meaning, and no target is anonymous"
                .to_owned(),
        );
    }
    for (name, role) in grants.roles.iter() {
        if role.max_for.is_none() || !role.actions.has(Action::Start) {
            continue;
        }
        let covers = |target: &TargetName| {
            let listed = role.targets.as_ref();
            listed.is_none_or(|targets| targets.contains(target))
        };
        let endless = targets
            .iter()
            .filter(|target| target.idle.is_none() && covers(&target.name));
        let endless = few(endless.map(|target| target.name.as_str()));
        if !endless.is_empty() {
            warnings.push(format!(
                "GATEWAY_CONFIG gives role {name} a maxFor, which ends no start that asks for no \
                 time, and these of its targets have no idle: {endless}"
            ));
        }
    }
    warnings
}

/// The first of these, and how many more there are.
fn few<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.get(..MAX_NAMED).unwrap_or(&names).join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
