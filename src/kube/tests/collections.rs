//! Following all objects of a kind: lists, watches, and what comes between them.

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::leases::lease;
use super::watching::{chunked, line, told, too_old};
use super::*;

fn namespace() -> Namespace {
    Namespace::parse("gw").unwrap()
}

const NOTHING: Value = Value::Null;

fn list(version: &str, token: &str, items: &[Value]) -> Reply {
    let body = json!({
        "kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"resourceVersion": version, "continue": token},
        "items": items,
    });
    Reply::new(200, &body.to_string())
}

fn bookmark(version: &str) -> String {
    line("BOOKMARK", &lease("", version, &NOTHING))
}

fn expired() -> Reply {
    status(410, "Expired", "too old resource version")
}

/// As [`told`], and the body is over.
fn ended(body: &str) -> Reply {
    Reply::Bytes(format!("{}0\r\n\r\n", chunked(body)))
}

/// As [`told`], and the connection breaks.
fn cut(body: &str) -> Reply {
    Reply::Cut(chunked(body))
}

/// A change in short: names with their versions.
fn short(change: CollectionChange<Lease>) -> String {
    let one = |lease: &Lease| format!("{}@{}", lease.name, lease.resource_version);
    match change {
        CollectionChange::All(leases) => {
            format!(
                "all {}",
                leases.iter().map(one).collect::<Vec<_>>().join(" ")
            )
        }
        CollectionChange::Set(lease) => format!("set {}", one(&lease)),
        CollectionChange::Gone(name) => format!("gone {name}"),
        CollectionChange::Lost(reason) => format!("lost {reason}"),
    }
}

/// The subject of a list or a watch, in short.
fn asked(cluster: &Cluster) -> Vec<String> {
    let requests = cluster.server.requests();
    let asked = requests.iter().map(|request| {
        let path = request.split(' ').nth(1).unwrap();
        let query = path.strip_prefix("/apis/coordination.k8s.io/v1/namespaces/gw/leases?");
        let watch = "watch=true&allowWatchBookmarks=true&timeoutSeconds=240&resourceVersion=";
        query
            .unwrap()
            .replace(watch, "watch ")
            .replace("limit=250", "list")
    });
    asked.collect()
}

/// So many changes of the Leases that begin with `t-`, and what was asked for them. Waits of
/// the program take no time, and those for the server at most 10 s.
fn followed(count: usize, replies: Vec<Reply>) -> (Vec<String>, Vec<String>) {
    run(async {
        let cluster = Cluster::new(replies);
        let mut watch = cluster.api.watch_leases(&namespace(), "t-");
        watch.follower.longest_wait = Duration::ZERO;
        let mut seen = Vec::new();
        for _ in 0..count {
            let change = timeout(Duration::from_secs(10), watch.next()).await;
            seen.push(short(change.unwrap()));
        }
        (seen, asked(&cluster))
    })
}

fn one(name: &str, version: &str) -> Value {
    lease(name, version, &NOTHING)
}

#[test]
fn a_list_is_followed_by_its_changes() {
    let body = [
        line("ADDED", &one("t-b", "11")),
        line("MODIFIED", &one("other", "12")),
        line("DELETED", &one("other", "13")),
        bookmark("14"),
        line("DELETED", &one("t-a", "15")),
        line("MODIFIED", &one("t-b", "16")),
    ];
    let first = list(
        "10",
        "",
        &[one("t-a", "7"), one("other", "8"), one("xt-a", "9")],
    );
    let (seen, asked) = followed(4, vec![first, told(&body.concat())]);
    assert_eq!(seen, ["all t-a@7", "set t-b@11", "gone t-a", "set t-b@16"]);
    assert_eq!(asked, ["list", "watch 10"]);
}

#[test]
fn a_long_list_comes_in_pages() {
    let pages = vec![
        list("10", "a b/+", &[one("t-a", "1")]),
        list("10", "more", &[one("t-b", "2")]),
        list("10", "", &[one("t-c", "3")]),
        told(&line("ADDED", &one("t-d", "11"))),
    ];
    let (seen, asked) = followed(2, pages);
    assert_eq!(seen, ["all t-a@1 t-b@2 t-c@3", "set t-d@11"]);
    let second = "list&continue=a%20b%2F%2B";
    assert_eq!(asked, ["list", second, "list&continue=more", "watch 10"]);
    // The token of a page has become too old: from the beginning.
    let pages = vec![
        list("10", "more", &[one("t-a", "1")]),
        expired(),
        list("20", "", &[one("t-b", "2")]),
        told(""),
    ];
    let (seen, asked) = followed(1, pages);
    assert_eq!(seen, ["all t-b@2"]);
    assert_eq!(asked, ["list", "list&continue=more", "list"]);
}

#[test]
fn a_watch_that_ends_goes_on_from_the_last_version() {
    let replies = vec![
        list("10", "", &[]),
        ended(&bookmark("12")),
        ended(&[line("ADDED", &one("other", "13")), "\n".to_owned()].concat()),
        ended(""),
        told(&line("ADDED", &one("t-a", "14"))),
    ];
    let (seen, asked) = followed(2, replies);
    assert_eq!(seen, ["all ", "set t-a@14"]);
    assert_eq!(
        asked,
        ["list", "watch 10", "watch 12", "watch 13", "watch 13"]
    );
}

#[test]
fn a_version_that_is_too_old_is_listed_again() {
    for too_old in [expired(), told(&too_old()), ended(&too_old())] {
        let replies = vec![
            list("10", "", &[one("t-a", "1")]),
            too_old,
            list("20", "", &[one("t-b", "2")]),
            told(""),
        ];
        let (seen, asked) = followed(2, replies);
        assert_eq!(seen, ["all t-a@1", "all t-b@2"]);
        assert_eq!(asked[..3], ["list", "watch 10", "list"]);
    }
}

#[test]
fn what_is_lost_is_said_once_and_listed_again() {
    let internal = json!({
        "kind": "Status", "status": "Failure", "message": "no\nmore\u{202e}", "code": 500,
    });
    let forbidden = "leases is forbidden: User \"x\" cannot watch";
    let huge = "x".repeat(4 * 1024 * 1024);
    for (broken, reason) in [
        (vec![cut(""), cut("")], "lost 127.0.0.1:"),
        (
            vec![
                status(403, "Forbidden", forbidden),
                status(403, "Forbidden", forbidden),
            ],
            "lost I may not watch the leases in namespace gw: grant my service account `watch` \
             on `leases`.",
        ),
        (
            vec![
                told(&line("ERROR", &internal)),
                status(429, "TooManyRequests", "x"),
                status(429, "TooManyRequests", "x"),
                status(429, "TooManyRequests", "x"),
            ],
            "lost no\\nmore\\u{202e}",
        ),
        (vec![told("<html>\n")], "lost what came is no event"),
        (
            vec![told(&line("RENAMED", &one("t-a", "2")))],
            "lost what came is no event",
        ),
        (
            vec![told(&line("ADDED", &one("t-a", "")))],
            "lost what came is no event",
        ),
        (vec![told(&huge)], "lost what came is no event"),
    ] {
        let count = broken.len();
        let mut replies = vec![list("10", "", &[one("t-a", "1")])];
        // Of a list that is refused nothing is seen.
        replies.extend(broken);
        replies.push(list("20", "", &[one("t-b", "2")]));
        replies.push(told(&line("ADDED", &one("t-c", "21"))));
        if reason.starts_with("lost 127.0.0.1:") {
            // The second is a list that is tried again.
            assert_eq!(count, 2);
        }
        let (seen, asked) = followed(4, replies);
        assert!(seen[1].starts_with(reason), "{seen:?}");
        assert_eq!(seen[0], "all t-a@1");
        assert_eq!(
            seen[2..],
            ["all t-b@2", "set t-c@21"],
            "{reason}: {asked:?}"
        );
    }
}

#[test]
fn a_list_that_is_none_is_tried_again() {
    let no_version = Reply::new(200, "{\"items\":[]}");
    let long = list("10", &"x".repeat(5000), &[]);
    for none in [no_version, long, Reply::new(200, "<html>"), expired()] {
        let replies = vec![
            none.clone(),
            none,
            list("10", "", &[one("t-a", "1")]),
            told(""),
        ];
        let (seen, _) = followed(2, replies);
        assert!(seen[0].starts_with("lost "), "{seen:?}");
        assert_eq!(seen[1], "all t-a@1");
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    let message = "leases is forbidden: User \"x\" cannot list";
    let (seen, _) = followed(1, vec![status(403, "Forbidden", message)]);
    assert_eq!(
        seen,
        [
            "lost I may not list the leases in namespace gw: grant my service account `list` on \
          `leases`."
        ]
    );
}

#[test]
fn nothing_is_lost_by_a_caller_that_waits_for_something_else_too() {
    let body: Vec<String> = (11..40)
        .map(|version| line("ADDED", &one("t-b", &version.to_string())))
        .collect();
    run(async {
        let cluster = Cluster::new([
            list("10", "more", &[one("t-a", "1")]),
            list("10", "", &[one("t-b", "2")]),
            told(&body.concat()),
        ]);
        let mut watch = cluster.api.watch_leases(&namespace(), "t-");
        let mut seen = Vec::new();
        let began = Instant::now();
        while seen.len() < 30 {
            assert!(began.elapsed() < Duration::from_secs(10), "{seen:?}");
            // Each time it has waited for a moment only.
            if let Ok(change) = timeout(Duration::from_micros(100), watch.next()).await {
                seen.push(short(change));
            }
        }
        assert_eq!(seen[0], "all t-a@1 t-b@2");
        let told = (11..40).map(|version| format!("set t-b@{version}"));
        assert_eq!(seen[1..], told.collect::<Vec<_>>());
        assert_eq!(asked(&cluster), ["list", "list&continue=more", "watch 10"]);
    });
}

#[test]
fn a_watch_that_should_have_ended_is_opened_again() {
    run(async {
        let cluster = Cluster::new([
            list("10", "", &[]),
            told(&bookmark("12")),
            told(&line("ADDED", &one("t-a", "13"))),
        ]);
        let mut watch = cluster.api.watch_leases(&namespace(), "t-");
        assert_eq!(short(watch.next().await), "all ");
        let silent = timeout(Duration::from_millis(300), watch.next()).await;
        assert!(silent.is_err());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(329)).await;
        tokio::time::resume();
        let silent = timeout(Duration::from_millis(50), watch.next()).await;
        assert!(silent.is_err());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        assert_eq!(short(watch.next().await), "set t-a@13");
        assert_eq!(asked(&cluster), ["list", "watch 10", "watch 12"]);
    });
}

fn slice(name: &str, version: &str, endpoints: &[Value]) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "gw", "resourceVersion": version,
            "labels": {"kubernetes.io/service-name": "web", "x": "y"},
        },
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "", "port": 9},
            {"name": "all", "port": null},
            {"name": "grpc", "port": 81, "appProtocol": "kubernetes.io/h2c"},
            {"name": "ws", "port": 82, "appProtocol": "w".repeat(250)},
        ],
        "endpoints": endpoints,
    })
}

fn endpoint(address: &str, conditions: Value) -> Value {
    json!({
        "addresses": [address], "conditions": conditions, "nodeName": "n", "zone": "z",
        "targetRef": {"kind": "Pod", "name": "web-0", "uid": "u"},
    })
}

#[test]
fn of_a_slice_is_kept_who_can_be_reached() {
    let mut crowd: Vec<Value> = (0..500)
        .map(|n| {
            let conditions = json!({"ready": n >= 400, "serving": true, "terminating": n < 100});
            endpoint(&format!("10.0.{}.{}", n / 250, n % 250), conditions)
        })
        .collect();
    let few = [
        endpoint("10.0.0.1", json!({"ready": true})),
        endpoint("10.0.0.2", json!({})),
        endpoint("10.0.0.3", NOTHING),
        endpoint("fd00::1", json!({"ready": true, "terminating": true})),
        endpoint("10.0.0.4", json!({"ready": false})),
        endpoint("host.example", json!({"ready": true})),
    ];
    // A slice after a crowded one has all the room again.
    crowd.push(endpoint("10.9.9.9", json!({"ready": true})));
    let all = [slice("web-1", "1", &crowd), slice("web-2", "2", &few)];
    let changed = slice("web-1", "3", &few[..1]);
    run(async {
        let cluster = Cluster::new([list("10", "", &all), told(&line("MODIFIED", &changed))]);
        let mut watch = cluster.api.watch_endpoints(&namespace());
        let CollectionChange::All(slices) = watch.next().await else {
            panic!();
        };
        let [crowded, small] = &slices[..] else {
            panic!("{slices:?}");
        };
        let ready = |slice: &EndpointSlice| {
            let is_ready = |one: &&SliceEndpoint| one.ready && !one.terminating;
            slice.endpoints.iter().filter(is_ready).count()
        };
        assert_eq!((ready(crowded), crowded.endpoints.len()), (32, 40));
        assert_eq!(
            (small.name.as_str(), small.service.as_str()),
            ("web-2", "web")
        );
        let ports: Vec<_> = small
            .ports
            .iter()
            .map(|port| (port.name.as_str(), port.port, port.is_http2))
            .collect();
        let wanted = [
            ("http", 8080, false),
            ("", 9, false),
            ("grpc", 81, true),
            ("ws", 82, false),
        ];
        assert_eq!(ports, wanted);
        let seen: Vec<_> = small
            .endpoints
            .iter()
            .map(|one| (one.addresses.len(), one.ready, one.terminating))
            .collect();
        assert_eq!(
            seen,
            [
                (1, true, false),
                (1, true, false),
                (1, true, false),
                (1, true, true),
                (1, false, false),
                (0, true, false),
            ]
        );
        let CollectionChange::Set(changed) = watch.next().await else {
            panic!();
        };
        assert_eq!(
            (changed.name.as_str(), changed.endpoints.len()),
            ("web-1", 1)
        );
        let paths: Vec<String> = cluster
            .server
            .requests()
            .iter()
            .map(|request| request.split(' ').nth(1).unwrap().to_owned())
            .collect();
        assert!(
            paths[0].starts_with("/apis/discovery.k8s.io/v1/namespaces/gw/endpointslices?limit=40")
        );
    });
}

#[test]
fn a_large_namespace_is_read_in_bounded_memory() {
    // 40 slices of 1,000 endpoints are 6 MB of JSON, of which 40 endpoints each are kept.
    let crowd: Vec<Value> = (0..1000)
        .map(|n| {
            endpoint(
                &format!("10.0.{}.{}", n / 250, n % 250),
                json!({"ready": true}),
            )
        })
        .collect();
    let all: Vec<Value> = (0..40)
        .map(|n| slice(&format!("web-{n}"), "1", &crowd))
        .collect();
    run(async {
        let cluster = Cluster::new([list("10", "", &all), told("")]);
        let mut watch = cluster.api.watch_endpoints(&namespace());
        let CollectionChange::All(slices) = watch.next().await else {
            panic!();
        };
        assert_eq!(slices.len(), 40);
        assert!(slices.iter().all(|slice| slice.endpoints.len() == 32));
    });
}

#[test]
fn watches_of_collections_take_no_places() {
    run(async {
        let first = || [list("10", "", &[one("t-a", "1")]), told("")];
        let cluster = Cluster::new([]);
        let mut watches = Vec::new();
        for n in 0..12 {
            cluster.server.then(first());
            let mut watch = cluster.api.watch_leases(&namespace(), "t-");
            assert_eq!(short(watch.next().await), "all t-a@1");
            while cluster.server.requests().len() < 2 * (n + 1) {
                let silent = timeout(Duration::from_millis(10), watch.next()).await;
                assert!(silent.is_err());
            }
            watches.push(watch);
        }
        assert!(cluster.api.api_client.slots.take_watch().is_some());
        cluster.server.then([Reply::new(200, SCALE)]);
        assert!(cluster.scale().await.is_ok());
    });
}
