//! Commands that need the cluster.

use log::{error, info};

use super::{command::Command, replies};
use crate::kube::{self, Run, Target};

/// Does what was asked for, and says what came of it.
pub(super) async fn execute(kube: &kube::Api, target: &Target, command: Command) -> String {
    let scaled = |result: Result<kube::Scaled, kube::Error>| {
        result.map(|scaled| replies::scaled(scaled.replicas))
    };
    let result = match command {
        Command::Start => scaled(kube.scale(target, 1, Run::ForReal).await),
        Command::Stop => scaled(kube.scale(target, 0, Run::ForReal).await),
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
            answer
        }
        Err(fault) => {
            error!("{} {target}: {}", command.as_str(), fault.detail());
            replies::failure(&fault.sentence(target))
        }
    }
}
