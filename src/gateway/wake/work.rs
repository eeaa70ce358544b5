//! The work of a keeper in the cluster: each piece is a few calls to the API server, one
//! after the other.

use std::time::Duration;

use tokio::time::Instant;

use super::agreement::{CLAIM, LeasePhase};
use super::cluster::{Cluster, Fault};
use crate::control::{Kind, Namespace, ObjectName, Workload};
use crate::kube::{Applied, Apply, Lease, LeaseChange, LeaseWrite, ScaleAnswer};

/// The field manager of the gateway.
pub(super) const GATEWAY: &str = "openclaw-gateway";

/// The field manager of the bot, in which persons speak.
const BOT: &str = "openclaw-k8s-toggle-operator";

/// The field manager of a HorizontalPodAutoscaler's controller.
const AUTOSCALER: &str = "kube-controller-manager";

/// The reason for which a StatefulSet is not scaled down.
const LOSES_DATA: &str = "scaling it down would delete its volumes";

/// Tries to change a Scale that others change at the same time.
const MAX_TRIES: usize = 5;

/// A target in the cluster.
#[derive(Clone)]
pub(super) struct Work<C> {
    pub(super) cluster: C,
    /// The same for what may wait and may take long.
    pub(super) beside: C,
    pub(super) workload: Workload,
    /// The namespace and the name of its Lease.
    pub(super) lease: (Namespace, ObjectName),
}

/// A number of replicas that a target is to have.
#[derive(Debug, Clone)]
pub(super) struct Raise {
    /// The number that is set.
    pub(super) replicas: i32,
    /// As many are enough; None if it is to be that number.
    pub(super) enough: Option<i32>,
    /// Field managers whose number is overridden.
    pub(super) overrides: Vec<String>,
    /// The change of the Lease if it is off.
    pub(super) wake: Option<LeaseChange>,
    /// The change that takes that back.
    pub(super) undo: Option<LeaseChange>,
    /// The change of the Lease if it is on.
    pub(super) renewal: Option<LeaseChange>,
    /// A person has switched it off, so that it may not be woken.
    pub(super) is_held: bool,
}

/// The outcome of a [`Raise`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raised {
    /// It has the number, as it had before.
    On(ScaleAnswer),
    /// It has the number now.
    Done(ScaleAnswer),
    /// Another replica has changed the Lease.
    Overtaken,
    /// It is not to be changed: a sentence.
    Refused(String),
}

/// The right to stop what others have set the number of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Force {
    /// If they are among these.
    Managers(Vec<String>),
    /// Whoever they are; not a person who has started it meanwhile.
    Anybody,
    /// Whoever they are.
    Always,
}

/// The outcome of stopping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It has no replicas; true if this replica has done it.
    Off(bool),
    /// It was left on: the reason, a sentence.
    Kept(String),
    /// The claim is too old.
    TooLate,
}

/// The Lease after a piece of work, where it is known.
pub(super) type Seen = Option<Lease>;

impl<C: Cluster> Work<C> {
    /// Changes the Lease; where somebody else was faster, reads it. Returns true if it was
    /// changed.
    pub(super) async fn agree(&self, change: &LeaseChange) -> Result<(bool, Lease), Fault> {
        let (namespace, name) = &self.lease;
        match self.cluster.change_lease(namespace, name, change).await? {
            LeaseWrite::Done(lease) => Ok((true, lease)),
            LeaseWrite::Conflict => {
                let lease = self.cluster.lease(namespace, name).await?;
                // An attempt whose answer was lost may have done it.
                let is_own = change.holder.as_deref() == Some(lease.holder.as_str())
                    && change
                        .annotations
                        .iter()
                        .all(|(name, value)| lease.annotations.get(*name) == value.as_ref());
                Ok((is_own, lease))
            }
        }
    }

    /// Sets the number of replicas, after the Lease says so; where a person has switched it
    /// off for good, before. Where that comes to nothing, the Lease says what it said before.
    pub(super) async fn raise(&self, raise: &Raise, seen: &mut Seen) -> Result<Raised, Fault> {
        let scale = self.cluster.scale(&self.workload).await?;
        let was_on = scale.replicas > 0;
        let change = match was_on {
            true => &raise.renewal,
            false => &raise.wake,
        };
        let is_held = raise.is_held && !was_on;
        if !is_held && !self.say(change.as_ref(), seen).await? {
            return Ok(Raised::Overtaken);
        }
        let raised = self.set(raise, scale).await;
        let is_set = matches!(raised, Ok(Raised::On(_) | Raised::Done(_)));
        if is_held && is_set && !self.say(change.as_ref(), seen).await? {
            // Others may have seen it on and said that, without knowing who it was.
            let is_on = seen
                .as_ref()
                .is_some_and(|lease| LeasePhase::of(lease) == LeasePhase::Run);
            let is_said = match change {
                Some(change) if is_on => self.amend(change, seen).await?,
                _ => false,
            };
            if !is_said {
                return Ok(Raised::Overtaken);
            }
        }
        let is_tried_again = matches!(raised, Err(Fault::Unavailable));
        if !was_on && !is_set && !is_tried_again {
            self.take_back(raise.undo.as_ref(), seen).await;
        }
        raised
    }

    /// Changes the Lease, if there is something to be said; returns false if somebody else
    /// was faster.
    async fn say(&self, change: Option<&LeaseChange>, seen: &mut Seen) -> Result<bool, Fault> {
        let Some(change) = change else {
            return Ok(true);
        };
        let (is_done, lease) = self.agree(change).await?;
        *seen = Some(lease);
        Ok(is_done)
    }

    /// Takes back what this replica has just said, unless somebody has said something since.
    async fn take_back(&self, undo: Option<&LeaseChange>, seen: &mut Seen) {
        if let Some(undo) = undo
            && seen.is_some()
        {
            // Others see the rest: that it is off.
            let _ = self.amend(undo, seen).await;
        }
    }

    /// Changes the Lease as it was seen last.
    async fn amend(&self, change: &LeaseChange, seen: &mut Seen) -> Result<bool, Fault> {
        let version = seen.as_ref().map(|lease| lease.resource_version.clone());
        let change = LeaseChange {
            resource_version: version.unwrap_or_default(),
            ..change.clone()
        };
        self.say(Some(&change), seen).await
    }

    /// Sets the number of replicas.
    async fn set(&self, raise: &Raise, mut scale: ScaleAnswer) -> Result<Raised, Fault> {
        let is_enough = |scale: &ScaleAnswer| match raise.enough {
            Some(enough) => scale.replicas >= enough,
            None => scale.replicas == raise.replicas,
        };
        let mut force = false;
        for _ in 0..MAX_TRIES {
            let is_on = scale.replicas > 0;
            if is_enough(&scale) {
                return Ok(Raised::On(scale));
            }
            if raise.replicas < scale.replicas && self.loses_data().await? {
                return Ok(Raised::Refused(LOSES_DATA.to_owned()));
            }
            let applied = self.apply(raise.replicas, force, &scale).await?;
            match applied {
                Applied::Done(scale) => return Ok(Raised::Done(scale)),
                // Whoever has changed it may be one who is not overridden.
                Applied::Stale => {
                    force = false;
                    scale = self.cluster.scale(&self.workload).await?;
                }
                Applied::Owned(owners) => {
                    if !is_on && is_among(&owners, BOT) {
                        let reason = "it was switched off by a person";
                        return Ok(Raised::Refused(reason.to_owned()));
                    }
                    let is_overridden = is_among(&raise.overrides, AUTOSCALER);
                    if is_on && is_among(&owners, AUTOSCALER) && !is_overridden {
                        let reason = "its number of replicas is set by an autoscaler";
                        return Ok(Raised::Refused(reason.to_owned()));
                    }
                    force = true;
                }
            }
        }
        Ok(Raised::Refused(
            "its number of replicas changes all the time".to_owned(),
        ))
    }

    /// Returns true if the volumes of what is scaled down are deleted by that
    /// (<https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention>).
    async fn loses_data(&self) -> Result<bool, Fault> {
        if self.workload.kind != Kind::StatefulSet {
            return Ok(false);
        }
        let seen = self.cluster.observe(&self.workload).await?;
        Ok(seen.deletes_volumes)
    }

    /// Stops it, after a claim of this time or of now. The number is a change of what was
    /// read within the time of the claim: whoever takes the claim over, or wakes it after
    /// that, has changed it since, and this one does nothing.
    pub(super) async fn stop(
        &self,
        claimed: Option<Instant>,
        force: &Force,
    ) -> Result<Stopped, Fault> {
        let is_late = |at: Instant| at.elapsed() >= CLAIM;
        let (mut is_changed, mut was_a_persons) = (false, false);
        for _ in 0..MAX_TRIES {
            let scale = self.cluster.scale(&self.workload).await?;
            if claimed.is_some_and(is_late) {
                return Ok(Stopped::TooLate);
            }
            if scale.replicas == 0 {
                return Ok(Stopped::Off(false));
            }
            if self.loses_data().await? {
                return Ok(Stopped::Kept(LOSES_DATA.to_owned()));
            }
            let mut applied = self.apply(0, false, &scale).await?;
            if let Applied::Owned(owners) = &applied {
                let is_listed = |managers: &[String]| {
                    !owners.is_empty() && owners.iter().all(|owner| managers.contains(owner))
                };
                let is_a_persons = is_among(owners, BOT);
                let may = match force {
                    Force::Managers(managers) => is_listed(managers),
                    Force::Anybody => !is_changed || was_a_persons || !is_a_persons,
                    Force::Always => true,
                };
                was_a_persons |= is_a_persons;
                if !may {
                    return Ok(Stopped::Kept(set_by(owners)));
                }
                applied = self.apply(0, true, &scale).await?;
            }
            match applied {
                Applied::Done(scale) if scale.replicas == 0 => return Ok(Stopped::Off(true)),
                // An admission rule has made another number of it.
                Applied::Done(_) => return Ok(Stopped::Kept(set_by(&[]))),
                Applied::Owned(owners) => return Ok(Stopped::Kept(set_by(&owners))),
                Applied::Stale => is_changed = true,
            }
        }
        Err(Fault::Unavailable)
    }

    async fn apply(&self, replicas: i32, force: bool, of: &ScaleAnswer) -> Result<Applied, Fault> {
        let apply = Apply {
            replicas,
            manager: GATEWAY,
            force,
            resource_version: &of.resource_version,
        };
        self.cluster.apply(&self.workload, &apply).await
    }

    /// The sentence about a Lease that is not there.
    pub(super) fn no_lease(&self) -> String {
        let (namespace, name) = &self.lease;
        format!(
            "there is no Lease {namespace}/{name}: apply the chart, or create it by: \
             kubectl create -f - <<< '{{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\
             \"metadata\":{{\"namespace\":\"{namespace}\",\"name\":\"{name}\"}}}}'"
        )
    }
}

/// Returns true if a field manager is one of these.
fn is_among(managers: &[String], manager: &str) -> bool {
    managers.iter().any(|known| known == manager)
}

/// The reason for which something is left on whose number of replicas belongs to others.
fn set_by(owners: &[String]) -> String {
    let by = match owners {
        [] => "others".to_owned(),
        owners => owners.join(", "),
    };
    format!("its number of replicas was set by {by}")
}

/// The wait before something is tried again that failed so many times in a row.
pub(super) fn again(failures: u32) -> Duration {
    Duration::from_millis(500)
        .saturating_mul(1 << failures.min(4))
        .min(Duration::from_secs(5))
}
