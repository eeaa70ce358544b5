//! Tokens and CAs that change under us.

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::net::{BadUrl, BundleError};

#[test]
fn a_rotated_token_is_taken_up_after_a_401() {
    run(async {
        let no = status(401, "Unauthorized", "Unauthorized");
        let cluster = Cluster::new([no.clone(), Reply::new(200, SCALE)]);
        cluster.account.write("token", "second");
        assert!(cluster.scale().await.is_ok());
        assert_eq!(cluster.tokens(), ["first", "second"]);

        let cluster = Cluster::new(vec![no; 5]);
        let error = cluster.scale().await.unwrap_err();
        assert_eq!(cluster.tokens(), ["first", "first"]);
        assert_eq!(
            error.sentence(&target()),
            "The Kubernetes API server does not accept my token: \
             check that my pod runs in this cluster with its service account's token."
        );
    });
}

#[test]
fn a_new_ca_is_taken_up_when_the_old_one_fails() {
    run(async {
        let cluster = Cluster::new([
            Reply::Cut(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{SCALE}",
                SCALE.len()
            )),
            Reply::new(200, SCALE),
        ]);
        assert!(cluster.scale().await.is_ok());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let new = Authority::new();
        cluster.server.rotate(new.issue());
        let error = cluster.scale().await.unwrap_err();
        let told = error.sentence(&target());
        let end = "but is signed with another key; my log says what to do.";
        assert!(told.ends_with(end), "{told}");
        let detail = error.detail().to_string();
        let cure = "; give the authority's certificate of now in ca.crt of the service account: \
                    it was made anew under the same name";
        assert!(detail.ends_with(cure), "{detail}");
        // An empty and a broken file change nothing.
        for unusable in ["", "-----BEGIN CERTIFICATE-----"] {
            cluster.account.write("ca.crt", unusable);
            assert!(cluster.scale().await.is_err());
        }
        let both = format!("{}{}", cluster.authority.pem(), new.pem());
        cluster.account.write("ca.crt", &both);
        assert!(cluster.scale().await.is_ok());
        // A stranger never got a request to see.
        assert_eq!(cluster.server.requests().len(), 2);
    });
}

#[test]
fn files_are_read_again_when_they_are_old() {
    let authority = Authority::new();
    let account = Account::new(" first\r\n", &authority.pem());
    let start = Instant::now();
    let mut loaded = account.load(6443).unwrap();
    let mut token = |seconds| {
        let access = loaded.access(start + Duration::from_secs(seconds));
        assert_eq!(access.base, "https://127.0.0.1:6443");
        access.token.unwrap().expose().to_owned()
    };
    account.write("token", "second");
    assert_eq!(token(59), "first");
    assert_eq!(token(61), "second");
    account.write("token", "\n");
    assert_eq!(token(122), "second");
    fs::remove_file(account.0.path().join("token")).unwrap();
    assert_eq!(token(183), "second");
    account.write("token", "third");
    assert_eq!(token(200), "second");
    assert_eq!(token(244), "third");
}

#[test]
fn a_changed_ca_is_noticed_by_age() {
    run(async {
        let cluster = Cluster::new([Reply::new(200, "")]);
        let old = Account::new("t", &Authority::new().pem());
        let start = Instant::now();
        let mut loaded = old.load(cluster.server.port).unwrap();
        old.write("ca.crt", &cluster.authority.pem());
        for (seconds, works) in [(299, false), (301, true)] {
            let access = loaded.access(start + Duration::from_secs(seconds));
            let limits = crate::net::Limits {
                deadline: Duration::from_secs(5),
                body: 10,
            };
            let url = format!("{}/", access.base);
            let request =
                crate::net::Request::new(::http::Method::GET, &url, Vec::new(), limits).unwrap();
            assert_eq!(access.client.send(request).await.is_ok(), works);
        }
    });
}

#[test]
fn an_account_that_cannot_work_is_refused() {
    let pem = Authority::new().pem();
    let account = Account::new("t", &pem);
    let load = |host: &str, port: &str| {
        ServiceAccount::load(host, port, account.0.path(), Clock::stopped()).err()
    };
    for host in ["10.0.0.1", "fd00::1", "kubernetes.default.svc"] {
        assert_eq!(load(host, "443"), None, "{host}");
    }
    for port in ["", "0", "65536", "x", "443/"] {
        assert_eq!(
            load("10.0.0.1", port),
            Some(LoadError::Address(BadUrl::Port))
        );
    }
    for host in ["", "a b", "a/b", "a:1", "a?", "a#b", "[::1"] {
        let fault = load(host, "443");
        assert!(
            matches!(fault, Some(LoadError::Address(_))),
            "{host}: {fault:?}"
        );
    }
    let fault = |token: &str, ca: &str| {
        account.write("token", token);
        account.write("ca.crt", ca);
        let fault = account.load(443).unwrap_err().to_string();
        fault.replace(account.0.path().to_str().unwrap(), "DIR")
    };
    assert_eq!(fault(" \n", &pem), "DIR/token: empty");
    assert_eq!(fault("two words", &pem), "DIR/token: not a token");
    assert_eq!(
        fault(&"x".repeat(16_385), &pem),
        "DIR/token: larger than 16384 bytes"
    );
    assert_eq!(
        fault("t", ""),
        format!("DIR/ca.crt: {}", BundleError::Empty)
    );
    fs::remove_file(account.0.path().join("ca.crt")).unwrap();
    assert_eq!(
        account
            .load(443)
            .unwrap_err()
            .to_string()
            .split_once(": ")
            .unwrap()
            .1,
        "entity not found"
    );
}

#[test]
fn debug_shows_no_token() {
    let account = Account::new("hunter2", &Authority::new().pem());
    let shown = format!("{:?}", account.api(1));
    assert!(!shown.contains("hunter2"), "{shown}");
}
