//! One target of the gateway's file.

use std::time::Duration;

use super::backend::{Way, way};
use super::keys::KEYS;
use super::words::{self, IDLE, IDLE_STOPS, MIN_UP, PRESENCE, length};
use super::{GatewayTarget, IdleStop};
use crate::config::cluster;
use crate::config::document::{self, Object, Shape};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::control::{Kind, ObjectName, TargetName, Workload, access::Actions};
use crate::json::Located;

/// The keys that say something only of one that is stopped when it is idle. `overrides` is
/// none of them: it counts at the end of the time that a start was for, too.
const OF_IDLE: [&str; 3] = ["idleStop", "presence", "minUp"];

/// The time after a wake in which it has to become ready, unless it says otherwise.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

/// The time without a client after which what the app sends is no use of it, unless the
/// target says otherwise.
const PRESENT: Duration = Duration::from_secs(8 * 3600);

/// The time after it is ready in which it is not stopped, unless it says otherwise.
const UP: Duration = Duration::from_secs(120);

static SHAPE: Shape = Shape {
    keys: &KEYS,
    unknown: "write keys of docs/gateway.schema.json",
    missing: "say of each target the namespace and the name of the object that is scaled",
};

/// A target, and where it was found. What is known of one that has faults is compared all
/// the same, so that all faults are told at once.
pub(super) struct Placed {
    /// Its name, and the line.
    pub(super) place: String,
    pub(super) name: Option<TargetName>,
    pub(super) workload: Option<Workload>,
    pub(super) hosts: Vec<String>,
    pub(super) service: Option<ObjectName>,
    /// All of it, if it has no fault of its own.
    pub(super) target: Option<GatewayTarget>,
}

/// Reads the target of this name.
pub(super) fn target(name: &str, value: Located<'_>, flaws: &mut Flaws) -> Option<Placed> {
    let line = value.line();
    let called = format!("target {}", quoted(name));
    let entries = match document::entries(value) {
        Ok(entries) => entries,
        Err(problem) => {
            flaws.note(Flaw::new(
                format!("has {called} (line {line}), which {problem}"),
                "write { \"namespace\": …, \"name\": … }",
            ));
            return None;
        }
    };
    let parsed = TargetName::parse(name).map_err(|fault| {
        flaws.note(Flaw::new(
            format!("has {called} (line {line}), whose name {fault}"),
            "give it another name, of lower-case letters, digits and dashes",
        ));
    });
    let name = parsed.ok();
    let mut object = Object::new(entries, called, line, &SHAPE, flaws);
    let kind = object.read("kind", words::kind);
    let namespace = object.needed("namespace", |content| {
        cluster::namespace(&document::text(content)?)
    });
    let workload_name = object.needed("name", document::object);
    let workload = || {
        Some(Workload {
            kind: kind?.unwrap_or(Kind::Deployment),
            namespace: namespace?,
            name: workload_name?,
        })
    };
    let workload = workload();
    let counts = counts(&mut object);
    let Way {
        hosts,
        service,
        backend,
    } = way(&mut object);
    let idle = idle(&mut object);
    let anonymous = object.each("anonymous", words::open_action);
    let ready_timeout = object.read("readyTimeout", document::ready_timeout);
    let place = object.place;
    let made = || {
        let (replicas, max) = counts?;
        let (idle, idle_stop, presence, min_up, overrides) = idle?;
        Some(GatewayTarget {
            name: name.clone()?,
            workload: workload.clone()?,
            replicas,
            max,
            backend: backend?,
            idle,
            idle_stop,
            presence,
            min_up,
            overrides,
            anonymous: anonymous?
                .unwrap_or_default()
                .into_iter()
                .collect::<Actions>(),
            ready_timeout: ready_timeout?.unwrap_or(READY_TIMEOUT),
        })
    };
    let target = made();
    Some(Placed {
        place,
        name,
        workload,
        hosts,
        service,
        target,
    })
}

/// The number that a start gives, and the most.
fn counts(object: &mut Object<'_, '_>) -> Option<(i32, i32)> {
    let replicas = object.read("replicas", document::replicas);
    let max = object.read("max", document::replicas);
    let (replicas, max) = (replicas?.unwrap_or(1), max?);
    let max = max.unwrap_or(replicas);
    if replicas > max {
        object.flaw(
            &format!(", whose replicas are {replicas} and more than its max of {max}"),
            "raise max, or lower replicas",
        );
        return None;
    }
    Some((replicas, max))
}

/// The idle time, and what belongs to it.
type Idle = (Option<Duration>, IdleStop, Duration, Duration, Vec<String>);

fn idle(object: &mut Object<'_, '_>) -> Option<Idle> {
    let idle = object.read("idle", |content| length(content, &IDLE));
    let idle_stop = object.read("idleStop", |content| document::word(content, &IDLE_STOPS));
    let presence = object.read("presence", |content| length(content, &PRESENCE));
    let min_up = object.read("minUp", |content| length(content, &MIN_UP));
    let overrides = object.each("overrides", words::manager);
    let lone = OF_IDLE.into_iter().find(|key| object.take(key).is_some());
    if let (Some(None), Some(key)) = (&idle, lone) {
        object.flaw(
            &format!(", which has {key} and no idle"),
            "give it an idle time, after which it is stopped, or leave the key out",
        );
        return None;
    }
    Some((
        idle?,
        idle_stop?.unwrap_or(IdleStop::Own),
        presence?.unwrap_or(PRESENT),
        min_up?.unwrap_or(UP),
        overrides?.unwrap_or_default().into_iter().collect(),
    ))
}
