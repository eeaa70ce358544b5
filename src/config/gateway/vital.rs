//! The things without which a gateway cannot do its work: they are no targets.

use super::entry::Placed;
use crate::config::cluster::{host_of, service_of};
use crate::config::fault::Flaw;
use crate::control::Workload;

/// The things without which a gateway cannot do its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vital {
    /// The Deployment that it runs as, where that is known.
    pub own: Option<Workload>,
    /// The URL of the identity provider, if there is one (`OIDC_ISSUER_URL`).
    pub issuer: Option<String>,
}

impl Vital {
    /// The reason why to stop this target would be to shut the gateway's door.
    pub(super) fn harm(&self, placed: &Placed) -> Option<Flaw> {
        let place = &placed.place;
        let workload = placed.workload.as_ref()?;
        if self.own.as_ref() == Some(workload) {
            return Some(Flaw::new(
                format!("has {place}, whose object is the gateway's own: {workload}"),
                "leave it out: a gateway that stopped itself could wake nothing",
            ));
        }
        let issuer = self.issuer.as_deref()?;
        let is_service = service_of(issuer).is_some_and(|(service, namespace)| {
            let service_of_target = placed.service.as_ref().map(|service| service.as_str());
            let names = [Some(workload.name.as_str()), service_of_target];
            workload.namespace.as_str() == namespace && names.contains(&Some(service))
        });
        let is_host = host_of(issuer).is_some_and(|host| {
            placed
                .hosts
                .iter()
                .any(|own| own.eq_ignore_ascii_case(host))
        });
        (is_service || is_host).then(|| {
            Flaw::new(
                format!("has {place}, which is what OIDC_ISSUER_URL leads to: {workload}"),
                "leave it out: while the identity provider is off, no token of a person can be \
                 had or checked, so that nobody could start it again",
            )
        })
    }
}
