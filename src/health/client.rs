//! Asking a running bot how it is.

use std::{net::SocketAddr, time::Duration};

use http::Method;

use super::probe::{Probe, Verdict};
use crate::http::{Client, Limits, Request, Roots};

/// An answer comes at once or something is wrong.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(5),
    body: 8 * 1024,
};

/// What the bot that listens on `address` answers to a probe.
///
/// # Errors
/// It does not answer.
pub async fn ask(address: SocketAddr, probe: Probe) -> Result<Verdict, String> {
    let url = format!("http://{address}{}", probe.path());
    // No TLS is spoken: the roots are never looked at.
    let client = Client::new(Roots::Mozilla).map_err(|error| error.to_string())?;
    let request =
        Request::new(Method::GET, &url, Vec::new(), LIMITS).map_err(|error| error.to_string())?;
    let answer = client
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Verdict {
        ok: answer.status == 200,
        text: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}
