//! The metrics: their names, and where each comes from.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    exposition::Exposition,
    health::{Attempts, HealthState},
    probe::{Probe, ProbeAnswer},
    process,
    server::State,
};

impl State for HealthState {
    fn judge(&self, probe: Probe) -> ProbeAnswer {
        self.snapshot().judge(probe)
    }

    fn metrics(&self) -> String {
        let mut out = Exposition::default();
        self.state(&mut out);
        self.talk(&mut out);
        self.commands(&mut out);
        self.store(&mut out);
        process::write(self.started_at, &mut out);
        out.into_text()
    }
}

impl HealthState {
    fn state(&self, out: &mut Exposition) {
        let now = self.snapshot();
        out.gauge("openclaw_toggle_build_info", "Which version this is.")
            .labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        out.gauge(
            "openclaw_toggle_logged_in",
            "Whether there is a session on the homeserver.",
        )
        .value(u8::from(now.logged_in));
        out.gauge("openclaw_toggle_ready", "Whether /readyz says yes.")
            .value(u8::from(now.judge(Probe::Ready).ok));
        out.gauge(
            "openclaw_toggle_store_writable",
            "Whether the last transaction was committed.",
        )
        .value(u8::from(!now.store_refused));
        out.gauge(
            "openclaw_toggle_sync_age_seconds",
            "Time since the last sync was taken in; before the first, since the start.",
        )
        .value(now.sync_age().as_secs_f64());
    }

    fn talk(&self, out: &mut Exposition) {
        for (name, help, attempts) in [
            (
                "openclaw_toggle_syncs_total",
                "Syncs.",
                &self.counters.syncs,
            ),
            (
                "openclaw_toggle_logins_total",
                "Logins; going on with a kept session is none.",
                &self.counters.logins,
            ),
        ] {
            let Attempts { ok, failed } = attempts;
            let mut family = out.counter(name, help);
            family.labelled(&[("result", "ok")], ok.load(Relaxed));
            family.labelled(&[("result", "failed")], failed.load(Relaxed));
        }
    }

    fn commands(&self, out: &mut Exposition) {
        let mut family = out.counter(
            "openclaw_toggle_commands_total",
            "Messages that were taken for commands, by what became of them.",
        );
        for (command, outcome, count) in self.counters.events.commands() {
            family.labelled(&[("command", command), ("outcome", outcome)], count);
        }
        let mut family = out.histogram(
            "openclaw_toggle_scale_duration_seconds",
            "How long the API server took to scale.",
        );
        let [done, failed] = &self.counters.scaled;
        family.buckets(("result", "ok"), done);
        family.buckets(("result", "failed"), failed);
        let mut family = out.counter(
            "openclaw_toggle_undecryptable_messages_total",
            "Messages that could not be decrypted, by the reason their sender's device gave.",
        );
        for (reason, count) in self.counters.events.undecryptable() {
            family.labelled(&[("reason", reason)], count);
        }
    }

    fn store(&self, out: &mut Exposition) {
        let read = |number: &AtomicU64| number.load(Relaxed);
        let counters = &self.counters;
        out.gauge("openclaw_toggle_olm_sessions", "Olm sessions in the store.")
            .value(read(&counters.olm_sessions));
        let mut family = out.gauge(
            "openclaw_toggle_megolm_sessions",
            "Megolm sessions in the store: of others, and the bot's own.",
        );
        family.labelled(
            &[("direction", "inbound")],
            read(&counters.inbound_sessions),
        );
        family.labelled(
            &[("direction", "outbound")],
            read(&counters.outbound_sessions),
        );
        out.gauge(
            "openclaw_toggle_one_time_keys",
            "One-time keys on the homeserver, as it last counted them.",
        )
        .value(read(&counters.one_time_keys));
        out.gauge(
            "openclaw_toggle_outbox_messages",
            "Messages that wait to be sent.",
        )
        .value(read(&counters.outbox));
        let mut family = out.counter(
            "openclaw_toggle_skipped_total",
            "What had no room, in an answer of the homeserver or in the store, and was left out.",
        );
        for (place, what, count) in counters.skipped.iter() {
            family.labelled(&[("place", place), ("what", what)], count);
        }
        out.counter(
            "openclaw_toggle_store_failures_total",
            "Transactions that could not be committed.",
        )
        .value(read(&counters.store_failures));
    }
}
