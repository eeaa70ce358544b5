//! The use of a kubeconfig, whose files change while the program runs.

use std::time::Instant;

use log::{info, warn};

use super::loaded::Kubeconfig;
use crate::kube::access::{Access, Identity};
use crate::kube::service_account::{CA_AGE, TOKEN_AGE, read_token};
use crate::net::{Client, TlsUnavailable};
use crate::util::Clock;

/// The credentials of a kubeconfig. A token in a file of its own is read again each minute;
/// all files are when they are 5 minutes old, and when the API server refuses what was read.
/// Files that became unusable are reported in the log, and what was read before stays in
/// use.
#[derive(Debug)]
pub struct KubeconfigAccess {
    kubeconfig: Box<Kubeconfig>,
    client: Client,
    token_read: Instant,
    read: Instant,
}

impl KubeconfigAccess {
    /// The credentials that were read.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(kubeconfig: Box<Kubeconfig>, clock: Clock) -> Result<Self, TlsUnavailable> {
        let now = Instant::now();
        Ok(Self {
            client: client(&kubeconfig, clock)?,
            kubeconfig,
            token_read: now,
            read: now,
        })
    }

    pub(in crate::kube) fn access(&mut self, now: Instant) -> Access {
        if now.saturating_duration_since(self.read) >= CA_AGE {
            self.renew(now);
        }
        if now.saturating_duration_since(self.token_read) >= TOKEN_AGE {
            self.refresh_token(now);
        }
        let user = &self.kubeconfig.user;
        Access {
            client: self.client.clone(),
            base: self.kubeconfig.server.base.clone(),
            token: user.token.as_ref().map(|token| token.secret.clone()),
            identity: self.identity(),
        }
    }

    pub(in crate::kube) fn renew(&mut self, now: Instant) {
        (self.read, self.token_read) = (now, now);
        let fresh = match Kubeconfig::of(self.kubeconfig.source.clone()) {
            Ok(fresh) => Box::new(fresh),
            Err(faults) => {
                for fault in faults {
                    let (problem, cure) = (fault.problem, fault.cure);
                    warn!("keeping the kubeconfig that was read before: it {problem}: {cure}");
                }
                return;
            }
        };
        if fresh.digest == self.kubeconfig.digest {
            self.kubeconfig = fresh;
        } else if let Ok(client) = client(&fresh, self.client.clock()) {
            info!("the kubeconfig has changed: {}", fresh.summary());
            self.client = client;
            self.kubeconfig = fresh;
        }
        if let Some(expiry) = self.kubeconfig.expiry(self.client.clock().now()) {
            warn!("{expiry}");
        }
    }

    pub(in crate::kube) fn identity(&self) -> Identity {
        self.kubeconfig.identity(self.client.clock().now())
    }

    fn refresh_token(&mut self, now: Instant) {
        self.token_read = now;
        let Some(token) = &mut self.kubeconfig.user.token else {
            return;
        };
        match token.file.as_deref().map(read_token) {
            Some(Ok((secret, _))) => token.secret = secret,
            Some(Err(error)) => warn!("keeping the token of the kubeconfig: {error}"),
            None => {}
        }
    }
}

fn client(kubeconfig: &Kubeconfig, clock: Clock) -> Result<Client, TlsUnavailable> {
    let (server, user) = (&kubeconfig.server, &kubeconfig.user);
    Client::with_identity(
        server.roots.clone(),
        user.certificate.as_ref(),
        server.name.clone(),
        clock,
    )
}
