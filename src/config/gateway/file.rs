//! The gateway's file as it is used (`GATEWAY_CONFIG`).

use std::path::Path;
use std::sync::Arc;

use super::GatewayTarget;
use super::entry::{self, Placed};
use super::outline::outline;
use super::roles::{self, Names, members, oidc_roles};
use super::trust::{Trust, trust};
use super::vital::Vital;
use super::{checks, table::GATEWAY_CONFIG};
use crate::config::document::content;
use crate::config::fault::{Faults, Flaw, Flaws};
use crate::control::access::Grants;
use crate::json::Document;
use crate::util::gathered;

/// The content of the gateway's file. It is read again while the gateway runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayFile {
    /// The rules for who may do what.
    pub grants: Grants,
    /// The targets, in the order of the file.
    pub targets: Vec<GatewayTarget>,
    /// True if tokens of service accounts are taken (`k8sTrust.enabled`).
    pub service_accounts: bool,
    /// True if successful authentications are in the audit log, too (`k8sTrust.auditLog`).
    pub audit_successes: bool,
    /// Warnings to be logged once: keys of other programs that were found and not used, and
    /// what is allowed and seldom meant.
    pub warnings: Vec<String>,
}

impl GatewayFile {
    /// Reads the file at `path`. `vital` is what the gateway cannot do without, which
    /// is no target.
    ///
    /// # Errors
    /// Every fault there is, at most a hundred, each with its line.
    pub fn read(path: &Path, vital: &Vital) -> Result<Self, Faults> {
        let read = content(&path.to_string_lossy()).map_err(Flaws::from);
        read.and_then(|text| parse(&text, vital)).map_err(faults)
    }

    /// The same again, or None where the file is byte for byte the `last` text, which is
    /// replaced by what was read.
    ///
    /// # Errors
    /// As [`GatewayFile::read`].
    pub fn read_again(
        path: &Path,
        vital: &Vital,
        last: &mut Option<String>,
    ) -> Result<Option<Self>, Faults> {
        let before = last.take();
        let text = content(&path.to_string_lossy()).map_err(|flaw| faults(flaw.into()))?;
        let text = last.insert(text);
        match before.as_ref() == Some(text) {
            true => Ok(None),
            false => parse(text, vital).map(Some).map_err(faults),
        }
    }
}

/// The flaws of the file, as those of its variable.
fn faults(flaws: Flaws) -> Faults {
    let mut faults = Faults::default();
    for flaw in flaws.0 {
        faults.push(flaw.of(GATEWAY_CONFIG.name));
    }
    faults
}

/// Reads the text of a file.
fn parse(text: &str, vital: &Vital) -> Result<GatewayFile, Flaws> {
    let document = Document::new(text);
    let mut flaws = Flaws::default();
    let root = document.root().map_err(|error| {
        // Its message quotes nothing but the marks that were expected.
        Flaw::new(
            format!("is not JSON: {error}"),
            "write an object as docs/gateway.schema.json describes it",
        )
    })?;
    let outline = outline(root, &mut flaws);
    let placed: Vec<Placed> = members(outline.targets, "targets", &mut flaws)
        .into_iter()
        .filter_map(|(name, value)| entry::target(&name, value, &mut flaws))
        .collect();
    let names = Names {
        targets: gathered(placed.iter().filter_map(|one| one.name.clone())),
        roles: roles::names(outline.roles),
    };
    let roles = roles::roles(outline.roles, &names, &mut flaws);
    let trust = outline
        .trust
        .map_or_else(Trust::default, |value| trust(value, &names, &mut flaws));
    let oidc_roles = oidc_roles(outline.oidc_roles, &names, &mut flaws);
    for flaw in checks::flaws(&placed, vital) {
        flaws.note(flaw);
    }
    if !flaws.0.is_empty() {
        return Err(flaws);
    }
    let targets: Vec<GatewayTarget> = placed.into_iter().filter_map(|one| one.target).collect();
    let open = targets.iter().filter(|target| !target.anonymous.is_empty());
    let open = open.map(|target| (target.name.clone(), target.anonymous));
    let grants = Grants {
        roles,
        identities: trust.identities,
        oidc_roles,
        anonymous: Arc::new(gathered(open)),
    };
    Ok(GatewayFile {
        warnings: checks::warnings(vital, &outline.foreign, &grants, &targets),
        grants,
        targets,
        service_accounts: trust.enabled,
        audit_successes: trust.audit_successes,
    })
}
