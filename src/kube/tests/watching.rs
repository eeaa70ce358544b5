//! Following a workload: the lines of a watch, and what is asked where there is none.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::kube::watch_events::{Event, Events};
use crate::kube::watch_lines::NoEvent;

fn deployment(ready: i32) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {
            "name": "bot", "uid": "u1", "generation": 2, "resourceVersion": "7",
            "annotations": {"note": "a  line\nand \"another\" }{", "deployment.kubernetes.io/revision": "1"},
            "managedFields": [{"fieldsV1": {"f:spec": {}}}],
        },
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": "x"}]}}},
        "status": {"observedGeneration": 2, "replicas": 3, "readyReplicas": ready},
    })
}

pub(super) fn line(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string() + "\n"
}

fn bookmark(annotations: &Value) -> String {
    let object = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"resourceVersion": "9", "creationTimestamp": null, "annotations": annotations},
        "spec": {"selector": null, "strategy": {}}, "status": {},
    });
    line("BOOKMARK", &object)
}

pub(super) fn too_old() -> String {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410,
    });
    line("ERROR", &status)
}

/// The events of a body that comes in these pieces: the number of ready replicas, or
/// a word.
fn heard(pieces: &[&[u8]]) -> Vec<String> {
    let mut lines = crate::kube::watch::lines();
    let mut events = Events::new(&Kind::Deployment);
    let mut heard = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let line = lines.next(&mut rest);
            let event = line.and_then(|line| match line {
                Some(line) => events.event(&line),
                None => Ok(None),
            });
            heard.push(match event {
                Ok(None) => continue,
                Ok(Some(Event::Seen(seen))) => seen.ready.to_string(),
                Ok(Some(Event::Lost)) => "lost".to_owned(),
                Ok(Some(Event::Expired)) => "expired".to_owned(),
                Err(NoEvent) => {
                    heard.push("no event".to_owned());
                    return heard;
                }
            });
        }
    }
    heard
}

#[test]
fn each_kind_of_event_is_heard() {
    let end = bookmark(&json!({"k8s.io/initial-events-end": "true"}));
    let later = bookmark(&json!({}));
    let added = line("ADDED", &deployment(1));
    let set = json!({"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": {}});
    let no_count =
        json!({"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": "x"}});
    for (body, expected) in [
        (String::new(), vec![]),
        (added.clone(), vec!["1"]),
        (line("MODIFIED", &deployment(2)), vec!["2"]),
        (line("DELETED", &deployment(2)), vec!["lost"]),
        (too_old(), vec!["expired"]),
        (format!("{added}{end}{later}"), vec!["1"]),
        // Nothing was there when the initial state ended.
        (end.clone(), vec!["lost"]),
        (format!("{later}{later}"), vec![]),
        (format!(" \r\n\n{}\r\n", added.trim_end()), vec!["1"]),
        // Not yet a line.
        (added.trim_end().to_owned(), vec![]),
        // What is no event of this watch ends it, and nothing after it is heard.
        (
            format!("{added}{{\"type\":\"ADDED\",\n{added}"),
            vec!["1", "no event"],
        ),
        (format!("{added}<html>\n{added}"), vec!["1", "no event"]),
        (format!("nonsense\n{added}"), vec!["no event"]),
        (line("RENAMED", &deployment(1)), vec!["no event"]),
        (line("ADDED", &set), vec!["no event"]),
        (line("ADDED", &no_count), vec!["no event"]),
        (line("ADDED", &json!(null)), vec!["no event"]),
        ("{}\n".to_owned(), vec!["no event"]),
        ("[]\n".to_owned(), vec!["no event"]),
        ("{\"type\":{}}\n".to_owned(), vec!["no event"]),
    ] {
        assert_eq!(heard(&[body.as_bytes()]), expected, "{body}");
    }
}

#[test]
fn frames_may_be_cut_anywhere() {
    let body = [
        line("ADDED", &deployment(0)),
        bookmark(&json!({"k8s.io/initial-events-end": "true"})),
        line("MODIFIED", &deployment(3)),
        too_old(),
    ]
    .concat();
    let expected = ["0", "3", "expired"];
    for cut in 0..=body.len() {
        let (one, two) = body.as_bytes().split_at(cut);
        assert_eq!(heard(&[one, two]), expected, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(heard(&bytes), expected);
}

#[test]
fn a_line_has_a_longest_length_whatever_is_in_it() {
    let most = 4 * 1024 * 1024;
    let padded = |length: usize| {
        let text = line("ADDED", &deployment(1));
        let text = text.trim_end();
        format!("{}{text}\n", " ".repeat(length - text.len())).into_bytes()
    };
    let (fits, longer) = (padded(most), padded(most + 1));
    let chunks: Vec<&[u8]> = fits.chunks(16 * 1024).collect();
    assert_eq!(heard(&[&chunks[..], &chunks[..]].concat()), ["1", "1"]);
    let chunks: Vec<&[u8]> = longer.chunks(16 * 1024).collect();
    assert_eq!(heard(&chunks), ["no event"]);
    // It is refused before its end comes.
    let endless = vec![b'x'; 64 * 1024];
    let mut pieces = vec![&b"{\"type\":\"ADDED\",\"more\":\""[..]];
    pieces.extend(vec![&endless[..]; 64]);
    assert_eq!(heard(&pieces), ["no event"]);
}

fn granted(verbs: &[&str]) -> Reply {
    let rule = json!({
        "verbs": verbs, "apiGroups": ["apps"], "resources": ["deployments"],
        "resourceNames": ["bot"],
    });
    let review = json!({
        "kind": "SelfSubjectRulesReview", "status": {"resourceRules": [rule]},
    });
    Reply::new(201, &review.to_string())
}

/// The head of a watch and this much of its body; it goes on.
pub(super) fn told(body: &str) -> Reply {
    Reply::Hang(chunked(body))
}

pub(super) fn chunked(body: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    match body.len() {
        0 => head.to_owned(),
        length => format!("{head}{length:x}\r\n{body}\r\n"),
    }
}

/// As [`told`], and the body is over.
fn ended(body: &str) -> Reply {
    Reply::Bytes(format!("{}0\r\n\r\n", chunked(body)))
}

fn shown(ready: i32) -> Reply {
    Reply::new(200, &deployment(ready).to_string())
}

/// The workload as it is seen when it is followed from version 41 on without any wait, so many
/// times and until there were so many requests and this is seen, and the requests for it
/// without what they have in common.
fn follow(
    times: usize,
    count: usize,
    last: &str,
    replies: Vec<Reply>,
) -> (Vec<String>, Vec<String>) {
    run(async {
        let cluster = Cluster::new(replies);
        let mut watch = cluster.api.watch(&target(), "41");
        let mut seen: Vec<String> = Vec::new();
        let since = Instant::now();
        let is_last = |seen: &[String]| seen.last().is_some_and(|seen| seen.starts_with(last));
        while seen.len() < times || cluster.server.requests().len() < count || !is_last(&seen) {
            assert!(since.elapsed() < Duration::from_secs(10), "{seen:?}");
            // What the server has done need not have come yet.
            let wait = Duration::from_millis(if seen.len() < times { 0 } else { 20 });
            seen.push(match watch.next(wait).await {
                Ok(seen) => seen.ready.to_string(),
                Err(error) => error.detail().to_string(),
            });
        }
        let requests = cluster.server.requests();
        let asked = requests.iter().map(|request| {
            let path = request.split(' ').nth(1).unwrap();
            match path.split_once('?') {
                None if path.ends_with("rulesreviews") => "review".to_owned(),
                None => "get".to_owned(),
                Some((_, query)) => {
                    let common = "watch=true&fieldSelector=metadata.name%3Dbot\
                                  &allowWatchBookmarks=true&timeoutSeconds=240";
                    query.replacen(common, "watch", 1)
                }
            }
        });
        (seen, asked.collect())
    })
}

const WATCH: &str = "watch&resourceVersion=41";

#[test]
fn what_is_told_is_not_asked_for() {
    let body = [1, 2, 3].map(|ready| line("MODIFIED", &deployment(ready)));
    let (seen, asked) = follow(5, 2, "3", vec![granted(&["watch"]), told(&body.concat())]);
    // When nothing comes it is as it was.
    assert_eq!(seen, ["1", "2", "3", "3", "3"]);
    assert_eq!(asked, ["review", WATCH]);
}

#[test]
fn where_nothing_is_told_it_is_read() {
    let one = || line("MODIFIED", &deployment(1));
    let gone = || status(404, "NotFound", "deployments.apps \"bot\" not found");
    for (replies, expected_seen, expected_asked) in [
        // Not granted, not known, refused, no watch at all.
        (
            vec![granted(&["get"]), shown(1), shown(2)],
            ["1", "2"],
            vec!["review", "get", "get"],
        ),
        (
            vec![status(403, "Forbidden", "x"), shown(1), shown(2)],
            ["1", "2"],
            vec!["review", "get", "get"],
        ),
        (
            vec![
                granted(&["watch"]),
                status(403, "Forbidden", "x"),
                shown(1),
                shown(2),
            ],
            ["1", "2"],
            vec!["review", WATCH, "get", "get"],
        ),
        (
            vec![
                granted(&["*"]),
                Reply::new(200, "<html>\n"),
                shown(1),
                shown(2),
            ],
            ["1", "2"],
            vec!["review", WATCH, "get", "get"],
        ),
        // It breaks.
        (
            vec![granted(&["watch"]), Reply::Cut(chunked(&one())), shown(2)],
            ["1", "2"],
            vec!["review", WATCH, "get"],
        ),
        (
            vec![
                granted(&["watch"]),
                told(&format!("{}{{]\n", one())),
                shown(2),
            ],
            ["1", "2"],
            vec!["review", WATCH, "get"],
        ),
        // It is silent: so is one from a version that is still to come.
        (
            vec![granted(&["watch"]), told(""), shown(1)],
            ["1", "1"],
            vec!["review", WATCH, "get"],
        ),
        // Its version is too old, or its time is over: once more, from now on.
        (
            vec![granted(&["watch"]), told(&too_old()), told(&one())],
            ["1", "1"],
            vec!["review", WATCH, "watch"],
        ),
        (
            vec![
                granted(&["watch"]),
                ended(&one()),
                told(&line("ADDED", &deployment(2))),
            ],
            ["1", "2"],
            vec!["review", WATCH, "watch"],
        ),
        // One that does not last is not opened again and again.
        (
            vec![
                granted(&["watch"]),
                told(&too_old()),
                told(&too_old()),
                shown(1),
                shown(2),
            ],
            ["1", "2"],
            vec!["review", WATCH, "watch", "get", "get"],
        ),
        (
            vec![granted(&["watch"]), ended(""), ended(&one()), shown(2)],
            ["1", "2"],
            vec!["review", WATCH, "watch", "get"],
        ),
        // It is gone: the read says so.
        (
            vec![
                granted(&["watch"]),
                told(&line("DELETED", &deployment(1))),
                gone(),
                gone(),
            ],
            ["get deployments: status 404", "get deployments: status 404"],
            vec!["review", WATCH, "get", "get"],
        ),
    ] {
        let (seen, asked) = follow(2, expected_asked.len(), expected_seen[1], replies);
        assert_eq!(asked, expected_asked);
        let ends = [seen.first(), seen.last()].map(Option::unwrap);
        for (seen, expected) in ends.into_iter().zip(expected_seen) {
            assert!(seen.starts_with(expected), "{seen}: {asked:?}");
        }
    }
}

#[test]
fn a_version_is_a_number_and_nothing_else_is_sent() {
    run(async {
        for version in ["", "41&watch=false", "a"] {
            let added = line("ADDED", &deployment(1));
            let cluster = Cluster::new([granted(&["watch"]), told(&added)]);
            let mut watch = cluster.api.watch(&target(), version);
            assert_eq!(watch.next(Duration::ZERO).await.unwrap().ready, 1);
            let request = cluster.server.requests().remove(1);
            assert!(
                request.contains("timeoutSeconds=240 HTTP/1.1\r\n"),
                "{request}"
            );
        }
    });
}

#[test]
fn the_scale_of_another_kind_is_read() {
    run(async {
        let scale = Reply::new(200, SCALE);
        let cluster = Cluster::new([scale.clone(), scale]);
        let mut watch = cluster.api.watch(&rollout(), "41");
        for _ in 0..2 {
            assert_eq!(watch.next(Duration::ZERO).await.unwrap().desired, 1);
        }
        for request in cluster.server.requests() {
            assert!(request.contains("/rollouts/web/scale "), "{request}");
        }
    });
}

#[test]
fn the_ninth_has_no_place_until_another_ends() {
    run(async {
        let told = told(&line("MODIFIED", &deployment(1)));
        let replies = (0..8).flat_map(|_| [granted(&["watch"]), told.clone()]);
        let cluster = Cluster::new(replies.chain([shown(2), granted(&["watch"]), told.clone()]));
        let mut watches: Vec<Watch> = (0..9).map(|_| cluster.api.watch(&target(), "41")).collect();
        let mut seen = Vec::new();
        for watch in &mut watches {
            seen.push(watch.next(Duration::ZERO).await.unwrap().ready);
        }
        assert_eq!(seen, [1, 1, 1, 1, 1, 1, 1, 1, 2]);
        watches.remove(0);
        let ninth = watches.last_mut().unwrap();
        assert_eq!(ninth.next(Duration::ZERO).await.unwrap().ready, 1);
    });
}
