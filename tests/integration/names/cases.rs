//! The moods of a name server one by one.

use super::case::{Case, HOST, POD, case};
use super::nameserver::Mood::{self, *};
use super::nameserver::{A, AAAA};

fn in_corp(mood: Mood) -> impl Fn(&str, u16) -> Option<Mood> {
    move |name, _| name.ends_with(".corp.example").then(|| mood.clone())
}

fn of(kind: u16, mood: Mood) -> impl Fn(&str, u16) -> Option<Mood> {
    move |name, asked| (name == HOST && asked == kind).then(|| mood.clone())
}

fn of_all(kind: u16, mood: Mood) -> impl Fn(&str, u16) -> Option<Mood> {
    move |_, asked| (asked == kind).then(|| mood.clone())
}

/// IPv6 works, IPv4 is in this mood.
fn only_v6(mood: Mood) -> impl Fn(&str, u16) -> Option<Mood> {
    move |name, kind| match (name, kind) {
        (HOST, AAAA) => Some(Addresses(vec!["::1"])),
        (HOST, _) => Some(mood.clone()),
        _ => None,
    }
}

fn always(mood: Mood) -> impl Fn(&str, u16) -> Option<Mood> {
    move |_, _| Some(mood.clone())
}

fn right() -> Box<Mood> {
    Box::new(Addresses(vec!["127.0.0.1"]))
}

/// The slow ones first.
pub fn all() -> Vec<Case> {
    let mut cases = vec![
        case("error: silence to everything", always(Silence))
            .fails(&["did not answer within 8 s", "port 53"])
            .within(12),
        case("search domain: silence", in_corp(Silence)).within(6),
        case("all search domains: silence", |name, _| {
            (name != HOST).then_some(Silence)
        })
        .within(6),
        case(
            "all search domains: silence, absolute name first",
            |name, _| (name != HOST).then_some(Silence),
        )
        .conf(&POD.replace("ndots:5", "ndots:2")),
        case("AAAA of every name: silence", of_all(AAAA, Silence)).within(6),
        case("AAAA: silence", of(AAAA, Silence)),
        case("A: silence, AAAA is fine", only_v6(Silence)),
        case("A: after 2.5 s", of(A, Late(2500, right()))).within(6),
        case("A: after 5 s", of(A, Late(5000, right()))).within(9),
        case("first server: silence", always(Silence)).and_a_good_one(),
        case(
            "in order: the cluster's name after 1.5 s",
            |name, kind| match (name, kind) {
                ("matrix.dev", A) => Some(Addresses(vec!["127.0.0.99"])),
                ("matrix.dev.svc.cluster.local", A) => Some(Late(1500, right())),
                ("matrix.dev.svc.cluster.local", _) => Some(Empty),
                _ => None,
            },
        )
        .host("matrix.dev"),
    ];
    let errors = [
        ("FORMERR", Code(1)),
        ("SERVFAIL", Code(2)),
        ("NXDOMAIN", Code(3)),
        ("NOTIMP", Code(4)),
        ("REFUSED", Code(5)),
        ("NOTAUTH", Code(9)),
        ("FORMERR without the question", Mute(1)),
        ("no data", Empty),
        ("not responsible", Bare),
        ("garbled", Garbled),
        (
            "cut, and by TCP SERVFAIL",
            Cut(Box::new(Empty), Box::new(Code(2))),
        ),
    ];
    for (name, mood) in errors {
        cases.push(case(
            format!("search domain: {name}"),
            in_corp(mood.clone()),
        ));
        cases.push(case(format!("AAAA: {name}"), of(AAAA, mood.clone())));
        cases.push(case(
            format!("A: {name}, AAAA is fine"),
            only_v6(mood.clone()),
        ));
        // Both end the question at the first server, by the protocol.
        if !matches!(mood, Code(3) | Empty) {
            cases.push(case(format!("first server: {name}"), always(mood)).and_a_good_one());
        }
    }
    let decoy = |name: &str, _: u16| (name != HOST).then(|| Addresses(vec!["127.0.0.99"]));
    cases.extend([
        case("good health", |_, _| None),
        case("search domain has the name, absolute name first", decoy)
            .conf(&POD.replace("ndots:5", "ndots:2")),
        case("absolute name, with a dot at its end", decoy).host("matrix.example.org."),
        case(
            "in order: the cluster's name, and one of the internet",
            |name, kind| match (name, kind) {
                ("matrix.dev", A) => Some(Addresses(vec!["127.0.0.99"])),
                ("matrix.dev.svc.cluster.local", A) => Some(*right()),
                _ => None,
            },
        )
        .host("matrix.dev"),
        case("one label", |name, kind| {
            (name == "matrix.clawdbot.svc.cluster.local" && kind == A).then(|| *right())
        })
        .host("matrix"),
        case("the domain is that of the node", |name, kind| {
            (name == "matrix.node.example" && kind == A).then(|| *right())
        })
        .host("matrix")
        .conf("domain node.example\nnameserver SERVER1\n"),
        case("first server: nobody listens", |_, _| None)
            .and_a_good_one()
            .nobody_at_first(),
        case(
            "IPv6 is there and nobody listens",
            of(AAAA, Addresses(vec!["::99", "2001:db8::1"])),
        ),
        case(
            "cut, and whole by TCP",
            of(A, Cut(Box::new(Empty), right())),
        ),
        case(
            "cut with an address, whole by TCP",
            of(A, Cut(Box::new(Addresses(vec!["127.0.0.99"])), right())),
        ),
        case(
            "cut with an address, no TCP",
            of(A, Cut(right(), Box::new(Silence))),
        )
        .udp_only(),
        case(
            "cut with an address, silence by TCP",
            of(A, Cut(right(), Box::new(Silence))),
        )
        .within(6),
        case(
            "cut without an address, no TCP, second server",
            of(A, Cut(Box::new(Empty), Box::new(Silence))),
        )
        .udp_only()
        .and_a_good_one(),
        case("lies before the answer", of(A, AmongLies(right()))),
        case(
            "aliases, in other letters",
            of(
                A,
                Alias(
                    vec!["Alias.example.net", "b.example.net"],
                    vec!["127.0.0.1"],
                ),
            ),
        ),
        case("the question in capitals", of(A, Shouted(right()))),
        case("60 addresses by UDP, the sixteenth answers", of(A, Sixty)),
        case(
            "60 addresses by TCP, the sixteenth answers",
            of(A, Cut(Box::new(Empty), Box::new(Sixty))),
        ),
        case("options: use-vc", |_, _| None).conf(&POD.replace("ndots:5", "ndots:5 use-vc")),
        case("options: rotate, timeout, attempts", |_, _| None)
            .conf(&POD.replace("ndots:5", "rotate ndots:5 timeout:1 attempts:1"))
            .and_a_good_one(),
        case("options: no-aaaa", of_all(AAAA, Silence))
            .conf(&POD.replace("ndots:5", "ndots:5 no-aaaa")),
        case("comments and carriage returns", in_corp(Code(2))).conf(
            "# one\r\n; two\r\nsearch cluster.local corp.example\r\nnameserver SERVER1 # three\r\n\
             nameserver nonsense\r\noptions ndots:5\r\n",
        ),
        case("eight search domains, all SERVFAIL", |name, _| {
            (name != HOST).then_some(Code(2))
        })
        .conf("search a.a b.b c.c d.d e.e f.f g.g h.h\nnameserver SERVER1\noptions ndots:5\n"),
        case("search domains that no name can have", |_, _| None).conf(&format!(
            "search a..b {}\nnameserver SERVER1\noptions ndots:5\n",
            "long.".repeat(60)
        )),
        case("a name server on IPv6", |_, _| None).conf(&POD.replace("SERVER1", "::1")),
        case("no name server in resolv.conf", |_, _| None).conf("options ndots:5\n"),
        case("hosts: several names a line", always(Code(2))).hosts(
            "127.0.0.1 localhost\n# by hand\n127.0.0.1\tother.example Matrix.Example.org # this\n",
        ),
        case("hosts: IPv6, and IPv4 on another line", always(Code(2)))
            .hosts("::99 matrix.example.org\n127.0.0.1 matrix.example.org\n"),
        case("hosts come first", always(Addresses(vec!["127.0.0.99"])))
            .hosts("127.0.0.1 matrix.example.org\n"),
        case("localhost", always(Code(2)))
            .host("localhost")
            .hosts(""),
        case("a name below localhost", always(Code(2)))
            .host("matrix.localhost")
            .hosts(""),
        case("an address", always(Code(2))).host("127.0.0.1"),
        case("error: no such name", always(Code(3))).fails(&[
            "the name matrix.example.org cannot be resolved: 127.0.",
            " knows no such name",
        ]),
        case("error: no address", always(Empty)).fails(&["knows the name, and no address of it"]),
        case("error: SERVFAIL to everything", always(Code(2))).fails(&["answered SERVFAIL;"]),
        case(
            "error: SERVFAIL in the search, no such name",
            |name, _| match name.ends_with(".corp.example") {
                true => Some(Code(2)),
                false => Some(Code(3)),
            },
        )
        .fails(&[
            "answered SERVFAIL to matrix.example.org.corp.example; ",
            "knows no such name",
        ]),
        case("error: REFUSED to AAAA, no A", |name, kind| {
            match (name, kind) {
                (HOST, A) => Some(Empty),
                (HOST, _) => Some(Code(5)),
                _ => None,
            }
        })
        .fails(&[
            "answered REFUSED to matrix.example.org (AAAA); ",
            "knows the name, and no address of it (A)",
        ]),
        case(
            "error: aliases in a ring",
            of(A, Alias(vec!["a.a", "b.b", "a.a"], vec![])),
        )
        .fails(&["sent an answer that cannot be read to matrix.example.org (A)"]),
        case("error: nobody listens", |_, _| None)
            .nobody_at_first()
            .fails(&["no name server listens at 127.0.", "port 53"]),
    ]);
    cases
}
