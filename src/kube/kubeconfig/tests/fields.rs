//! Tests of the fields that are read of a kubeconfig in order.

use std::time::SystemTime;

use super::*;
use crate::util::Clock;

fn now() -> SystemTime {
    Clock::stopped().now()
}

#[test]
fn what_kubectl_prints_is_read() {
    let home = Home::new();
    let read = home.read_text(&home.flat(6443)).unwrap();
    assert_eq!(
        read.summary(),
        "context \"kind-kind\": https://127.0.0.1:6443, by a client certificate valid until \
         4096-01-01 00:00 UTC"
    );
    assert_eq!(read.warnings(now()), Vec::<String>::new());
    let read = home.read_text(&with_token(6443, &home.authority.pem()));
    let read = read.unwrap();
    let summary = "context \"kind-kind\": https://127.0.0.1:6443, by a token";
    assert_eq!(read.summary(), summary);
    assert!(!format!("{read:?}").contains("hunter2"));
}

#[test]
fn json_and_files_beside_it_are_read() {
    let home = Home::new();
    fs::create_dir(home.path("pki")).unwrap();
    home.write("pki/ca.crt", &home.authority.pem());
    home.write("pki/bot.crt", &home.certificate);
    home.write("pki/bot.key", &home.key.serialize_pem());
    home.write("token", &format!("{TOKEN}\n"));
    let text = format!(
        r#"{{"kind": "Config", "apiVersion": "v1", "current-context": "a", "extensions": [1],
        "contexts": [{{"name": "a", "context": {{"cluster": "b", "user": "c"}}}}],
        "clusters": [{{"name": "b", "cluster": {{"server": "https://[::1]:6443/k8s/c-1/",
            "certificate-authority": "pki/ca.crt", "tls-server-name": "kubernetes.default.svc",
            "insecure-skip-tls-verify": false}}}}],
        "users": [{{"name": "c", "user": {{"client-certificate": "pki/bot.crt",
            "client-key": "{}", "tokenFile": "token", "exec": null}}}}]}}"#,
        home.path("pki/bot.key").display()
    );
    let read = home.read_text(&text).unwrap();
    let summary = read.summary();
    let start = "context \"a\": https://[::1]:6443/k8s/c-1 as kubernetes.default.svc, by a client \
                 certificate valid until 4096-01-01 00:00 UTC and the token in ";
    assert!(summary.starts_with(start), "{summary}");
    assert!(summary.ends_with("/token"), "{summary}");
}

#[test]
fn of_several_files_the_first_that_has_a_name_counts() {
    let home = Home::new();
    home.write(
        "users",
        "users: [{name: c, user: {token: first-token-first}}]",
    );
    home.write(
        "rest",
        "current-context: a
contexts: [{name: a, context: {cluster: b, user: c}}, {name: other, context: {cluster: b, user: d}}]
clusters: [{name: b, cluster: {server: 'https://rest.example'}}]
users: [{name: c, user: {exec: {command: x}}}, {name: d, user: {token: second-token}}]",
    );
    home.write(
        "last",
        "current-context: other
clusters: [{name: b, cluster: {server: 'https://last.example'}}]",
    );
    let read = home.read(&["users", "none", "rest", "last"], None).unwrap();
    assert_eq!(
        read.summary(),
        "context \"a\": https://rest.example:443, by a token"
    );
    let none = home.path("none");
    let left_out = format!("\"{}\" is not there, and left out", none.display());
    assert_eq!(read.warnings(now()), [left_out]);
    let read = home.read(&["last", "users", "rest"], None).unwrap();
    let summary = "context \"other\": https://last.example:443, by a token";
    assert_eq!(read.summary(), summary);
    assert!(home.read(&["users", "rest"], Some("other")).is_ok());
    // What is wrong with another context is for other programs.
    assert!(home.read(&["rest"], Some("other")).is_ok());
    assert!(home.read(&["rest"], Some("a")).is_err());
}

#[test]
fn an_expired_certificate_and_open_files_are_warned_of() {
    let mut home = Home::new();
    let expired = home.authority.sign("bot", &home.key, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 2, 3);
    });
    home.certificate = expired.pem();
    home.write("config", &home.flat(1));
    set_permissions(home.path("config"), Permissions::from_mode(0o644)).unwrap();
    let warnings = home.read(&["config"], None).unwrap().warnings(now());
    let [open, old] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    let end = "config\" holds a key or a token, and others on this machine can read it (mode \
               0644): chmod 600 it";
    assert!(open.ends_with(end), "{open}");
    assert_eq!(
        old,
        "the client certificate of context \"kind-kind\" was valid until 2021-02-03 00:00 UTC: \
         have the kubeconfig made anew, or the clock set"
    );
}
