//! The gateway's work beside its requests: it tells that it is alive and ready, writes down
//! what the audit log has folded, and reads its files again when they change. A file that has
//! faults is not taken: the one before stays in force, and all faults are told.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use tokio::time::{Instant, sleep, sleep_until};

use super::certificate::Certificate;
use super::check::{audience_fault, tell_faults};
use super::context::Context;
use super::told::tell_once;
use super::wake::Keepers;
use crate::config::gateway::{GatewayFile, GatewaySettings};
use crate::kube::Api;
use crate::telemetry::GatewayHealth;
use crate::util::{First, boxed, paced, race};

/// From one turn to the next.
const EVERY: Duration = Duration::from_secs(1);

/// From one look at the watches to the next, until they have shown their first state:
/// nobody sends anything here before.
const SOON: Duration = Duration::from_millis(20);

/// Turns from one look at the file to the next. The kubelet needs up to a minute or two to
/// bring a changed ConfigMap to a pod anyway.
const TURNS_A_LOOK: u32 = 5;

/// The things that are looked after.
pub(super) struct Housekeeping {
    context: Arc<Context>,
    keepers: Keepers,
    health: Arc<GatewayHealth>,
    cluster: Api,
    settings: Arc<GatewaySettings>,
    certificate: Option<Certificate>,
    /// The text of the file as it was read last.
    text: Option<String>,
    /// The faults of the file that were told last; none if it is what is in force.
    told: Vec<String>,
}

impl Housekeeping {
    pub(super) fn new(
        context: Arc<Context>,
        keepers: Keepers,
        health: Arc<GatewayHealth>,
        cluster: Api,
        settings: Arc<GatewaySettings>,
    ) -> Self {
        let tls = settings.tls.clone();
        let certificate = tls.map(|tls| Certificate::new(Arc::clone(&context), tls));
        Self {
            context,
            keepers,
            health,
            cluster,
            settings,
            certificate,
            text: None,
            told: Vec::new(),
        }
    }

    /// Looks after them until the gateway is about to end, and tells the targets that it is.
    pub(super) async fn run(mut self) {
        let mut turns = 0;
        loop {
            self.health.loop_alive();
            turns += 1;
            if turns >= TURNS_A_LOOK {
                turns = 0;
                self.context.audit.flush(self.context.clock.now_ms());
                self.look();
                let mut is_refused = !self.told.is_empty();
                if let Some(certificate) = &mut self.certificate {
                    is_refused |= certificate.look();
                }
                self.context.metrics.config_refused(is_refused);
            }
            let context = Arc::clone(&self.context);
            if let First::Left(()) = race(context.draining(), self.rest()).await {
                break;
            }
        }
        self.keepers.drain();
        loop {
            self.health.loop_alive();
            sleep(EVERY).await;
        }
    }

    /// Resolves when it is time for the next turn, and tells meanwhile that the watches are
    /// ready.
    async fn rest(&self) {
        let turn = Instant::now() + paced(EVERY);
        while !self.keepers.are_synced() && Instant::now() < turn {
            sleep(SOON).await;
        }
        if self.keepers.are_synced() {
            self.health.watches_ready();
        }
        sleep_until(turn).await;
    }

    /// Reads the file again, and goes by it if it says something else.
    fn look(&mut self) {
        let settings = Arc::clone(&self.settings);
        let shown = settings.file.display();
        let kept =
            || format!("{shown} is not taken as it is now: what it said before stays in force");
        match GatewayFile::read_again(&settings.file, &settings.vital, &mut self.text) {
            // What was told of it still holds.
            Ok(None) => {}
            Ok(Some(file)) if file == self.context.table().file => {
                if !std::mem::take(&mut self.told).is_empty() {
                    info!("{shown} is again what is in force");
                }
            }
            Ok(Some(file)) => {
                if let Some(fault) = audience_fault(&settings, &file) {
                    return tell_once(&mut self.told, vec![fault], &kept());
                }
                self.told.clear();
                info!("{shown} has changed, and is in force from now on");
                for warning in &file.warnings {
                    warn!("{warning}");
                }
                self.keepers.update(&file.targets);
                self.context.authenticator.reload(&file);
                self.context.audit.tell_successes(file.audit_successes);
                self.context.replace(file.clone(), self.keepers.handles());
                let cluster = self.cluster.clone();
                tokio::spawn(boxed(tell_faults(cluster, settings, file)));
            }
            Err(faults) => {
                let faults = faults.iter().map(ToString::to_string);
                tell_once(&mut self.told, faults.collect(), &kept());
            }
        }
    }
}
