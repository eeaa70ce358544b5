//! `healthcheck`: asks the running bot or gateway whether it is alive or ready.

use crate::cli::Error;
use crate::config::ListenAddress;
use crate::telemetry::{self, Probe};
use crate::util::Clock;

/// Asks the bot or gateway that listens at `address` of this machine and returns its answer, ending
/// in a newline.
///
/// # Errors
/// It does not answer, or not with yes.
pub(in crate::cli) async fn run(
    address: ListenAddress,
    probe: Probe,
    clock: Clock,
) -> Result<String, Error> {
    let answer = telemetry::ask(&address.local(), probe, clock).await;
    let answer = answer.map_err(|why| Error::Unwell(why.to_string()))?;
    match answer.ok {
        true => Ok(answer.text),
        false => Err(Error::Unwell(answer.text.trim_end().to_owned())),
    }
}
