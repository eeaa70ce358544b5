//! The pages, and who serves them.

use std::{io, net::SocketAddr, sync::Arc};

use http::StatusCode;

use super::{exposition::CONTENT_TYPE, probe::Probe, vitals::Vitals};
use crate::http::{Page, listen, serve};

/// Serves the pages on the first of these addresses that this machine has, for
/// as long as the runtime lives; returns once it listens.
///
/// # Errors
/// None of the addresses can be listened on.
pub async fn start(candidates: &[SocketAddr], vitals: Arc<Vitals>) -> io::Result<()> {
    let listener = listen(candidates).await?;
    tokio::spawn(serve(listener, move |path| page(&vitals, path)));
    Ok(())
}

fn page(vitals: &Vitals, path: &str) -> Option<Page> {
    for probe in [Probe::Live, Probe::Ready] {
        if path == probe.path() {
            let verdict = vitals.snapshot().judge(probe);
            let status = match verdict.ok {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            return Some(Page::text(status, verdict.text));
        }
    }
    (path == "/metrics").then(|| Page {
        status: StatusCode::OK,
        content_type: CONTENT_TYPE,
        body: vitals.metrics(),
    })
}
