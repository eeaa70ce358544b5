//! `gateway check`, and what `gateway` begins with.

use crate::cli::error::Error;
use crate::config::gateway::{GatewayFile, GatewaySettings};
use crate::config::{Env, Faults};
use crate::gateway;
use crate::util::Clock;

/// The environment and the file.
///
/// # Errors
/// Every fault of both; those of the file if the environment names it rightly.
pub(in crate::cli) fn read(env: Env<'_>) -> Result<(GatewaySettings, GatewayFile), Faults> {
    let settings = GatewaySettings::from_env(env)?;
    let file = GatewayFile::read(&settings.file, settings.own.as_ref())?;
    Ok((settings, file))
}

/// The settings, and that nothing is wrong with them and what they need of the cluster.
///
/// # Errors
/// Every fault of the environment and the file, or everything that is lacking.
pub(in crate::cli) async fn check(
    settings: &GatewaySettings,
    file: &GatewayFile,
    clock: Clock,
) -> Result<String, Error> {
    let lacking = gateway::check(settings, file, clock).await;
    let lacking = lacking.map_err(|why| Error::Unwell(why.to_string()))?;
    if !lacking.is_empty() {
        return Err(Error::Unwell(lacking.join("\n")));
    }
    let mut text = format!("{}\n", settings.summary());
    for warning in &file.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str("nothing is wrong with the configuration, and nothing is lacking\n");
    Ok(text)
}
