//! The API server as a keeper needs it: what it asks, and what may come of it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::control::progress::{Cause, Finding, Observation, PodView, ReadError, find};
use crate::control::{Namespace, ObjectName, Workload};
use crate::kube::{
    Api, Applied, Apply, Error, Lease, LeaseChange, LeaseWrite, ScaleAnswer, Service,
};
use crate::util::{patience, unlinked};

/// The time that a pod has to take a connection.
const CONNECT: Duration = Duration::from_millis(500);

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The worst cause; None if none was found.
    pub(super) finding: Option<Finding>,
    /// The gateway may read neither pods nor Events.
    pub(super) is_forbidden: bool,
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

    /// Looks for the reason why the pods of a workload do not come up: in itself, and if
    /// `may_read` in its pods and the Events about it.
    fn why(
        &self,
        workload: &Workload,
        may_read: bool,
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

    async fn why(&self, workload: &Workload, may_read: bool) -> Result<Found, Fault> {
        let seen = Cluster::observe(self, workload).await?;
        let (mut pods, mut events, mut is_forbidden) = (Vec::new(), Vec::new(), false);
        if may_read {
            let scale = Cluster::scale(self, workload).await?;
            let look = self.look(workload, &scale.selector, &seen).await;
            is_forbidden = matches!(look.pods, Err(ReadError::Forbidden))
                && matches!(look.events, Err(ReadError::Forbidden));
            pods = look.pods.unwrap_or_default();
            events = look.events.unwrap_or_default();
        }
        let is_new = |pod: &PodView| !pod.is_terminating;
        let finding = find(&seen, &pods, &events).filter(|finding| {
            // Others are there already, and wait for nobody.
            finding.cause != Cause::OldPodsStay || !pods.iter().any(is_new)
        });
        Ok(Found {
            finding,
            is_forbidden,
        })
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
