//! Changing the number of replicas of a target, of whatever kind: to a number, only
//! upwards from zero, or only from what was expected.

use serde_json::json;

use super::api::Api;
use super::api_client::Failed;
use super::call::{Call, DryRun, Patch};
use super::error::{Error, Missing};
use super::operation::Operation;
use super::scale::ScaleAnswer;
use crate::control::Workload;
use crate::control::progress::Observation;

/// Attempts of a conditional change: a condition that failed and is true when it is
/// looked at means that somebody else wrote in between.
const MAX_ATTEMPTS: usize = 2;

/// The outcome of [`Api::start`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It was off, and has this number of replicas now.
    Raised {
        /// The API server's answer.
        scale: ScaleAnswer,
    },
    /// It was not off, and nothing was changed.
    AlreadyOn {
        /// Its state then.
        observation: Observation,
    },
}

/// The outcome of [`Api::set_replicas_if`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// It has this number of replicas now.
    Done(ScaleAnswer),
    /// It is another object or has another number of replicas than expected, and nothing
    /// was changed. After a crash it may have the number that was asked for.
    Changed(Observation),
    /// There is no such object any more.
    Gone,
}

/// The outcome of one conditional change.
enum Tried {
    Done(ScaleAnswer),
    /// A condition is not true, or the API server will not, for this reason: it says both
    /// in the same way.
    Refused(Error),
}

impl Api {
    /// Raises the number of replicas of a workload that has none, and never lowers one:
    /// the API server compares and changes in one step.
    ///
    /// # Errors
    /// The API server did not do it, or its answer does not say so.
    pub async fn start(&self, target: &Workload, replicas: i32) -> Result<Started, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.try_change(target, None, 0, replicas).await? {
                Tried::Done(scale) => return Ok(Started::Raised { scale }),
                Tried::Refused(error) => {
                    let observation = self.observe(target).await?;
                    if observation.desired > 0 {
                        return Ok(Started::AlreadyOn { observation });
                    }
                    if attempts >= MAX_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Sets the number of replicas. It is an absolute number, so doing it twice does no
    /// harm.
    ///
    /// # Errors
    /// The API server did not do it, or its answer does not say so.
    pub async fn set_replicas(
        &self,
        target: &Workload,
        replicas: i32,
    ) -> Result<ScaleAnswer, Error> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}).to_string());
        Ok(self.change(target, patch, DryRun::No).await?)
    }

    /// Sets the number of replicas if the workload is still the object with this uid and
    /// has `expected` replicas: the API server compares and changes in one step.
    ///
    /// # Errors
    /// The API server did not do it, or its answer does not say so.
    pub async fn set_replicas_if(
        &self,
        target: &Workload,
        uid: &str,
        expected: i32,
        replicas: i32,
    ) -> Result<Conditional, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let tried = self.try_change(target, Some(uid), expected, replicas).await;
            let error = match tried {
                Ok(Tried::Done(scale)) => return Ok(Conditional::Done(scale)),
                Ok(Tried::Refused(error)) => error,
                Err(error) if is_gone(&error) => return Ok(Conditional::Gone),
                Err(error) => return Err(error),
            };
            match self.observe(target).await {
                Ok(seen) if seen.uid != uid || seen.desired != expected => {
                    return Ok(Conditional::Changed(seen));
                }
                Err(error) if is_gone(&error) => return Ok(Conditional::Gone),
                Err(error) => return Err(error),
                Ok(_) if attempts >= MAX_ATTEMPTS => return Err(error),
                Ok(_) => {}
            }
        }
    }

    async fn try_change(
        &self,
        target: &Workload,
        uid: Option<&str>,
        expected: i32,
        replicas: i32,
    ) -> Result<Tried, Error> {
        let patch = |expected| Patch::Json(conditional(uid, expected, replicas));
        let failed = match self.change(target, patch(expected), DryRun::No).await {
            Ok(scale) => return Ok(Tried::Done(scale)),
            Err(failed) if failed.status == Some(422) => failed,
            Err(failed) => return Err(failed.error),
        };
        // An attempt whose answer was lost may have done it: then it has the number, and
        // setting it once more changes nothing.
        if failed.is_repeated
            && let Ok(scale) = self.change(target, patch(replicas), DryRun::No).await
        {
            return Ok(Tried::Done(scale));
        }
        Ok(Tried::Refused(failed.error))
    }

    pub(super) async fn change(
        &self,
        target: &Workload,
        patch: Patch,
        dry_run: DryRun,
    ) -> Result<ScaleAnswer, Failed> {
        let call = Call::scale(Operation::Change, target, patch, dry_run);
        let answer = self.api_client.call(&call).await?;
        let scale = ScaleAnswer::read(&answer.body);
        self.understood(&call, &answer, scale)
            .map_err(|error| Failed {
                error,
                status: None,
                is_repeated: false,
                owners: Vec::new(),
            })
    }
}

/// The JSON patch (<https://www.rfc-editor.org/rfc/rfc6902>) that sets the number of
/// replicas of an object that has `expected`. The conditions come first, since the first
/// that fails ends it.
fn conditional(uid: Option<&str>, expected: i32, replicas: i32) -> String {
    // A Scale leaves out a zero, and what is absent passes a test for null.
    let expected = (expected != 0).then_some(expected);
    let uid = uid.map(|uid| json!({"op": "test", "path": "/metadata/uid", "value": uid}));
    let rest = [
        json!({"op": "test", "path": "/spec/replicas", "value": expected}),
        json!({"op": "add", "path": "/spec/replicas", "value": replicas}),
    ];
    let steps: Vec<_> = uid.into_iter().chain(rest).collect();
    json!(steps).to_string()
}

fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound {
            what: Missing::Object | Missing::Namespace,
            ..
        }
    )
}
