//! Restarts: by replacing the pods where that is granted and interrupts nothing, else by
//! scaling to none and back.

use std::time::{Duration, UNIX_EPOCH};

use log::{info, warn};
use tokio::time::{Instant, sleep};

use super::execute::{Change, Cluster, Done};
use crate::{
    control::{RestartStep, Target, Workload, progress::UpdateStrategy},
    kube,
    net::Remedy,
    util::rfc3339,
};

/// Longest wait of a restart for the pods to end, before they are started again.
const RESTART_WAIT: Duration = Duration::from_secs(60);

/// Tries to scale back after that, and the time between two of them.
const RESTART_TRIES: u32 = 20;
const RESTART_RETRY: Duration = Duration::from_secs(5);

/// The time between two looks at them.
const RESTART_LOOK: Duration = Duration::from_secs(1);

impl Cluster {
    /// Has the pods replaced one after another where that may be done and interrupts
    /// nothing; else what has to come first. The time at which it was asked for is what
    /// changes, so that a repetition changes nothing.
    pub(super) async fn begin_restart(
        &self,
        target: &Target,
        step: RestartStep,
        received_at: u64,
    ) -> Result<Done, kube::Error> {
        let workload = &target.workload;
        let seen = self.kube.observe(workload).await?;
        if seen.desired == 0 {
            return Ok(Done::Status(Box::new(seen)));
        }
        // A part of the pods, or all at once, is not what was asked for.
        let rolls = matches!(seen.strategy, UpdateStrategy::Rolling { partition: ..=0 });
        if rolls && self.may_roll(workload).await {
            if seen.is_paused {
                return Ok(Done::Paused);
            }
            let at = UNIX_EPOCH + Duration::from_millis(received_at);
            let (seen, selector) = self.kube.roll(workload, &seen.uid, &rfc3339(at)).await?;
            return Ok(Done::Changed(Change {
                from: seen.desired,
                to: seen.desired,
                uid: seen.uid,
                generation: seen.generation,
                selector,
                version: String::new(),
            }));
        }
        Ok(match step {
            _ if seen.deletes_volumes && !target.data_is_disposable => Done::LosesData,
            RestartStep::Asked => Done::MustConfirm,
            _ => Done::RestartFrom(seen.desired),
        })
    }

    /// Returns true if the workload itself may be patched. Rights that the API server does
    /// not tell are not there: there is another way.
    async fn may_roll(&self, workload: &Workload) -> bool {
        match self.kube.rights(&workload.namespace).await {
            Ok(rights) => rights.on(workload).restart,
            Err(fault) => {
                let namespace = &workload.namespace;
                info!(
                    "the rights in {namespace} are not known: {}",
                    fault.detail()
                );
                false
            }
        }
    }

    /// Scales to none, waits until the pods have ended, and scales back. The number to come
    /// back to is written down before. Whatever fails once it may be at none, it is scaled
    /// back.
    pub(super) async fn restart(&self, target: &Target, count: i32) -> Result<Done, kube::Error> {
        let workload = &target.workload;
        // Under this program's name no visitor wakes it meanwhile, with another number.
        let is_held = self.leases.is_some() && workload.kind.takes_apply();
        let stopped = match is_held {
            true => self.hold(workload).await,
            false => self.set(workload, 0).await,
        };
        match &stopped {
            Ok(_) => self.wait_for_end(workload).await,
            // It may be at none all the same.
            Err(fault) if fault.is_transient() => {}
            Err(_) => return stopped.map(|_| Done::Store),
        }
        // Another number than none is somebody else's newer wish.
        match (self.start_again(target, count).await?, stopped) {
            (Done::AlreadyOn(_), Err(fault)) => Err(fault),
            (done, _) => Ok(done),
        }
    }

    /// Waits for a while until the pods of a workload that is scaled to none have ended.
    async fn wait_for_end(&self, workload: &Workload) {
        let until = Instant::now() + RESTART_WAIT;
        while Instant::now() < until {
            match self.kube.observe(workload).await {
                Ok(seen) => {
                    let left = seen.replicas.saturating_add(seen.terminating.unwrap_or(0));
                    if seen.desired > 0 || left == 0 {
                        return;
                    }
                }
                Err(fault) => info!("restart of {workload}: {}", fault.detail()),
            }
            sleep(RESTART_LOOK).await;
        }
    }

    /// Starts what was scaled to none for a restart, and tries for a while: it is not to
    /// stay so because the API server is away for a moment.
    async fn start_again(&self, target: &Target, count: i32) -> Result<Done, kube::Error> {
        for _ in 0..RESTART_TRIES {
            match self.start(target, Some(count), None).await {
                Err(fault) if fault.is_transient() => {
                    warn!(
                        "restart of {}: {}; trying again",
                        target.name,
                        fault.detail()
                    );
                }
                answered => return answered,
            }
            sleep(RESTART_RETRY).await;
        }
        self.start(target, Some(count), None).await
    }
}
