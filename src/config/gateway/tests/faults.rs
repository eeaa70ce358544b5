//! The faults of the gateway's file, rule by rule, each with its line.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use super::super::GatewayFile;
use super::{read, target, vital};
use crate::util::temp::TempFile;

/// The rest of what a backend needs.
const HOST: &str = "\"host\": \"a.example.org\", \"service\": \"s\", \"port\": 80";

#[test]
fn a_value_of_the_wrong_form_is_named_with_its_line() {
    for (rest, wanted) in [
        (
            "\"kind\": \"DaemonSet\"",
            "is none: \"DaemonSet\": write Deployment or StatefulSet, ",
        ),
        ("\"kind\": 5", "is a number and not a text"),
        (
            "\"kind\": \"argoproj.io/v1alpha1/rollouts\"",
            "is one whose count cannot be applied: \"argoproj.io/v1alpha1/rollouts\": write \
             Deployment or StatefulSet, ",
        ),
        ("\"replicas\": 0", "is out of range: \"0\""),
        ("\"replicas\": \"2\"", "is a text and not a number"),
        ("\"max\": 1001", "is out of range: \"1001\""),
        ("\"readyTimeout\": \"5s\"", "is no time, or out of range"),
        (
            "\"anonymous\": [\"start\"]",
            "names start, which nobody may do without showing who",
        ),
        (
            "\"anonymous\": [\"stop\"]",
            "names stop, which nobody may do",
        ),
        (
            "\"anonymous\": [\"scale\"]",
            "names scale, which nobody may do",
        ),
        (
            "\"anonymous\": [\"conect\"]",
            "names \"conect\", which is no verb (perhaps connect)",
        ),
        ("\"anonymous\": \"wake\"", "is a text and not a list"),
    ] {
        is_told(rest, wanted, rest);
    }
    for (rest, wanted) in [
        (
            "\"9s\"",
            "is no time, or out of range: \"9s\": write seconds",
        ),
        ("\"soon\"", "is no time, or out of range"),
        ("1800", "is a number and not a text"),
        ("\"367d\"", "is no time, or out of range"),
    ] {
        is_told(&format!("{HOST}, \"idle\": {rest}"), wanted, "\"idle\"");
    }
    for (rest, wanted) in [
        (
            "\"idleStop\": \"mine\"",
            "is none of own, any, never: \"mine\": write one of these",
        ),
        (
            "\"presence\": \"30s\"",
            "is no time, or out of range: \"30s\": write minutes",
        ),
        ("\"minUp\": \"25h\"", "is no time, or out of range"),
        (
            "\"overrides\": [\"\"]",
            "holds what is no field manager: \"\"",
        ),
        (
            "\"overrides\": [\"a\\u202eb\"]",
            "holds what is no field manager",
        ),
        ("\"overrides\": \"a\"", "is a text and not a list"),
    ] {
        is_told(&format!("{HOST}, \"idle\": \"1m\", {rest}"), wanted, rest);
    }
}

#[test]
fn a_value_of_the_proxy_of_the_wrong_form_is_named_with_its_line() {
    for (rest, wanted) in [
        (
            "\"route\": \"node\"",
            "is neither pod nor service: \"node\"",
        ),
        (
            "\"onCold\": \"wait\"",
            "is none of auto, hold, page, 503: \"wait\"",
        ),
        ("\"onCold\": 503", "is a number and not a text"),
        ("\"pageStatus\": 500", "is neither 503 nor 200: \"500\""),
        ("\"pageStatus\": \"503\"", "is a text and not a number"),
        ("\"hold\": \"0s\"", "is no time, or out of range"),
        (
            "\"hold\": \"2h\"",
            "is no time, or out of range: \"2h\": write seconds or",
        ),
        (
            "\"maxHeld\": 0",
            "is out of range: \"0\": write a whole number from 1 to 10000",
        ),
        ("\"maxHeld\": 10001", "is out of range"),
        ("\"maxHeld\": true", "is true or false and not a number"),
        (
            "\"wakeBy\": \"all\"",
            "is neither navigation nor any: \"all\"",
        ),
        (
            "\"noWakePaths\": [\"ping\"]",
            "holds what is no path: \"ping\"",
        ),
        ("\"noWakePaths\": [\"/a*b\"]", "holds what is no path"),
        ("\"noWakePaths\": [\"/a?b\"]", "holds what is no path"),
        ("\"noWakePaths\": [\"*\"]", "holds what is no path"),
        (
            "\"noWakeAgents\": [\"\"]",
            "holds what is no part of a User-Agent",
        ),
        ("\"preflight\": \"yes\"", "is a text and not a switch"),
        ("\"identityHeaders\": 1", "is a number and not a switch"),
        ("\"upstreamHost\": \"a@b\"", "is no host: \"a@b\""),
        ("\"upstreamHost\": \"a/b\"", "is no host"),
        ("\"upstreamHost\": \"\"", "is no host"),
    ] {
        is_told(&format!("{HOST}, {rest}"), wanted, rest);
    }
    for (service, port, key, wanted) in [
        (
            "\"a.b\"",
            "80",
            "service",
            "is not the name of a Service: \"a.b\"",
        ),
        ("\"\"", "80", "service", "is not the name of a Service"),
        ("5", "80", "service", "is a number and not a text"),
        (
            "\"s\"",
            "0",
            "port",
            "is out of range: \"0\": write the Service's port",
        ),
        ("\"s\"", "65536", "port", "is out of range"),
        (
            "\"s\"",
            "\"8080\"",
            "port",
            "is not the name of a port: \"8080\"",
        ),
        ("\"s\"", "\"Http\"", "port", "is not the name of a port"),
        ("\"s\"", "null", "port", "is null and not a number"),
    ] {
        let rest = format!("\"host\": \"a.b\", \"service\": {service}, \"port\": {port}");
        is_told(&rest, wanted, &format!("\"{key}\""));
    }
}

/// A target that says this has one fault, about the first key of `about`.
#[track_caller]
pub(super) fn is_told(rest: &str, wanted: &str, about: &str) {
    let key = about.split('"').nth(1).unwrap();
    let told = target(rest).unwrap_err();
    let start = format!("has target \"web\", whose {key} in line 3 {wanted}");
    assert!(
        told.len() == 1 && told[0].starts_with(&start),
        "{told:#?}\n{start}"
    );
}

#[test]
fn keys_that_do_not_agree_are_a_fault() {
    for (rest, wanted) in [
        (
            "\"replicas\": 3, \"max\": 2",
            "has target \"web\", whose replicas are 3 and more than its max of 2: raise max",
        ),
        (
            "\"minUp\": \"1m\"",
            "has target \"web\", which has minUp and no idle: give it an idle time",
        ),
        (
            "\"idleStop\": \"any\"",
            "has target \"web\", which has idleStop and no idle",
        ),
        (
            "\"idle\": \"30m\"",
            "has target \"web\", which has idle and no host: give it the host name that requests \
             for it have, or leave the key out and start it with for: ",
        ),
        (
            "\"onCold\": \"page\"",
            "has target \"web\", which has onCold and no host: ",
        ),
        (
            "\"port\": 80",
            "has target \"web\", which has port and no host: ",
        ),
        (
            "\"host\": \"a.b\", \"port\": 80",
            "has target \"web\", which has a host and no service: name the Service",
        ),
        (
            "\"host\": \"a.b\", \"service\": \"s\"",
            "has target \"web\", which has a host and no port: ",
        ),
        (
            "\"idel\": \"1m\"",
            "has target \"web\", which has an unknown key \"idel\" in line 3 (perhaps idle): \
             write keys of docs/gateway.schema.json",
        ),
        (
            "\"max\": 2, \"max\": 3",
            "has target \"web\", which has \"max\" a second time in line 3: keep one",
        ),
    ] {
        let [fault] = target(rest).unwrap_err().try_into().unwrap();
        assert!(fault.starts_with(wanted), "{fault}");
    }
    // They count where a start ends by its time, which needs no host.
    assert!(target("\"overrides\": [\"kube-controller-manager\"]").is_ok());
}

/// A file with two targets and what is said beside them, from line 4 on.
fn with_targets(rest: &str) -> Vec<String> {
    let text = format!(
        "{{\"targets\": {{\n\"web\": {{\"namespace\": \"n\", \"name\": \"web\"}},\n\"db\": \
         {{\"namespace\": \"n\", \"name\": \"db\"}}}},\n{rest}}}"
    );
    read(&text).unwrap_err()
}

#[test]
fn roles_are_about_targets_and_verbs_that_there_are() {
    for (role, wanted) in [
        (
            "5",
            "has role \"r\" (line 4), which is a number: write { \"targets\"",
        ),
        (
            "{}",
            "has role \"r\" (line 4), which has no targets: say of each role its",
        ),
        (
            "{\"targets\": [\"web\"]}",
            "has role \"r\" (line 4), which has no verbs: ",
        ),
        (
            "{\"targets\": [], V}",
            "has role \"r\", whose targets in line 4 is empty: ",
        ),
        (
            "{\"targets\": [\"wep\"], V}",
            "has role \"r\", whose targets in line 4 names \"wep\", which is none of the targets \
             (perhaps web): ",
        ),
        (
            "{\"targets\": [\"workspace/{user}\"], V}",
            "has role \"r\", whose targets in line 4 names \"workspace/{user}\", which is none",
        ),
        (
            "{\"targets\": [\"*\", \"web\"], V}",
            "has role \"r\", whose targets are * and others beside it: write [\"*\"] alone",
        ),
        (
            "{\"targets\": [\"w*\"], V}",
            "has role \"r\", whose targets in line 4 names \"w*\"",
        ),
        (
            "{\"targets\": \"*\", V}",
            "has role \"r\", whose targets in line 4 is a text and",
        ),
        (
            "{\"targets\": [\"*\"], \"verbs\": []}",
            "has role \"r\", whose verbs in line 4 is empty: ",
        ),
        (
            "{\"targets\": [\"*\"], \"verbs\": [\"strat\"]}",
            "has role \"r\", whose verbs in line 4 names \"strat\", which is no verb (perhaps \
             start): ",
        ),
        (
            "{\"targets\": [\"*\"], \"verbs\": [\"*\"]}",
            "has role \"r\", whose verbs in line 4 names \"*\", which is no verb: ",
        ),
        (
            "{\"maxReplicas\": 0, T, V}",
            "has role \"r\", whose maxReplicas in line 4 is out of",
        ),
        (
            "{\"maxFor\": \"5s\", T, V}",
            "has role \"r\", whose maxFor in line 4 is no length of",
        ),
        (
            "{\"maxfor\": \"5m\", T, V}",
            "has role \"r\", which has an unknown key \"maxfor\" in line 4 (perhaps maxFor): ",
        ),
    ] {
        let role = role.replace('V', "\"verbs\": [\"list\"]");
        let role = role.replace("T,", "\"targets\": [\"web\"],");
        let told = with_targets(&format!("\"roles\": {{\"r\": {role}}}"));
        let is_told = told.iter().any(|fault| fault.starts_with(wanted));
        assert!(is_told, "{told:#?}\n{wanted}");
    }
    let [fault] =
        with_targets("\"roles\": {\"a b\": {\"targets\": [\"*\"], \"verbs\": [\"list\"]}}")
            .try_into()
            .unwrap();
    assert!(
        fault.starts_with("has role \"a b\" (line 4), whose name is not one: "),
        "{fault}"
    );
}

#[test]
fn trust_names_whole_identities_with_roles_that_there_are() {
    let of = |trust: &str| {
        let role = "\"roles\": {\"r\": {\"targets\": [\"*\"], \"verbs\": [\"list\"]}}";
        with_targets(&format!("\"k8sTrust\": {trust},\n{role}"))
    };
    let rest = "\"allowedRoles\": [\"r\"]";
    for (trust, wanted) in [
        (
            "true",
            "has k8sTrust in line 4, which is true or false: write { \"enabled\"",
        ),
        (
            "{\"enabled\": true}",
            "has k8sTrust (line 4), which has no allowedIdentities: ",
        ),
        (
            "{\"allowedIdentities\": [I]}",
            "has k8sTrust (line 4), which has no enabled: ",
        ),
        (
            "{\"enabled\": \"yes\"}",
            "has k8sTrust, whose enabled in line 4 is a text and not a",
        ),
        (
            "{\"enabled\": true, \"allowedIdentities\": []}",
            "has k8sTrust, whose allowedIdentities in line 4 is empty, so that nobody is trusted: ",
        ),
        (
            "{\"enabled\": true, \"allowedIdentities\": {}}",
            "has k8sTrust, whose allowedIdentities in line 4 is an object and not a list: ",
        ),
        (
            "{\"enabled\": true, \"allowedIdentities\": [I], \"ephemeralSessions\": false}",
            "has k8sTrust, whose ephemeralSessions in line 4 is false, and there is nothing else: ",
        ),
        (
            "{\"enabled\": true, \"allowedIdentities\": [I], \"auditlog\": true}",
            "has k8sTrust, which has an unknown key \"auditlog\" in line 4 (perhaps auditLog): ",
        ),
        (
            "{\"enabled\": true, \"allowedIdentities\": [5]}",
            "has identity 1 (line 4), which is a number: write { \"namespace\"",
        ),
    ] {
        let identity = format!("{{\"namespace\": \"n\", \"serviceAccount\": \"s\", {rest}}}");
        let told = of(&trust
            .replace('I', &identity)
            .replace(&format!("allowed{identity}"), "allowedI"));
        let is_told = told.iter().any(|fault| fault.starts_with(wanted));
        assert!(is_told, "{told:#?}\n{wanted}");
    }
    for (identity, wanted) in [
        (
            "\"serviceAccount\": \"s\", \"allowedRoles\": [\"r\"]",
            " (line 4), which has no namespace: say of each identity",
        ),
        (
            "\"namespace\": \"n\", \"allowedRoles\": [\"r\"]",
            " (line 4), which has no serviceAccount: ",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"s\"",
            " (line 4), which has no allowedRoles: ",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"s\", \"allowedRoles\": []",
            ", whose allowedRoles in line 4 is empty: ",
        ),
        (
            "\"namespace\": \"*\", \"serviceAccount\": \"*\", \"allowedRoles\": [\"r\"]",
            ", whose namespace and serviceAccount are both *: that is every pod of the cluster: ",
        ),
        (
            "\"namespace\": \"n*\", \"serviceAccount\": \"s\", \"allowedRoles\": [\"r\"]",
            ", whose namespace in line 4 has a * in a name: \"n*\": write a whole name",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"*-s\", \"allowedRoles\": [\"r\"]",
            ", whose serviceAccount in line 4 has a * in a name: \"*-s\"",
        ),
        (
            "\"namespace\": \"\", \"serviceAccount\": \"s\", \"allowedRoles\": [\"r\"]",
            ", whose namespace in line 4 is not a name that Kubernetes allows: \"\"",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"n:s\", \"allowedRoles\": [\"r\"]",
            ", whose serviceAccount in line 4 is not a name that Kubernetes allows",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"s\", \"allowedRoles\": [\"x\"]",
            ", whose allowedRoles in line 4 names \"x\", which is none of the roles; \"x\": \
             {\"targets\": [\"db\"], \"verbs\": [",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"s\", \"allowedRoles\": [\"*\"]",
            ", whose allowedRoles in line 4 is not the name of a role: \"*\"",
        ),
        (
            "\"namespace\": \"n\", \"serviceAccount\": \"s\", \"allowedRoles\": [\"r\"], \
             \"allowUnbound\": \"no\"",
            ", whose allowUnbound in line 4 is a text and not a switch",
        ),
        (
            "\"namespace\": \"n\", \"serviceaccount\": \"s\", \"allowedRoles\": [\"r\"]",
            ", which has an unknown key \"serviceaccount\" in line 4 (perhaps serviceAccount): ",
        ),
    ] {
        let told = of(&format!(
            "{{\"enabled\": true, \"allowedIdentities\": [{{{identity}}}]}}"
        ));
        let start = format!("has identity 1{wanted}");
        let is_told = told.iter().any(|fault| fault.starts_with(&start));
        assert!(is_told, "{told:#?}\n{start}");
    }
}

#[test]
fn the_roles_of_tokens_stand_for_roles_that_there_are() {
    for (roles, wanted) in [
        (
            "[]",
            "has oidcRoles in line 4, which is a list: write an object",
        ),
        (
            "{\"user\": []}",
            "has the role \"user\" of tokens, whose roles in line 4 is empty: ",
        ),
        (
            "{\"user\": \"r\"}",
            "has the role \"user\" of tokens, whose roles in line 4 is a text and not a list",
        ),
        (
            "{\"user\": [\"owner\"]}",
            "has the role \"user\" of tokens, whose roles in line 4 names \"owner\", which is \
             none of the roles; \"owner\": {\"targets\": [\"db\"], ",
        ),
        (
            "{\"\": [\"owner\"]}",
            "has the role \"\" of tokens (line 4), which is no text that can be one: ",
        ),
    ] {
        let told = with_targets(&format!("\"oidcRoles\": {roles}"));
        assert!(told[0].starts_with(wanted), "{told:#?}\n{wanted}");
    }
}

#[test]
fn what_cannot_be_read_is_a_fault_of_its_own() {
    let told = |path: &str| {
        let faults = GatewayFile::read(path.as_ref(), &vital()).unwrap_err();
        faults.to_string()
    };
    let fault = told("/nonexistent/gateway.json");
    let start = "configuration error: GATEWAY_CONFIG names \"/nonexistent/gateway.json\", which \
        cannot be read";
    assert!(fault.starts_with(start), "{fault}");
    let large = TempFile::new(" ".repeat(256 * 1024 + 1));
    assert!(told(large.path()).contains("which is larger than 262144 bytes"));
    let endless = told("/dev/zero");
    assert!(endless.ends_with(": mount a file there, and let the program's user read it"));
    assert!(told(TempFile::new(b"\xff").path()).contains("which is not text"));
    assert!(told(TempFile::new("{").path()).contains("GATEWAY_CONFIG is not JSON: EOF"));
    assert!(told(TempFile::new("[]").path()).contains("GATEWAY_CONFIG is a list: write {"));
    let open = TempFile::new("{\"targets\": {}}");
    assert!(GatewayFile::read(open.path().as_ref(), &vital()).is_ok());
    set_permissions(open.path(), Permissions::from_mode(0o666)).unwrap();
    assert!(told(open.path()).contains("which everybody can write to (mode 0666)"));
}
