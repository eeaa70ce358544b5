//! Everything that the gateway needs of the cluster, asked for beforehand: rights, workloads,
//! Leases, Services and their ports. All that is missing is told at once.

use std::sync::Arc;

use log::{debug, error, warn};

use super::auth::own_token_is_for;
use super::doorkeeper::Doorkeeper;
use crate::config::gateway::{Backend, GatewayFile, GatewaySettings, GatewayTarget, Route};
use crate::control::{Namespace, ObjectName};
use crate::kube::{Api, Error, Right, Service};

/// The outcome of a check, each a sentence with its cure.
#[derive(Debug, Default)]
pub struct CheckOutcome {
    /// The things that are missing or wrong.
    pub faults: Vec<String>,
    /// The things that may be meant, and seldom are.
    pub warnings: Vec<String>,
}

/// A question about the cluster, and its answers so far.
pub(super) struct Check<'a> {
    api: &'a Api,
    namespace: &'a Namespace,
    lease_prefix: &'a str,
    faults: Vec<String>,
    warnings: Vec<String>,
    /// A question about rights had no answer: the others would have none, either, and each
    /// would take its time.
    is_over: bool,
}

impl<'a> Check<'a> {
    /// A check of what a gateway with these settings needs.
    pub(super) fn new(api: &'a Api, settings: &'a GatewaySettings) -> Self {
        Self {
            api,
            namespace: &settings.namespace,
            lease_prefix: &settings.lease_prefix,
            faults: Vec::new(),
            warnings: Vec::new(),
            is_over: false,
        }
    }

    /// Asks for all that the file needs, or without one for what every file needs.
    pub(super) async fn run(mut self, file: Option<&GatewayFile>) -> CheckOutcome {
        let own = self.namespace;
        if file.is_some_and(|file| file.service_accounts) {
            let review = Right {
                verb: "create",
                group: "authentication.k8s.io",
                resource: "tokenreviews",
                subresource: "",
                namespace: None,
                name: "",
            };
            self.right(&review).await;
        }
        for verb in ["list", "watch"] {
            self.right(&leases(verb, own, "")).await;
        }
        let mut proxied: Vec<&Namespace> = Vec::new();
        for target in file.iter().flat_map(|file| &file.targets) {
            self.target(target).await;
            let namespace = &target.workload.namespace;
            let is_by_pod = |backend: &Backend| backend.route == Route::Pod;
            if target.backend.as_ref().is_some_and(is_by_pod) && !proxied.contains(&namespace) {
                proxied.push(namespace);
            }
        }
        for namespace in proxied {
            for verb in ["list", "watch"] {
                let slices = Right {
                    verb,
                    group: "discovery.k8s.io",
                    resource: "endpointslices",
                    subresource: "",
                    namespace: Some(namespace),
                    name: "",
                };
                self.right(&slices).await;
            }
        }
        CheckOutcome {
            faults: self.faults,
            warnings: self.warnings,
        }
    }

    async fn target(&mut self, target: &GatewayTarget) {
        let workload = &target.workload;
        let right = Right {
            verb: "get",
            group: workload.kind.group(),
            resource: workload.kind.resource(),
            subresource: "",
            namespace: Some(&workload.namespace),
            name: workload.name.as_str(),
        };
        if self.right(&right).await {
            self.workload(target).await;
        }
        for verb in ["get", "patch"] {
            let subresource = "scale";
            self.right(&Right {
                verb,
                subresource,
                ..right
            })
            .await;
        }
        self.lease(target).await;
        if let Some(backend) = &target.backend {
            self.service(target, backend).await;
        }
    }

    async fn workload(&mut self, target: &GatewayTarget) {
        let workload = &target.workload;
        let (kind, namespace) = (workload.kind.word(), &workload.namespace);
        let place = format!(
            "target {}: the {kind} {namespace}/{}",
            target.name, workload.name
        );
        let fault = match self.api.observe(workload).await {
            Ok(seen) if seen.deletes_volumes => format!(
                "{place} deletes its volumes when it is scaled down, and what is in them: set \
                 persistentVolumeClaimRetentionPolicy.whenScaled to Retain, or take the target out"
            ),
            Ok(_) => match self.doorkeeper(target, &place).await {
                Some(fault) => fault,
                None => return,
            },
            Err(Error::NotFound { .. }) => format!(
                "{place} does not exist: create it, or correct \"kind\", \"namespace\" or \"name\""
            ),
            Err(error) => format!("{place} cannot be read: {}", error.detail()),
        };
        self.faults.push(fault);
    }

    /// The fault of a target that lets people in; one that only may do so is warned of.
    async fn doorkeeper(&mut self, target: &GatewayTarget, place: &str) -> Option<String> {
        let images = self.api.images(&target.workload).await.ok()?;
        let warning = match Doorkeeper::of(&images)? {
            Doorkeeper::Own => {
                return Some(format!(
                    "{place} runs this program, a bot or another gateway: take the target out, \
                     since what it would be started by is off with it"
                ));
            }
            Doorkeeper::Ingress => format!(
                "{place} looks like an ingress controller: take the target out if requests come \
                 through it, since once it is off none can wake it"
            ),
            Doorkeeper::IdentityProvider => format!(
                "{place} looks like an identity provider: take the target out if people need its \
                 tokens here, since once it is off none can be had to start it"
            ),
        };
        self.warnings.push(warning);
        None
    }

    async fn lease(&mut self, target: &GatewayTarget) {
        let own = self.namespace;
        let name = format!("{}{}", self.lease_prefix, target.name);
        let Some(object) = ObjectName::parse(&name) else {
            self.faults.push(format!(
                "target {}: its Lease would be called {name}, which is no name that Kubernetes \
                 allows: shorten LEASE_PREFIX or the target's name",
                target.name
            ));
            return;
        };
        let mut is_granted = true;
        for verb in ["get", "patch"] {
            is_granted &= self.right(&leases(verb, own, &name)).await;
        }
        if is_granted && let Err(error) = self.api.lease(own, &object).await {
            self.faults.push(format!(
                "target {}: its Lease {own}/{name} cannot be read, and without it the target is \
                 never stopped for being idle: {}; apply the chart's Leases",
                target.name,
                error.detail()
            ));
        }
    }

    async fn service(&mut self, target: &GatewayTarget, backend: &Backend) {
        let namespace = &target.workload.namespace;
        let right = Right {
            verb: "get",
            group: "",
            resource: "services",
            subresource: "",
            namespace: Some(namespace),
            name: backend.service.as_str(),
        };
        if !self.right(&right).await {
            return;
        }
        match self.api.service(namespace, &backend.service).await {
            Ok(service) => self.faults.extend(port_fault(target, backend, &service)),
            Err(error) => self.faults.push(format!(
                "target {}: the Service {namespace}/{} cannot be read: {}; create it, or correct \
                 \"service\"",
                target.name,
                backend.service,
                error.detail()
            )),
        }
    }

    /// Asks for a right; true if it is there.
    async fn right(&mut self, right: &Right<'_>) -> bool {
        if self.is_over {
            return false;
        }
        match self.api.may(right).await {
            Ok(true) => true,
            Ok(false) => {
                self.faults.push(format!("{}: grant it", missing(right)));
                false
            }
            Err(error) => {
                debug!("{}: {}", missing(right), error.detail());
                let why = format!(
                    "rights cannot be asked for: {}: correct how the API server is reached, \
                     or the NetworkPolicy that keeps the gateway from it",
                    error.detail()
                );
                self.faults.push(why);
                self.is_over = true;
                false
            }
        }
    }
}

/// Tells what the gateway lacks for a file, once it is in force: a right that comes later is
/// used all the same.
pub(super) async fn tell_faults(api: Api, settings: Arc<GatewaySettings>, file: GatewayFile) {
    let checked = Check::new(&api, &settings).run(Some(&file)).await;
    for fault in checked.faults {
        error!("{fault}");
    }
    for warning in checked.warnings {
        warn!("{warning}");
    }
}

/// The fault of the audience of callers' tokens if the gateway's own token has it, too, and
/// tokens of service accounts are taken.
pub(super) fn audience_fault(settings: &GatewaySettings, file: &GatewayFile) -> Option<String> {
    let token = settings.kubernetes.own_token()?;
    let audience = &settings.audience;
    let is_own = file.service_accounts && own_token_is_for(&token, audience);
    is_own.then(|| {
        format!(
            "TOKEN_AUDIENCE {audience} is an audience of the gateway's own token, so that every \
             pod with a token for the API server could come in, and what callers show could be \
             used at the API server: name an audience of its own, such as openclaw-gateway"
        )
    })
}

fn leases<'a>(verb: &'a str, namespace: &'a Namespace, name: &'a str) -> Right<'a> {
    Right {
        verb,
        group: "coordination.k8s.io",
        resource: "leases",
        subresource: "",
        namespace: Some(namespace),
        name,
    }
}

/// The sentence about a right that is missing.
fn missing(right: &Right<'_>) -> String {
    let mut text = format!("the gateway may not {} {}", right.verb, right.resource);
    if !right.subresource.is_empty() {
        text.push('/');
        text.push_str(right.subresource);
    }
    if !right.name.is_empty() {
        text.push_str(&format!(" \"{}\"", right.name));
    }
    if !right.group.is_empty() {
        text.push_str(&format!(" of the API group {}", right.group));
    }
    if let Some(namespace) = right.namespace {
        text.push_str(&format!(" in the namespace {namespace}"));
    }
    text
}

/// The fault of a Service whose port is not the configured one, or cannot be spoken to.
fn port_fault(target: &GatewayTarget, backend: &Backend, service: &Service) -> Option<String> {
    let place = format!(
        "target {}: the Service {}/{}",
        target.name, target.workload.namespace, backend.service
    );
    let mut ports = service.ports.iter();
    let found = ports.find(|port| backend.port.is(&port.name, port.port));
    let Some(port) = found else {
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|port| format!("{} {}", port.port, port.name).trim_end().to_owned())
            .collect();
        return Some(format!(
            "{place} has no such port as \"port\" says: correct it; there is {}",
            ports.join(", ")
        ));
    };
    if port.is_http2 {
        return Some(format!(
            "{place} speaks HTTP/2 at this port (kubernetes.io/h2c), and the gateway speaks HTTP/1.1 only: \
             name a port with HTTP/1.1"
        ));
    }
    (backend.route == Route::Service && service.cluster_ip.is_none()).then(|| {
        format!("{place} is headless and has no address of its own: say \"route\": \"pod\"")
    })
}
