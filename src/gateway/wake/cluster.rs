//! The API server as a keeper needs it: what it asks, and what may come of it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::control::progress::{Cause, Finding, Observation, PodView, ReadError, find, is_owned};
use crate::control::{Namespace, ObjectName, Workload};
use crate::kube::{
    Api, Applied, Apply, Error, Lease, LeaseChange, LeaseWrite, LookAt, ScaleAnswer, Service,
};
use crate::util::{patience, unlinked};

/// The time that a pod has to take a connection.
pub(super) const CONNECT: Duration = Duration::from_millis(500);

/// The reason why the API server did not do what a keeper asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be asked: tried again.
    Unavailable,
    /// There is no such object: a sentence.
    Missing(String),
    /// It will not: a sentence.
    Refused(String),
    /// The gateway has no right to: a sentence.
    Impossible(String),
}

/// The outcome of a look at a target that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The worst cause; None if none was found.
    pub(super) finding: Option<Finding>,
    /// The things that were asked for, and may not be read.
    pub(super) forbidden: LookAt,
}

/// The cluster of a keeper.
pub(super) trait Cluster: Clone + Send + Sync + 'static {
    /// Reads the Scale.
    fn scale(&self, of: &Workload) -> impl Future<Output = Result<ScaleAnswer, Fault>> + Send;

    /// Applies a number of replicas.
    fn apply(
        &self,
        to: &Workload,
        apply: &Apply<'_>,
    ) -> impl Future<Output = Result<Applied, Fault>> + Send;

    /// Reads the workload.
    fn observe(
        &self,
        workload: &Workload,
    ) -> impl Future<Output = Result<Observation, Fault>> + Send;

    /// Looks for the reason why the pods of a workload do not come up: in itself, in its pods
    /// and in the Events about it.
    fn why(
        &self,
        workload: &Workload,
        at: LookAt,
    ) -> impl Future<Output = Result<Found, Fault>> + Send;

    /// Reads a Lease.
    fn lease(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> impl Future<Output = Result<Lease, Fault>> + Send;

    /// Changes a Lease.
    fn change_lease(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        change: &LeaseChange,
    ) -> impl Future<Output = Result<LeaseWrite, Fault>> + Send;

    /// Reads a Service.
    fn service(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> impl Future<Output = Result<Service, Fault>> + Send;

    /// Returns whether something takes a connection there.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = bool> + Send;
}

impl Cluster for Api {
    async fn scale(&self, of: &Workload) -> Result<ScaleAnswer, Fault> {
        let read = self.read_scale(of).await;
        read.map_err(|error| fault(&error, of))
    }

    async fn apply(&self, to: &Workload, apply: &Apply<'_>) -> Result<Applied, Fault> {
        let applied = self.apply_replicas(to, apply).await;
        applied.map_err(|error| fault(&error, to))
    }

    async fn observe(&self, workload: &Workload) -> Result<Observation, Fault> {
        let seen = Self::observe(self, workload).await;
        seen.map_err(|error| fault(&error, workload))
    }

    async fn why(&self, workload: &Workload, at: LookAt) -> Result<Found, Fault> {
        let seen = Cluster::observe(self, workload).await?;
        let selector = match at.pods {
            true => match Cluster::scale(self, workload).await {
                Ok(scale) => Some(scale.selector),
                Err(Fault::Unavailable) => return Err(Fault::Unavailable),
                Err(_) => None,
            },
            false => None,
        };
        let at = LookAt {
            pods: selector.is_some(),
            ..at
        };
        let selector = selector.unwrap_or_default();
        let look = self.look(workload, &selector, &seen, at).await;
        let is = |error: ReadError, of: Option<&ReadError>| of == Some(&error);
        let (no_pods, no_events) = (look.pods.as_ref().err(), look.events.as_ref().err());
        let forbidden = LookAt {
            pods: at.pods && is(ReadError::Forbidden, no_pods),
            events: at.events && is(ReadError::Forbidden, no_events),
        };
        let is_blind = is(ReadError::Failed, no_pods) || is(ReadError::Failed, no_events);
        let pods = current(&seen, look.pods.unwrap_or_default());
        let finding = find(&seen, &pods, &look.events.unwrap_or_default());
        // Nothing is worse than that no pod can be made; else what was not seen may be.
        let is_worst = |finding: &Finding| matches!(finding.cause, Cause::NotCreated(_));
        match is_blind && !finding.as_ref().is_some_and(is_worst) {
            true => Err(Fault::Unavailable),
            false => Ok(Found { finding, forbidden }),
        }
    }

    async fn lease(&self, namespace: &Namespace, name: &ObjectName) -> Result<Lease, Fault> {
        let read = Self::lease(self, namespace, name).await;
        read.map_err(|error| of_other(&error))
    }

    async fn change_lease(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        change: &LeaseChange,
    ) -> Result<LeaseWrite, Fault> {
        let changed = Self::change_lease(self, namespace, name, change).await;
        changed.map_err(|error| of_other(&error))
    }

    async fn service(&self, namespace: &Namespace, name: &ObjectName) -> Result<Service, Fault> {
        let read = Self::service(self, namespace, name).await;
        read.map_err(|error| of_other(&error))
    }

    async fn connect(&self, to: SocketAddr) -> bool {
        matches!(
            timeout(patience(CONNECT), TcpStream::connect(to)).await,
            Ok(Ok(_))
        )
    }
}

/// The pods that matter to a start: a workload's own, without those of before if there are
/// others by now.
fn current(workload: &Observation, mut pods: Vec<PodView>) -> Vec<PodView> {
    let is_over =
        |pod: &PodView| pod.is_terminating || ["Failed", "Succeeded"].contains(&pod.phase.as_str());
    pods.retain(|pod| is_owned(workload, pod));
    if pods.iter().any(|pod| !is_over(pod)) {
        pods.retain(|pod| !is_over(pod));
    }
    pods
}

/// The fault of a call about a workload.
fn fault(error: &Error, workload: &Workload) -> Fault {
    let sentence = || {
        let sentence = error.sentence(workload);
        sentence.trim_end_matches('.').to_owned()
    };
    of(error, sentence)
}

/// The fault of a call about another object: nobody but the log is told of it.
fn of_other(error: &Error) -> Fault {
    of(error, || unlinked(&error.detail().to_string()))
}

fn of(error: &Error, sentence: impl FnOnce() -> String) -> Fault {
    log::debug!("{}", error.detail());
    match error {
        Error::NotFound { .. } => Fault::Missing(sentence()),
        Error::Refused { .. } => Fault::Refused(sentence()),
        Error::Forbidden { .. } => Fault::Impossible(sentence()),
        // For now, or it is no API server that answers, or one that does not know the gateway.
        _ => Fault::Unavailable,
    }
}
