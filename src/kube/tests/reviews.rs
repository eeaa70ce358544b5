//! Whose token it is, what this program may do, and what a Service is.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::applying::asked;
use super::*;
use crate::util::Secret;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl";

fn token() -> Secret {
    Secret::new(TOKEN.to_owned())
}

fn reviewed(status: &Value) -> Reply {
    let body = json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"managedFields": [{"manager": "x"}]},
        "spec": {"token": TOKEN, "audiences": ["openclaw-gateway"]},
        "status": status,
    });
    Reply::new(201, &body.to_string())
}

async fn review(reply: Reply) -> (Result<TokenReview, Error>, Cluster) {
    let cluster = Cluster::new([reply]);
    let review = cluster.api.review_token(&token(), "openclaw-gateway").await;
    (review, cluster)
}

#[test]
fn a_review_says_whose_token_it_is() {
    let pod = json!({
        "authenticated": true,
        "user": {
            "username": "system:serviceaccount:claw:worker", "uid": "u",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/credential-id": ["JTI=1"],
                "authentication.kubernetes.io/node-name": ["n1"],
                "authentication.kubernetes.io/pod-name": ["worker-0"],
                "authentication.kubernetes.io/pod-uid": ["p1"],
            },
        },
        "audiences": ["openclaw-gateway"],
    });
    let whole = TokenReview {
        authenticated: true,
        audiences: vec!["openclaw-gateway".to_owned()],
        username: "system:serviceaccount:claw:worker".to_owned(),
        pod_name: Some("worker-0".to_owned()),
        pod_uid: Some("p1".to_owned()),
        node_name: Some("n1".to_owned()),
        credential_id: Some("JTI=1".to_owned()),
        error: String::new(),
    };
    let mut two = pod.clone();
    two["user"]["extra"]["authentication.kubernetes.io/pod-name"] = json!(["a", "b"]);
    two["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!([]);
    two["user"]["extra"]["authentication.kubernetes.io/node-name"] = json!([""]);
    let without = TokenReview {
        pod_name: None,
        pod_uid: None,
        node_name: None,
        ..whole.clone()
    };
    let refused =
        json!({"user": {}, "error": "[invalid bearer token, token audiences [\"x\"] is invalid]"});
    let error = TokenReview {
        error: "[invalid bearer token, token audiences [\"x\"] is invalid]".to_owned(),
        ..TokenReview::default()
    };
    for (status, expected) in [
        (pod, whole),
        (two, without),
        (refused, error),
        (json!({}), TokenReview::default()),
        (json!({"authenticated": "true"}), TokenReview::default()),
        (json!({"authenticated": 1}), TokenReview::default()),
        (json!(null), TokenReview::default()),
    ] {
        run(async {
            let (review, cluster) = review(reviewed(&status)).await;
            assert_eq!(review.unwrap(), expected);
            let question = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "spec": {"audiences": ["openclaw-gateway"], "token": TOKEN},
            });
            let line = "POST /apis/authentication.k8s.io/v1/tokenreviews";
            assert_eq!(asked(&cluster), [(line.to_owned(), question)]);
        });
    }
}

#[test]
fn no_error_repeats_the_token() {
    let message = format!("cannot do {TOKEN}");
    let forbidden = "tokenreviews is forbidden: User \"x\" cannot create";
    for (reply, sentence) in [
        (
            status(403, "Forbidden", forbidden),
            "I may not review tokens: grant my service account `create` on `tokenreviews` in \
             the whole cluster.",
        ),
        (
            status(400, "BadRequest", &message),
            "The Kubernetes API server refused to review tokens: BadRequest.",
        ),
        (
            status(404, "NotFound", &message),
            "The Kubernetes API server knows no tokenreviews.",
        ),
        (
            Reply::new(404, "404 page not found"),
            "The Kubernetes API server knows no tokenreviews.",
        ),
        (
            Reply::new(400, &message),
            "I do not understand the answer of the Kubernetes API server",
        ),
        (
            Reply::new(201, &message),
            "I do not understand the answer of the Kubernetes API server",
        ),
        (
            Reply::new(201, &format!("{{\"kind\":\"{TOKEN}\"}}")),
            "I do not understand the answer of the Kubernetes API server",
        ),
    ] {
        run(async {
            let (review, _) = review(reply).await;
            let error = review.unwrap_err();
            let said = error.sentence_without_target();
            assert!(said.starts_with(sentence), "{said}");
            for text in [said, error.detail().to_string(), format!("{error:?}")] {
                assert!(!text.contains("eyJ") && !text.contains("c2Vj"), "{text}");
            }
        });
    }
}

#[test]
fn a_right_is_asked_for() {
    let namespace = Namespace::parse("claw").unwrap();
    let reply = |allowed: Value| {
        let body = json!({
            "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "spec": {}, "status": {"allowed": allowed, "reason": "RBAC"},
        });
        Reply::new(201, &body.to_string())
    };
    run(async {
        let cluster = Cluster::new([
            reply(json!(true)),
            reply(json!(false)),
            reply(json!("true")),
            Reply::new(201, SCALE),
        ]);
        let right = Right {
            verb: "patch",
            group: "apps",
            resource: "deployments",
            subresource: "scale",
            namespace: Some(&namespace),
            name: "web",
        };
        assert!(cluster.api.may(&right).await.unwrap());
        let everywhere = Right {
            verb: "create",
            group: "authentication.k8s.io",
            resource: "tokenreviews",
            subresource: "",
            namespace: None,
            name: "",
        };
        assert!(!cluster.api.may(&everywhere).await.unwrap());
        assert!(!cluster.api.may(&everywhere).await.unwrap());
        let error = cluster.api.may(&right).await.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error:?}");
        let asked = asked(&cluster);
        let line = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert_eq!(asked[0].0, line);
        let attributes = json!({
            "verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale",
            "namespace": "claw", "name": "web",
        });
        assert_eq!(asked[0].1["spec"]["resourceAttributes"], attributes);
        assert_eq!(asked[1].1["spec"]["resourceAttributes"]["namespace"], "");
    });
}

#[test]
fn a_service_is_read() {
    let namespace = Namespace::parse("claw").unwrap();
    let name = ObjectName::parse("web").unwrap();
    let port = |name: &str, port: u16, is_http2: bool| ServicePort {
        name: name.to_owned(),
        port,
        is_http2,
    };
    let ip = |text: &str| text.parse::<IpAddr>().ok();
    for (spec, expected) in [
        (
            json!({
                "clusterIP": "10.1.2.3", "selector": {"app": "web"},
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
                    {"name": "grpc", "port": 81, "appProtocol": "kubernetes.io/h2c"},
                ],
            }),
            Service {
                cluster_ip: ip("10.1.2.3"),
                ports: vec![port("http", 80, false), port("grpc", 81, true)],
            },
        ),
        (
            json!({
                "clusterIP": "None",
                "ports": [{"port": 8080}, {"port": 0}, {"port": 70000}, {"port": "x"}, {}],
            }),
            Service {
                cluster_ip: None,
                ports: vec![port("", 8080, false)],
            },
        ),
        (
            json!({"clusterIP": "fd00::1"}),
            Service {
                cluster_ip: ip("fd00::1"),
                ..Service::default()
            },
        ),
        (json!({"type": "ExternalName"}), Service::default()),
    ] {
        run(async {
            let body = json!({"kind": "Service", "apiVersion": "v1", "spec": spec});
            let cluster = Cluster::new([Reply::new(200, &body.to_string())]);
            let service = cluster.api.service(&namespace, &name).await.unwrap();
            assert_eq!(service, expected);
            let line = "GET /api/v1/namespaces/claw/services/web";
            assert_eq!(asked(&cluster)[0].0, line);
        });
    }
    run(async {
        let message = "services \"web\" is forbidden: User \"x\" cannot get";
        let cluster = Cluster::new([status(403, "Forbidden", message), Reply::new(200, SCALE)]);
        let error = cluster.api.service(&namespace, &name).await.unwrap_err();
        assert_eq!(
            error.sentence_without_target(),
            "I may not read service web in namespace claw: grant my service account `get` on \
             `services`."
        );
        let error = cluster.api.service(&namespace, &name).await.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    });
}

#[test]
fn calls_beside_wait_for_no_others() {
    run(async {
        let cluster = Cluster::new(vec![Reply::Hang(String::new()); 4]);
        let held: Vec<_> = (0..4)
            .map(|_| {
                let api = cluster.api.clone();
                tokio::spawn(async move { api.review_token(&token(), "a").await })
            })
            .collect();
        while cluster.server.requests().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = json!({"authenticated": true});
        cluster.server.then([reviewed(&answer)]);
        let beside = cluster.api.beside();
        assert!(
            beside
                .review_token(&token(), "a")
                .await
                .unwrap()
                .authenticated
        );
        for held in held {
            held.abort();
        }
    });
}
