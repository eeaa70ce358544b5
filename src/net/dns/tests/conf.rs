//! Reading `resolv.conf` and `hosts`.

use std::net::IpAddr;
use std::time::Duration;

use crate::net::dns::conf::Conf;
use crate::net::dns::hosts;

fn parse(text: &str) -> Conf {
    Conf::parse(text, "bot", |_| None)
}

fn servers(text: &str) -> Vec<String> {
    let conf = Conf::parse(text, "bot", |name| (name == "eth0").then_some(7));
    conf.servers.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_three_servers_are_taken() {
    for (text, wanted) in [
        ("", &["127.0.0.1:53"][..]),
        ("search a.b\n", &["127.0.0.1:53"]),
        (
            "nameserver\nnameserver x\nnameserver 1.2.3\nnameserver 1.2.3.4.5",
            &["127.0.0.1:53"],
        ),
        ("nameserver 10.96.0.10\n", &["10.96.0.10:53"]),
        ("  nameserver\t10.96.0.10 \r\n", &["10.96.0.10:53"]),
        ("nameserver 10.0.0.1 # here", &["10.0.0.1:53"]),
        (
            "#nameserver 10.0.0.1\n;nameserver 10.0.0.2\nnameserverx 10.0.0.3",
            &["127.0.0.1:53"],
        ),
        (
            "nameserver fd00::a\nnameserver fe80::1%eth0\nnameserver fe80::2%3",
            &["[fd00::a]:53", "[fe80::1%7]:53", "[fe80::2%3]:53"],
        ),
        (
            "nameserver fe80::1%eth9\nnameserver 10.0.0.1",
            &["10.0.0.1:53"],
        ),
        (
            "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4",
            &["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"],
        ),
    ] {
        assert_eq!(servers(text), wanted, "{text}");
    }
    assert!(parse("").names_no_server);
    assert!(!parse("nameserver 127.0.0.1").names_no_server);
}

#[test]
fn options_are_obeyed_within_their_limits() {
    let plain = parse("");
    assert_eq!(
        (plain.dots, plain.attempts, plain.timeout),
        (1, 3, Duration::from_secs(5))
    );
    assert!(!plain.rotates && !plain.by_tcp && !plain.no_aaaa);
    let all = parse(
        "options ndots:5 timeout:2 attempts:4 edns0\r\noptions rotate use-vc no-aaaa single-request",
    );
    assert_eq!(
        (all.dots, all.attempts, all.timeout),
        (5, 4, Duration::from_secs(2))
    );
    assert!(all.rotates && all.by_tcp && all.no_aaaa);
    let wild = parse("options ndots:99 timeout:0 attempts:0");
    assert_eq!(
        (wild.dots, wild.attempts, wild.timeout),
        (15, 1, Duration::from_secs(1))
    );
    let bad =
        parse("options ndots: ndots:x timeout:-1 attempts timeout:99999999999999999999 # ndots:7");
    assert_eq!(
        (bad.dots, bad.attempts, bad.timeout),
        (1, 3, Duration::from_secs(5))
    );
}

#[test]
fn candidates_come_in_the_order_of_the_c_library() {
    const POD: &str = "search ns.svc.cluster.local svc.cluster.local corp.example\noptions ndots:5";
    let cases = [
        (
            POD,
            "matrix",
            &[
                "matrix.ns.svc.cluster.local",
                "matrix.svc.cluster.local",
                "matrix.corp.example",
                "matrix",
            ][..],
        ),
        (
            POD,
            "matrix.dev",
            &[
                "matrix.dev.ns.svc.cluster.local",
                "matrix.dev.svc.cluster.local",
                "matrix.dev.corp.example",
                "matrix.dev",
            ],
        ),
        (POD, "matrix.dev.", &["matrix.dev"]),
        (
            POD,
            "a.b.c.d.e.f",
            &[
                "a.b.c.d.e.f",
                "a.b.c.d.e.f.ns.svc.cluster.local",
                "a.b.c.d.e.f.svc.cluster.local",
                "a.b.c.d.e.f.corp.example",
            ],
        ),
        (
            "search x.y\noptions ndots:0",
            "matrix",
            &["matrix", "matrix.x.y"],
        ),
        ("search x.y", "matrix", &["matrix.x.y", "matrix"]),
        (
            "search x.y",
            "matrix.org",
            &["matrix.org", "matrix.org.x.y"],
        ),
        // The last of these lines counts; the root is the name itself.
        (
            "search x.y\ndomain z.z a.a",
            "matrix",
            &["matrix.z.z", "matrix"],
        ),
        (
            "domain z.z\nsearch .x.y. . # b.b",
            "matrix",
            &["matrix.x.y", "matrix"],
        ),
        ("search . x.y x.y", "matrix", &["matrix", "matrix.x.y"]),
        ("search", "matrix", &["matrix"]),
    ];
    for (text, host, wanted) in cases {
        assert_eq!(parse(text).candidates(host), wanted, "{text} {host}");
    }
    // Where the file does not say which, it is this machine's domain.
    let own = |text| Conf::parse(text, "bot.node.example", |_| None).candidates("matrix");
    assert_eq!(own(""), ["matrix.node.example", "matrix"]);
    assert_eq!(own("search x.y"), ["matrix.x.y", "matrix"]);
    let many = format!("search {}", "a.b ".repeat(20) + &"c.d e.f g.h ".repeat(20));
    assert!(parse(&many).candidates("matrix").len() <= 33);
}

#[test]
fn hosts_have_many_names_and_many_lines() {
    const FILE: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\r\n\
        10.1.2.3 bot\n\n# Entries added by HostAliases.\n10.0.0.1\tMatrix.example.org\tother.example # matrix2\n\
        nonsense matrix.example.org\n2001:db8::1 matrix.example.org\n10.0.0.1 matrix.example.org\n";
    let found = |host: &str| -> Vec<String> {
        let found = hosts::addresses(FILE.as_bytes(), host);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
    assert_eq!(found("matrix.example.org"), ["10.0.0.1", "2001:db8::1"]);
    assert_eq!(found("MATRIX.example.org."), ["10.0.0.1", "2001:db8::1"]);
    assert_eq!(found("other.example"), ["10.0.0.1"]);
    assert_eq!(found("bot"), ["10.1.2.3"]);
    for absent in ["matrix2", "example.org", "10.0.0.1", "#"] {
        assert_eq!(found(absent), [""; 0], "{absent}");
    }
}

#[test]
fn a_huge_file_is_read_to_its_limit() {
    let line = b"10.0.0.1 x".repeat(200_000);
    assert_eq!(hosts::addresses(line.as_slice(), "y"), [] as [IpAddr; 0]);
    let many: String = (0..100).map(|at| format!("10.0.0.{at} y\n")).collect();
    assert_eq!(hosts::addresses(many.as_bytes(), "y").len(), 16);
}

#[test]
fn some_names_are_asked_of_nobody() {
    for name in ["localhost", "LocalHost.", "a.b.localhost"] {
        assert_eq!(hosts::special(name).unwrap().len(), 2, "{name}");
    }
    for name in ["invalid", "hs.invalid", "hs.INVALID."] {
        assert_eq!(hosts::special(name), Some(Vec::new()), "{name}");
    }
    for name in ["localhost.example", "notlocalhost", "matrix.org", ""] {
        assert_eq!(hosts::special(name), None, "{name}");
    }
}
