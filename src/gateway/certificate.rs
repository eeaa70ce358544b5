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
    /// The faults of the files that were told last; none if they are what is in force.
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

    /// Reads the files again, and shows what they have. Returns true if that is refused.
    pub(super) fn look(&mut self) -> bool {
        let before = self.seen.clone();
        match self.tls.read_again(&mut self.seen) {
            // What is new has to be there twice before it is judged.
            Ok(None) if before != self.seen => {}
            Ok(None) => {
                if !std::mem::take(&mut self.told).is_empty() {
                    info!("TLS_CERT_FILE is again what is in force");
                }
            }
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
            Err(faults) => {
                let faults = faults.iter().map(ToString::to_string);
                let kept = "the certificate before stays in force";
                tell_once(&mut self.told, faults.collect(), kept);
            }
        }
        let now = self.context.clock.now();
        let has_passed = now
            .duration_since(self.warned)
            .is_ok_and(|passed| passed >= WARN_EVERY);
        if has_passed && let Some(warning) = self.tls.warning(now) {
            warn!("{warning}");
            self.warned = now;
        }
        !self.told.is_empty()
    }
}
