//! From a request's `Authorization` to a session.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::session::{AuthFault, Session};

/// Checks credentials. Clones share the caches.
#[derive(Clone)]
pub struct Authenticator(Arc<()>);

impl Authenticator {
    /// The session of a request: nobody's if it shows no credential. `peer` is the address
    /// that the connection comes from, for its share of what may be tried.
    ///
    /// # Errors
    /// There is a credential and it is not taken.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Arc<Session>, AuthFault> {
        let _ = (headers, peer);
        todo!()
    }

    /// Checks again what an open socket was opened with: every minute.
    ///
    /// # Errors
    /// It is not taken any more. While it cannot be checked, an open socket stays.
    pub async fn check_again(&self, session: &Session) -> Result<(), AuthFault> {
        let _ = session;
        todo!()
    }
}
