//! The requests of a login to the homeserver, for every method alike.

use log::info;
use ruma::DeviceId;

use super::error::Error;
use crate::config::{Account, Homeserver as Address, Network};
use crate::matrix::client::{
    self, Flows, Homeserver, LoggedIn, LoginError, LoginInfo, VersionsFault, discover, flows_call,
    login_call, logout_call, read_flows, read_login, versions,
};
use crate::net::{Client, TlsUnavailable};
use crate::util::{Clock, Tokens};

/// A homeserver and the account to log in with.
pub struct Login<'a> {
    /// The HTTP client, with the configured proxy and certificate authorities: for Keycloak,
    /// and for what of the homeserver is not its API.
    pub client: Client,
    /// The client-server API of the homeserver.
    pub homeserver: Homeserver,
    /// The account and its login method.
    pub account: &'a Account,
}

/// The HTTP client for the homeserver and Keycloak, with the configured proxy and
/// certificate authorities.
///
/// # Errors
/// This build has no TLS.
pub fn http_client(account: &Account, clock: Clock) -> Result<Client, TlsUnavailable> {
    let Network { roots, proxy, .. } = &account.network;
    Client::with_proxy(roots.clone(), proxy.clone(), clock)
}

impl<'a> Login<'a> {
    /// Finds the homeserver, which takes a request only where a server name is configured
    /// (<https://spec.matrix.org/v1.11/client-server-api/#well-known-uri>).
    ///
    /// # Errors
    /// The server name has no homeserver, or this build no TLS.
    pub async fn find(account: &'a Account, clock: Clock) -> Result<Self, Error> {
        let client = http_client(account, clock).map_err(Error::TlsUnavailable)?;
        let base = match &account.homeserver {
            Address::Url(url) => url.to_string(),
            Address::Name(name) => {
                let base = discover(&client, name).await.map_err(Error::Discovery)?;
                info!("the homeserver of {name} is at {base}");
                base
            }
        };
        Ok(Self {
            homeserver: Homeserver::new(client.clone(), base),
            client,
            account,
        })
    }

    /// The login types that the homeserver offers
    /// (<https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3login>).
    ///
    /// # Errors
    /// It gives no usable answer, or is no homeserver.
    pub async fn flows(&self) -> Result<Flows, Error> {
        let error = match self.homeserver.ask(flows_call(), None).await {
            Ok(body) => match read_flows(&body) {
                Some(flows) => return Ok(flows),
                None => Error::Answer(LoginError::Malformed),
            },
            Err(client::Fault::Refused { status: 404, .. }) => Error::NoLogins,
            Err(fault) => Error::Homeserver(fault),
        };
        Err(self.check_homeserver(error).await)
    }

    /// The login types, if this one is among them.
    ///
    /// # Errors
    /// It is not, or [`Login::flows`] fails.
    pub async fn offered(&self, kind: &str) -> Result<Flows, Error> {
        let flows = self.flows().await?;
        if flows.kinds.iter().any(|offered| offered == kind) {
            return Ok(flows);
        }
        Err(Error::NotOffered {
            wanted: kind.to_owned(),
            offered: flows.kinds,
        })
    }

    /// Returns `error`, or [`Error::NoHomeserver`] if there is none at this URL. Only an
    /// answer that other web servers give too is a reason to request the versions.
    pub(super) async fn check_homeserver(&self, error: Error) -> Error {
        let is_ambiguous = match &error {
            Error::NoLogins | Error::Answer(LoginError::Malformed) => true,
            Error::Homeserver(client::Fault::Broken {
                status, redirect, ..
            }) => *status < 500 && redirect.is_none(),
            Error::Refused {
                fault: client::Fault::Refused { status: 404, .. },
                ..
            } => true,
            _ => false,
        };
        if !is_ambiguous {
            return error;
        }
        match versions(&self.client, self.homeserver.base()).await {
            // No answer does not tell what the server is.
            Ok(_) | Err(VersionsFault::Unanswered(_)) => error,
            Err(fault) => Error::NoHomeserver(fault),
        }
    }

    /// Logs in as `user` on `device`
    /// (<https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3login>).
    ///
    /// # Errors
    /// The homeserver refuses, or gives no usable answer.
    pub(super) async fn log_in(
        &self,
        info: &LoginInfo<'_>,
        user: &str,
        device: &DeviceId,
    ) -> Result<LoggedIn, Error> {
        let answer = self.homeserver.ask(login_call(info, device), None).await;
        let body = answer.map_err(|fault| Error::of(self.account.method.name(), fault))?;
        let logged_in = read_login(body, self.client.clock().now_ms()).map_err(Error::Answer)?;
        if let Err(error) = logged_in.check(user, device) {
            // Nobody else would end the session of another user or device.
            if let Err(fault) = self.log_out(&logged_in.tokens).await {
                info!("its session could not be ended: {fault}");
            }
            return Err(Error::Answer(error));
        }
        Ok(logged_in)
    }

    /// Ends the session of these tokens
    /// (<https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3logout>).
    ///
    /// # Errors
    /// The homeserver refuses, or does not know the access token.
    pub async fn log_out(&self, tokens: &Tokens) -> Result<(), client::Fault> {
        let ended = self.homeserver.ask(logout_call(), Some(&tokens.access));
        ended.await.map(drop)
    }
}
