//! The API server, and what it is asked about the one Deployment that the environment
//! names.

use std::fmt::Display;

use serde::Deserialize;

use super::api_client::{Answer, ApiClient};
use super::call::{Call, DryRun, Patch};
use super::credentials::Credentials;
use super::error::{Detail, Error};
use super::operation::Operation;
use super::refusal::shown;
use super::refusals::Refusals;
use super::scale::ScaleAnswer;
use crate::control::{Kind, Workload};
use crate::json::whole_number;
use crate::util::{Clock, ClockDifference, ServerClock};

/// The API server of a cluster. Clones share one state; calls may run at the
/// same time and be spawned.
#[derive(Debug, Clone)]
pub struct Api {
    pub(super) api_client: ApiClient,
    pub(super) refusals: Refusals,
}

/// The API server accepted a number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    /// The number that the Deployment has now, from the answer; an admission
    /// rule may have changed what was asked. Not negative.
    pub replicas: i32,
}

/// The state of a Deployment. No number is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// The number of replicas that it should have.
    pub desired: i32,
    /// The number of those that are ready.
    pub ready: i32,
    /// The number of those that have been ready for long enough (`minReadySeconds`).
    pub available: i32,
}

/// The result of [`Api::preflight`].
#[derive(Debug, Clone, PartialEq)]
pub enum Preflight {
    /// The Deployment is there, and may be read and scaled.
    Ready(DeploymentStatus),
    /// There is at least one thing in the way of a command.
    Faulty(Vec<Error>),
}

impl Api {
    /// An API server that has not been asked anything yet.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            api_client: ApiClient::new(credentials),
            refusals: Refusals::default(),
        }
    }

    /// The same API server with places of its own for calls, so that they wait for no others.
    pub fn beside(&self) -> Self {
        Self {
            api_client: self.api_client.beside(),
            refusals: self.refusals.clone(),
        }
    }

    /// Takes the difference between the API server's clock and this machine's, by its last
    /// answer; None if it has not answered since it was taken.
    pub fn take_clock_difference(&self) -> Option<ClockDifference> {
        self.api_client.take_clock_difference()
    }

    /// The API server's clock, by its answers and this machine's clock.
    pub fn clock(&self, own: Clock) -> ServerClock {
        ServerClock::new(own, self.api_client.ahead.clone())
    }

    /// Sets the number of replicas, by a merge patch of the `scale` subresource
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/#patch-partially-update-scale-of-the-specified-deployment>).
    /// It is an absolute number, so doing it twice does no harm.
    ///
    /// # Errors
    /// The API server did not do it, or its answer does not say so.
    pub async fn scale(
        &self,
        target: &Workload,
        replicas: i32,
        dry_run: DryRun,
    ) -> Result<Scaled, Error> {
        let body = format!("{{\"spec\":{{\"replicas\":{replicas}}}}}");
        self.patch_scale(target, body, dry_run).await
    }

    /// Reads the Deployment.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn deployment(&self, target: &Workload) -> Result<DeploymentStatus, Error> {
        let call = Call::read(target);
        let answer = self.api_client.call(&call).await?;
        let read = serde_json::from_slice(&answer.body);
        let Deployment { spec, status, .. } = self.understood(&call, &answer, read)?;
        let count = |number: Option<i32>| number.unwrap_or_default().max(0);
        let status = status.unwrap_or_default();
        Ok(DeploymentStatus {
            desired: count(spec.unwrap_or_default().replicas),
            ready: count(status.ready_replicas),
            available: count(status.available_replicas),
        })
    }

    /// Finds out what would stop a command, and changes nothing: the scale gets an empty
    /// patch, as a dry run. It needs no current number for that, so both rights are tried
    /// even if the first is missing.
    pub async fn preflight(&self, target: &Workload) -> Preflight {
        if target.kind != Kind::Deployment {
            return match self.inspect(target).await {
                Ok(seen) => Preflight::Ready(DeploymentStatus {
                    desired: seen.desired,
                    ready: seen.ready,
                    available: seen.available,
                }),
                Err(faults) => Preflight::Faulty(faults),
            };
        }
        let read = self.deployment(target).await;
        if let Err(error) = &read
            && !matches!(error, Error::Forbidden { .. })
        {
            // The scale would fail for the same reason.
            return Preflight::Faulty(vec![error.clone()]);
        }
        let scale = self.patch_scale(target, "{}".to_owned(), DryRun::Yes).await;
        match (read, scale) {
            (Ok(status), Ok(_)) => Preflight::Ready(status),
            (read, scale) => Preflight::Faulty(read.err().into_iter().chain(scale.err()).collect()),
        }
    }

    async fn patch_scale(
        &self,
        target: &Workload,
        body: String,
        dry_run: DryRun,
    ) -> Result<Scaled, Error> {
        let call = Call::scale(Operation::Scale, target, Patch::Merge(body), dry_run);
        let answer = self.api_client.call(&call).await?;
        let ScaleAnswer { replicas, .. } =
            self.understood(&call, &answer, ScaleAnswer::read(&answer.body))?;
        Ok(Scaled { replicas })
    }

    /// The part of an answer that was read.
    ///
    /// # Errors
    /// It is not what was asked for.
    pub(super) fn understood<T, F: Display>(
        &self,
        call: &Call,
        answer: &Answer,
        read: Result<T, F>,
    ) -> Result<T, Error> {
        read.map_err(|fault| {
            let (asked, start) = (call.asked(), shown(call, &answer.body));
            Error::Broken {
                identity: self.api_client.identity(),
                detail: Detail::new(&format!("{asked}: {fault}: {start}")),
            }
        })
    }
}

/// The parts of a Deployment that are read. The whole type of k8s-openapi
/// has the pod template too, which alone would be 270 KiB of the program; and
/// it takes `{}` for a Deployment, which would be one that is off.
#[derive(Deserialize)]
struct Deployment {
    #[serde(rename = "apiVersion")]
    _api_version: AppsV1,
    #[serde(rename = "kind")]
    _kind: DeploymentKind,
    spec: Option<DeploymentSpec>,
    status: Option<Readiness>,
}

#[derive(Deserialize)]
enum AppsV1 {
    #[serde(rename = "apps/v1")]
    AppsV1,
}

#[derive(Deserialize)]
enum DeploymentKind {
    Deployment,
}

#[derive(Deserialize, Default)]
struct DeploymentSpec {
    #[serde(default, deserialize_with = "whole_number")]
    replicas: Option<i32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    #[serde(default, deserialize_with = "whole_number")]
    ready_replicas: Option<i32>,
    #[serde(default, deserialize_with = "whole_number")]
    available_replicas: Option<i32>,
}
