//! Asking a running bot how it is.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use http::Method;
use tokio::time::{Instant, sleep};

use super::probe::{Probe, Verdict};
use crate::net::{Client, Error, Fault, Limits, Request, Roots};

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

/// What the bot that listens on one of `addresses` answers to a probe.
///
/// # Errors
/// It does not answer; the sentence is about the first address.
pub async fn ask(addresses: &[SocketAddr], probe: Probe) -> Result<Verdict, String> {
    let mut why = None;
    for address in addresses {
        match ask_one(*address, probe).await {
            Ok(verdict) => return Ok(verdict),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.unwrap_or_default())
}

async fn ask_one(address: SocketAddr, probe: Probe) -> Result<Verdict, String> {
    let url = format!("http://{address}{}", probe.path());
    // No TLS is spoken: the roots are never looked at.
    let client = Client::new(Roots::Mozilla).map_err(|error| error.to_string())?;
    let request =
        Request::new(Method::GET, &url, Vec::new(), LIMITS).map_err(|error| error.to_string())?;
    let until = Instant::now() + RETRY;
    loop {
        match client.send(request.clone()).await {
            Ok(answer) => {
                return Ok(Verdict {
                    ok: answer.status == 200,
                    text: String::from_utf8_lossy(&answer.body).into_owned(),
                });
            }
            Err(error) if was_pushed_out(&error) && Instant::now() < until => {
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn was_pushed_out(error: &Error) -> bool {
    match error.fault {
        Fault::Closed(_) => true,
        Fault::Connect(kind) => kind == ErrorKind::ConnectionReset,
        _ => false,
    }
}
