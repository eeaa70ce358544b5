//! The Event that a command leaves behind on the workload that it has changed.

use std::time::{Duration, UNIX_EPOCH};

use log::{debug, warn};

use super::{
    execute::Done,
    jobs::{Answered, End, Ended, Jobs},
};
use crate::{
    control::{Targets, Traces},
    kube::{Error, Trace},
    util::boxed,
};

impl Jobs {
    /// Writes an Event about a change that was made at `wall_ms`, where that is wanted. Its
    /// answer does not wait for that, and what becomes of it is for the log.
    pub(super) fn leave_trace(&mut self, answered: &Answered, wall_ms: u64) {
        let (Answered { entry, .. }, Targets::Named(targets)) = (answered, &self.targets) else {
            return;
        };
        let (Some(command), End::Done(Done::Changed(change))) = (&answered.command, &answered.end)
        else {
            return;
        };
        let name = command.targets().first();
        let target = targets.iter().find(|target| Some(&target.name) == name);
        let Some(target) = target.filter(|_| !change.uid.is_empty()) else {
            return;
        };
        let by = match self.traces {
            Traces::None => return,
            Traces::Nameless => String::new(),
            Traces::WithUser => format!(" by {}", entry.sender),
        };
        let trace = Trace {
            command: entry.event_id.to_string(),
            uid: change.uid.clone(),
            message: format!(
                "{} in the chat{by}: {} to {} replicas",
                command.verb(),
                change.from,
                change.to
            ),
            at: UNIX_EPOCH + Duration::from_millis(wall_ms),
        };
        let (kube, workload) = (self.cluster.kube.clone(), target.workload.clone());
        self.tasks.spawn(boxed(async move {
            match kube.leave_trace(&workload, &trace).await {
                Err(fault @ Error::Forbidden { .. }) => {
                    warn!("{} ({})", fault.sentence(&workload), fault.detail());
                }
                Err(fault) => debug!("no event about {workload}: {}", fault.detail()),
                Ok(()) => {}
            }
            Ended::Aside
        }));
    }
}
