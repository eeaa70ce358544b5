//! The certificate of both ports: what is shown follows the files that it is in. A pair with
//! faults is not taken: the one before stays in force, and all faults are told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use log::{info, warn};

use super::context::Context;
use super::told::tell_once;
use crate::config::gateway::{Digest, Tls};

/// From one warning of a certificate that ends to the next.
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// The certificate that is shown.
pub(super) struct Certificate {
    context: Arc<Context>,
    tls: Tls,
    /// The files as they were read last.
    seen: Option<Digest>,
    /// The faults of the files that were told last.
    told: Vec<String>,
    /// The time of the last warning.
    warned: SystemTime,
}

impl Certificate {
    /// The certificate that the gateway began with, of which the settings have warned.
    pub(super) fn new(context: Arc<Context>, tls: Tls) -> Self {
        Self {
            warned: context.clock.now(),
            context,
            tls,
            seen: None,
            told: Vec::new(),
        }
    }

    /// Reads the files again, and shows what they have.
    pub(super) fn look(&mut self) {
        match self.tls.read_again(&mut self.seen) {
            // It is what is in force, or something new.
            Ok(None) => self.told.clear(),
            Ok(Some(tls)) => {
                if let Some(server) = &self.context.tls {
                    server.show(&tls.identity);
                }
                let until = tls.identity.until();
                info!(
                    "TLS_CERT_FILE has changed: the certificate shown now is valid until {until}"
                );
                self.told.clear();
                self.tls = tls;
            }
            Err(faults) => tell_once(
                &mut self.told,
                &faults,
                "the certificate before stays in force",
            ),
        }
        let now = self.context.clock.now();
        let has_passed = now
            .duration_since(self.warned)
            .is_ok_and(|passed| passed >= WARN_EVERY);
        if has_passed && let Some(warning) = self.tls.warning(now) {
            warn!("{warning}");
            self.warned = now;
        }
    }
}
