//! Requests to a server that wants to see a client certificate or a token.

use std::time::{Duration, Instant};

use rcgen::PKCS_RSA_SHA256;

use super::*;
use crate::control::{Kind, Namespace, ObjectName, Workload};
use crate::kube::{Api, Credentials, KubeconfigAccess};
use crate::net::fake::{Fake, Reply, run};
use crate::util::Clock;

const DEPLOYMENT: &str = r#"{"kind":"Deployment","apiVersion":"apps/v1","spec":{"replicas":2}}"#;

fn target() -> Workload {
    Workload {
        kind: Kind::Deployment,
        namespace: Namespace::parse("claw").unwrap(),
        name: ObjectName::parse("bot").unwrap(),
    }
}

fn api(kubeconfig: Kubeconfig) -> Api {
    let access = KubeconfigAccess::new(Box::new(kubeconfig), Clock::system()).unwrap();
    Api::new(Credentials::Kubeconfig(access))
}

fn ok(count: usize) -> Vec<Reply> {
    vec![Reply::new(200, DEPLOYMENT); count]
}

/// The content of the last part of a PKCS #8 key: the key in its own format, in PEM.
fn inner(key: &KeyPair, label: &str) -> String {
    let der = key.serialize_der();
    // The key is the last OCTET STRING of the outermost level.
    let (mut at, mut content) = (header(&der).0, &der[..0]);
    while at < der.len() {
        let (start, length) = header(&der[at..]);
        content = &der[at + start..at + start + length];
        at += start + length;
    }
    format!(
        "-----BEGIN {label} PRIVATE KEY-----\n{}\n-----END {label} PRIVATE KEY-----\n",
        STANDARD.encode(content)
    )
}

/// The place where the content of a DER value begins, and its length, both in bytes.
fn header(der: &[u8]) -> (usize, usize) {
    match der[1] {
        length @ ..=0x7f => (2, length.into()),
        0x81 => (3, der[2].into()),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    }
}

#[test]
fn a_server_that_wants_a_certificate_gets_it_by_every_form_of_key() {
    let rsa = include_str!("../../../../tests/integration/support/keys/rsa-1.pem");
    let rsa = KeyPair::from_pkcs8_pem_and_sign_algo(rsa, &PKCS_RSA_SHA256).unwrap();
    let home = Home::new();
    let elliptic = KeyPair::generate().unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (key, pem) in [
        (&elliptic, elliptic.serialize_pem()),
        (&elliptic, inner(&elliptic, "EC")),
        (&rsa, rsa.serialize_pem()),
        (&rsa, inner(&rsa, "RSA")),
        (&ed25519, ed25519.serialize_pem()),
    ] {
        home.write("bot.crt", &home.authority.sign("bot", key, |_| {}).pem());
        home.write("bot.key", &pem);
        run(async {
            let server = Fake::tls(home.authority.issue_for_clients(), ok(1));
            let user = "client-certificate: bot.crt\n    client-key: bot.key";
            let text = flat(server.port, &home.authority.pem(), user);
            let api = api(home.read_text(&text).unwrap());
            let read = api.deployment(&target()).await;
            assert_eq!(read.map(|read| read.desired), Ok(2), "{pem}");
            assert!(!server.requests()[0].contains("authorization:"));
        });
    }
}

#[test]
fn without_a_certificate_or_with_a_strangers_the_log_says_whose_it_is() {
    let home = Home::new();
    let stranger = Authority::new().sign("bot", &home.key, |_| {}).pem();
    let with_stranger = flat(
        0,
        &home.authority.pem(),
        &format!(
            "client-certificate-data: {}\n    client-key-data: {}",
            STANDARD.encode(stranger),
            STANDARD.encode(home.key.serialize_pem())
        ),
    );
    for text in [with_token(0, &home.authority.pem()), with_stranger] {
        run(async {
            let server = Fake::tls(home.authority.issue_for_clients(), ok(9));
            let text = text.replace("127.0.0.1:0", &format!("127.0.0.1:{}", server.port));
            let api = api(home.read_text(&text).unwrap());
            let error = api.deployment(&target()).await.unwrap_err();
            let detail = error.detail().to_string();
            let cure = "; check the client certificate of the kubeconfig's user, and the server of \
                        its cluster, which has to lead to the API server";
            assert!(
                detail.contains("no secure connection to 127.0.0.1:"),
                "{detail}"
            );
            assert!(detail.ends_with(cure), "{detail}");
            assert_eq!(server.requests(), Vec::<String>::new());
        });
    }
}

#[test]
fn a_token_is_sent_to_whom_the_authority_vouches_for_and_nobody_else() {
    run(async {
        let home = Home::new();
        let server = Fake::tls(home.authority.issue(), ok(2));
        let api_of = |text: &str| api(home.read_text(text).unwrap());
        let text = with_token(server.port, &home.authority.pem());
        let port = format!(":{}", server.port);
        let with_path = text.replace(&port, &format!("{port}/k8s/clusters/c-1/"));
        assert!(api_of(&with_path).deployment(&target()).await.is_ok());
        let request = &server.requests()[0];
        let line =
            "GET /k8s/clusters/c-1/apis/apps/v1/namespaces/claw/deployments/bot HTTP/1.1\r\n";
        assert!(request.starts_with(line), "{request}");
        assert!(request.contains(&format!("authorization: Bearer {TOKEN}\r\n")));

        let stranger = with_token(server.port, &Authority::new().pem());
        let error = api_of(&stranger).deployment(&target()).await.unwrap_err();
        let detail = error.detail().to_string();
        let cure = "in certificate-authority of the kubeconfig's cluster";
        assert!(detail.contains(cure), "{detail}");

        // The name in the certificate, where it is not the host.
        let named = Fake::tls(home.authority.issue_with("kubernetes", |_| {}), ok(1));
        let text = with_token(named.port, &home.authority.pem());
        let error = api_of(&text).deployment(&target()).await.unwrap_err();
        assert!(
            error
                .detail()
                .to_string()
                .contains("is for another name (kubernetes)")
        );
        let text = text.replace(
            "    server:",
            "    tls-server-name: kubernetes\n    server:",
        );
        assert!(api_of(&text).deployment(&target()).await.is_ok());
        assert_eq!(server.requests().len() + named.requests().len(), 2);
    });
}

#[test]
fn a_refusal_names_what_the_kubeconfig_has() {
    let mut home = Home::new();
    let says = |home: &Home, text: &str, code: u16| {
        run(async {
            let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":
                "forbidden: User \"x\" cannot"}"#;
            let reply = Reply::new(code, body);
            let server = Fake::tls(home.authority.issue(), vec![reply; 3]);
            let text = text.replace("127.0.0.1:0", &format!("127.0.0.1:{}", server.port));
            let api = api(home.read_text(&text).unwrap());
            let error = api.deployment(&target()).await.unwrap_err();
            error.sentence(&target())
        })
    };
    let token = with_token(0, &home.authority.pem());
    assert_eq!(
        says(&home, &token, 401),
        "The Kubernetes API server does not accept the token of my kubeconfig: put a new one \
         there, such as kubectl create token prints."
    );
    assert_eq!(
        says(&home, &token, 403),
        "I may not read deployment bot in namespace claw: grant the user of my kubeconfig `get` \
         on `deployments`."
    );
    assert_eq!(
        says(&home, &token, 302),
        "I do not understand the answer of the Kubernetes API server: check that the server of my \
         kubeconfig's cluster is it."
    );
    assert_eq!(
        says(&home, &home.flat(0), 401),
        "The Kubernetes API server does not accept the client certificate of my kubeconfig: check \
         that this cluster's authority issued it."
    );
    let expired = home.authority.sign("bot", &home.key, |params| {
        params.not_after = rcgen::date_time_ymd(2021, 2, 3);
    });
    home.certificate = expired.pem();
    assert_eq!(
        says(&home, &home.flat(0), 401),
        "The Kubernetes API server does not accept the client certificate of my kubeconfig, which \
         has expired: put a new one there."
    );
}

#[test]
fn files_that_changed_are_taken_up_after_a_refusal_and_by_age() {
    let home = Home::new();
    run(async {
        let no = Reply::new(401, "");
        let server = Fake::tls(home.authority.issue(), [vec![no], ok(1)].concat());
        let text = with_token(server.port, &home.authority.pem());
        let api = api(home.read_text(&text).unwrap());
        home.write("config", &text.replace(TOKEN, "a-new-token-hunter3"));
        assert!(api.deployment(&target()).await.is_ok());
        let requests = server.requests();
        assert!(requests[0].contains(&format!("Bearer {TOKEN}\r\n")));
        assert!(requests[1].contains("Bearer a-new-token-hunter3\r\n"));
    });
    home.write("token", "first-token");
    let text = flat(1, &home.authority.pem(), "tokenFile: token");
    let start = Instant::now();
    let mut access =
        KubeconfigAccess::new(Box::new(home.read_text(&text).unwrap()), Clock::system()).unwrap();
    let mut at = |seconds| {
        let access = access.access(start + Duration::from_secs(seconds));
        (access.token.unwrap().expose().to_owned(), access.base)
    };
    let of = |token: &str, port: u16| (token.to_owned(), format!("https://127.0.0.1:{port}"));
    home.write("token", "second-token");
    assert_eq!(at(59), of("first-token", 1));
    assert_eq!(at(62), of("second-token", 1));
    home.write("token", "two words");
    assert_eq!(at(130), of("second-token", 1));
    home.write("token", "third-token");
    home.write("config", &text.replace("127.0.0.1:1", "127.0.0.1:2"));
    assert_eq!(at(200), of("third-token", 1));
    assert_eq!(at(310), of("third-token", 2));
    home.write("config", "a: [");
    assert_eq!(at(620), of("third-token", 2));
}
