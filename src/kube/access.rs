//! The means of one attempt of a request, and what proves who makes it.

use crate::net::{Client, TlsFault};
use crate::util::Secret;

/// The API server and the identity that one attempt of a request uses.
pub(super) struct Access {
    /// Believes the cluster's CA and nobody else.
    pub(super) client: Client,
    /// `https://host:port`, without a slash at the end; with a path where a kubeconfig has
    /// one.
    pub(super) base: String,
    /// None where a client certificate alone proves who asks.
    pub(super) token: Option<Secret>,
    pub(super) identity: Identity,
}

/// The proof of who asks the API server, by which an error names its cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The token of the pod's service account.
    ServiceAccount,
    /// A token of a kubeconfig, with or without a client certificate.
    Token,
    /// A client certificate of a kubeconfig.
    Certificate,
    /// The same, and it is not valid any more.
    ExpiredCertificate,
}

impl Identity {
    /// The one who may or may not, as the chat is told.
    pub(super) const fn holder(self) -> &'static str {
        match self {
            Self::ServiceAccount => "my service account",
            Self::Token | Self::Certificate | Self::ExpiredCertificate => {
                "the user of my kubeconfig"
            }
        }
    }

    /// The proof that was not accepted, and the cure.
    pub(super) const fn refused(self) -> &'static str {
        match self {
            Self::ServiceAccount => {
                "my token: check that my pod runs in this cluster with its service account's token"
            }
            Self::Token => {
                "the token of my kubeconfig: put a new one there, such as kubectl create token \
                 prints"
            }
            Self::Certificate => {
                "the client certificate of my kubeconfig: check that this cluster's authority \
                 issued it"
            }
            Self::ExpiredCertificate => {
                "the client certificate of my kubeconfig, which has expired: put a new one there"
            }
        }
    }

    /// The settings that lead to the API server, with the verb.
    pub(super) const fn leading_to(self) -> &'static str {
        match self {
            Self::ServiceAccount => "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT lead to",
            Self::Token | Self::Certificate | Self::ExpiredCertificate => {
                "the server of my kubeconfig's cluster is"
            }
        }
    }

    /// The sentence for the log that says what to do about a connection that is not secure.
    pub(super) fn cure(self, fault: &TlsFault) -> String {
        match (fault, self) {
            (TlsFault::Certificate(fault), Self::ServiceAccount) => {
                fault.cure("ca.crt of the service account")
            }
            (TlsFault::Certificate(fault), _) => {
                fault.cure("certificate-authority of the kubeconfig's cluster")
            }
            (_, Self::ServiceAccount) => "check KUBERNETES_SERVICE_HOST and \
                KUBERNETES_SERVICE_PORT, which have to lead to the API server"
                .to_owned(),
            (TlsFault::Alert(_), _) => "check the client certificate of the kubeconfig's user, \
                and the server of its cluster, which has to lead to the API server"
                .to_owned(),
            _ => "check the server of the kubeconfig's cluster, which has to lead to the API \
                server"
                .to_owned(),
        }
    }
}
