//! What can be asked of the API server.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api_client::ApiClient;
use super::call::Call;
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

/// Whether a change is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// It is.
    No,
    /// The API server goes through all the motions, and changes nothing.
    Yes,
}

/// The API server accepted a number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    /// The number that the Deployment has now, from the answer; an admission
    /// rule may have changed what was asked. Not negative.
    pub replicas: i32,
}

/// How a Deployment is doing. No number is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// How many replicas it should have.
    pub desired: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many have been ready for long enough.
    pub available: i32,
}

/// What a look before the first command found.
#[derive(Debug, Clone, PartialEq)]
pub enum Preflight {
    /// The Deployment is there, and may be read and scaled.
    Ready(DeploymentStatus),
    /// What is in the way, at least one thing.
    Faulty(Vec<Error>),
}

impl Api {
    /// An API server that has not been asked anything yet.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            api_client: ApiClient::new(credentials),
        }
    }

    /// Sets the number of replicas. It is an absolute number, so doing it twice
    /// does no harm.
    pub async fn scale(
        &self,
        target: &Target,
        replicas: i32,
        run: DryRun,
    ) -> Result<Scaled, Error> {
        let body = format!("{{\"spec\":{{\"replicas\":{replicas}}}}}");
        self.patch_scale(target, body, run).await
    }

    /// Looks at the Deployment.
    pub async fn deployment(&self, target: &Target) -> Result<DeploymentStatus, Error> {
        let answer = self.api_client.call(&Call::read(target)).await?;
        let Deployment { spec, status, .. } = parse(Operation::Read, &answer)?;
        let count = |number: Option<i32>| number.unwrap_or_default().max(0);
        let status = status.unwrap_or_default();
        Ok(DeploymentStatus {
            desired: count(spec.unwrap_or_default().replicas),
            ready: count(status.ready_replicas),
            available: count(status.available_replicas),
        })
    }

    /// Finds out what would stop a command, and changes nothing: the scale gets
    /// an empty patch, and a dry one at that. So it does not take the current
    /// number, and both rights are tried even if the first is missing.
    pub async fn preflight(&self, target: &Target) -> Preflight {
        let read = self.deployment(target).await;
        if let Err(error) = &read
            && !matches!(error, Error::Forbidden { .. })
        {
            // To scale would fail for the same reason.
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
        run: DryRun,
    ) -> Result<Scaled, Error> {
        let answer = self
            .api_client
            .call(&Call::scale(target, body, run))
            .await?;
        let scale: Scale = parse(Operation::Scale, &answer)?;
        // The API server leaves out a zero.
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok(Scaled {
            replicas: replicas.max(0),
        })
    }
}

/// The parts of a Deployment that are looked at. The whole type of k8s-openapi
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
    It,
}

#[derive(Deserialize)]
enum DeploymentKind {
    #[serde(rename = "Deployment")]
    It,
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

/// The part of a Scale that is looked at.
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
    It,
}

#[derive(Deserialize)]
enum ScaleKind {
    #[serde(rename = "Scale")]
    It,
}

fn parse<T: DeserializeOwned>(act: Operation, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|fault| not_understood(act, body, &fault))
}

fn not_understood(act: Operation, body: &[u8], fault: &serde_json::Error) -> Error {
    let (verb, resource, start) = (act.verb(), act.resource(), start_of(body));
    Error::Broken {
        detail: Detail::new(&format!("{verb} {resource}: {fault}: {start}")),
    }
}
