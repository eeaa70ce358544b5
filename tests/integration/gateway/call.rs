//! `call`: the client of the gateway, as a pod runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::backend::free_port;
use super::support::issuer::{account_claims, unsigned};
use super::support::reviews::Token;
use super::support::world::{APPS, GatewayWorld, TOKEN_AUDIENCE};
use crate::support::bot::{self, Bot, Done, Victim};
use crate::support::monitor::poll;
use crate::support::temp::TempDir;

/// A pod that calls the gateway: its token, and the gateway's address.
struct Pod {
    dir: TempDir,
    env: BTreeMap<String, String>,
}

impl Pod {
    fn new(api: u16, token: &str) -> Self {
        let dir = TempDir::new();
        let env = [
            ("GATEWAY_URL", format!("http://127.0.0.1:{api}")),
            (
                "GATEWAY_TOKEN_FILE",
                dir.path().join("token").display().to_string(),
            ),
            ("OPENCLAW_TEST_PACE", "20".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        let pod = Self {
            dir,
            env: env.into(),
        };
        pod.renew(token);
        pod
    }

    fn of(world: &GatewayWorld) -> Self {
        Self::new(world.ports().api, &world.worker())
    }

    /// Changes the token as the kubelet does.
    fn renew(&self, token: &str) {
        let next: PathBuf = self.dir.path().join("next");
        std::fs::write(&next, token).expect("the directory is there");
        std::fs::rename(&next, self.dir.path().join("token")).expect("both are there");
    }

    fn call(&self, args: &str) -> Done {
        let args: Vec<&str> = ["call"].into_iter().chain(args.split(' ')).collect();
        bot::run(&args, &self.env)
    }

    /// Starts a call.
    fn begin(&self, args: &str) -> Bot {
        let mut program = Bot::program();
        program.arg("call").args(args.split(' '));
        Bot::spawn_as(program, &self.env, &Victim::default())
    }

    /// Runs a call meanwhile.
    fn calling<T>(&self, args: &str, meanwhile: impl FnOnce() -> T) -> (Done, T) {
        std::thread::scope(|scope| {
            let call = scope.spawn(|| self.call(args));
            let done = meanwhile();
            (call.join().expect("it ends"), done)
        })
    }
}

#[test]
fn a_target_is_started_and_waited_for() {
    let world = GatewayWorld::with_web();
    let pod = Pod::of(&world);
    let done = pod.call("--wait start web");
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.out.starts_with("web: ready, 1 of 1"), "{done:?}");
    assert_eq!(world.count("web"), 1);

    let done = pod.call("list --json");
    let list: Value = serde_json::from_str(&done.out).expect("it is JSON");
    assert_eq!(list["targets"][0]["phase"], "ready", "{done:?}");
    assert_eq!(done.out.lines().count(), 1);

    let done = pod.call("scale web 2");
    assert_eq!(done.code, Some(0), "{done:?}");
    world.wait_count("web", 2);
    let done = pod.call("stop web");
    assert_eq!(done.code, Some(0), "{done:?}");
    world.wait_count("web", 0);
    let done = pod.call("start web 3 --for 2h");
    assert_eq!(done.code, Some(0), "{done:?}");
    world.wait_count("web", 3);
    let status = pod.call("status web").out;
    assert!(status.contains(" of 3, until 20"), "{status}");
}

#[test]
fn wrong_arguments_are_2() {
    let pod = Pod::new(1, "a-token");
    for args in [
        "restart web",
        "start",
        "list --frob",
        "list --url http://example.org",
    ] {
        let done = pod.call(args);
        assert_eq!(
            (done.code, done.out.as_str()),
            (Some(2), ""),
            "{args}: {done:?}"
        );
    }
    let done = pod.call("list --token-file /nowhere");
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("/nowhere, cannot be read"), "{done:?}");
}

#[test]
fn who_may_not_is_3() {
    let mut world = GatewayWorld::new();
    world.app("web");
    world.file["roles"]["viewer"] = json!({"targets": ["web"], "verbs": ["status"]});
    let identity =
        json!({"namespace": APPS, "serviceAccount": "viewer", "allowedRoles": ["viewer"]});
    world.file["k8sTrust"]["allowedIdentities"] = json!([identity]);
    world.start();
    let pod = Pod::new(world.ports().api, &world.account(APPS, "viewer"));
    for (args, said) in [
        ("start web", "none of your roles allows this (403)\n"),
        (
            "status other",
            "no such path or target, or none that you may see (404)\n",
        ),
    ] {
        let done = pod.call(args);
        assert_eq!((done.code, done.err.as_str()), (Some(3), said), "{args}");
    }
    pod.renew(&world.account("default", "stranger"));
    let done = pod.call("--json status web");
    assert_eq!(done.code, Some(3), "{done:?}");
    let said: Value = serde_json::from_str(&done.out).expect("it is JSON");
    assert!(said["detail"].is_string(), "{done:?}");
}

#[test]
fn nobody_there_is_4() {
    let pod = Pod::new(free_port(), "a-token");
    let done = pod.call("status web --timeout 1s");
    assert_eq!((done.code, done.out.as_str()), (Some(4), ""), "{done:?}");
    assert!(done.err.contains("refused the connection"), "{done:?}");
    let done = pod.call("status web --timeout 1s --url https://gateway.invalid");
    assert_eq!(done.code, Some(4), "{done:?}");
}

#[test]
fn a_target_that_cannot_be_started_is_5() {
    let world = GatewayWorld::with_web();
    let manager = "openclaw-k8s-toggle-operator";
    world
        .cluster
        .apply_replicas("deployments", APPS, "web", manager, 0);
    let done = Pod::of(&world).call("start web --wait");
    assert_eq!((done.code, done.out.as_str()), (Some(5), ""), "{done:?}");
    assert!(done.err.contains("(409)"), "{done:?}");
}

#[test]
fn what_is_not_ready_in_time_is_6() {
    let mut world = GatewayWorld::new();
    let port = world.app("web").port;
    let late = Duration::from_secs(3_600);
    let web = ("deployments", APPS, "web");
    world
        .cluster
        .pods_follow(web, "web", late, &["127.0.0.1"], port);
    world.start();
    let done = Pod::of(&world).call("start web --wait --timeout 6s");
    assert_eq!((done.code, done.out.as_str()), (Some(6), ""), "{done:?}");
    assert!(
        done.err.ends_with("not in time: web: starting, 0 of 1\n"),
        "{done:?}"
    );
    // It stays started: the call gave up, not the target.
    assert_eq!(world.count("web"), 1);
}

#[test]
fn a_gateway_that_comes_later_is_waited_for() {
    let mut world = GatewayWorld::new();
    world.app("web");
    let api = free_port();
    world.set("API_ADDR", &format!("127.0.0.1:{api}"));
    let pod = Pod::new(api, &world.worker());
    let mut call = pod.begin("start web --wait");
    call.wait_log("refused the connection; trying again");
    world.start();
    let ended = call.wait_exit(Duration::from_secs(20));
    let log = call.log();
    assert_eq!(ended.code(), Some(0), "{log}");
    assert!(
        log.lines().any(|line| line.starts_with("web: ready")),
        "{log}"
    );
}

#[test]
fn a_token_that_was_renewed_meanwhile_is_read_again() {
    let world = GatewayWorld::with_web();
    let old = world.account(APPS, "worker");
    // It is refused, but not before there is a new one.
    let refused = Token {
        error: Some("[invalid bearer token]".to_owned()),
        delay: Duration::from_millis(500),
        ..Token::bound(APPS, "worker", TOKEN_AUDIENCE)
    };
    world.cluster.token(&old, refused);
    let mut claims = account_claims(APPS, "worker", TOKEN_AUDIENCE);
    claims["jti"] = "of-the-new-one".into();
    let new = unsigned(&claims);
    world
        .cluster
        .token(&new, Token::bound(APPS, "worker", TOKEN_AUDIENCE));
    let pod = Pod::new(world.ports().api, &old);
    let (done, ()) = pod.calling("status web", || {
        poll("the review", || {
            (world.cluster.reviews(&old) > 0).then_some(())
        });
        pod.renew(&new);
    });
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.out, "web: off\n");
}
