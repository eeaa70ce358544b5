//! The client of the pages: asks a running bot about its state.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use http::Method;
use tokio::time::{Instant, sleep};

use super::probe::{Probe, ProbeAnswer};
use crate::net::{self, Client, Fault, Limits, Request, Roots};
use crate::util::Clock;

/// An answer comes at once or something is wrong.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(5),
    body: 8 * 1024,
};

/// A connection that is closed without an answer, as a crowd on loopback may
/// bring about, is made again until then.
const RETRY: Duration = Duration::from_secs(3);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The reason why no bot answers, which is only shown.
type AskError = Box<dyn std::error::Error>;

/// Asks the bot that listens on one of `addresses`, and returns its answer.
///
/// # Errors
/// It does not answer; the error is that of the first address.
pub async fn ask(
    addresses: &[SocketAddr],
    probe: Probe,
    clock: Clock,
) -> Result<ProbeAnswer, AskError> {
    let mut first = None;
    for address in addresses {
        match ask_one(*address, probe, clock).await {
            Ok(verdict) => return Ok(verdict),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| "the health port has no address".into()))
}

async fn ask_one(address: SocketAddr, probe: Probe, clock: Clock) -> Result<ProbeAnswer, AskError> {
    let url = format!("http://{address}{}", probe.path());
    // No TLS is spoken: the roots are never looked at.
    let client = Client::new(Roots::Mozilla, clock)?;
    let request = Request::new(Method::GET, &url, Vec::new(), LIMITS)?;
    let until = Instant::now() + RETRY;
    loop {
        match client.send(request.clone()).await {
            Ok(answer) => {
                return Ok(ProbeAnswer {
                    ok: answer.status == 200,
                    text: String::from_utf8_lossy(&answer.body).into_owned(),
                });
            }
            Err(error) if was_pushed_out(&error) && Instant::now() < until => {
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn was_pushed_out(error: &net::Error) -> bool {
    match error.fault {
        Fault::Closed(_) => true,
        Fault::Connect(kind) => kind == ErrorKind::ConnectionReset,
        _ => false,
    }
}
