//! The execution of a command on the cluster.

use std::sync::Arc;

use log::{error, info};
use tokio::time::Instant;

use crate::{
    control::{
        Command, Kind, Leases, Namespace, ObjectName, Outcome, RestartStep, StartCount, Target,
        TargetName, Workload, progress::Observation,
    },
    kube::{self, DryRun, ScaleAnswer, Started},
    telemetry::HealthState,
    util::SortedMap,
};

/// The cluster, as a command sees it.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) kube: kube::Api,
    pub(super) health: Arc<HealthState>,
    /// The Leases of the gateway that wakes targets, if there is one.
    pub(super) leases: Option<Leases>,
}

/// The way in which a number of replicas is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// By a patch: at none, nobody has set it, and a gateway may raise it again.
    Patch,
    /// By an apply under this program's name, which a gateway does not overrule.
    Hold,
}

/// A command with all that it takes to execute it.
pub(super) enum Order {
    /// A command in the grammar of the Python program.
    Reference(Command, Workload),
    /// A command about one target.
    Target {
        /// The command.
        command: Command,
        /// The target.
        target: Box<Target>,
        /// The number of replicas before it was stopped, where that is known, and the uid
        /// of the object that had them.
        previous: Option<(String, i32)>,
        /// The time of its receipt, in milliseconds.
        received_at: u64,
    },
    /// Look at these targets.
    List(Vec<Target>),
}

/// The outcome of a command.
pub(super) enum Done {
    /// An outcome that the Python program has, too.
    Reference(Outcome),
    /// The number of replicas was set.
    Changed(Change),
    /// It runs already, and a start changes nothing.
    AlreadyOn(Box<Observation>),
    /// It is left alone, for its volumes would be lost.
    LosesData,
    /// It is left alone, for its rollout is paused.
    Paused,
    /// It would be interrupted, and that has to be confirmed first.
    MustConfirm,
    /// Its state.
    Status(Box<Observation>),
    /// The number of replicas of each target and of those that are ready; None where it could
    /// not be read.
    List(Vec<(TargetName, Option<(i32, i32)>)>),
    /// It takes no cluster.
    Store,
    /// A restart may begin, and has to come back to so many replicas.
    RestartFrom(i32),
}

/// A number of replicas that was set.
pub(super) struct Change {
    /// The number of pods before.
    pub(super) from: i32,
    /// The number of replicas now.
    pub(super) to: i32,
    /// The uid of the object.
    pub(super) uid: String,
    /// The generation that the change has made; 0 if it is not known.
    pub(super) generation: i64,
    /// The label selector of its pods.
    pub(super) selector: String,
    /// The version of the object after the change; empty where it is not known, and where
    /// nothing was changed: the version from before may be too old for a watch.
    pub(super) version: String,
}

impl Order {
    /// Executes the command.
    ///
    /// # Errors
    /// The cluster did not do it: one bounded sentence for the person who asked, without
    /// internals of the cluster.
    pub(super) async fn execute(&self, cluster: &Cluster) -> Result<Done, String> {
        match self {
            Self::Reference(command, workload) => {
                let done = cluster.reference(command, workload).await;
                done.map(Done::Reference)
            }
            Self::Target {
                command,
                target,
                previous,
                received_at,
            } => {
                let previous = previous.as_ref();
                cluster
                    .on_target(command, target, previous, *received_at)
                    .await
            }
            Self::List(targets) => Ok(Done::List(cluster.list(targets).await)),
        }
    }
}

impl Cluster {
    /// Does what the Python program does, by the same requests.
    async fn reference(&self, command: &Command, workload: &Workload) -> Result<Outcome, String> {
        let scale = async |replicas| {
            let started = Instant::now();
            let scaled = self.kube.scale(workload, replicas, DryRun::No).await;
            self.health.scaled(scaled.is_ok(), started.elapsed());
            scaled.map(|scaled| Outcome::Scaled {
                replicas: scaled.replicas,
            })
        };
        let result = match command {
            Command::Start { .. } => scale(1).await,
            Command::Stop { .. } => scale(0).await,
            Command::Status { .. } => {
                let status = self.kube.deployment(workload).await;
                status.map(|status| Outcome::Status {
                    desired: status.desired,
                    ready: status.ready,
                    available: status.available,
                })
            }
            _ => Ok(Outcome::Help),
        };
        result.map_err(|fault| {
            error!("{} {workload}: {}", command.verb(), fault.detail());
            fault.sentence(workload)
        })
    }

    async fn on_target(
        &self,
        command: &Command,
        target: &Target,
        previous: Option<&(String, i32)>,
        received_at: u64,
    ) -> Result<Done, String> {
        let (workload, name) = (&target.workload, &target.name);
        let done = match command {
            Command::Start {
                replicas,
                idle: true,
                ..
            } if workload.kind.takes_apply() => {
                match self.start_count(target, *replicas, previous).await {
                    Ok(count) => self.start_idle(workload, count).await,
                    Err(fault) => Err(fault),
                }
            }
            Command::Start { replicas, .. } => self.start(target, *replicas, previous).await,
            Command::Stop { hold: true, .. } if workload.kind.takes_apply() => {
                self.lower(target, 0, Write::Hold).await
            }
            Command::Stop { .. } => self.lower(target, 0, Write::Patch).await,
            Command::Scale { replicas, .. } => self.lower(target, *replicas, Write::Patch).await,
            Command::Restart {
                step: RestartStep::Back(replicas),
                ..
            } => self.restart(target, *replicas).await,
            Command::Restart { step, .. } => self.begin_restart(target, *step, received_at).await,
            _ => {
                let seen = self.kube.observe(workload).await;
                seen.map(|seen| Done::Status(Box::new(seen)))
            }
        };
        let done = done.map_err(|fault| {
            error!("{} {name} ({workload}): {}", command.verb(), fault.detail());
            fault.sentence(workload)
        })?;
        if let Done::Changed(change) = &done {
            info!("{} {name}: {} → {}", command.verb(), change.from, change.to);
        }
        Ok(done)
    }

    pub(super) async fn start(
        &self,
        target: &Target,
        replicas: Option<i32>,
        previous: Option<&(String, i32)>,
    ) -> Result<Done, kube::Error> {
        let workload = &target.workload;
        let count = self.start_count(target, replicas, previous).await?;
        let began = Instant::now();
        let started = self.kube.start(workload, count).await;
        self.health.scaled(started.is_ok(), began.elapsed());
        Ok(match started? {
            Started::Raised { scale } => Done::Changed(Change {
                from: 0,
                to: scale.replicas,
                uid: scale.uid,
                generation: 0,
                selector: scale.selector,
                version: scale.resource_version,
            }),
            Started::AlreadyOn { observation } => Done::AlreadyOn(Box::new(observation)),
        })
    }

    /// The number of replicas that a start of a target gives it.
    async fn start_count(
        &self,
        target: &Target,
        replicas: Option<i32>,
        previous: Option<&(String, i32)>,
    ) -> Result<i32, kube::Error> {
        let count = match (replicas, target.start, previous) {
            (Some(count), _, _) | (None, StartCount::Replicas(count), _) => count,
            (None, StartCount::Previous(count), None) => count,
            // What an object of before had does not hold for its successor.
            (None, StartCount::Previous(count), Some((uid, previous))) => {
                match self.kube.observe(&target.workload).await?.uid == *uid {
                    true => *previous,
                    false => count,
                }
            }
        };
        Ok(count.clamp(1, target.max))
    }

    /// Sets a number of replicas, which may be lower than the one there is: not where
    /// volumes that are to be kept would be lost by that. The number before is read where
    /// somebody wants to come back to it.
    pub(super) async fn lower(
        &self,
        target: &Target,
        count: i32,
        write: Write,
    ) -> Result<Done, kube::Error> {
        let workload = &target.workload;
        let returns = matches!(target.start, StartCount::Previous(_));
        let mut before = None;
        if returns || workload.kind == Kind::StatefulSet {
            let seen = self.kube.observe(workload).await?;
            if seen.deletes_volumes && !target.data_is_disposable && count < seen.desired {
                return Ok(Done::LosesData);
            }
            before = Some(seen.desired);
        }
        let scale = match write {
            Write::Patch => self.set(workload, count).await?,
            Write::Hold => self.hold(workload).await?,
        };
        Ok(Done::Changed(Change {
            from: before.unwrap_or(scale.current),
            to: scale.replicas,
            uid: scale.uid,
            generation: 0,
            selector: scale.selector,
            version: match before == Some(scale.replicas) {
                true => String::new(),
                false => scale.resource_version,
            },
        }))
    }

    pub(super) async fn set(
        &self,
        workload: &Workload,
        count: i32,
    ) -> Result<ScaleAnswer, kube::Error> {
        let began = Instant::now();
        let scaled = self.kube.set_replicas(workload, count).await;
        self.health.scaled(scaled.is_ok(), began.elapsed());
        scaled
    }

    /// Looks at all targets: in one call a namespace and kind where that is allowed.
    async fn list(&self, targets: &[Target]) -> Vec<(TargetName, Option<(i32, i32)>)> {
        let mut groups: SortedMap<(&Namespace, &Kind), Vec<ObjectName>> = SortedMap::new();
        for target in targets {
            let Workload {
                kind,
                namespace,
                name,
            } = &target.workload;
            groups.or_default((namespace, kind)).push(name.clone());
        }
        let mut counts = SortedMap::new();
        for ((namespace, kind), names) in groups {
            match self.kube.list(namespace, kind, &names).await {
                Ok(listed) => counts.extend(listed.into_iter().map(|seen| {
                    let of = (namespace, kind, seen.name);
                    (of, (seen.desired, seen.ready))
                })),
                Err(fault) => info!("list in {namespace}: {}", fault.detail()),
            }
        }
        let counted = targets.iter().map(|target| {
            let Workload {
                kind,
                namespace,
                name,
            } = &target.workload;
            let of = (namespace, kind, name.clone());
            (target.name.clone(), counts.get(&of).copied())
        });
        counted.collect()
    }
}
