//! The gateway's file: what is said reaches its fields, and what is not said has defaults.

mod faults;
mod hosts;
mod openclaw;
mod schema;
mod settings;
mod tls;
mod together;
mod values;

use std::path::Path;
use std::time::Duration;

use super::{Backend, GatewayFile, IdleStop, OnCold, Port, Route, Vital, WakeBy};
use crate::control::access::{Access, Action, Ask, Principal, ServiceAccountName};
use crate::control::{Kind, Namespace, ObjectName, TargetName, Workload};
use crate::util::temp::TempFile;

/// The things that a gateway of these tests cannot do without.
fn vital() -> Vital {
    let own = Workload {
        kind: Kind::Deployment,
        namespace: Namespace::parse("tools").unwrap(),
        name: ObjectName::parse("openclaw-gateway").unwrap(),
    };
    let issuer = "http://keycloak.id.svc.cluster.local:8080/realms/main";
    Vital {
        own: Some(own),
        issuer: Some(issuer.to_owned()),
    }
}

/// The content of a file with this text, or its faults, without the variable's name.
fn read(text: &str) -> Result<GatewayFile, Vec<String>> {
    let file = TempFile::new(text);
    GatewayFile::read(file.path().as_ref(), &vital()).map_err(|faults| {
        let lines = faults.iter().map(|fault| {
            let fault = fault.to_string();
            let told = fault.strip_prefix("GATEWAY_CONFIG ");
            told.expect("a fault of the file").to_owned()
        });
        lines.collect()
    })
}

/// The target of a file with one that says this beside its object.
fn target(rest: &str) -> Result<super::GatewayTarget, Vec<String>> {
    let comma = if rest.is_empty() { "" } else { "," };
    let text = format!(
        "{{\"targets\": {{\"web\": {{\n\"namespace\": \"claw\", \"name\": \"web\"{comma}\n{rest}\n}}}}}}"
    );
    read(&text).map(|file| file.targets.into_iter().next().unwrap())
}

/// A file that says everything.
const FULL: &str = r#"{
  "$schema": "docs/gateway.schema.json",
  "k8sTrust": {
    "enabled": true,
    "allowedIdentities": [
      { "namespace": "claw", "serviceAccount": "worker", "allowedRoles": ["node"] },
      { "namespace": "ci", "serviceAccount": "*", "allowedRoles": ["ops", "node"], "allowUnbound": true },
      { "namespace": "*", "serviceAccount": "robot", "allowedRoles": ["ops"] }
    ],
    "ephemeralSessions": true,
    "auditLog": false
  },
  "roles": {
    "node": { "targets": ["web"], "verbs": ["status", "wait", "wake", "connect"] },
    "ops": { "targets": ["*"], "verbs": ["start", "stop"], "maxReplicas": 2, "maxFor": "8h" }
  },
  "oidcRoles": { "realm-user": ["node"], "realm ops": ["ops", "node"] },
  "targets": {
    "web": {
      "kind": "StatefulSet", "namespace": "claw", "name": "claw.web", "replicas": 2, "max": 4,
      "host": "claw.example.org", "service": "web", "port": 8080, "route": "service",
      "idle": "30m", "idleStop": "any", "presence": "1d", "minUp": "0s",
      "overrides": ["kube-controller-manager"], "anonymous": ["wake", "connect"],
      "onCold": "503", "pageStatus": 200, "hold": "10s", "maxHeld": 7, "wakeBy": "any",
      "noWakePaths": ["/ping", "/static/*"], "noWakeAgents": [], "preflight": true,
      "upstreamHost": "Web:8080", "identityHeaders": true, "readyTimeout": "90s"
    },
    "db": { "kind": "apps/v1/deployments", "namespace": "claw", "name": "db" }
  }
}"#;

#[test]
fn everything_that_is_said_reaches_its_field() {
    let file = read(FULL).unwrap();
    assert!(file.service_accounts && !file.audit_successes);
    let [web, db] = file.targets.as_slice() else {
        panic!("two targets");
    };
    assert_eq!(web.name.as_str(), "web");
    assert_eq!(web.workload.to_string(), "statefulset claw/claw.web");
    assert_eq!((web.replicas, web.max), (2, 4));
    assert_eq!(web.idle, Some(Duration::from_secs(1800)));
    assert_eq!(web.idle_stop, IdleStop::Any);
    assert_eq!(web.presence, Duration::from_secs(86_400));
    assert_eq!(web.min_up, Duration::ZERO);
    assert_eq!(web.overrides, ["kube-controller-manager"]);
    assert_eq!(
        web.anonymous,
        [Action::Wake, Action::Connect].into_iter().collect()
    );
    assert_eq!(web.ready_timeout, Duration::from_secs(90));
    assert_eq!(
        web.backend.as_ref().unwrap(),
        &Backend {
            hosts: vec!["claw.example.org".to_owned()],
            service: ObjectName::parse("web").unwrap(),
            port: Port::Number(8080),
            route: Route::Service,
            on_cold: OnCold::Refuse,
            page_status: 200,
            hold: Duration::from_secs(10),
            max_held: 7,
            wake_by: WakeBy::Any,
            no_wake_paths: vec!["/ping".to_owned(), "/static/*".to_owned()],
            no_wake_agents: Vec::new(),
            preflight: true,
            upstream_host: Some("Web:8080".to_owned()),
            identity_headers: true,
        }
    );
    assert_eq!(db.workload.to_string(), "claw/db");
    assert_eq!(db.backend, None);
}

#[test]
fn a_file_is_parsed_again_only_if_its_text_has_changed() {
    let file = TempFile::new(FULL);
    let path: &Path = file.path().as_ref();
    let mut last = None;
    let mut again = || GatewayFile::read_again(path, &vital(), &mut last);
    let first = again().unwrap().unwrap();
    assert_eq!(first, read(FULL).unwrap());
    assert_eq!(again().unwrap(), None);
    // Whoever compares the files sees that they say the same.
    std::fs::write(path, format!("{FULL}\n")).unwrap();
    assert_eq!(again().unwrap(), Some(first));
    assert_eq!(again().unwrap(), None);
    // Faults are told once, for as long as the file can be read.
    std::fs::write(path, "{}").unwrap();
    assert!(again().is_err());
    assert_eq!(again().unwrap(), None);
    std::fs::remove_file(path).unwrap();
    assert!(again().is_err());
    assert!(again().is_err());
    std::fs::write(path, "{}").unwrap();
    assert!(again().is_err());
}

#[test]
fn what_is_not_said_has_defaults() {
    let plain = target("").unwrap();
    assert_eq!(plain.workload.kind, Kind::Deployment);
    assert_eq!((plain.replicas, plain.max), (1, 1));
    assert_eq!((&plain.backend, plain.idle), (&None, None));
    assert_eq!(plain.idle_stop, IdleStop::Own);
    assert_eq!(plain.presence, Duration::from_secs(8 * 3600));
    assert_eq!(plain.min_up, Duration::from_secs(120));
    assert!(plain.overrides.is_empty() && plain.anonymous.is_empty());
    assert_eq!(plain.ready_timeout, Duration::from_secs(300));
    // As many as a start gives, where the most is not said.
    assert_eq!(target("\"replicas\": 3").unwrap().max, 3);

    let backend = target("\"host\": \"a.example.org\", \"service\": \"s\", \"port\": \"http\"");
    let backend = backend.unwrap().backend.unwrap();
    assert_eq!(backend.port, Port::Name("http".to_owned()));
    assert_eq!((backend.route, backend.on_cold), (Route::Pod, OnCold::Auto));
    assert_eq!((backend.page_status, backend.max_held), (503, 100));
    assert_eq!(backend.hold, Duration::from_secs(50));
    assert_eq!(backend.wake_by, WakeBy::Navigation);
    let paths = [
        "/favicon.ico",
        "/robots.txt",
        "/apple-touch-icon*",
        "/.well-known/*",
    ];
    assert_eq!(backend.no_wake_paths, paths);
    assert_eq!(backend.no_wake_agents.len(), 6);
    assert!(!backend.preflight && !backend.identity_headers);
    assert_eq!(backend.upstream_host, None);

    let names = "\"hosts\": [\"web\", \"web.example.org\"], \"service\": \"s\", \"port\": 80";
    let backend = target(names).unwrap().backend.unwrap();
    assert_eq!(backend.hosts, ["web", "web.example.org"]);
}

#[test]
fn the_rights_of_the_file_are_those_that_are_granted() {
    let file = read(FULL).unwrap();
    let decide = |namespace: &str, name: &str, target: &str, action| {
        let account = ServiceAccountName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let principal = Principal::ServiceAccount(account, None);
        let target = TargetName::parse(target).unwrap();
        file.grants.permissions(&principal).decide(&Ask {
            target: &target,
            action,
            replicas: None,
            run_for: None,
        })
    };
    // A token without a pod: only the entry that takes one counts.
    assert_eq!(decide("ci", "x", "db", Action::Stop), Access::Granted);
    assert_eq!(decide("ci", "x", "db", Action::Status), Access::Denied);
    assert_eq!(
        decide("claw", "worker", "web", Action::Status),
        Access::Denied
    );
    assert_eq!(
        decide("claw", "worker", "web", Action::Connect),
        Access::Granted
    );
    assert_eq!(decide("any", "robot", "db", Action::Stop), Access::Hidden);
    let roles = file.grants.oidc_roles.get("realm ops").unwrap();
    assert_eq!(roles, &["node", "ops"]);
    let ops = file.grants.roles.get("ops").unwrap();
    assert_eq!((&ops.targets, ops.max_replicas), (&None, Some(2)));
    assert_eq!(ops.max_for, Some(Duration::from_secs(8 * 3600)));
}

#[test]
fn what_is_seldom_meant_is_warned_of() {
    // The target db has no idle, and role ops may start it.
    let [warning] = read(FULL).unwrap().warnings.try_into().unwrap();
    assert_eq!(
        warning,
        "GATEWAY_CONFIG gives role ops a maxFor, which ends no start that asks for no time, and \
         these of its targets have no idle: db"
    );
    let nobody = "{\"targets\": {\"a\": {\"namespace\": \"n\", \"name\": \"a\"}}}";
    let [warning] = read(nobody).unwrap().warnings.try_into().unwrap();
    assert!(warning.contains("allows nobody anything"), "{warning}");
}

#[test]
fn trust_that_is_off_trusts_nobody() {
    for trust in [
        "\"enabled\": false",
        "\"enabled\": false, \"allowedIdentities\": []",
        "\"enabled\": false, \"allowedIdentities\": [{\"namespace\": \"n\", \"serviceAccount\": \
         \"s\", \"allowedRoles\": [\"r\"]}]",
    ] {
        let text = format!(
            "{{\"k8sTrust\": {{{trust}}}, \"roles\": {{\"r\": {{\"targets\": [\"*\"], \"verbs\": \
             [\"list\"]}}}}, \"targets\": {{}}}}"
        );
        let file = read(&text).unwrap();
        assert!(!file.service_accounts && file.grants.identities.is_empty());
    }
}
