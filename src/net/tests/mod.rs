//! The client against a server that misbehaves.

mod body;
mod certificates;
mod channel;
mod proxy;
mod roots;

use std::time::{Duration, Instant};

use http::{HeaderValue, Method};

use super::fake::{Authority, Fake, Reply, closed_port, run};
use super::*;
use crate::util::Clock;
use crate::util::Secret;

const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(5),
    body: 1000,
};

const SHORT: Limits = Limits {
    deadline: Duration::from_millis(800),
    body: 1000,
};

fn client() -> Client {
    Client::new(Roots::Mozilla, Clock::stopped()).unwrap()
}

fn believing(authority: &Authority) -> Client {
    let bundle = Bundle::from_pem(authority.pem().as_bytes()).unwrap();
    Client::new(Roots::Bundle(bundle), Clock::stopped()).unwrap()
}

fn get(url: &str, limits: Limits) -> Request {
    Request::new(Method::GET, url, Vec::new(), limits).unwrap()
}

/// The outcome of a plain GET; an error as its sentence with `HOST` for the peer.
async fn outcome(server: &Fake, limits: Limits) -> Result<Response, String> {
    let error = match client().send(get(&server.url("/"), limits)).await {
        Ok(response) => return Ok(response),
        Err(error) => error,
    };
    let authority = format!("127.0.0.1:{}", server.port);
    assert_eq!(error.authority.to_string(), authority);
    Err(error.to_string().replace(&authority, "HOST"))
}

async fn sentence(reply: Reply) -> String {
    outcome(&Fake::plain([reply]), LIMITS).await.unwrap_err()
}

#[test]
fn a_request_arrives_as_made_and_its_answer_comes_back() {
    run(async {
        let server = Fake::plain([Reply::with(201, "X-Answer: yes\r\n", "created")]);
        let request = Request::new(Method::PUT, &server.url("/a?b=c"), b"{}".into(), LIMITS)
            .unwrap()
            .header(http::header::ACCEPT, HeaderValue::from_static("text/x"))
            .bearer(&Secret::new("t0ken".to_owned()))
            .unwrap();
        let response = client().send(request).await.unwrap();
        assert_eq!(response.status, 201);
        assert_eq!(response.headers["x-answer"], "yes");
        assert_eq!(response.body, b"created");
        let sent = server.requests().remove(0);
        assert!(sent.starts_with("PUT /a?b=c HTTP/1.1\r\n"), "{sent}");
        assert!(sent.ends_with("\r\n\r\n{}"), "{sent}");
        for line in [
            "accept: text/x",
            "authorization: Bearer t0ken",
            "content-length: 2",
            concat!(
                "user-agent: openclaw-k8s-toggle-operator/",
                env!("CARGO_PKG_VERSION")
            ),
        ] {
            assert!(sent.lines().any(|sent| sent == line), "{line} in {sent}");
        }
    });
}

#[test]
fn requests_can_be_spawned() {
    run(async {
        let server = Fake::plain([Reply::new(200, "")]);
        let client = client();
        let request = get(&server.url("/"), LIMITS);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { client.send(request).await });
        let response = tasks.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(response.status, 200);
    });
}

#[test]
fn debug_shows_no_secret() {
    let request = get("https://host/path?access_token=hunter2", LIMITS)
        .bearer(&Secret::new("hunter2".to_owned()))
        .unwrap();
    let shown = format!("{request:?}");
    assert!(
        shown.contains("/path") && !shown.contains("hunter2"),
        "{shown}"
    );
    let response = Response {
        status: 200,
        headers: http::HeaderMap::new(),
        body: b"hunter2".into(),
        skipped: Default::default(),
        is_cut: false,
        arrived: std::time::SystemTime::UNIX_EPOCH,
    };
    assert!(!format!("{response:?}").contains("hunter2"));
}

#[test]
fn a_token_cannot_smuggle_a_header() {
    let token = Secret::new("a\r\nx-evil: 1".to_owned());
    assert_eq!(
        get("https://host/", LIMITS).bearer(&token).err(),
        Some(BadToken)
    );
}

#[test]
fn connections_are_kept_and_a_closed_one_is_replaced() {
    run(async {
        let server = Fake::plain([
            Reply::new(200, "one"),
            Reply::Cut("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo".to_owned()),
            Reply::new(200, "three"),
        ]);
        let client = client();
        for (body, connections) in [("one", 1), ("two", 1), ("three", 2)] {
            let response = client.send(get(&server.url("/"), LIMITS)).await.unwrap();
            assert_eq!(response.body, body.as_bytes());
            assert_eq!(server.connections(), connections);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn redirects_are_answers() {
    run(async {
        let server = Fake::plain([Reply::with(302, "Location: http://127.0.0.1:1/\r\n", "")]);
        assert_eq!(outcome(&server, LIMITS).await.unwrap().status, 302);
    });
}

#[test]
fn a_body_may_be_as_large_as_the_limit() {
    run(async {
        let server = Fake::plain([
            Reply::new(200, &"x".repeat(1000)),
            Reply::Cut(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000))),
        ]);
        for _ in 0..2 {
            assert_eq!(outcome(&server, LIMITS).await.unwrap().body.len(), 1000);
        }
    });
}

#[test]
fn a_larger_body_is_refused() {
    run(async {
        let large = "the answer of HOST is larger than 1000 bytes";
        // Announced: refused although the body never comes.
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n";
        assert_eq!(sentence(Reply::Hang(head.to_owned())).await, large);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            u64::MAX - 2
        );
        assert_eq!(sentence(Reply::Hang(head)).await, large);
        // Not announced: refused with the first byte too many.
        let chunk = "x".repeat(600);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n{chunk}\r\n258\r\n{chunk}\r\n"
        );
        assert_eq!(sentence(Reply::Hang(chunked)).await, large);
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001));
        assert_eq!(sentence(Reply::Hang(endless)).await, large);
    });
}

#[test]
fn a_head_has_a_limit_too() {
    run(async {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(70_000));
        assert_eq!(
            sentence(Reply::Hang(head)).await,
            "the answer of HOST is not proper HTTP"
        );
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
        assert_eq!(
            sentence(Reply::Hang(many)).await,
            "the answer of HOST is not proper HTTP"
        );
    });
}

#[test]
fn the_deadline_covers_every_stage() {
    run(async {
        let started = Instant::now();
        let server = Fake::plain([
            Reply::Hang(String::new()),
            Reply::Hang("HTTP/1.1 200 OK\r\nX: ".to_owned()),
            Reply::Hang("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".to_owned()),
            Reply::Drip("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned()),
        ]);
        for expected in [
            "HOST did not answer within 800 ms",
            "HOST did not answer within 800 ms",
            "HOST did not finish its answer within 800 ms",
            "HOST did not finish its answer within 800 ms",
        ] {
            assert_eq!(outcome(&server, SHORT).await.unwrap_err(), expected);
        }
        // A server that accepts and never says a word of TLS.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap();
        let silent = get(&format!("https://{authority}/"), SHORT);
        assert_eq!(
            client().send(silent).await.unwrap_err().to_string(),
            format!("no connection to {authority} within 800 ms")
        );
        assert!(started.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn nobody_listening_is_refused() {
    run(async {
        let port = closed_port();
        let request = get(&format!("http://127.0.0.1:{port}/x?secret=y"), LIMITS);
        assert_eq!(
            client().send(request).await.unwrap_err().to_string(),
            format!("127.0.0.1:{port} refused the connection")
        );
    });
}

#[test]
fn a_name_without_address_is_not_resolved() {
    run(async {
        // No server is asked for such a name: it holds without network.
        let request = get("http://hs.invalid/", LIMITS);
        let error = client().send(request).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Resolve(_)));
        assert_eq!(
            error.to_string(),
            "the name hs.invalid cannot be resolved: by its ending it is the name of nothing"
        );
    });
}

#[test]
fn a_broken_connection_says_when() {
    run(async {
        assert_eq!(
            sentence(Reply::Cut(String::new())).await,
            "HOST closed the connection instead of an answer"
        );
        assert_eq!(
            sentence(Reply::Cut("HTTP/1.1 200 OK\r\nContent-Le".to_owned())).await,
            "HOST closed the connection instead of an answer"
        );
        for half in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            assert_eq!(
                sentence(Reply::Cut(half.to_owned())).await,
                "HOST closed the connection in the middle of its answer"
            );
        }
    });
}

#[test]
fn what_is_not_http_is_called_so() {
    run(async {
        for text in [
            "SSH-2.0-OpenSSH_9.9\r\n\r\n",
            "HTTP/9.9 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert_eq!(
                sentence(Reply::Hang(text.to_owned())).await,
                "the answer of HOST is not proper HTTP",
                "{text}"
            );
        }
    });
}

#[test]
fn tls_faults_have_plain_words() {
    run(async {
        let ours = Authority::new();
        let client = believing(&ours);
        let expired = ours.issue_with("127.0.0.1", |params| {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        });
        let early = ours.issue_with("127.0.0.1", |params| {
            params.not_before = rcgen::date_time_ymd(4000, 1, 1);
        });
        for (identity, words) in [
            (
                ours.issue_with("example.org", |_| {}),
                "its certificate is for another name (example.org)",
            ),
            (
                expired,
                "its certificate has expired: it was valid until 2001-01-01 00:00 UTC, and here \
                 it is ",
            ),
            (
                early,
                "its certificate is not valid yet: it is so from 4000-01-01 00:00 UTC, and here \
                 it is ",
            ),
        ] {
            let server = Fake::tls(identity, []);
            let error = client
                .send(get(&server.url("/"), LIMITS))
                .await
                .unwrap_err();
            let start = format!("no secure connection to 127.0.0.1:{}: {words}", server.port);
            assert!(error.to_string().starts_with(&start), "{error}");
        }
        // Plain HTTP where TLS is expected, and the other way about. The server
        // waits for a head that ends, which a TLS hello rarely holds.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .unwrap();
            std::thread::sleep(Duration::from_millis(200));
        });
        let error = client
            .send(get(&format!("https://{authority}/"), LIMITS))
            .await;
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("no secure connection to {authority}: it does not speak TLS on this port")
        );
        let server = Fake::tls(ours.issue(), []);
        let url = server.url("/").replace("https", "http");
        let error = client.send(get(&url, LIMITS)).await.unwrap_err();
        assert_eq!(error.fault, Fault::NotHttp);
    });
}
