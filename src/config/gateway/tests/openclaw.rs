//! The file of OpenClaw, with this program's keys beside its own.

use super::read;

/// The example of its Quick Start.
const QUICK_START: &str = r#"{
  "gateway": {
    "mode": "local",
    "port": 18789,
    "bind": "lan",
    "auth": {
      "mode": "token",
      "k8sTrust": {
        "enabled": true,
        "allowedIdentities": [
          {
            "namespace": "openclaw",
            "serviceAccount": "openclaw-worker",
            "allowedRoles": ["node"]
          }
        ],
        "ephemeralSessions": true,
        "auditLog": true
      }
    }
  }REST
}"#;

const REST: &str = r#",
  "agents": { "list": [] },
  "roles": { "node": { "targets": ["gateway"], "verbs": ["status", "wait", "wake", "connect"] } },
  "targets": {
    "gateway": {
      "kind": "StatefulSet", "namespace": "openclaw", "name": "openclaw-gateway",
      "host": "claw.example.org", "service": "openclaw-gateway", "port": "http", "idle": "30m"
    }
  }"#;

#[test]
fn the_quick_start_is_read_with_one_warning_that_names_what_is_not_used() {
    let file = read(&QUICK_START.replace("REST", REST)).unwrap();
    assert!(file.service_accounts && file.audit_successes);
    let [identity] = file.grants.identities.as_slice() else {
        panic!("one identity");
    };
    assert_eq!(identity.namespace.as_deref(), Some("openclaw"));
    assert_eq!(identity.name.as_deref(), Some("openclaw-worker"));
    assert_eq!(identity.roles, ["node"]);
    assert!(!identity.allow_unbound);
    assert_eq!(
        file.warnings,
        [
            "GATEWAY_CONFIG has keys of another program, which are not used: agents, \
             gateway.mode, gateway.port, gateway.bind, gateway.auth.mode"
        ]
    );
}

#[test]
fn the_quick_start_alone_says_what_is_to_be_added() {
    let [targets, role] = read(&QUICK_START.replace("REST", ""))
        .unwrap_err()
        .try_into()
        .unwrap();
    assert!(
        targets.starts_with("has no targets: write { \"targets\": "),
        "{targets}"
    );
    assert_eq!(
        role,
        "has identity 1, whose allowedRoles in line 14 names \"node\", which is none of the \
         roles; \"node\": {\"targets\": [\"*\"], \"verbs\": [\"status\", \"wait\", \"wake\", \
         \"connect\"]} would be one: add such a block to \"roles\", with the targets and verbs \
         that are meant"
    );
}

#[test]
fn a_slip_of_a_key_that_is_used_is_a_fault_all_the_same() {
    for (text, wanted) in [
        (
            "{\"gateway\": {\"auth\": {\"k8strust\": {}}}, \"targets\": {}}",
            "has an unknown key \"k8strust\" in line 1 (perhaps k8sTrust): ",
        ),
        (
            "{\"gateway\": {}, \"target\": {}, \"targets\": {}}",
            "has an unknown key \"target\" in line 1 (perhaps targets): ",
        ),
        (
            "{\"gateway\": {}, \"oidcroles\": {}, \"targets\": {}}",
            "has an unknown key \"oidcroles\" in line 1 (perhaps oidcRoles): ",
        ),
        // Without OpenClaw's part there is no other program.
        (
            "{\"agents\": {}, \"targets\": {}}",
            "has an unknown key \"agents\" in line 1: ",
        ),
        (
            "{\"rolls\": {}, \"targets\": {}}",
            "has an unknown key \"rolls\" in line 1 (perhaps roles): ",
        ),
        (
            "{\"gateway\": [], \"targets\": {}}",
            "has gateway in line 1, which is a list: ",
        ),
        (
            "{\"gateway\": {\"auth\": 5}, \"targets\": {}}",
            "has gateway.auth in line 1, which is a number: ",
        ),
        (
            "{\"gateway\": {\"auth\": {}, \"auth\": {}}, \"targets\": {}}",
            "has gateway.auth a second time in line 1: ",
        ),
        (
            "{\"k8sTrust\": {\"enabled\": false},\n\"gateway\": {\"auth\": {\"k8sTrust\": \
             {\"enabled\": false}}}, \"targets\": {}}",
            "has k8sTrust at its top and in line 2 under gateway.auth: keep one",
        ),
    ] {
        let [fault] = read(text).unwrap_err().try_into().unwrap();
        assert!(fault.starts_with(wanted), "{fault}");
    }
}
