//! The gateway's file as it is used (`GATEWAY_CONFIG`).

use super::target::GatewayTarget;
use crate::control::access::Grants;

/// What the gateway's file says. It is read again while the gateway runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayFile {
    /// Who may do what.
    pub grants: Grants,
    /// The targets, in the order of the file.
    pub targets: Vec<GatewayTarget>,
    /// True if tokens of service accounts are taken (`k8sTrust.enabled`).
    pub service_accounts: bool,
    /// True if successful authentications are in the audit log, too (`k8sTrust.auditLog`).
    pub audit_successes: bool,
    /// Warnings to be logged once: keys of other programs that were found and not used.
    pub warnings: Vec<String>,
}
