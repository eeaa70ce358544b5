//! Reading a workload of any kind, and trying out whether it may be scaled.

use super::api::Api;
use super::call::{Call, DryRun, Patch};
use super::error::Error;
use super::object::{self, MAX_KEPT, WORKLOAD};
use super::operation::Operation;
use super::scale::{SCALE, ScaleAnswer};
use crate::control::progress::Observation;
use crate::control::{Kind, Workload};

impl Api {
    /// Reads a workload: the object itself, or, of a kind that is not known, its Scale.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn observe(&self, target: &Workload) -> Result<Observation, Error> {
        if let Kind::Other(_) = target.kind {
            let call = Call::of(Operation::Observe, target, "/scale", &SCALE);
            let answer = self.api_client.call(&call).await?;
            let scale = ScaleAnswer::read(&answer.body);
            let seen = self.understood(&call, &answer, scale)?;
            return Ok(Observation {
                name: target.name.as_str().to_owned(),
                ..seen.into()
            });
        }
        let call = Call::of(Operation::Observe, target, "", &WORKLOAD).keeping(MAX_KEPT);
        let answer = self.api_client.call(&call).await?;
        let seen = object::read(&target.kind, &answer.body);
        self.understood(&call, &answer, seen)
    }

    /// Reads the Scale of a workload by a change that changes nothing, as a dry run: it takes
    /// the right to change it, and none to read it.
    ///
    /// # Errors
    /// It may not be changed, there is none, or the API server did not show it.
    pub async fn rehearse(&self, target: &Workload) -> Result<ScaleAnswer, Error> {
        let patch = Patch::Merge("{}".to_owned());
        Ok(self.change(target, patch, DryRun::Yes).await?)
    }

    /// Reads a workload and tries out whether it may be scaled, and changes nothing: its
    /// Scale gets an empty patch, as a dry run. It needs no current number for that, so
    /// both rights are tried even if the first is missing.
    ///
    /// # Errors
    /// Each thing in the way of a command, at least one.
    pub async fn inspect(&self, target: &Workload) -> Result<Observation, Vec<Error>> {
        let seen = self.observe(target).await;
        if let Err(error) = &seen
            && !matches!(error, Error::Forbidden { .. })
        {
            // The scale would fail for the same reason.
            return Err(vec![error.clone()]);
        }
        match (seen, self.rehearse(target).await) {
            (Ok(seen), Ok(_)) => Ok(seen),
            (seen, scaled) => Err(seen.err().into_iter().chain(scaled.err()).collect()),
        }
    }
}
