//! The host names of targets.

use super::faults::is_told;
use super::target;
use super::together::targets;

#[test]
fn what_is_no_host_is_named_with_its_line() {
    for (host, wanted) in [
        (
            "Claw.example.org",
            "is not in lower case: \"Claw.example.org\": write it in",
        ),
        ("claw.example.org:8080", "has a port: "),
        ("https://claw.example.org", "is no host name: "),
        ("claw.example.org/app", "is no host name"),
        ("*.example.org", "is no host name"),
        ("claw_1.example.org", "is no host name"),
        ("claw.example.org.", "is no host name"),
        ("10.0.0.1", "is no host name"),
        ("[::1]", "is no host name"),
        ("", "is no host name"),
        (&format!("{}.org", "a".repeat(64)), "is no host name"),
    ] {
        let rest = format!("\"host\": \"{host}\", \"service\": \"s\", \"port\": 80");
        is_told(&rest, wanted, &rest);
        let rest = format!("\"hosts\": [\"a\", \"{host}\"], \"service\": \"s\", \"port\": 80");
        is_told(&rest, wanted, &rest);
    }
    for (hosts, wanted) in [
        ("[]", "is empty: name 1 to 8 hosts"),
        ("\"a.b\"", "is a text and not a list"),
        ("[5]", "is a number and not a text"),
    ] {
        let rest = format!("\"hosts\": {hosts}, \"service\": \"s\", \"port\": 80");
        is_told(&rest, wanted, &rest);
    }
}

#[test]
fn names_are_said_by_one_key_and_belong_to_a_service() {
    for (rest, wanted) in [
        (
            "\"host\": \"a\", \"hosts\": [\"b\"], \"service\": \"s\", \"port\": 80",
            "has target \"web\", which has host and hosts: keep one of the two",
        ),
        (
            "\"hosts\": [\"1.a\", \"2.a\", \"3.a\", \"4.a\", \"5.a\", \"6.a\", \"7.a\", \"8.a\", \
             \"9.a\"], \"service\": \"s\", \"port\": 80",
            "has target \"web\", whose hosts are 9: name 1 to 8 hosts",
        ),
        (
            "\"hosts\": [\"a.b\"], \"port\": 80",
            "has target \"web\", which has a host and no service: name the Service",
        ),
    ] {
        let [fault] = target(rest).unwrap_err().try_into().unwrap();
        assert!(fault.starts_with(wanted), "{fault}");
    }
}

#[test]
fn the_names_of_a_list_are_hosts_too() {
    let [one, other] = targets(&[
        "\"a\": {\"namespace\": \"n\", \"name\": \"a\", \"host\": \"h.org\", \"service\": \"s\", \
         \"port\": 80}",
        "\"b\": {\"namespace\": \"n\", \"name\": \"b\", \"hosts\": [\"b\", \"h.org\"], \"service\": \
         \"t\", \"port\": 80}",
        "\"c\": {\"namespace\": \"n\", \"name\": \"c\", \"hosts\": [\"c\", \"b\"], \"service\": \
         \"u\", \"port\": 80}",
    ])
    .try_into()
    .unwrap();
    let start = "has target \"b\" (line 3), whose host is that of target \"a\" (line 2): h.org: ";
    assert!(one.starts_with(start), "{one}");
    let start = "has target \"c\" (line 4), whose host is that of target \"b\" (line 3): b: ";
    assert!(other.starts_with(start), "{other}");
}
