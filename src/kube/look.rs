//! A look at all that may say why a workload does not come up.

use log::debug;

use super::{Api, Error};
use crate::control::Workload;
use crate::control::progress::{Look, Observation, ReadError, silent_pod};

/// The things that a look asks for: what is left out is answered as if it were forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookAt {
    /// The pods.
    pub pods: bool,
    /// The Events.
    pub events: bool,
}

impl LookAt {
    /// Both.
    pub const ALL: Self = Self {
        pods: true,
        events: true,
    };
}

impl Api {
    /// Reads the newest pods of a workload, and the Events about it. `seen` is the workload
    /// as it was seen just now, `selector` that of its
    /// [`ScaleAnswer`](super::ScaleAnswer).
    pub async fn look(
        &self,
        workload: &Workload,
        selector: &str,
        seen: &Observation,
        at: LookAt,
    ) -> Look {
        let told = |fault: &Error| {
            debug!("{workload}: {}", fault.detail());
            fault.read_error()
        };
        let pods = match at.pods {
            true => self
                .pods(workload, selector)
                .await
                .map_err(|fault| told(&fault)),
            false => Err(ReadError::Forbidden),
        };
        let mut events = match at.events {
            true => {
                let of_workload = self.warnings(workload, &seen.uid).await;
                of_workload.map_err(|fault| told(&fault))
            }
            false => Err(ReadError::Forbidden),
        };
        // What keeps a pod from its volume is told of the pod.
        if let (Ok(pods), Ok(events)) = (&pods, &mut events)
            && let Some(pod) = silent_pod(seen, pods)
            && let Ok(of_pod) = self
                .warnings(workload, &pod.uid)
                .await
                .inspect_err(|fault| debug!("{workload}: {}", fault.detail()))
        {
            events.extend(of_pod);
        }
        Look { pods, events }
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
