//! The client behind a proxy.

use super::*;
use crate::net::fake_proxy::FakeProxy;
use crate::util::Clock;

const USER: &str = "http://bob:hunter2@";

fn through(port: u16, no_proxy: &str) -> Proxy {
    Proxy::parse(&format!("http://127.0.0.1:{port}"), no_proxy).unwrap()
}

fn behind(proxy: Proxy, authority: &Authority) -> Client {
    let bundle = Bundle::from_pem(authority.pem().as_bytes()).unwrap();
    Client::with_proxy(Roots::Bundle(bundle), Some(proxy.into()), Clock::stopped()).unwrap()
}

#[test]
fn https_goes_through_a_tunnel_that_is_kept() {
    run(async {
        let ours = Authority::new();
        let identity = ours.issue_with("hs.example", |_| {});
        let server = Fake::tls(identity, vec![Reply::new(200, "hello"); 2]);
        let proxy = FakeProxy::new([("hs.example:8448", server.port)]);
        let client = behind(through(proxy.port, ""), &ours);
        for _ in 0..2 {
            let request = get("https://hs.example:8448/x", LIMITS);
            assert_eq!(client.send(request).await.unwrap().body, b"hello");
        }
        assert_eq!(
            proxy.requests(),
            ["CONNECT hs.example:8448 HTTP/1.1\r\nHost: hs.example:8448\r\n\r\n"]
        );
        assert!(server.requests()[0].starts_with("GET /x HTTP/1.1\r\n"));
    });
}

#[test]
fn credentials_are_sent_to_the_proxy_alone() {
    run(async {
        let ours = Authority::new();
        let server = Fake::tls(ours.issue_with("hs.example", |_| {}), []);
        let proxy = FakeProxy::new([("hs.example:443", server.port)]);
        for (credentials, basic) in [
            ("bob:hunter2", "Ym9iOmh1bnRlcjI="),
            ("b%6Fb:p%40%3A%2F@", "Ym9iOnBAOi9A"),
            ("bob", "Ym9iOg=="),
        ] {
            let url = format!("http://{credentials}@127.0.0.1:{}", proxy.port);
            let client = behind(Proxy::parse(&url, "").unwrap(), &ours);
            server.then([Reply::new(200, "")]);
            let request = get("https://hs.example/", LIMITS);
            assert_eq!(client.send(request).await.unwrap().status, 200);
            let sent = proxy.requests().pop().unwrap();
            let line = format!("\r\nProxy-Authorization: Basic {basic}\r\n\r\n");
            assert!(sent.ends_with(&line), "{sent}");
        }
        let reached = server.requests().concat();
        assert!(
            !reached.to_ascii_lowercase().contains("proxy-"),
            "{reached}"
        );
    });
}

#[test]
fn http_and_hosts_left_out_are_connected_to_directly() {
    run(async {
        let ours = Authority::new();
        let nobody = closed_port();
        let plain = Fake::plain([Reply::new(200, "plain")]);
        let client = behind(through(nobody, ""), &ours);
        let response = client.send(get(&plain.url("/"), LIMITS)).await.unwrap();
        assert_eq!(response.body, b"plain");
        let secure = Fake::tls(ours.issue(), [Reply::new(200, "secure")]);
        let client = behind(through(nobody, "127.0.0.0/8"), &ours);
        let response = client.send(get(&secure.url("/"), LIMITS)).await.unwrap();
        assert_eq!(response.body, b"secure");
    });
}

#[test]
fn a_proxy_serves_https_to_whom_its_exceptions_do_not_name() {
    let serves = |no_proxy: &str, url: &str| through(1, no_proxy).serves(&url.parse().unwrap());
    assert!(serves("a.example:8448", "https://a.example"));
    assert!(!serves("a.example:8448", "https://a.example:8448"));
    assert!(!serves("", "http://a.example"));
    assert!(!serves("b.example", "http://a.example"));
}

/// The outcome of a request to `hs.example` behind a proxy: the sentence, with
/// `PROXY` for the proxy.
async fn refusal(url: &str, port: u16, limits: Limits) -> String {
    let proxy = Proxy::parse(&format!("{url}127.0.0.1:{port}"), "").unwrap();
    let client = Client::with_proxy(Roots::Mozilla, Some(proxy.into()), Clock::stopped()).unwrap();
    let error = client.send(get("https://hs.example/x?token=hunter2", limits));
    let error = error.await.unwrap_err();
    assert!(matches!(error.fault, Fault::Proxy { .. }), "{error:?}");
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains("hunter2"), "{shown}");
    error
        .to_string()
        .replace(&format!("127.0.0.1:{port}"), "PROXY")
}

async fn answered(url: &str, reply: Reply) -> String {
    let proxy = Fake::plain([reply]);
    refusal(url, proxy.port, LIMITS).await
}

#[test]
fn a_proxy_that_refuses_is_the_one_named() {
    run(async {
        for (url, status, words) in [
            (
                "",
                407,
                "the proxy PROXY asks for a user name and password (407): write them into its URL",
            ),
            (
                USER,
                407,
                "the proxy PROXY refuses the user name and password in its URL (407)",
            ),
            (
                "",
                403,
                "the proxy PROXY does not allow connections to hs.example:443 (403)",
            ),
            ("", 502, "the proxy PROXY cannot reach hs.example:443 (502)"),
            (
                USER,
                400,
                "the proxy PROXY answered 400 instead of a connection to hs.example:443",
            ),
            (
                "",
                301,
                "the proxy PROXY answered 301 instead of a connection to hs.example:443",
            ),
        ] {
            assert_eq!(answered(url, Reply::new(status, "<html>")).await, words);
        }
        assert_eq!(
            refusal("", closed_port(), LIMITS).await,
            "the proxy PROXY refused the connection"
        );
        assert_eq!(
            answered("", Reply::Cut("HTTP/1.1 200 OK\r\n".to_owned())).await,
            "the proxy PROXY closed the connection instead of an answer"
        );
    });
}

#[test]
fn a_proxy_that_is_none_is_found_out_at_once() {
    run(async {
        for text in [
            "SSH-2.0-OpenSSH_9.9\r\n",
            "\x15\x03\x01\x00\x02",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.1200 OK\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(
                answered("", Reply::Hang(text.to_owned())).await,
                "the answer of the proxy PROXY is not proper HTTP",
                "{text:?}"
            );
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(10_000));
        assert_eq!(
            answered("", Reply::Hang(endless)).await,
            "the answer of the proxy PROXY is not proper HTTP"
        );
    });
}

#[test]
fn a_proxy_without_address_is_not_resolved() {
    run(async {
        let proxy = Proxy::parse("proxy.invalid:3128", "").unwrap();
        let client =
            Client::with_proxy(Roots::Mozilla, Some(proxy.into()), Clock::stopped()).unwrap();
        let error = client.send(get("https://hs.example/", LIMITS)).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "the proxy's name proxy.invalid cannot be resolved: by its ending it is the name of \
             nothing"
        );
    });
}

#[test]
fn a_deadline_is_held_against_the_one_who_was_slow() {
    run(async {
        let slow = "the proxy PROXY opened no connection to hs.example:443 within 800 ms";
        for text in ["", "HTTP/1.1 200 OK\r\n"] {
            let proxy = Fake::plain([Reply::Hang(text.to_owned())]);
            assert_eq!(refusal("", proxy.port, SHORT).await, slow);
        }
        // The tunnel is there, and the server at its end says no word of TLS.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().port();
        let proxy = FakeProxy::new([("hs.example:443", server)]);
        let client = behind(through(proxy.port, ""), &Authority::new());
        let error = client.send(get("https://hs.example/", SHORT)).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "no connection to hs.example:443 within 800 ms"
        );
        // TLS works as well, and the answer does not come.
        let ours = Authority::new();
        let identity = ours.issue_with("hs.example", |_| {});
        let server = Fake::tls(identity, [Reply::Hang(String::new())]);
        let proxy = FakeProxy::new([("hs.example:443", server.port)]);
        let client = behind(through(proxy.port, ""), &ours);
        let error = client.send(get("https://hs.example/", SHORT)).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "hs.example:443 did not answer within 800 ms"
        );
    });
}

#[test]
fn faults_behind_the_tunnel_are_the_servers() {
    run(async {
        let server = Fake::tls(Authority::new().issue_with("hs.example", |_| {}), []);
        let proxy = FakeProxy::new([("hs.example:443", server.port)]);
        let client = behind(through(proxy.port, ""), &Authority::new());
        let error = client.send(get("https://hs.example/", LIMITS)).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "no secure connection to hs.example:443: its certificate names a known authority, but \
             is signed with another key"
        );
    });
}

#[test]
fn a_proxys_url_is_read_with_care() {
    let shown = |url: &str| Proxy::parse(url, "").map(|proxy| proxy.to_string());
    for (url, kept) in [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("HTTP://proxy.example/", "http://proxy.example:80"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        (
            "http://bob:p@ss@proxy.example:3128",
            "http://[masked]@proxy.example:3128",
        ),
        ("bob:hunter2@10.0.0.1", "http://[masked]@10.0.0.1:80"),
        ("http://@proxy.example", "http://proxy.example:80"),
    ] {
        assert_eq!(shown(url).unwrap(), kept);
    }
    for (url, fault) in [
        ("https://proxy.example", ProxyError::Scheme),
        ("socks5://bob:hunter2@proxy.example", ProxyError::Scheme),
        ("http://proxy.example/path", ProxyError::Path),
        ("http://bob:1/hunter2@proxy.example", ProxyError::Path),
        ("http://proxy.example?x", ProxyError::Path),
        ("http://proxy.example:x", ProxyError::Url(BadUrl::Port)),
        ("http://pro xy", ProxyError::Url(BadUrl::Syntax)),
        ("http://-x-.y", ProxyError::Url(BadUrl::Host)),
        ("", ProxyError::Url(BadUrl::Syntax)),
    ] {
        assert_eq!(shown(url).unwrap_err(), fault, "{url}");
    }
    let masked = Proxy::parse("http://bob:hunter2@proxy.example", "").unwrap();
    assert_eq!(
        format!("{masked:?}"),
        "Proxy(http://[masked]@proxy.example:80)"
    );
}
