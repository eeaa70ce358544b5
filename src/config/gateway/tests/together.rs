//! Faults of targets beside each other, and all the faults of a file at once.

use super::read;

/// A file with these targets, one a line from the second on.
pub(super) fn targets(lines: &[&str]) -> Vec<String> {
    let text = format!("{{\"targets\": {{\n{}\n}}}}", lines.join(",\n"));
    read(&text).unwrap_err()
}

#[test]
fn no_two_targets_have_one_object_or_one_host() {
    let [object, host] = targets(&[
        "\"a\": {\"namespace\": \"n\", \"name\": \"x\", \"host\": \"h.org\", \"service\": \"s\", \
         \"port\": 80}",
        "\"b\": {\"namespace\": \"n\", \"name\": \"x\", \"kind\": \"apps/v1/deployments\"}",
        "\"c\": {\"namespace\": \"n\", \"name\": \"x\", \"kind\": \"StatefulSet\", \"host\": \
         \"h.org\", \"service\": \"t\", \"port\": 80}",
    ])
    .try_into()
    .unwrap();
    let start = "has target \"b\" (line 3), whose object is that of target \"a\" (line 2): n/x: ";
    assert!(object.starts_with(start), "{object}");
    let start = "has target \"c\" (line 4), whose host is that of target \"a\" (line 2): h.org: ";
    assert!(host.starts_with(start), "{host}");
}

/// Requests that one target lets in would reach the pods of the other, and nothing would wake
/// those.
#[test]
fn no_two_targets_have_one_service() {
    let of = |name: &str, namespace: &str, port: &str| {
        format!(
            "\"{name}\": {{\"namespace\": \"{namespace}\", \"name\": \"{name}\", \"host\": \
             \"{name}.org\", \"service\": \"s\", \"port\": {port}}}"
        )
    };
    // By another port it is the same pods.
    for port in ["80", "\"admin\""] {
        let [fault] = targets(&[&of("a", "n", "80"), &of("b", "n", port)])
            .try_into()
            .unwrap();
        let start = "has target \"b\" (line 3), whose Service is that of target \"a\" (line 2): \
            n/s: give each target a Service of its own";
        assert!(fault.starts_with(start), "{fault}");
    }
    let elsewhere = [of("a", "n", "80"), of("b", "m", "80")].join(",");
    assert!(read(&format!("{{\"targets\": {{{elsewhere}}}}}")).is_ok());
}

#[test]
fn the_gateways_own_workload_is_no_target() {
    let own = "\"namespace\": \"tools\", \"name\": \"openclaw-gateway\"";
    let [fault] = targets(&[&format!("\"a\": {{{own}}}")]).try_into().unwrap();
    let start = "has target \"a\" (line 2), whose object is the gateway's own: \
        tools/openclaw-gateway: leave it out";
    assert!(fault.starts_with(start), "{fault}");
    // OpenClaw's gateway of this name is another object.
    let other = format!("{{\"targets\": {{\"a\": {{{own}, \"kind\": \"StatefulSet\"}}}}}}");
    assert!(read(&other).is_ok());
}

#[test]
fn the_identity_provider_is_no_target() {
    let by_name = r#""a": {"namespace": "id", "name": "keycloak"}"#;
    let by_service = r#""a": {"namespace": "id", "name": "sso", "kind": "StatefulSet",
        "host": "sso.example.org", "service": "keycloak", "port": 80}"#;
    for entry in [by_name, by_service] {
        let [fault] = targets(&[entry]).try_into().unwrap();
        let start = "has target \"a\" (line 2), which is what OIDC_ISSUER_URL leads to: ";
        assert!(fault.starts_with(start), "{fault}");
    }
    // Another path of its host may lead elsewhere.
    let by_host = r#"{"targets": {"a": {"namespace": "web", "name": "sso",
        "host": "keycloak.id.svc.cluster.local", "service": "sso", "port": 80}}}"#;
    let warnings = read(by_host).unwrap().warnings;
    let is_doubted = |warning: &String| warning.contains("whose host is that of OIDC_ISSUER_URL");
    assert!(warnings.iter().any(is_doubted), "{warnings:?}");
    for (namespace, name) in [("id", "keycloak-db"), ("web", "keycloak")] {
        let other = format!(
            "{{\"targets\": {{\"a\": {{\"namespace\": \"{namespace}\", \"name\": \"{name}\"}}}}}}"
        );
        assert!(read(&other).is_ok(), "{other}");
    }
}

#[test]
fn a_name_is_one_and_there_are_at_most_200_targets() {
    let [second] = targets(&[
        "\"a\": {\"namespace\": \"n\", \"name\": \"x\"}",
        "\"a\": {\"namespace\": \"n\", \"name\": \"y\"}",
    ])
    .try_into()
    .unwrap();
    let start = "has \"a\" a second time in line 3, among targets: keep one";
    assert!(second.starts_with(start), "{second}");

    let lines: Vec<String> = (0..201)
        .map(|number| format!("\"t{number}\": {{\"namespace\": \"n\", \"name\": \"t{number}\"}}"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let [fault] = targets(&lines).try_into().unwrap();
    assert!(
        fault.starts_with("has 201 targets in line 1: name at most 200"),
        "{fault}"
    );
    let text = format!("{{\"targets\": {{{}}}}}", lines[..200].join(","));
    assert_eq!(read(&text).unwrap().targets.len(), 200);
}

#[test]
fn workspaces_are_not_in_this_version() {
    let [fault] = read("{\"targets\": {},\n\"workspaces\": {}}")
        .unwrap_err()
        .try_into()
        .unwrap();
    let start = "has workspaces in line 2, which are not in this version: leave them out";
    assert!(fault.starts_with(start), "{fault}");
}

#[test]
fn thirty_faults_are_told_at_once_each_with_its_line() {
    let text = r#"{
  "workspaces": {},
  "role": {},
  "k8sTrust": {
    "enabled": true,
    "ephemeralSessions": false,
    "allowedIdentities": [
      { "namespace": "*", "serviceAccount": "*", "allowedRoles": ["node"] },
      { "namespace": "a*", "serviceAccount": 5, "allowedRoles": ["nodes", "other"] },
      { "serviceAccount": "s", "allowedRoles": [] }
    ]
  },
  "roles": {
    "node": { "targets": ["web", "wep"], "verbs": ["conect", "status"], "maxFor": "1s" },
    "ops": { "targets": ["*", "web"], "verb": ["list"] },
    "a b": []
  },
  "oidcRoles": { "x": ["ghost"] },
  "targets": {
    "all": { "namespace": "n", "name": "all" },
    "web": {
      "namespace": "n", "name": "Web", "host": "Web.example.org", "service": "s", "port": 0,
      "idle": "5s", "anonymous": ["start"], "replicas": 2, "max": 1,
      "onCold": "never", "hold": 50
    },
    "db": { "name": "db", "route": "pod" },
    "db2": { "namespace": "n", "name": "db", "minUp": "1m" },
    "db3": { "namespace": "n", "name": "db" },
    "own": { "namespace": "tools", "name": "openclaw-gateway" }
  }
}"#;
    let starts = [
        "has workspaces in line 2, which are not in this version: ",
        "has an unknown key \"role\" in line 3 (perhaps roles): ",
        "has target \"all\" (line 20), whose name is a word that commands use: ",
        "has target \"web\", whose name in line 22 is not a name that Kubernetes allows",
        "has target \"web\", whose replicas are 2 and more than its max of 1: ",
        "has target \"web\", whose host in line 22 is not in lower case: ",
        "has target \"web\", whose port in line 22 is out of range: \"0\"",
        "has target \"web\", whose onCold in line 24 is none of auto, hold, page, 503: ",
        "has target \"web\", whose hold in line 24 is a number and not a text: ",
        "has target \"web\", whose idle in line 23 is no time, or out of range: ",
        "has target \"web\", whose anonymous in line 23 names start, which nobody may do",
        "has target \"db\" (line 26), which has no namespace: ",
        "has target \"db\", which has route and no host: ",
        "has target \"db2\", which has minUp and no idle: ",
        "has role \"node\", whose targets in line 14 names \"wep\", which is none of the targets \
         (perhaps web): ",
        "has role \"node\", whose verbs in line 14 names \"conect\", which is no verb (perhaps",
        "has role \"node\", whose maxFor in line 14 is no length of time",
        "has role \"ops\", which has an unknown key \"verb\" in line 15 (perhaps verbs): ",
        "has role \"ops\", whose targets are * and others beside it: ",
        "has role \"ops\" (line 15), which has no verbs: ",
        "has role \"a b\" (line 16), whose name is not one: ",
        "has role \"a b\" (line 16), which is a list: ",
        "has k8sTrust, whose ephemeralSessions in line 6 is false, and there is nothing else: ",
        "has identity 1, whose namespace and serviceAccount are both *: ",
        "has identity 2, whose namespace in line 9 has a * in a name: ",
        "has identity 2, whose serviceAccount in line 9 is a number and not a text: ",
        "has identity 2, whose allowedRoles in line 9 names \"nodes\", which is none of the roles \
         (perhaps node); \"nodes\": {\"targets\": [\"db\"], ",
        "has identity 2, whose allowedRoles in line 9 names \"other\", which is none of the roles;",
        "has identity 3 (line 10), which has no namespace: ",
        "has identity 3, whose allowedRoles in line 10 is empty: ",
        "has the role \"x\" of tokens, whose roles in line 18 names \"ghost\", which is none of",
        "has target \"db3\" (line 28), whose object is that of target \"db2\" (line 27): n/db: ",
        "has target \"own\" (line 29), whose object is the gateway's own: ",
    ];
    let told = read(text).unwrap_err();
    for (fault, start) in told.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}\n{start}");
    }
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    assert!(told.len() >= 30);
}

#[test]
fn a_hundred_faults_are_told_and_that_there_are_more() {
    let keys: Vec<String> = (0..150).map(|number| format!("\"x{number}\": 1")).collect();
    let told = read(&format!("{{{}}}", keys.join(","))).unwrap_err();
    assert_eq!(told.len(), 101);
    assert!(
        told[100].starts_with("has more faults than these: "),
        "{}",
        told[100]
    );
}
