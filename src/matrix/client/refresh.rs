//! New tokens for a session
//! (<https://spec.matrix.org/v1.11/client-server-api/#refreshing-access-tokens>).

use super::homeserver::{Fault, Homeserver};
use super::tokens::{read_refresh, refresh_call};
use crate::util::{Secret, Tokens};

/// Requests new tokens once. They have to be stored before they are used: until then the
/// homeserver keeps the refresh token `last` good.
///
/// # Errors
/// The homeserver refuses `last`, or gives no usable answer.
pub async fn refresh(homeserver: &Homeserver, last: &Secret) -> Result<Tokens, Fault> {
    let body = homeserver.ask(refresh_call(last), None).await?;
    read_refresh(body, last, homeserver.local_clock().now_ms()).ok_or(Fault::Malformed)
}
