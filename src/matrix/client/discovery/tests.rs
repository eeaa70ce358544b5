//! Discovery in a world of a few names.

use rcgen::SanType;

use super::*;
use crate::net::fake::{Authority, Fake, Reply, run};
use crate::net::fake_proxy::FakeProxy;
use crate::net::{Bundle, Fault as HttpFault, Proxy, Roots};
use crate::util::Clock;

const SPEAKS: &str = r#"{"versions":["r0.6.1","v1.11"],"unstable_features":{}}"#;

/// A world in which all of `names` lead to one server, which answers the
/// requests of a discovery in turn.
struct World {
    server: Fake,
    client: Client,
}

impl World {
    fn new<const N: usize>(names: [&str; N], replies: impl IntoIterator<Item = Reply>) -> Self {
        let ours = Authority::new();
        let identity = ours.issue_with("example.com", |params| {
            for name in ["www.example.com", "hs.example.com"] {
                params
                    .subject_alt_names
                    .push(SanType::DnsName(name.try_into().unwrap()));
            }
            params
                .subject_alt_names
                .push(SanType::IpAddress("::1".parse().unwrap()));
        });
        let server = Fake::tls(identity, replies);
        let proxy = FakeProxy::new(names.map(|name| (name, server.port)));
        let proxy = Proxy::parse(&format!("127.0.0.1:{}", proxy.port), "").unwrap();
        let bundle = Bundle::from_pem(ours.pem().as_bytes()).unwrap();
        let client =
            Client::with_proxy(Roots::Bundle(bundle), Some(proxy.into()), Clock::stopped())
                .unwrap();
        Self { server, client }
    }

    async fn discover(&self, server: &str) -> Result<String, DiscoveryError> {
        let server = ServerName::parse(server).unwrap();
        discover(&self.client, &server).await
    }

    /// Host and path of all requests so far.
    fn asked(&self) -> Vec<String> {
        let requests = self.server.requests();
        let asked = requests.iter().map(|request| {
            let path = request.split(' ').nth(1).unwrap();
            let host = request.lines().find_map(|line| line.strip_prefix("host: "));
            format!("{}{path}", host.unwrap())
        });
        asked.collect()
    }
}

const NAMES: [&str; 4] = [
    "example.com:443",
    "example.com:8448",
    "www.example.com:443",
    "hs.example.com:443",
];

fn names(base: &str) -> Reply {
    let file = serde_json::json!({"m.homeserver": {"base_url": base}, "x": [1]});
    Reply::new(200, &file.to_string())
}

fn leads(to: &str) -> Reply {
    Reply::with(302, &format!("Location: {to}\r\n"), "<html>")
}

/// The error's sentence without its cure, which all have, and whether it is
/// worth another try.
async fn failure(replies: impl IntoIterator<Item = Reply>) -> (String, bool) {
    let world = World::new(NAMES, replies);
    let error = world.discover("example.com").await.unwrap_err();
    let shown = error
        .to_string()
        .replace("https://example.com/.well-known/matrix/client", "FILE");
    let cure = "; ask who runs example.com, or set MATRIX_HOMESERVER to the homeserver's URL";
    let what = shown.strip_suffix(cure).unwrap().to_owned();
    (what, error.is_transient())
}

#[test]
fn the_file_names_the_homeserver() {
    run(async {
        for (server, base) in [
            ("example.com", "https://hs.example.com"),
            ("example.com:8448", "https://hs.example.com/"),
        ] {
            let speaks = || Reply::new(200, SPEAKS);
            let world = World::new(NAMES, [names(base), speaks(), speaks()]);
            let found = world.discover(server).await.unwrap();
            assert_eq!(found, "https://hs.example.com");
            assert_eq!(
                world.asked(),
                [
                    "example.com/.well-known/matrix/client",
                    "hs.example.com/_matrix/client/versions"
                ]
            );
            let spoken = versions(&world.client, &found).await.unwrap();
            assert_eq!(spoken.names, ["r0.6.1", "v1.11"]);
        }
    });
}

#[test]
fn without_a_file_the_server_name_is_the_homeserver() {
    run(async {
        for (server, file, base) in [
            ("example.com", "example.com", "example.com"),
            ("example.com:8448", "example.com", "example.com:8448"),
            ("[::1]:8448", "[::1]", "[::1]:8448"),
        ] {
            let names = [
                "example.com:443",
                "example.com:8448",
                "[::1]:443",
                "[::1]:8448",
            ];
            let world = World::new(names, [Reply::new(404, ""), Reply::new(200, SPEAKS)]);
            let found = world.discover(server).await.unwrap();
            assert_eq!(found, format!("https://{base}"));
            let asked = [
                format!("{file}/.well-known/matrix/client"),
                format!("{base}/_matrix/client/versions"),
            ];
            assert_eq!(world.asked(), asked);
        }
    });
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    run(async {
        let five = [
            leads("https://www.example.com/1#x"),
            leads("2?a=b"),
            leads("/three/"),
            leads("./4"),
            leads("//example.com/5"),
        ];
        let end = [names("https://hs.example.com"), Reply::new(200, SPEAKS)];
        let world = World::new(NAMES, five.clone().into_iter().chain(end));
        assert!(world.discover("example.com").await.is_ok());
        assert_eq!(
            world.asked()[1..6],
            [
                "www.example.com/1",
                "www.example.com/2?a=b",
                "www.example.com/three/",
                "www.example.com/three/4",
                "example.com/5"
            ]
        );
        let endless = World::new(NAMES, vec![leads("/"); 10]);
        let error = endless.discover("example.com").await.unwrap_err();
        assert_eq!(error.fault, DiscoveryFault::Redirects);
        assert_eq!(endless.asked().len(), 6);
        let nobody = five
            .into_iter()
            .chain([Reply::new(404, ""), Reply::new(200, SPEAKS)]);
        let found = World::new(NAMES, nobody).discover("example.com").await;
        assert_eq!(found.unwrap(), "https://example.com");
    });
}

#[test]
fn a_file_that_leads_nowhere_says_so() {
    run(async {
        for (reply, words, transient) in [
            (
                leads("http://example.com/"),
                "FILE redirects to http instead of https",
                false,
            ),
            (
                leads("file:///etc/passwd"),
                "FILE redirects to file instead of https",
                false,
            ),
            (leads("https://"), "FILE redirects to nowhere", false),
            (Reply::new(302, ""), "FILE redirects to nowhere", false),
            (
                leads("https://me:hunter2@example.com/"),
                "FILE cannot be asked for: the URL must not contain a user name or password",
                false,
            ),
            (
                Reply::new(403, "no"),
                "FILE cannot be read: the answer is 403",
                false,
            ),
            (
                Reply::new(304, ""),
                "FILE cannot be read: the answer is 304",
                false,
            ),
            (
                Reply::new(503, "later"),
                "FILE cannot be read: the answer is 503",
                true,
            ),
            (
                Reply::new(429, "later"),
                "FILE cannot be read: the answer is 429",
                true,
            ),
            (Reply::new(200, ""), "FILE is not JSON", false),
            (Reply::new(200, "<html></html>"), "FILE is not JSON", false),
            (
                Reply::new(200, &"[".repeat(10_000)),
                "FILE is not JSON",
                false,
            ),
            (
                Reply::new(200, &format!("\"{}\"", "x".repeat(65_535))),
                "FILE cannot be read: the answer of example.com:443 is larger than 65536 bytes",
                false,
            ),
            (
                Reply::Cut(String::new()),
                "FILE cannot be read: example.com:443 closed the connection instead of an answer",
                true,
            ),
        ] {
            assert_eq!(failure([reply]).await, (words.to_owned(), transient));
        }
        for file in [
            "[]",
            "{}",
            r#"{"m.homeserver":"https://hs.example.com"}"#,
            r#"{"m.homeserver":{"base_url":1}}"#,
            r#"{"m.identity_server":{"base_url":"https://id.example.com"}}"#,
        ] {
            let words = "FILE names no homeserver (m.homeserver, base_url)";
            assert_eq!(
                failure([Reply::new(200, file)]).await,
                (words.to_owned(), false)
            );
        }
    });
}

#[test]
fn a_base_url_is_scheme_host_port_and_path() {
    for (text, kept) in [
        ("https://HS.example.com", "https://hs.example.com"),
        ("http://127.0.0.1:8008/", "http://127.0.0.1:8008"),
        ("https://[::1]/hs//", "https://[::1]/hs"),
        (" https://hs.example.com:443", "https://hs.example.com"),
    ] {
        assert_eq!(base_url(text).unwrap(), kept);
    }
    for (text, fault) in [
        ("hs.example.com", BaseUrlFault::Syntax),
        ("/hs", BaseUrlFault::Syntax),
        ("https://", BaseUrlFault::Syntax),
        ("https://x:99999", BaseUrlFault::Syntax),
        ("ftp://hs.example.com", BaseUrlFault::Scheme),
        ("javascript:alert(1)", BaseUrlFault::Scheme),
        ("http://10.0.0.1:8008/", BaseUrlFault::Plaintext),
        ("https://me@hs.example.com", BaseUrlFault::Credentials),
        ("https://:x@hs.example.com", BaseUrlFault::Credentials),
        ("https://hs.example.com/?", BaseUrlFault::Extra),
        ("https://hs.example.com/#x", BaseUrlFault::Extra),
    ] {
        assert_eq!(base_url(text), Err(fault), "{text}");
    }
}

#[test]
fn a_bad_base_url_is_shown_but_no_password_and_no_trick() {
    run(async {
        let (shown, transient) = failure([names("ftp://x\u{202e}y")]).await;
        assert!(!shown.contains('\u{202e}') && !transient, "{shown}");
        let (shown, _) = failure([names("https://me:hunter2@hs.example.com")]).await;
        assert_eq!(
            shown,
            "FILE names \"[masked]\" as the homeserver, which holds a user name or a password"
        );
        let (shown, _) = failure([names(&"x".repeat(10_000))]).await;
        assert!(shown.len() < 400, "{shown}");
    });
}

#[test]
fn what_is_found_has_to_be_a_homeserver() {
    run(async {
        let versions = "https://hs.example.com/_matrix/client/versions";
        for (reply, words, transient) in [
            (Reply::new(404, "<html>"), "answers 404", false),
            (Reply::new(302, ""), "answers 302", false),
            (
                leads("https://example.com/"),
                "redirects to https://example.com, which is not followed",
                false,
            ),
            (Reply::new(502, "<html>"), "answers 502", true),
            (
                Reply::new(200, "<html>"),
                "does not answer with a list of versions",
                false,
            ),
            (
                Reply::new(200, r#"{"versions":{}}"#),
                "does not answer with a list of versions",
                false,
            ),
        ] {
            let (shown, again) = failure([names("https://hs.example.com"), reply]).await;
            let expected = format!("FILE does not lead to a homeserver: {versions} {words}");
            assert_eq!((shown, again), (expected, transient));
        }
        let (shown, again) = failure([Reply::new(404, ""), Reply::new(404, "")]).await;
        assert_eq!(
            shown,
            "FILE does not exist and https://example.com is no homeserver: \
             https://example.com/_matrix/client/versions answers 404"
        );
        assert!(!again);
        let long = "x".repeat(10_000);
        let many = serde_json::json!({"versions": vec![long; 6]}).to_string();
        let world = World::new(NAMES, [Reply::new(200, &many)]);
        let spoken = super::versions(&world.client, "https://hs.example.com").await;
        assert!(spoken.unwrap().names.join(", ").len() < 300);
    });
}

#[test]
fn who_cannot_be_reached_is_named() {
    run(async {
        let world = World::new(["example.com:443"], [names("https://hs.example.com")]);
        let error = world.discover("example.com").await.unwrap_err();
        assert!(error.is_transient());
        let shown = error.to_string();
        assert!(
            shown.contains("cannot reach hs.example.com:443 (502)"),
            "{shown}"
        );
        let error = world.discover("a..b").await.unwrap_err();
        assert!(matches!(error.fault, DiscoveryFault::Url(_)), "{error:?}");
        let error = world.discover("other.example").await.unwrap_err();
        let DiscoveryFault::Unanswered(error) = error.fault else {
            panic!("{error:?}");
        };
        assert!(matches!(error.fault, HttpFault::Proxy { .. }));
    });
}
