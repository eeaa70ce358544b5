//! A look at all that may say why a workload does not come up.

use log::debug;

use super::{Api, Error};
use crate::control::Workload;
use crate::control::progress::{Look, Observation, ReadError, silent_pod};

impl Api {
    /// Reads the newest pods of a workload, and the Events about it. `seen` is the workload
    /// as it was seen just now, `selector` that of its
    /// [`ScaleAnswer`](super::ScaleAnswer).
    pub async fn look(&self, workload: &Workload, selector: &str, seen: &Observation) -> Look {
        let pods = self.pods(workload, selector).await;
        let mut events = self.warnings(workload, &seen.uid).await;
        // What keeps a pod from its volume is told of the pod.
        if let (Ok(pods), Ok(events)) = (&pods, &mut events)
            && let Some(pod) = silent_pod(seen, pods)
        {
            match self.warnings(workload, &pod.uid).await {
                Ok(of_pod) => events.extend(of_pod),
                Err(fault) => debug!("{workload}: {}", fault.detail()),
            }
        }
        Look {
            pods: pods.map_err(|fault| fault.read_error()),
            events: events.map_err(|fault| fault.read_error()),
        }
    }
}

impl Error {
    /// The part of it that matters to whoever only looks.
    pub const fn read_error(&self) -> ReadError {
        match self {
            Self::Forbidden { .. } => ReadError::Forbidden,
            Self::NotFound { .. } => ReadError::NotFound,
            _ => ReadError::Failed,
        }
    }
}
