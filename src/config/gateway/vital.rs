//! The parts that a gateway cannot work without, which are no targets.

use super::entry::Placed;
use crate::config::cluster::{host_of, service_of};
use crate::config::fault::Flaw;
use crate::control::Workload;

/// The parts that a gateway cannot work without.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vital {
    /// The Deployment that it runs as, where that is known.
    pub own: Option<Workload>,
    /// The URL of the identity provider, if there is one (`OIDC_ISSUER_URL`).
    pub issuer: Option<String>,
}

impl Vital {
    /// The fault of a target that is one of them.
    pub(super) fn harm(&self, placed: &Placed) -> Option<Flaw> {
        let place = &placed.place;
        let workload = placed.workload.as_ref()?;
        if self.own.as_ref() == Some(workload) {
            return Some(Flaw::new(
                format!("has {place}, whose object is the gateway's own: {workload}"),
                "leave it out: a gateway that stopped itself could wake nothing",
            ));
        }
        let (service, namespace) = service_of(self.issuer.as_deref()?)?;
        let own_service = placed.service.as_ref().map(|service| service.as_str());
        let names = [Some(workload.name.as_str()), own_service];
        let is_provider =
            workload.namespace.as_str() == namespace && names.contains(&Some(service.as_str()));
        is_provider.then(|| {
            Flaw::new(
                format!("has {place}, which is what OIDC_ISSUER_URL leads to: {workload}"),
                "leave it out: while the identity provider is off, no token of a person can be \
                 had or checked, so that nobody could start it again",
            )
        })
    }

    /// The warning of targets one of which may be the identity provider: of those that are
    /// reached at its host, where another path may lead elsewhere.
    pub(super) fn doubt<'a>(&self, hosts: impl Iterator<Item = &'a String>) -> Option<String> {
        let issuer = host_of(self.issuer.as_deref()?)?;
        let host = { hosts }.find(|host| **host == issuer)?;
        Some(format!(
            "GATEWAY_CONFIG has a target whose host is that of OIDC_ISSUER_URL: {host}: if it is \
             the identity provider, take it out, since while it is off nobody could start it"
        ))
    }
}
