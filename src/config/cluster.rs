//! The cluster: which Deployment is scaled, and how the API server is reached.

use std::path::PathBuf;
use std::time::SystemTime;

use url::Url;

use super::fault::{Flaw, quoted};
use super::reader::{Reader, text};
use super::secrets;
use super::table::{
    KUBE_CONTEXT, KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, SERVICE_ACCOUNT_DIR,
};
use super::values::{path, shown_path};
use crate::control::{Namespace, ObjectName};
use crate::kube::{
    Credentials, Fault, Kubeconfig, KubeconfigAccess, LoadError, ServiceAccount, Subject,
};
use crate::net::{TlsUnavailable, is_host};
use crate::util::{Clock, Secret};

/// The API server, and what proves to it who asks.
#[derive(Clone, Debug)]
pub enum KubernetesAccess {
    /// Those of the pod that the program runs in.
    Pod {
        /// An IP address (IPv6 without brackets) or a host name.
        host: String,
        /// The port, never 0.
        port: u16,
        /// The directory of `token` and `ca.crt`.
        service_account_dir: PathBuf,
    },
    /// Those of a kubeconfig.
    Kubeconfig(Box<Kubeconfig>),
}

impl KubernetesAccess {
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        if r.given_by(&KUBECONFIG).is_some() {
            return from_kubeconfig(r);
        }
        let host = r.read(&KUBERNETES_SERVICE_HOST, host, String::clone);
        let port = r.read(&KUBERNETES_SERVICE_PORT, port, u16::to_string);
        let service_account_dir = r.read(&SERVICE_ACCOUNT_DIR, path, |path| shown_path(path));
        if let Some(given) = r.given_by(&KUBE_CONTEXT) {
            let flaw = Flaw::new(
                "is set, and KUBECONFIG is not",
                "set KUBECONFIG to the file that has this context, or leave both unset in a pod",
            );
            r.fault(given, flaw);
        }
        Some(Self::Pod {
            host: host?,
            port: port?,
            service_account_dir: service_account_dir?,
        })
    }

    /// The token of the pod's service account; None where there is none that can be read.
    pub fn own_token(&self) -> Option<Secret> {
        let Self::Pod {
            service_account_dir,
            ..
        } = self
        else {
            return None;
        };
        let path = service_account_dir.join("token");
        let token = secrets::content(path.to_str()?).ok()?;
        Some(Secret::new(token.trim().to_owned()))
    }

    /// Reads the credentials.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn credentials(&self, clock: Clock) -> Result<Credentials, CredentialsError> {
        Ok(match self {
            Self::Pod {
                host,
                port,
                service_account_dir,
            } => {
                let port = port.to_string();
                let account = ServiceAccount::load(host, &port, service_account_dir, clock)?;
                Credentials::InCluster(account)
            }
            Self::Kubeconfig(kubeconfig) => {
                Credentials::Kubeconfig(KubeconfigAccess::new(kubeconfig.clone(), clock)?)
            }
        })
    }

    /// A sentence for each thing that is allowed and had better be otherwise.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        match self {
            Self::Pod { .. } => Vec::new(),
            Self::Kubeconfig(kubeconfig) => {
                let warnings = kubeconfig.warnings(now).into_iter();
                warnings
                    .map(|warning| format!("{}: {warning}", KUBECONFIG.name))
                    .collect()
            }
        }
    }
}

/// The credentials for the API server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The files of the service account are missing or malformed.
    #[error(
        "the service account cannot be used: {0}; mount its token and ca.crt at \
         SERVICE_ACCOUNT_DIR, by a projected volume or automountServiceAccountToken"
    )]
    ServiceAccount(#[from] LoadError),
    /// The API server cannot be asked over TLS.
    #[error("{0}")]
    Tls(#[from] TlsUnavailable),
}

/// Reads the kubeconfig, of which there is at least one file.
fn from_kubeconfig(r: &mut Reader<'_>) -> Option<KubernetesAccess> {
    let files = r.optional(&KUBECONFIG, text, String::clone)??;
    let context = r.optional(&KUBE_CONTEXT, text, String::clone)?;
    let paths = files.split(':').map(str::trim);
    let paths = paths.filter(|path| !path.is_empty()).map(PathBuf::from);
    match Kubeconfig::read(paths.collect(), context) {
        Ok(kubeconfig) => {
            let files: Vec<String> = kubeconfig.files().iter().map(shown_path).collect();
            r.row(KUBECONFIG.name, files.join(", "));
            r.row(KUBE_CONTEXT.name, kubeconfig.summary());
            Some(KubernetesAccess::Kubeconfig(Box::new(kubeconfig)))
        }
        Err(faults) => {
            for Fault {
                subject,
                problem,
                cure,
            } in faults
            {
                let variable = match subject {
                    Subject::Files => KUBECONFIG.name,
                    Subject::Context => KUBE_CONTEXT.name,
                };
                r.fault(variable, Flaw::new(problem, cure));
            }
            None
        }
    }
}

pub(super) fn namespace(text: &str) -> Result<Namespace, Flaw> {
    Namespace::parse(text).ok_or_else(|| {
        no_name(
            text,
            "use at most 63 lower-case letters, digits and dashes, no dash first or last",
        )
    })
}

pub(super) fn name(text: &str) -> Result<ObjectName, Flaw> {
    ObjectName::parse(text).ok_or_else(|| {
        no_name(
            text,
            "use at most 253 lower-case letters, digits, dashes and dots, a letter or digit first \
             and last and beside each dot",
        )
    })
}

/// The Deployment of a pod of this name: its own name followed by two random parts
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>).
pub(super) fn deployment_of(pod: &str) -> Option<&str> {
    let (replica_set, _) = pod.rsplit_once('-')?;
    let (deployment, _) = replica_set.rsplit_once('-')?;
    Some(deployment)
}

/// The host of a URL in lower case, without its port and the dot of a root.
pub(super) fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(url.host_str()?.trim_end_matches('.').to_owned())
}

/// The Service and its namespace that a URL leads to, if its host is one of the cluster:
/// `SERVICE.NAMESPACE.svc`, perhaps with the cluster's domain
/// (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#services>).
pub(super) fn service_of(url: &str) -> Option<(String, String)> {
    let host = host_of(url)?;
    let mut labels = host.split('.');
    let (service, namespace) = (labels.next()?, labels.next()?);
    let is_service = labels.next() == Some("svc");
    is_service.then(|| (service.to_owned(), namespace.to_owned()))
}

fn no_name(text: &str, cure: &'static str) -> Flaw {
    let problem = format!("is not a name that Kubernetes allows: {}", quoted(text));
    Flaw::new(problem, cure)
}

pub(super) fn host(text: &str) -> Result<String, Flaw> {
    if is_host(text) {
        return Ok(text.to_owned());
    }
    Err(Flaw::new(
        format!("is not a host: {}", quoted(text)),
        "write an IP address (IPv6 without brackets) or a host name, without a scheme or port",
    ))
}

pub(super) fn port(text: &str) -> Result<u16, Flaw> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(Flaw::new(
            format!("is not a port: {}", quoted(text)),
            "write a number from 1 to 65535, most often 443",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_allows() {
        for text in ["clawdbot", "a", "0", "a-b--c9", &"a".repeat(63)] {
            assert_eq!(namespace(text).unwrap().as_str(), text);
            assert_eq!(name(text).unwrap().as_str(), text);
        }
        for text in ["a.b", "web.v1-2", &"a".repeat(253)] {
            assert_eq!(name(text).unwrap().as_str(), text);
            assert!(namespace(text).is_err());
        }
    }

    #[test]
    fn names_that_it_does_not() {
        for text in [
            "",
            "Clawdbot",
            "-a",
            "a-",
            "a_b",
            "a/b",
            "a..b",
            ".a",
            "a.",
            "a.-b",
            "a b",
            "é",
            "..",
            &"a".repeat(254),
        ] {
            assert!(namespace(text).is_err(), "{text}");
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        for text in ["10.96.0.1", "fd00::1", "kubernetes.default.svc"] {
            assert_eq!(host(text).unwrap(), text);
        }
        for text in ["https://10.96.0.1", "10.96.0.1:443", "[::1]", "a/b", "a@b"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn services_of_urls() {
        let of = |url| service_of(url).map(|(service, namespace)| format!("{namespace}/{service}"));
        for url in [
            "http://SSO.id.SVC:8080/realms/a.b",
            "https://sso.id.svc",
            "https://sso.id.svc.cluster.local.?x",
        ] {
            assert_eq!(of(url).as_deref(), Some("id/sso"), "{url}");
        }
        for url in [
            "https://sso.example.org/id.svc",
            "http://[fd00::1]:80/",
            "sso.id.svc",
            "",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
        assert_eq!(
            host_of("http://[fd00::1]:80/").as_deref(),
            Some("[fd00::1]")
        );
        assert_eq!(
            host_of("https://A.example.org.:8443").as_deref(),
            Some("a.example.org")
        );
    }

    #[test]
    fn ports() {
        assert_eq!(port("6443"), Ok(6443));
        for text in ["0", "65536", "https", "tcp://10.96.0.1:443"] {
            assert!(port(text).is_err(), "{text}");
        }
    }
}
