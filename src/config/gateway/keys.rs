//! The keys of a target in the gateway's file.

/// All that can be said of a target; last, what says something only of one that has a host.
pub(super) const KEYS: [&str; 27] = [
    "kind",
    "namespace",
    "name",
    "replicas",
    "max",
    "host",
    "hosts",
    "idleStop",
    "presence",
    "minUp",
    "overrides",
    "anonymous",
    "readyTimeout",
    "idle",
    "service",
    "port",
    "route",
    "onCold",
    "pageStatus",
    "hold",
    "maxHeld",
    "wakeBy",
    "noWakePaths",
    "noWakeAgents",
    "preflight",
    "upstreamHost",
    "identityHeaders",
];

/// The keys that say something only of one that has a host.
pub(super) const OF_HOST: &[&str] = KEYS.split_at(13).1;
