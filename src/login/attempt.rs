//! One attempt to log in, whichever way the configuration says.

use std::time::SystemTime;

use log::info;
use ruma::DeviceId;
use tokio::time::sleep;

use super::diagnosis::diagnose;
use super::fault::{Fault, is_forbidden};
use super::keycloak_token::get_token;
use crate::auth::sso::{self, Provider};
use crate::config::{
    Account, BaseUrl, Homeserver as Address, Jwt, JwtLoginType, Method, Network, Sso,
};
use crate::matrix::client::{
    self, Flows, Homeserver, LoggedIn, LoginError, LoginInfo, VersionsFault, discover, flows_call,
    is_user, login_call, logout_call, read_flows, read_login, read_whoami, versions, whoami_call,
};
use crate::net::{Client, TlsUnavailable};
use crate::util::{Secret, Tokens, now_ms, printable};

/// The longest id of a server's that is shown, in bytes.
const MAX_SHOWN: usize = 100;

/// A homeserver, and what proves to it who the bot is.
pub struct Login<'a> {
    /// For Keycloak, and for what of the homeserver is not its API.
    client: Client,
    /// Where the homeserver is.
    pub homeserver: Homeserver,
    /// Whose account it is, and how to log in.
    pub account: &'a Account,
}

/// The client for the homeserver and Keycloak, which knows the configuration's
/// proxy and authorities.
///
/// # Errors
/// There is no TLS in this build.
pub fn client(account: &Account) -> Result<Client, TlsUnavailable> {
    let Network { roots, proxy, .. } = &account.network;
    Client::with_proxy(roots.clone(), proxy.clone())
}

impl<'a> Login<'a> {
    /// Finds the homeserver, which takes a request only where a name is
    /// configured.
    ///
    /// # Errors
    /// There is none to be found.
    pub async fn find(account: &'a Account) -> Result<Self, Fault> {
        let client = client(account).map_err(Fault::TlsUnavailable)?;
        let base = match &account.homeserver {
            Address::Url(url) => url.to_string(),
            Address::Name(name) => {
                let found = discover(&client, name).await.map_err(Fault::Discovery)?;
                info!("the homeserver of {name} is at {}", found.base);
                found.base
            }
        };
        Ok(Self {
            homeserver: Homeserver::new(client.clone(), base),
            client,
            account,
        })
    }

    /// The client that knows the configuration's proxy and authorities.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Logs in as `device`, once. `asked` is the user the store belongs to, or
    /// the one that is configured.
    ///
    /// # Errors
    /// Why not, and whose fault it is.
    pub async fn attempt(&self, asked: &str, device: &DeviceId) -> Result<LoggedIn, Fault> {
        let localpart = self.account.user.localpart();
        match &self.account.method {
            Method::Password(password) => {
                let info = LoginInfo::Password {
                    user: asked,
                    password,
                };
                self.offered(info.kind()).await?;
                let refused = |fault| self.refused(fault);
                self.log_in(&info, asked, device).await?.map_err(refused)
            }
            Method::Jwt(jwt) => {
                self.offered(jwt.login_type.as_str()).await?;
                let answer = get_token(&self.client, localpart, jwt).await?;
                self.with_jwt(jwt, &answer.token, asked, device).await
            }
            Method::Sso(sso) => {
                let flows = self.offered("m.login.sso").await?;
                let token = self.through_the_page(sso, &flows).await?;
                let info = LoginInfo::Token {
                    kind: "m.login.token",
                    token: &token,
                };
                let refused = |fault| self.refused(fault);
                self.log_in(&info, asked, device).await?.map_err(refused)
            }
            Method::Token(made) => self.who(&made.token, asked, &made.device).await,
        }
    }

    /// Logs in with a JSON Web Token that is already there.
    ///
    /// # Errors
    /// As of [`Login::attempt`].
    pub async fn with_jwt(
        &self,
        jwt: &Jwt,
        token: &Secret,
        asked: &str,
        device: &DeviceId,
    ) -> Result<LoggedIn, Fault> {
        let kind = jwt.login_type.as_str();
        let user = self.account.user.localpart();
        let info = match jwt.login_type {
            JwtLoginType::Native => LoginInfo::Token { kind, token },
            JwtLoginType::FamedlyOauth | JwtLoginType::FamedlyToken => {
                LoginInfo::TokenOf { kind, user, token }
            }
        };
        match self.log_in(&info, asked, device).await? {
            Ok(logged_in) => Ok(logged_in),
            Err(fault) if is_forbidden(&fault) => Err(Fault::TokenRefused {
                diagnosis: diagnose(self, jwt, token).await,
                fault,
            }),
            Err(fault) => Err(self.refused(fault)),
        }
    }

    /// The ways to log in that the homeserver offers.
    ///
    /// # Errors
    /// It does not answer as it should.
    pub async fn flows(&self) -> Result<Flows, Fault> {
        match self.homeserver.ask(flows_call(), None).await {
            Ok(body) => match read_flows(&body) {
                Some(flows) => Ok(flows),
                None => Err(self.unless_none(Fault::Answer(LoginError::Malformed)).await),
            },
            Err(client::Fault::Refused { status: 404, .. }) => {
                Err(self.unless_none(Fault::NoLogins).await)
            }
            Err(fault) => Err(self.unless_none(Fault::Homeserver(fault)).await),
        }
    }

    /// The fault, unless it is that there is no homeserver at this address: asked
    /// where the answer is one that other web servers give too.
    async fn unless_none(&self, fault: Fault) -> Fault {
        let is_of_any = match &fault {
            Fault::NoLogins | Fault::Answer(LoginError::Malformed) => true,
            Fault::Homeserver(client::Fault::Broken {
                status, redirect, ..
            }) => *status < 500 && redirect.is_none(),
            Fault::Refused {
                fault: client::Fault::Refused { status: 404, .. },
                ..
            } => true,
            _ => false,
        };
        if !is_of_any {
            return fault;
        }
        match versions(&self.client, self.homeserver.base()).await {
            // That it does not answer now says nothing of what it is.
            Ok(_) | Err(VersionsFault::Unanswered(_)) => fault,
            Err(none) => Fault::NoHomeserver(none),
        }
    }

    /// The ways to log in, if this one is among them.
    ///
    /// # Errors
    /// It is not, or the homeserver does not answer as it should.
    pub async fn offered(&self, kind: &str) -> Result<Flows, Fault> {
        let flows = self.flows().await?;
        if flows.kinds.iter().any(|offered| offered == kind) {
            return Ok(flows);
        }
        Err(Fault::NotOffered {
            wanted: kind.to_owned(),
            offered: flows.kinds,
        })
    }

    /// The outer error is one that says nothing about the credentials.
    async fn log_in(
        &self,
        info: &LoginInfo<'_>,
        asked: &str,
        device: &DeviceId,
    ) -> Result<Result<LoggedIn, client::Fault>, Fault> {
        let body = match self.homeserver.ask(login_call(info, device), None).await {
            Ok(body) => body,
            Err(fault @ client::Fault::Refused { .. }) => return Ok(Err(fault)),
            Err(fault) => return Err(Fault::Homeserver(fault)),
        };
        let logged_in = read_login(body, now_ms()).map_err(Fault::Answer)?;
        if let Err(error) = logged_in.check(asked, device) {
            // Nobody else would end the session of somebody else.
            let ended = self.log_out(&logged_in.tokens).await;
            if let Err(fault) = ended {
                info!("its session could not be ended: {fault}");
            }
            return Err(Fault::Answer(error));
        }
        Ok(Ok(logged_in))
    }

    /// Ends the session of these tokens.
    ///
    /// # Errors
    /// The homeserver does not, or knows nothing of it.
    pub async fn log_out(&self, tokens: &Tokens) -> Result<(), client::Fault> {
        let ended = self.homeserver.ask(logout_call(), Some(&tokens.access));
        ended.await.map(drop)
    }

    fn refused(&self, fault: client::Fault) -> Fault {
        Fault::Refused {
            method: self.account.method.name(),
            fault,
        }
    }

    async fn through_the_page(&self, sso: &Sso, flows: &Flows) -> Result<Secret, Fault> {
        let provider = Provider::choose(&sso.provider, &flows.providers).map_err(Fault::Sso)?;
        let Some(totp) = &sso.totp else {
            return self.converse(sso, &provider, None).await;
        };
        let code = || {
            let now = SystemTime::now();
            totp.take(now).unwrap_or_else(|_| totp.code(now)).text
        };
        match self.converse(sso, &provider, Some(&code)).await {
            // Keycloak takes each once, and another login may have used this one.
            Err(Fault::Sso(sso::Fault::CodeRefused { .. })) => {
                let wait = totp.code(SystemTime::now()).valid_for;
                info!("the next one-time password comes in {} s", wait.as_secs());
                sleep(wait).await;
                self.converse(sso, &provider, Some(&code)).await
            }
            done => done,
        }
    }

    async fn converse(
        &self,
        sso: &Sso,
        provider: &Provider,
        code: Option<&dyn Fn() -> Secret>,
    ) -> Result<Secret, Fault> {
        let account = sso::Account {
            user: self.account.user.localpart(),
            password: &sso.password,
            code,
            provider_url: sso.url.as_ref().map(BaseUrl::as_str),
            realm: sso.realm.as_deref(),
        };
        sso::login_token(&self.client, self.homeserver.base(), provider, &account)
            .await
            .map_err(Fault::Sso)
    }

    /// Whose the ready-made token is.
    async fn who(&self, token: &Secret, asked: &str, device: &DeviceId) -> Result<LoggedIn, Fault> {
        let answer = self.homeserver.ask(whoami_call(), Some(token)).await;
        let body = answer.map_err(|fault| match fault {
            client::Fault::UnknownToken { .. } => Fault::TokenEnded,
            fault @ client::Fault::Refused { .. } => self.refused(fault),
            fault => Fault::Homeserver(fault),
        });
        let body = match body {
            Ok(body) => body,
            Err(fault) => return Err(self.unless_none(fault).await),
        };
        let (user, found) = read_whoami(&body).ok_or(Fault::Answer(LoginError::Malformed))?;
        if !is_user(&user, asked) {
            return Err(Fault::Answer(LoginError::OtherUser(user)));
        }
        match found {
            Some(found) if found == device => Ok(LoggedIn {
                user,
                device: found,
                tokens: Tokens {
                    access: token.clone(),
                    refresh: None,
                    refresh_at: None,
                },
            }),
            found => Err(Fault::TokenOfOtherDevice(found.map_or_else(
                || "no device".to_owned(),
                |found| format!("device {}", printable(found.as_str(), MAX_SHOWN)),
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
