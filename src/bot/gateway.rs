//! The gateway, as the chat deals with it. It wakes targets for visitors and puts to sleep
//! what nobody uses; people in the chat overrule it. Who set a number of replicas last
//! decides which of both may change it: the API server keeps count of that by the names of
//! field managers
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>).
//! Why it is so is in the Lease of the target. All of it is absolute, so that doing it twice
//! changes nothing.

use log::{info, warn};
use tokio::time::{Duration, Instant, timeout};

use super::execute::{Change, Cluster, Done, Order};
use crate::{
    control::{Command, Leases, RestartStep, TargetName, Workload},
    kube::{self, Applied, Apply, Lease, LeaseChange, LeaseWrite, ScaleAnswer},
    util::rfc3339,
};

/// The name under which the gateway sets numbers of replicas.
const GATEWAY: &str = "openclaw-gateway";

/// The name under which this program does.
const CHAT: &str = "openclaw-k8s-toggle-operator";

/// Attempts to apply a number of replicas to what changes meanwhile.
const APPLY_TRIES: u32 = 5;

/// The time that an answer waits for the gateway's Lease.
const LEASE_WAIT: Duration = Duration::from_secs(4);

/// The wish of the chat about a target, once its number of replicas is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It stays on. With a number, it has so many replicas and somebody else may have set
    /// them.
    Keep(Option<i32>),
    /// It is on, and sleeps when nobody uses it.
    Idle,
    /// It is on again as it was before a restart.
    Back(i32),
    /// It is off, and visitors wake it. True if it was on before.
    Stop(bool),
    /// It is off, and no visitor wakes it.
    Hold,
    /// Its Lease is only to be read.
    Look,
}

/// The gateway's share in a command.
#[derive(Debug, Default)]
pub(super) enum Told {
    /// It has none.
    #[default]
    Nothing,
    /// It is told.
    Done,
    /// It has no Lease for the target, or takes none of its kind.
    Unknown,
    /// It could not be told.
    Failed,
    /// It was asked.
    Seen(Box<Lease>),
}

/// The one who wishes something, and when.
#[derive(Debug, Clone)]
pub(super) struct Wisher {
    /// As the Lease names them, such as `chat:@anna:example.org`.
    by: String,
    /// The time, in milliseconds since the Unix epoch.
    at_ms: u64,
}

impl Wisher {
    /// A person in the chat, at a time in milliseconds since the Unix epoch.
    pub(super) fn person(user: &ruma::UserId, at_ms: u64) -> Self {
        Self {
            by: format!("chat:{user}"),
            at_ms,
        }
    }

    /// The schedule of a target.
    pub(super) fn schedule(at_ms: u64) -> Self {
        Self {
            by: "chat:schedule".to_owned(),
            at_ms,
        }
    }
}

impl Wish {
    /// The wish behind a command that was executed; None where the gateway has no share in
    /// it.
    pub(super) fn of(command: &Command, done: &Done) -> Option<Self> {
        Some(match (command, done) {
            (Command::Start { idle: true, .. }, Done::Changed(_) | Done::AlreadyOn(_)) => {
                Self::Idle
            }
            (Command::Start { .. }, Done::Changed(_)) => Self::Keep(None),
            (Command::Start { .. }, Done::AlreadyOn(seen)) => Self::Keep(Some(seen.desired)),
            (Command::Stop { hold: true, .. }, Done::Changed(_)) => Self::Hold,
            (
                Command::Stop { .. } | Command::Scale { .. },
                Done::Changed(Change { from, to: 0, .. }),
            ) => Self::Stop(*from > 0),
            // What has the number already is not changed by setting it.
            (Command::Scale { .. }, Done::Changed(change)) => Self::Keep(Some(change.to)),
            (
                Command::Restart {
                    step: RestartStep::Back(_),
                    ..
                },
                Done::Changed(change),
            ) => Self::Back(change.to),
            (Command::Status { .. }, Done::Status(_)) => Self::Look,
            _ => return None,
        })
    }

    /// The change of the Lease that tells the gateway.
    fn change(self, wisher: &Wisher) -> LeaseChange {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(wisher.at_ms);
        let (by, now) = (Some(wisher.by.clone()), Some(rfc3339(at)));
        let phase = |phase: &str| ("phase", Some(phase.to_owned()));
        let annotations = match self {
            Self::Keep(_) | Self::Idle => {
                let is_idle = self == Self::Idle;
                vec![
                    phase("run"),
                    ("started-by", by.clone()),
                    ("started-at", now.clone()),
                    ("keep-by", by.filter(|_| !is_idle)),
                    ("keep-until", None),
                    ("handed-back", now.filter(|_| is_idle)),
                    ("held", None),
                ]
            }
            Self::Back(_) => vec![phase("run"), ("handed-back", now)],
            Self::Stop(_) | Self::Hold | Self::Look => {
                let mut annotations = vec![
                    phase("stopped"),
                    ("started-by", None),
                    ("started-at", None),
                    ("stopped-by", by),
                    ("stopped-at", now),
                    ("keep-by", None),
                    ("keep-until", None),
                    ("handed-back", None),
                ];
                match self {
                    Self::Hold => annotations.push(("held", Some("true".to_owned()))),
                    Self::Stop(true) => annotations.push(("held", None)),
                    // What is off already is held as before.
                    _ => {}
                }
                annotations
            }
        };
        let is_on = matches!(self, Self::Keep(_) | Self::Idle | Self::Back(_));
        LeaseChange {
            // Its time without use begins now.
            renew_time: is_on.then_some(at),
            annotations,
            ..LeaseChange::default()
        }
    }
}

impl Order {
    /// Does what is left to do about a command that was executed because there is a gateway.
    pub(super) async fn settle(
        &self,
        cluster: &Cluster,
        command: &Command,
        done: &Done,
        wisher: &Wisher,
    ) -> Told {
        match (self, Wish::of(command, done)) {
            (Self::Target { target, .. }, Some(wish)) => {
                let workload = &target.workload;
                cluster.settle(&target.name, workload, wish, wisher).await
            }
            _ => Told::Nothing,
        }
    }
}

impl Cluster {
    /// Does what is left to do about a target because there is a gateway: overrules it, and
    /// tells it why. Nothing is asked where there is none.
    pub(super) async fn settle(
        &self,
        target: &TargetName,
        workload: &Workload,
        wish: Wish,
        wisher: &Wisher,
    ) -> Told {
        let Some(leases) = &self.leases else {
            return Told::Nothing;
        };
        // A Lease of its name would be another workload's.
        if !workload.kind.takes_apply() {
            return Told::Unknown;
        }
        let told = async {
            match wish {
                Wish::Look => return self.look_at_lease(leases, target).await,
                Wish::Keep(Some(count)) => {
                    self.apply_own(workload, CHAT, count).await?;
                }
                Wish::Back(count) => {
                    match self.look_at_lease(leases, target).await? {
                        // It stays a person's.
                        Told::Seen(lease) if lease.annotations.contains_key("keep-by") => {
                            let change = LeaseChange {
                                annotations: vec![("phase", Some("run".to_owned()))],
                                ..LeaseChange::default()
                            };
                            return self.write_lease(leases, target, &change).await;
                        }
                        Told::Seen(_) => self.apply_own(workload, GATEWAY, count).await?,
                        told => return Ok(told),
                    };
                }
                _ => {}
            }
            self.write_lease(leases, target, &wish.change(wisher)).await
        };
        match timeout(LEASE_WAIT, told).await {
            Ok(Ok(told)) => told,
            Ok(Err(fault)) => {
                warn!("{target}: the gateway is not told: {}", fault.detail());
                Told::Failed
            }
            Err(_) => {
                warn!("{target}: the gateway is not told: no answer in time");
                Told::Failed
            }
        }
    }

    async fn look_at_lease(
        &self,
        leases: &Leases,
        target: &TargetName,
    ) -> Result<Told, kube::Error> {
        let Some(name) = leases.of(target) else {
            return Ok(Told::Unknown);
        };
        match self.kube.lease(&leases.namespace, &name).await {
            Ok(lease) => Ok(Told::Seen(Box::new(lease))),
            Err(fault) => unknown(target, fault),
        }
    }

    async fn write_lease(
        &self,
        leases: &Leases,
        target: &TargetName,
        change: &LeaseChange,
    ) -> Result<Told, kube::Error> {
        let Some(name) = leases.of(target) else {
            return Ok(Told::Unknown);
        };
        let namespace = &leases.namespace;
        match self.kube.change_lease(namespace, &name, change).await {
            Ok(LeaseWrite::Done(_)) => Ok(Told::Done),
            // It is no change of a version.
            Ok(LeaseWrite::Conflict) => Ok(Told::Failed),
            Err(fault) => unknown(target, fault),
        }
    }

    /// Starts a target for as long as somebody uses it: under the gateway's name, so that it
    /// is the gateway's to stop. What runs keeps its number of replicas.
    pub(super) async fn start_idle(
        &self,
        workload: &Workload,
        count: i32,
    ) -> Result<Done, kube::Error> {
        let (from, scale) = self.apply_own(workload, GATEWAY, count).await?;
        if from > 0 {
            let observation = self.kube.observe(workload).await?;
            return Ok(Done::AlreadyOn(Box::new(observation)));
        }
        Ok(Done::Changed(Change {
            from,
            to: scale.replicas,
            uid: scale.uid,
            generation: 0,
            selector: scale.selector,
            version: scale.resource_version,
        }))
    }

    /// Sets no replicas under this program's name, so that the gateway does not wake it.
    pub(super) async fn hold(&self, workload: &Workload) -> Result<ScaleAnswer, kube::Error> {
        match self.apply(workload, CHAT, 0, "").await? {
            Applied::Done(scale) => Ok(scale),
            // What is forced upon any version is neither.
            Applied::Owned(_) | Applied::Stale => self.kube.set_replicas(workload, 0).await,
        }
    }

    /// Makes this manager an owner of the number of replicas that there is, or of this one
    /// where there is none. Returns the number before, and the answer.
    async fn apply_own(
        &self,
        workload: &Workload,
        manager: &str,
        count: i32,
    ) -> Result<(i32, ScaleAnswer), kube::Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let before = self.kube.rehearse(workload).await?;
            let replicas = match before.replicas {
                0 => count,
                replicas => replicas,
            };
            // What never stands still is set as it was seen last.
            let version = match tries < APPLY_TRIES {
                true => before.resource_version.as_str(),
                false => "",
            };
            match self.apply(workload, manager, replicas, version).await? {
                Applied::Done(scale) => return Ok((before.replicas, scale)),
                Applied::Owned(_) | Applied::Stale if tries < APPLY_TRIES => {}
                Applied::Owned(_) | Applied::Stale => return Ok((before.replicas, before)),
            }
        }
    }

    async fn apply(
        &self,
        workload: &Workload,
        manager: &str,
        replicas: i32,
        resource_version: &str,
    ) -> Result<Applied, kube::Error> {
        let apply = Apply {
            replicas,
            manager,
            force: true,
            resource_version,
        };
        let began = Instant::now();
        let applied = self.kube.apply_replicas(workload, &apply).await;
        self.health.scaled(applied.is_ok(), began.elapsed());
        applied
    }
}

/// A Lease that is not there: the gateway has no such target.
fn unknown(target: &TargetName, fault: kube::Error) -> Result<Told, kube::Error> {
    match fault {
        kube::Error::NotFound { .. } => {
            info!("{target}: the gateway has no Lease for it");
            Ok(Told::Unknown)
        }
        fault => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_795_942_800_000;
    const NOW: &str = "2026-11-29T09:00:00.000Z";

    fn anna() -> Wisher {
        Wisher::person(ruma::user_id!("@anna:example.org"), AT)
    }

    /// The change in a few words; `-` stands before what is taken away.
    fn words(wish: Wish, wisher: &Wisher) -> String {
        let change = wish.change(wisher);
        assert_eq!(change.resource_version, "");
        let words = change.annotations.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => format!("-{name}"),
        });
        let renewed = change.renew_time.map(|_| "renewed".to_owned());
        words.chain(renewed).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_wish_is_told_in_the_lease() {
        let by = "chat:@anna:example.org";
        for (wish, told) in [
            (
                Wish::Keep(None),
                format!(
                    "phase=run started-by={by} started-at={NOW} keep-by={by} -keep-until \
                     -handed-back -held renewed"
                ),
            ),
            (
                Wish::Idle,
                format!(
                    "phase=run started-by={by} started-at={NOW} -keep-by -keep-until \
                     handed-back={NOW} -held renewed"
                ),
            ),
            (
                Wish::Back(2),
                format!("phase=run handed-back={NOW} renewed"),
            ),
            (
                Wish::Stop(true),
                format!(
                    "phase=stopped -started-by -started-at stopped-by={by} stopped-at={NOW} \
                     -keep-by -keep-until -handed-back -held"
                ),
            ),
            (
                Wish::Stop(false),
                format!(
                    "phase=stopped -started-by -started-at stopped-by={by} stopped-at={NOW} \
                     -keep-by -keep-until -handed-back"
                ),
            ),
            (
                Wish::Hold,
                format!(
                    "phase=stopped -started-by -started-at stopped-by={by} stopped-at={NOW} \
                     -keep-by -keep-until -handed-back held=true"
                ),
            ),
        ] {
            assert_eq!(words(wish, &anna()), told);
        }
        let schedule = words(Wish::Keep(None), &Wisher::schedule(AT));
        assert!(schedule.contains("keep-by=chat:schedule"), "{schedule}");
    }
}
