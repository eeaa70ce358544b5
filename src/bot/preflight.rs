//! The look at the cluster at the start of a session, for the log: what may be done, and
//! which right is missing.

use log::{info, warn};

use crate::{
    control::{Namespace, Target, Workload},
    kube::{self, Preflight, WorkloadRights},
    util::SortedMap,
};

/// Looks whether the Deployment can be read and scaled.
pub(super) async fn of_deployment(kube: &kube::Api, workload: &Workload) {
    match kube.preflight(workload).await {
        Preflight::Ready(status) => info!(
            "deployment {workload}: may be read and scaled (replicas: {})",
            status.desired
        ),
        Preflight::Faulty(faults) => {
            for fault in faults {
                warn!("{} ({})", fault.sentence(workload), fault.detail());
            }
        }
    }
}

/// Looks what may be done with each target: by one review of the rights a namespace, and by
/// a read of each.
pub(super) async fn of_targets(kube: &kube::Api, targets: &[Target]) {
    let mut by_namespace: SortedMap<&Namespace, Vec<&Target>> = SortedMap::new();
    for target in targets {
        let namespace = &target.workload.namespace;
        by_namespace.or_default(namespace).push(target);
    }
    for (namespace, targets) in by_namespace {
        let rights = kube.rights(namespace).await;
        if let Err(fault) = &rights {
            info!(
                "the rights in {namespace} are not known: {}",
                fault.detail()
            );
        }
        for target in targets {
            let rights = rights.as_ref().ok();
            of_target(
                kube,
                target,
                rights.map(|rights| rights.on(&target.workload)),
            )
            .await;
        }
    }
}

async fn of_target(kube: &kube::Api, target: &Target, rights: Option<WorkloadRights>) {
    let (name, workload) = (&target.name, &target.workload);
    let seen = match kube.inspect(workload).await {
        Ok(seen) => seen,
        Err(faults) => {
            for fault in faults {
                warn!("{name}: {} ({})", fault.sentence(workload), fault.detail());
            }
            return;
        }
    };
    let optional = rights.map(|rights| optional(&rights)).unwrap_or_default();
    info!(
        "{name} ({workload}): may be read and scaled (replicas: {}){optional}",
        seen.desired
    );
    if seen.deletes_volumes && !target.data_is_disposable {
        warn!(
            "{name}: scaling it down deletes its volumes, so it is only started; set data to \
             disposable if they may be lost"
        );
    }
    if let Some(owner) = &seen.owner {
        warn!("{name}: {owner} may put its number of replicas back");
    }
}

/// The things that are not told of a change because a right is missing.
fn optional(rights: &WorkloadRights) -> String {
    let missing: Vec<&str> = [
        (rights.pods, "`list` on `pods`"),
        (rights.events, "`list` on `events`"),
    ]
    .into_iter()
    .filter(|(granted, _)| !granted)
    .map(|(_, right)| right)
    .collect();
    match missing.is_empty() || rights.is_incomplete {
        true => String::new(),
        false => format!(
            "; why it does not come up is told better with {}",
            missing.join(" and ")
        ),
    }
}
