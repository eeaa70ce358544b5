//! A kubeconfig that was read whole: nothing is wrong with what its context names.

use std::path::PathBuf;
use std::time::SystemTime;

use super::cluster::Server;
use super::context::choose;
use super::fault::{Fault, quoted};
use super::files::Inputs;
use super::user::User;
use crate::kube::access::Identity;

/// The API server, and who asks it, as the files of a kubeconfig say. `Debug` masks the
/// token and shows nothing of the key.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    pub(super) source: Source,
    context: String,
    pub(super) server: Server,
    pub(super) user: User,
    warnings: Vec<String>,
    /// Of all that was read but a token in a file of its own.
    pub(super) digest: [u8; 32],
}

/// The place where a kubeconfig is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The first that has a name decides what is meant by it.
    files: Vec<PathBuf>,
    /// The context; None for the current one.
    context: Option<String>,
}

impl Kubeconfig {
    /// Reads the files, and chooses the context of this name or else the current one.
    ///
    /// # Errors
    /// Every fault there is in the files themselves and in what the context names. Other
    /// contexts may be for other programs and are not looked at.
    pub fn read(files: Vec<PathBuf>, context: Option<String>) -> Result<Self, Vec<Fault>> {
        Self::of(Source { files, context })
    }

    pub(super) fn of(source: Source) -> Result<Self, Vec<Fault>> {
        let mut inputs = Inputs::default();
        let documents = inputs.documents(&source.files);
        let chosen = choose(&documents, source.context.as_deref(), &mut inputs);
        let read = chosen.and_then(|chosen| {
            let server = Server::read(&chosen.cluster, &mut inputs);
            let user = User::read(&chosen.user, &mut inputs);
            Some((chosen.name, server?, user?))
        });
        match read {
            Some((context, server, user)) if inputs.faults.is_empty() => Ok(Self {
                source,
                context,
                server,
                user,
                digest: inputs.digest(),
                warnings: inputs.warnings,
            }),
            _ => Err(inputs.faults),
        }
    }

    /// The server, the context and the way to prove who asks, on one line and without a
    /// secret.
    pub fn summary(&self) -> String {
        let mut proofs = Vec::new();
        if let Some(certificate) = &self.user.certificate {
            proofs.push(format!(
                "a client certificate valid until {}",
                certificate.until()
            ));
        }
        proofs.extend(self.user.token.as_ref().map(|token| match &token.file {
            Some(file) => format!("the token in {}", file.display()),
            None => "a token".to_owned(),
        }));
        let name = match &self.server.name {
            Some(name) => format!(" as {}", name.to_str()),
            None => String::new(),
        };
        format!(
            "context {}: {}{name}, by {}",
            quoted(&self.context),
            self.server.base,
            proofs.join(" and ")
        )
    }

    /// The files, in their order.
    pub fn files(&self) -> &[PathBuf] {
        &self.source.files
    }

    /// A sentence for each thing that is allowed and had better be otherwise.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        warnings.extend(self.expiry(now));
        warnings
    }

    /// A sentence once the client certificate has expired.
    pub(super) fn expiry(&self, now: SystemTime) -> Option<String> {
        let certificate = self.user.certificate.as_ref()?;
        certificate.has_expired(now).then(|| {
            format!(
                "the client certificate of context {} was valid until {}: have the kubeconfig \
                 made anew, or the clock set",
                quoted(&self.context),
                certificate.until()
            )
        })
    }

    /// The proof of who asks, at this time.
    pub(super) fn identity(&self, now: SystemTime) -> Identity {
        match (&self.user.token, &self.user.certificate) {
            (None, Some(certificate)) if certificate.has_expired(now) => {
                Identity::ExpiredCertificate
            }
            (None, _) => Identity::Certificate,
            (Some(_), _) => Identity::Token,
        }
    }
}
