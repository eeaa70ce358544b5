//! Targets without a cluster, for tests of what serves requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::asked::{Change, Changed, Refusal, WokenBy};
use super::handle::TargetHandle;
use super::shared::{Asked, Forward, Room, Shared};
use super::view::{Endpoint, Phase};
use crate::config::gateway::{Backend, GatewayTarget, IdleStop, OnCold, Port, Route, WakeBy};
use crate::control::access::{Actions, Principal, ServiceAccountName};
use crate::control::{Kind, Namespace, ObjectName, TargetName, Workload};
use crate::gateway::origin::RequestId;
use crate::telemetry::GatewayMetrics;

/// A target of this name: the Deployment and the Service `NAME` in `apps`, reached as
/// `NAME.example.org`, with the defaults of a configuration.
pub(crate) fn target(name: &str) -> GatewayTarget {
    GatewayTarget {
        name: TargetName::parse(name).unwrap(),
        workload: Workload {
            kind: Kind::Deployment,
            namespace: Namespace::parse("apps").unwrap(),
            name: ObjectName::parse(name).unwrap(),
        },
        replicas: 1,
        max: 5,
        backend: Some(Backend {
            hosts: vec![format!("{name}.example.org")],
            service: ObjectName::parse(name).unwrap(),
            port: Port::Name("http".to_owned()),
            route: Route::Pod,
            on_cold: OnCold::Auto,
            page_status: 503,
            hold: Duration::from_secs(50),
            max_held: 100,
            wake_by: WakeBy::Navigation,
            no_wake_paths: Vec::new(),
            no_wake_agents: Vec::new(),
            preflight: false,
            upstream_host: None,
            identity_headers: false,
        }),
        idle: Some(Duration::from_secs(1800)),
        idle_stop: IdleStop::Own,
        presence: Duration::from_secs(8 * 3600),
        min_up: Duration::from_secs(120),
        overrides: Vec::new(),
        anonymous: Actions::NONE,
        ready_timeout: Duration::from_secs(300),
    }
}

/// A request of the service account `apps/worker`, in no pod in particular.
pub(crate) fn program() -> WokenBy {
    let account = ServiceAccountName {
        namespace: "apps".to_owned(),
        name: "worker".to_owned(),
    };
    WokenBy {
        principal: Principal::ServiceAccount(account, None),
        request: RequestId::own(),
    }
}

/// What a keeper would do, done by a test.
pub(crate) struct FakeKeeper {
    handle: TargetHandle,
    asked: mpsc::Receiver<Asked>,
}

/// A target that is ready at this address, and stays so.
pub(crate) fn ready_at(target: GatewayTarget, address: SocketAddr) -> TargetHandle {
    let (handle, keeper) = cold(target);
    keeper.ready(address);
    handle
}

/// A target that is off, and its keeper: without it, changes are refused as unavailable.
pub(crate) fn cold(target: GatewayTarget) -> (TargetHandle, FakeKeeper) {
    let room = Room::new(300, Arc::new(GatewayMetrics::default()));
    let (shared, asked) = Shared::new(Arc::new(target), room);
    let handle = TargetHandle(shared);
    let keeper = FakeKeeper {
        handle: handle.clone(),
        asked,
    };
    (handle, keeper)
}

impl FakeKeeper {
    /// The target.
    pub(crate) fn handle(&self) -> &TargetHandle {
        &self.handle
    }

    /// It becomes ready at this address.
    pub(crate) fn ready(&self, address: SocketAddr) {
        self.handle
            .0
            .with(|hot| (hot.endpoints, hot.reachable) = (vec![Endpoint { address }], 1));
        self.phase(Phase::Ready, None);
    }

    /// It comes into another phase, for this reason. A failure is remembered for 30 s; it is
    /// a refusal where the reason says that it was switched off.
    pub(crate) fn phase(&self, phase: Phase, reason: Option<&str>) {
        self.handle.0.with(|hot| {
            hot.phase = phase;
            hot.since = Instant::now();
            hot.reason = reason.map(ToOwned::to_owned);
            hot.why_starting = hot.reason.clone().filter(|_| phase == Phase::Starting);
            hot.is_refused = reason.is_some_and(|reason| reason.contains("switched off"));
            hot.retry_at =
                (phase == Phase::Failed).then(|| Instant::now() + Duration::from_secs(30));
            if phase != Phase::Ready {
                hot.endpoints.clear();
                hot.reachable = 0;
            }
        });
        if phase == Phase::Stopping {
            self.handle.0.close();
        }
        self.handle.0.tell();
    }

    /// The others have to be asked from now on before something is sent to it.
    pub(crate) fn ask_first(&self) {
        let now = Instant::now();
        self.handle.0.with(|hot| hot.forward = Forward::Until(now));
    }

    /// The one who wants it woken, if anybody does.
    pub(crate) fn wake_wanted(&self) -> Option<String> {
        let wanted = self.handle.0.with(|hot| hot.wake_wanted.clone());
        wanted.map(|by| by.principal.by())
    }

    /// The last use of it that counts.
    pub(crate) fn last_use(&self) -> Option<Instant> {
        self.handle
            .0
            .with(|hot| hot.activity.last_use(hot.target.presence))
    }

    /// This replica is about to end.
    pub(crate) fn drain(&self) {
        self.handle.0.room.drain();
        self.handle.0.tell();
    }

    /// Waits for a change, and answers it.
    pub(crate) async fn answer(
        &mut self,
        answer: Result<Changed, Refusal>,
    ) -> Option<(Change, String)> {
        let asked = self.asked.recv().await?;
        let _ = asked.reply.send(answer);
        Some((asked.change, asked.by))
    }
}
