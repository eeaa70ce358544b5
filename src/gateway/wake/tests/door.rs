//! A replica's way to the world of a test: calls take a while, fail, or are never answered.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::super::cluster::{CONNECT, Cluster, Fault, Found};
use super::super::keeper::Watched;
use super::replicas::server_time;
use super::world::World;
use crate::control::progress::Observation;
use crate::control::{Namespace, ObjectName, Workload};
use crate::kube::{
    Applied, Apply, CollectionChange, Lease, LeaseChange, LeaseWrite, LookAt, ScaleAnswer, Service,
    ServicePort,
};
use crate::util::{Ahead, Clock, ClockDifference, rfc3339};

/// A replica's way to the world.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) world: World,
    pub(super) replica: usize,
    pub(super) own: Clock,
    pub(super) ahead: Ahead,
}

impl Door {
    /// One way of a call.
    async fn way(&self) -> Result<(), Fault> {
        let (wait, is_down, hangs) = self.world.with(|state| {
            let slow_ms = state.slow_ms;
            (state.random.ms(slow_ms), state.is_down, state.hangs)
        });
        sleep(wait).await;
        if self.world.with(|state| state.dead.contains(&self.replica)) {
            std::future::pending::<()>().await;
        }
        if hangs {
            sleep(Duration::from_secs(10)).await;
        }
        if is_down || hangs {
            return Err(Fault::Unavailable);
        }
        if self.world.with(|state| state.shows_time) {
            let difference = ClockDifference::between(server_time(), self.own.now());
            self.ahead.compared(difference);
        }
        Ok(())
    }
}

impl Cluster for Door {
    async fn scale(&self, _: &Workload) -> Result<ScaleAnswer, Fault> {
        self.way().await?;
        let answer = self.world.with(|state| {
            state.scale_calls += 1;
            state.answer()
        });
        self.way().await?;
        Ok(answer)
    }

    async fn apply(&self, _: &Workload, apply: &Apply<'_>) -> Result<Applied, Fault> {
        self.way().await?;
        let is_version = !apply.resource_version.is_empty();
        let refused = self.world.with(|state| {
            if is_version && apply.resource_version != state.scale_version.to_string() {
                return Some(Applied::Stale);
            }
            if state.replicas == apply.replicas {
                state.idle_writes += 1;
                return None;
            }
            let is_sole = state.owners == [apply.manager];
            if !is_sole && !apply.force {
                return Some(Applied::Owned(match state.owners.is_empty() {
                    true => vec!["before-first-apply".to_owned()],
                    false => state.owners.clone(),
                }));
            }
            state.owners = vec![apply.manager.to_owned()];
            match apply.replicas {
                0 => state.stops += 1,
                _ => state.wakes += usize::from(state.replicas == 0),
            }
            None
        });
        if let Some(refused) = refused {
            let is_owned = matches!(refused, Applied::Owned(_));
            let between = self
                .world
                .with(|state| state.comes_between.take_if(|_| is_owned));
            if let Some((manager, replicas)) = between {
                self.world.apply_as(manager, replicas);
            }
            self.way().await?;
            return Ok(refused);
        }
        self.world.set(apply.replicas);
        let answer = self.world.with(|state| state.answer());
        self.way().await?;
        Ok(Applied::Done(answer))
    }

    async fn observe(&self, _: &Workload) -> Result<Observation, Fault> {
        self.way().await?;
        let seen = self.world.with(|state| {
            let before = state.counted.filter(|(_, until)| Instant::now() < *until);
            let counted = before.map_or_else(|| state.open(), |(counted, _)| counted);
            Observation {
                generation: 2,
                observed_generation: if before.is_some() { 1 } else { 2 },
                desired: state.replicas,
                deletes_volumes: state.deletes_volumes,
                replicas: state.replicas,
                ready: counted,
                ..Observation::default()
            }
        });
        self.way().await?;
        Ok(seen)
    }

    async fn why(&self, _: &Workload, at: LookAt) -> Result<Found, Fault> {
        let found = self.world.with(|state| {
            state.looks.push(at);
            Found {
                finding: state.trouble.clone(),
                forbidden: LookAt {
                    pods: at.pods && state.hidden.pods,
                    events: at.events && state.hidden.events,
                },
            }
        });
        while self.world.with(|state| state.looks_hang) {
            sleep(Duration::from_millis(100)).await;
        }
        self.way().await?;
        Ok(found)
    }

    async fn lease(&self, _: &Namespace, _: &ObjectName) -> Result<Lease, Fault> {
        self.way().await?;
        let lease = self.world.with(|state| state.lease.clone());
        self.way().await?;
        lease.ok_or_else(|| Fault::Missing("no Lease".to_owned()))
    }

    async fn change_lease(
        &self,
        _: &Namespace,
        _: &ObjectName,
        change: &LeaseChange,
    ) -> Result<LeaseWrite, Fault> {
        self.world.with(|state| state.lease_calls += 1);
        self.way().await?;
        let written = self.world.with(|state| {
            let Some(mut lease) = state.lease.clone() else {
                return Err(Fault::Missing("no Lease".to_owned()));
            };
            if !change.resource_version.is_empty()
                && change.resource_version != lease.resource_version
            {
                return Ok(LeaseWrite::Conflict);
            }
            let before = lease.clone();
            if let Some(time) = change.renew_time {
                lease.renew_time = micro(time);
            }
            if let Some(holder) = &change.holder {
                lease.holder.clone_from(holder);
            }
            for (name, value) in &change.annotations {
                match value {
                    Some(value) => lease.annotations.insert((*name).to_owned(), value.clone()),
                    None => lease.annotations.remove(*name),
                };
            }
            // A patch that changes nothing is no new version.
            if lease != before {
                state.version += 1;
                lease.resource_version = state.version.to_string();
                state.lease = Some(lease.clone());
                state.tell_each(&Watched::Lease(CollectionChange::Set(lease.clone())));
            }
            let is_claim = lease.annotations.get("phase").map(String::as_str) == Some("stopping");
            if is_claim && state.to_die == Some(self.replica) {
                state.to_die = None;
                state.dead.push(self.replica);
            }
            Ok(LeaseWrite::Done(lease))
        });
        self.way().await?;
        written
    }

    async fn service(&self, _: &Namespace, _: &ObjectName) -> Result<Service, Fault> {
        self.way().await?;
        let Some(address) = self.world.with(|state| state.cluster_ip) else {
            return Ok(Service::default());
        };
        let port = ServicePort {
            name: "http".to_owned(),
            port: address.port(),
            ..ServicePort::default()
        };
        Ok(Service {
            cluster_ip: Some(address.ip()),
            ports: vec![port],
        })
    }

    async fn connect(&self, to: SocketAddr) -> bool {
        sleep(Duration::from_millis(1)).await;
        let is_open = self.world.is_open(to);
        if !is_open && self.world.with(|state| state.is_silent) {
            sleep(CONNECT).await;
        }
        is_open
    }
}

/// The time with six decimals.
fn micro(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("{}+{}", rfc3339(time), since.subsec_micros())
}
