//! The looks of a keeper at what no watch tells: the Service, the Scale, and the workload of a
//! target without a Service.

use tokio::time::Instant;

use super::cluster::Cluster;
use super::decide::{Future, LOOK_FOR_PODS, LOOK_RARELY, LOOK_SOON};
use super::keeper::{JobKind, Keeper, Outcome};
use super::view::Phase;
use crate::config::gateway::Route;

impl<C: Cluster> Keeper<C> {
    /// The look that is due.
    pub(super) fn look(&mut self, now: Instant) -> Option<(JobKind, Future)> {
        let work = self.work.clone();
        if let Some(readiness) = &self.readiness
            && let Some(backend) = &self.target.backend
        {
            let due = self
                .service
                .due(readiness, self.lifecycle.phase() != Phase::Off, now);
            if due.is_some_and(|due| now >= due) {
                let service = backend.service.clone();
                let future = async move {
                    let namespace = &work.workload.namespace;
                    Outcome::Service(work.cluster.service(namespace, &service).await)
                };
                return Some((JobKind::Read, Box::pin(future)));
            }
        } else if now >= self.look_at {
            let is_moving = matches!(
                self.lifecycle.phase(),
                Phase::Starting | Phase::Stopping | Phase::Failed
            );
            self.look_at = now + if is_moving { LOOK_SOON } else { LOOK_RARELY };
            let future = async move { Outcome::Looked(work.cluster.observe(&work.workload).await) };
            return Some((JobKind::Read, Box::pin(future)));
        }
        if self.is_by_service() {
            if now >= self.look_at {
                self.look_at = now + LOOK_FOR_PODS;
                self.is_scale_wanted = true;
            }
        } else if self.lifecycle.is_without_pods() && now >= self.look_at {
            self.look_at = now + LOOK_FOR_PODS;
            self.is_scale_wanted = now >= self.lifecycle.since() + LOOK_FOR_PODS;
        }
        if std::mem::take(&mut self.is_scale_wanted) && self.readiness.is_some() {
            let future = async move { Outcome::Scale(work.cluster.scale(&work.workload).await) };
            return Some((JobKind::Read, Box::pin(future)));
        }
        None
    }

    /// Returns true if its pods are not watched, since it is reached by way of its Service.
    fn is_by_service(&self) -> bool {
        let backend = self.target.backend.as_ref();
        backend.is_some_and(|backend| backend.route == Route::Service)
    }

    /// The time of the next one.
    pub(super) fn look_later(&self, now: Instant) -> Instant {
        let Some(readiness) = &self.readiness else {
            return self.look_at;
        };
        let look_at = match self.lifecycle.is_without_pods() || self.is_by_service() {
            true => self.look_at.max(now),
            false => now + LOOK_RARELY,
        };
        let service = self
            .service
            .due(readiness, self.lifecycle.phase() != Phase::Off, now);
        service.map_or(look_at, |due| look_at.min(due))
    }
}
