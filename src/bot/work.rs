//! Commands that need the cluster.

use std::time::Instant;

use log::{error, info};

use super::{command::Command, replies};
use crate::kube::{self, DryRun, Target};
use crate::telemetry::HealthState;

/// Does what was asked for, and says what came of it and whether it was done.
pub(super) async fn execute(
    kube: &kube::Api,
    target: &Target,
    command: Command,
    health: &HealthState,
) -> (String, bool) {
    let scale = async |replicas| {
        let started = Instant::now();
        let scaled = kube.scale(target, replicas, DryRun::No).await;
        health.scaled(scaled.is_ok(), started.elapsed());
        scaled.map(|scaled| replies::scaled(scaled.replicas))
    };
    let result = match command {
        Command::Start => scale(1).await,
        Command::Stop => scale(0).await,
        Command::Status => kube
            .deployment(target)
            .await
            .map(|status| replies::status(status.desired, status.ready, status.available)),
        Command::Help => Ok(replies::HELP.to_owned()),
    };
    match result {
        Ok(answer) => {
            info!(
                "{}: {}",
                command.as_str(),
                answer.lines().next().unwrap_or_default()
            );
            (answer, true)
        }
        Err(fault) => {
            error!("{} {target}: {}", command.as_str(), fault.detail());
            (replies::failure(&fault.sentence(target)), false)
        }
    }
}
