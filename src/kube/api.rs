//! The operations on a Deployment.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api_client::ApiClient;
use super::call::{Call, DryRun};
use super::credentials::Credentials;
use super::error::{Detail, Error, Operation};
use super::refusal::start_of;
use crate::control::Target;
use crate::json::whole_number;

/// The API server of a cluster. Clones share one state; calls may run at the
/// same time and be spawned.
#[derive(Debug, Clone)]
pub struct Api {
    pub(super) api_client: ApiClient,
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
        }
    }

    /// Sets the number of replicas, by a merge patch of the `scale` subresource
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/#patch-partially-update-scale-of-the-specified-deployment>).
    /// It is an absolute number, so doing it twice does no harm.
    ///
    /// # Errors
    /// The API server did not do it, or its answer does not say so.
    pub async fn scale(
        &self,
        target: &Target,
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
    pub async fn deployment(&self, target: &Target) -> Result<DeploymentStatus, Error> {
        let answer = self.api_client.call(&Call::read(target)).await?;
        let Deployment { spec, status, .. } = self.parse(Operation::Read, &answer)?;
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
    pub async fn preflight(&self, target: &Target) -> Preflight {
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
        target: &Target,
        body: String,
        dry_run: DryRun,
    ) -> Result<Scaled, Error> {
        let answer = self
            .api_client
            .call(&Call::scale(target, body, dry_run))
            .await?;
        let scale: Scale = self.parse(Operation::Scale, &answer)?;
        // The API server leaves out a zero.
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok(Scaled {
            replicas: replicas.max(0),
        })
    }

    fn parse<T: DeserializeOwned>(&self, operation: Operation, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|fault| {
            let (verb, resource, start) = (operation.verb(), operation.resource(), start_of(body));
            Error::Broken {
                identity: self.api_client.identity(),
                detail: Detail::new(&format!("{verb} {resource}: {fault}: {start}")),
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

/// The part of a Scale that is read.
#[derive(Deserialize)]
struct Scale {
    #[serde(rename = "apiVersion")]
    _api_version: AutoscalingV1,
    #[serde(rename = "kind")]
    _kind: ScaleKind,
    spec: Option<DeploymentSpec>,
}

#[derive(Deserialize)]
enum AutoscalingV1 {
    #[serde(rename = "autoscaling/v1")]
    AutoscalingV1,
}

#[derive(Deserialize)]
enum ScaleKind {
    Scale,
}
