//! The pages, and the thread that serves them.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
};

use http::StatusCode;
use tokio::runtime::Builder;

use super::{
    exposition::CONTENT_TYPE,
    probe::{Probe, ProbeAnswer},
};
use crate::net::{self, Page, listen, serve, text_page};

/// The state of a process, which its pages show.
pub trait State: Send + Sync {
    /// The answer to a probe.
    fn judge(&self, probe: Probe) -> ProbeAnswer;

    /// All metrics, in the text format of Prometheus.
    fn metrics(&self) -> String;
}

/// Serves the pages on the first of these addresses that this machine has, for
/// as long as the process lives; returns once it listens.
///
/// They have a thread of their own: a probe is answered while the process's loop is busy, and
/// many probes do not slow the loop.
///
/// # Errors
/// None of the addresses can be listened on, or there is no thread to be had.
pub fn start(candidates: &[SocketAddr], state: Arc<dyn State>) -> io::Result<()> {
    let candidates = candidates.to_vec();
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let ended = runtime.and_then(|runtime| {
                runtime.block_on(async {
                    let listener = listen(&candidates)?;
                    drop(sender.send(Ok(())));
                    serve(listener, move |path| page(&*state, path)).await;
                    Ok(())
                })
            });
            drop(sender.send(ended));
        })?;
    receiver
        .recv()
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn page(state: &dyn State, path: &str) -> Option<Page> {
    for probe in [Probe::Live, Probe::Ready] {
        if path == probe.path() {
            let verdict = state.judge(probe);
            let status = match verdict.ok {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            return Some(text_page(status, verdict.text));
        }
    }
    (path == "/metrics").then(|| net::page(StatusCode::OK, CONTENT_TYPE, state.metrics()))
}
