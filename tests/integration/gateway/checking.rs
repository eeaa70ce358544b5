//! The gateway's needs are looked at before it starts, by `gateway check`, and again when
//! its files change.

use std::fs;

use rcgen::CertifiedKey;
use serde_json::json;

use super::support::issuer::{account_claims, unsigned};
use super::support::state::Mood;
use super::support::world::{APPS, GatewayWorld, Ports, TOKEN_AUDIENCE};
use crate::support::apiserver::TOKEN;
use crate::support::bot::{self, Done};
use crate::support::faults::Fault;
use crate::support::monitor::{DEADLINE, poll};

/// The ports are not opened.
const PORTS: Ports = Ports {
    proxy: 1,
    api: 2,
    health: 3,
};

fn check(world: &GatewayWorld) -> Done {
    world.write_file();
    bot::run(&["gateway", "check"], &world.env_of(PORTS))
}

fn has_all(done: &Done, faults: &[&str]) {
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{done:?}");
    for fault in faults {
        assert!(done.err.contains(fault), "{fault}: {}", done.err);
    }
}

/// The metric of refused files gets this value.
fn wait_refused(world: &GatewayWorld, value: u8) {
    let line = format!("\nopenclaw_gateway_config_refused {value}\n");
    poll(&line, || world.metrics().contains(&line).then_some(()));
}

#[test]
fn a_target_that_lets_people_in_is_told_by_its_image() {
    let mut world = GatewayWorld::new();
    for (name, image) in [
        ("chat", "ghcr.io/a/openclaw-k8s-toggle-operator:1"),
        ("door", "registry.k8s.io/ingress-nginx/controller:v1.13.0"),
        ("sso", "quay.io/keycloak/keycloak:26.3"),
    ] {
        world.app(name);
        let containers =
            json!([{"name": "side", "image": "side:1"}, {"name": "a", "image": image}]);
        let object = json!({
            "kind": "Deployment", "apiVersion": "apps/v1",
            "metadata": {"name": name, "namespace": APPS, "generation": 1},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}},
                "template": {"spec": {"containers": containers}}},
            "status": {},
        });
        world.cluster.put("deployments", APPS, object);
    }
    let told = [
        "target chat: the deployment apps/chat runs this program",
        "warning: target door: the deployment apps/door looks like an ingress controller",
        "warning: target sso: the deployment apps/sso looks like an identity provider",
    ];
    has_all(&check(&world), &told);
}

#[test]
fn a_workload_that_is_missing_or_would_lose_its_volumes_is_told_with_all_other_faults() {
    let mut world = GatewayWorld::new();
    world.app("web");
    let done = check(&world);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    let asked = world.cluster.calls("POST /selfsubjectaccessreviews");
    let is_get = |attributes: &serde_json::Value| {
        attributes["verb"] == "get"
            && attributes["resource"] == "deployments"
            && attributes["subresource"] == ""
            && attributes["name"] == "web"
    };
    let mut asked = asked
        .iter()
        .map(|call| &call.body["spec"]["resourceAttributes"]);
    assert!(asked.any(is_get));

    world.app_with("wbe", json!({"name": "wbee"}));
    world.app_with("data", json!({"kind": "StatefulSet"}));
    let mut data = json!({
        "kind": "StatefulSet", "apiVersion": "apps/v1",
        "metadata": {"name": "data", "namespace": APPS, "generation": 1},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "data"}},
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
            "volumeClaimTemplates": [{"metadata": {"name": "disk"}}],
        },
        "status": {},
    });
    world.cluster.put("statefulsets", APPS, data.clone());
    let missing = "target wbe: the deployment apps/wbee does not exist: create it, or correct";
    let losing =
        "target data: the statefulset apps/data deletes its volumes when it is scaled down";
    has_all(&check(&world), &[missing, losing]);

    // Beside a fault of the environment, and a warning.
    world.set("MAX_HELD", "many");
    world.file["roles"]["all"]["maxFor"] = json!("1h");
    has_all(&check(&world), &["MAX_HELD", missing, losing, "warning: "]);
    world.env.remove("MAX_HELD");

    data["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Retain"});
    world.cluster.put("statefulsets", APPS, data);
    world.cluster.deny("get", "deployments", APPS);
    let done = check(&world);
    let may_not = "may not get deployments \"web\" of the API group apps in the namespace apps";
    has_all(&done, &[may_not]);
    assert!(!done.err.contains("volumes"), "{}", done.err);
    // Of what it may not read it knows nothing.
    assert!(!done.err.contains("does not exist"), "{}", done.err);
}

#[test]
fn an_api_server_that_gives_no_answer_is_asked_once() {
    let mut world = GatewayWorld::new();
    for name in ["one", "two", "three"] {
        world.app(name);
    }
    world.cluster.set(Mood::Overloaded);
    let done = check(&world);
    has_all(&done, &["rights cannot be asked for"]);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    // With two retries.
    let asked = world.cluster.calls("POST /selfsubjectaccessreviews").len();
    assert!(asked <= 3, "asked {asked} times");
}

#[test]
fn an_identity_provider_without_keys_is_told() {
    let mut world = GatewayWorld::new();
    world.app("web");
    let done = check(&world);
    assert!(!done.err.contains(&world.issuer.url()), "{}", done.err);
    for (path, fault) in [
        ("/.well-known/openid-configuration", Fault::html(500)),
        ("/certs", Fault::json(200, &json!({"keys": []}))),
    ] {
        world.issuer.fault(path, 1, fault);
        let asked = world.issuer.count(path);
        has_all(&check(&world), &[&world.issuer.url()]);
        assert_eq!(world.issuer.count(path), asked + 1, "{path}");
    }
}

#[test]
fn a_gateway_whose_own_token_would_be_let_in_does_not_start() {
    let mut world = GatewayWorld::new();
    world.app("web");
    let token = world.cluster.account_dir().join("token");
    let own = unsigned(&account_claims("gateway", "gateway", TOKEN_AUDIENCE));
    fs::write(&token, own).unwrap();
    let run = &mut world.spawn().run;
    let code = run.wait_exit(DEADLINE).code();
    assert_eq!(code, Some(1), "{}", run.log());
    let fault = "TOKEN_AUDIENCE openclaw-gateway is an audience of the gateway's own token";
    assert!(run.log().contains(fault), "{}", run.log());
}

#[test]
fn a_file_that_is_read_again_is_checked_as_at_the_start() {
    let mut world = GatewayWorld::new();
    world.app("web");
    world.file["k8sTrust"]["enabled"] = json!(false);
    world.pace(5);
    world.start();
    wait_refused(&world, 0);
    let token = world.cluster.account_dir().join("token");
    let own = unsigned(&account_claims("gateway", "gateway", TOKEN_AUDIENCE));
    fs::write(&token, own).unwrap();
    world.file["k8sTrust"]["enabled"] = json!(true);
    world.write_file();
    let log = |fragment: &str| world.replicas[0].run.wait_log(fragment);
    log("TOKEN_AUDIENCE openclaw-gateway is an audience of the gateway's own token");
    log("is not taken as it is now");
    wait_refused(&world, 1);
    assert_eq!(
        world
            .api("GET", "/v1/targets", Some(&world.worker()), None)
            .status,
        401
    );

    world.file["k8sTrust"]["enabled"] = json!(false);
    world.write_file();
    log("is again what is in force");
    wait_refused(&world, 0);

    fs::write(&token, TOKEN).unwrap();
    world.app_with("wbe", json!({"name": "wbee"}));
    world.write_file();
    let log = |fragment: &str| world.replicas[0].run.wait_log(fragment);
    log("has changed, and is in force from now on");
    log("the deployment apps/wbee does not exist");
}

#[test]
fn a_certificate_that_is_not_taken_is_in_the_metrics_until_it_is_right_again() {
    let mut world = GatewayWorld::new();
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
    let (chain, key) = (
        world.dir.path().join("tls.crt"),
        world.dir.path().join("tls.key"),
    );
    fs::write(&chain, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    world.set("TLS_CERT_FILE", &chain.display().to_string());
    world.set("TLS_KEY_FILE", &key.display().to_string());
    world.pace(5);
    world.start();
    wait_refused(&world, 0);
    fs::write(&key, "no key").unwrap();
    let log = |fragment: &str| {
        poll(fragment, || {
            world.replicas[0].run.log().contains(fragment).then_some(())
        });
    };
    log("the certificate before stays in force");
    wait_refused(&world, 1);
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    log("TLS_CERT_FILE is again what is in force");
    wait_refused(&world, 0);
}

#[test]
fn a_service_that_cannot_be_spoken_to_is_told() {
    let mut world = GatewayWorld::new();
    world.app_with("odd", json!({"port": "grpc"}));
    world.app_with("lone", json!({"route": "service"}));
    world.app("newer");
    world.app("plain");
    let service = |name: &str, cluster_ip: &str, protocol: &str| {
        let object = json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": APPS},
            "spec": {
                "clusterIP": cluster_ip,
                "ports": [{"name": "http", "port": 8080, "appProtocol": protocol}],
            },
        });
        world.cluster.put("services", APPS, object);
    };
    service("newer", "10.96.0.7", "kubernetes.io/h2c");
    service("lone", "None", "http");
    // Its pods are reached by their own addresses.
    service("plain", "None", "http");
    let odd = format!(
        "target odd: the Service apps/odd has no such port as \"port\" says: correct it; there is \
         {} http",
        world.backend("odd").port
    );
    let newer = "target newer: the Service apps/newer speaks HTTP/2 at this port \
        (kubernetes.io/h2c), and the gateway speaks HTTP/1.1 only: name a port with HTTP/1.1";
    let lone = "target lone: the Service apps/lone is headless and has no address of its own: \
        say \"route\": \"pod\"";
    let done = check(&world);
    has_all(&done, &[odd.as_str(), newer, lone]);
    assert!(!done.err.contains("target plain"), "{}", done.err);
}
