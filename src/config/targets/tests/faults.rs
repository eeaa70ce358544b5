//! The faults of targets, all at once, each with its line.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use super::{with_file, with_list};
use crate::config::tests::{told, with};
use crate::util::temp::TempFile;

/// The faults of a file with one target that says this beside its name and object.
fn of(rest: &str, extra: &[(&str, &str)]) -> Vec<String> {
    let text = format!("{{\"targets\": [\n{{\"name\": \"a\",\n\"object\": \"b\",\n{rest}\n}}]}}");
    faults(&text, extra)
}

fn faults(text: &str, extra: &[(&str, &str)]) -> Vec<String> {
    let told = with_file(text, extra).unwrap_err();
    let lines = told.lines().map(|line| {
        let line = line.strip_prefix("TARGETS_FILE ");
        line.expect("a fault of the file").to_owned()
    });
    lines.collect()
}

#[test]
fn a_value_of_the_wrong_form_is_named_with_its_line() {
    for (rest, wanted) in [
        ("\"max\": 0", "is out of range: \"0\": write a whole number"),
        ("\"max\": 1001", "is out of range: \"1001\""),
        ("\"max\": -1", "is out of range"),
        ("\"max\": 1.5", "is out of range"),
        ("\"max\": 1e2", "is out of range"),
        ("\"max\": 99999999999999999999", "is out of range"),
        ("\"max\": \"5\"", "is a text and not a number: write"),
        ("\"max\": null", "is null and not a number"),
        ("\"start\": 0", "is out of range: \"0\""),
        ("\"start\": \"5\"", "is no number and not previous: \"5\""),
        ("\"start\": []", "is a list and not a number"),
        (
            "\"namespace\": \"a.b\"",
            "is not a name that Kubernetes allows",
        ),
        (
            "\"namespace\": 5",
            "is a number and not a text: write it in",
        ),
        (
            "\"kind\": \"Deployment\"",
            "is none: \"Deployment\": write deployment",
        ),
        ("\"kind\": {}", "is an object and not a text"),
        (
            "\"users\": \"@a:example.com\"",
            "is a text and not a list: write it in",
        ),
        ("\"users\": []", "is empty: leave the key out"),
        ("\"users\": [true]", "is true or false and not a text"),
        (
            "\"users\": [\"alice\"]",
            "names \"alice\", which is not a full",
        ),
        (
            "\"users\": [\"@c:example.com\"]",
            "names \"@c:example.com\", whom the bot does not listen to: name the user in \
             ALLOWED_USERS too",
        ),
        (
            "\"viewers\": [\"@c:example.com\"]",
            "names \"@c:example.com\", whom the bot does not listen to: name the user in VIEWERS",
        ),
        ("\"rooms\": []", "is empty"),
        (
            "\"rooms\": [\"#ops:x\"]",
            "names \"#ops:x\", which is an alias",
        ),
        (
            "\"rooms\": [\"!z:x\"]",
            "names \"!z:x\", which is not in ALLOWED_ROOMS",
        ),
        (
            "\"defaultIn\": [\"!z:x\"]",
            "names \"!z:x\", which is not in ALLOWED_ROOMS",
        ),
        ("\"for\": \"soon\"", "is no length of time"),
        ("\"for\": 8", "is a number and not a text"),
        ("\"maxFor\": \"367d\"", "is no length of time"),
        (
            "\"confirm\": \"never\"",
            "is neither always nor risky: \"never\"",
        ),
        ("\"data\": true", "is true or false and not a text"),
        ("\"data\": \"delete\"", "is neither keep nor disposable"),
        (
            "\"readyTimeout\": \"5s\"",
            "is no time, or out of range: \"5s\"",
        ),
        ("\"readyTimeout\": \"25h\"", "is no time, or out of range"),
        ("\"details\": \"all\"", "is neither short nor full"),
        ("\"schedule\": []", "is empty"),
        ("\"schedule\": [\"always\"]", "has “always”, which is no"),
        ("\"timeZone\": \"Mars\"", "is not a time zone: \"Mars\""),
        ("\"allowSelfHarm\": \"yes\"", "is a text and not a switch"),
        ("\"details\": \"\\ud800\"", "has half of a surrogate pair"),
    ] {
        let key = rest.split('"').nth(1).unwrap();
        let extra = [("ALLOWED_ROOMS", "!r:x")];
        let [fault] = of(rest, &extra).try_into().unwrap();
        let start = format!("has \"a\", whose {key} in line 4 {wanted}");
        assert!(fault.starts_with(&start), "{fault}\n{start}");
    }
}

#[test]
fn values_that_do_not_agree_are_a_fault() {
    for (rest, extra, wanted) in [
        (
            "\"start\": 3, \"max\": 2",
            ("", ""),
            "has \"a\", whose start is 3 and more than its max of 2: ",
        ),
        (
            "\"for\": \"9h\", \"maxFor\": \"8h\"",
            ("MAX_FOR", "1d"),
            "has \"a\", whose for is longer than its maxFor, or than MAX_FOR: ",
        ),
        (
            "\"for\": \"9h\"",
            ("MAX_FOR", "8h"),
            "has \"a\", whose for is longer than its maxFor, or than MAX_FOR: ",
        ),
        (
            "\"timeZone\": \"Europe/Berlin\"",
            ("", ""),
            "has \"a\", which has a timeZone and no schedule: ",
        ),
        (
            "\"rooms\": [\"!r:x\"], \"defaultIn\": [\"!s:x\"]",
            ("", ""),
            "has \"a\", whose defaultIn in line 4 names \"!s:x\", which is none of its rooms: ",
        ),
    ] {
        let [fault] = of(rest, &[extra]).try_into().unwrap();
        assert!(fault.starts_with(wanted), "{fault}");
    }
}

#[test]
fn a_key_that_is_none_is_named_with_the_nearest() {
    let [fault, other] = of("\"maxfor\": 5, \"replicas\": 1", &[])
        .try_into()
        .unwrap();
    assert_eq!(
        fault,
        "has \"a\", which has an unknown key \"maxfor\" in line 4 (perhaps maxFor): write keys of \
         docs/targets.schema.json"
    );
    assert!(other.contains("\"replicas\" in line 4: "), "{other}");
}

#[test]
fn the_file_has_one_list_of_targets() {
    for (text, wanted) in [
        (
            "{",
            "is not JSON: EOF while parsing an object at line 1 column 1: ",
        ),
        (
            "{\n\"targets\": [],\n}",
            "is not JSON: key must be a string at line 3 column 1: ",
        ),
        (
            "[]",
            "is a list and no object: write { \"targets\": [ … ] }",
        ),
        ("{}", "has no \"targets\": "),
        (
            "{\n\"targets\": []}",
            "has no target: the list in line 2 is empty",
        ),
        (
            "{\"targets\": {}}",
            "has in line 1 targets that are an object and no list",
        ),
        (
            "{\"target\": [],\n\"targets\": [{\"name\": \"a\", \"object\": \"b\"}]}",
            "has an unknown key \"target\" in line 1 (perhaps targets): ",
        ),
        (
            "{\"targets\": [{\"name\": \"a\", \"object\": \"b\"}],\n\"targets\": []}",
            "has \"targets\" a second time in line 2: ",
        ),
        (
            "{\"targets\": [{\"name\": \"a\", \"object\": \"b\"},\n5]}",
            "has a target number 2 (line 2) that is a number: ",
        ),
    ] {
        let [fault] = faults(text, &[]).try_into().unwrap();
        assert!(fault.starts_with(wanted), "{fault}");
    }
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let text = r#"{
  "targets": [
    { "object": "A" },
    { "name": "all", "object": "b", "max": 0, "max": 1 },
    {
      "name": "c",
      "users": ["@a:example.com", "bob",
        "@c:example.com"],
      "objekt": "c"
    },
    { "name": "d", "object": "d", "max": true },
    { "name": "d", "object": "b" },
    { "name": "e", "object": "b", "kind": "apps/v1/deployments" }
  ]
}"#;
    let starts = [
        "has target 1 (line 3), which has no name: ",
        "has target 1, whose object in line 3 is not a name",
        "has \"all\", which has \"max\" a second time in line 4: ",
        "has \"all\", whose name in line 4 is a word that commands use: ",
        "has \"all\", whose max in line 4 is out of range: ",
        "has \"c\", which has an unknown key \"objekt\" in line 9 (perhaps object): ",
        "has \"c\" (line 5), which has no object: ",
        "has \"c\", whose users in line 7 names \"bob\"",
        "has \"c\", whose users in line 8 names \"@c:example.com\"",
        "has \"d\", whose max in line 11 is true or false",
        "has \"d\" (line 12), whose name is that of \"d\" (line 11): ",
        "has \"d\" (line 12), whose object is that of \"all\" (line 4): clawdbot/b: ",
        "has \"e\" (line 13), whose object is that of \"all\" (line 4): clawdbot/b: ",
    ];
    let told = faults(text, &[]);
    for (fault, start) in told.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}\n{start}");
    }
    assert_eq!(told.len(), starts.len(), "{told:#?}");
}

#[test]
fn what_cannot_be_read_is_a_fault_of_its_own() {
    let told_of = |path: &str| told(&with(&[("TARGETS_FILE", path)]).unwrap_err());
    let fault = told_of("/nonexistent/targets.json");
    let start = "TARGETS_FILE names \"/nonexistent/targets.json\", which cannot be read";
    assert!(fault.starts_with(start), "{fault}");
    let large = TempFile::new(" ".repeat(256 * 1024 + 1));
    assert!(told_of(large.path()).contains("which is larger than 262144 bytes"));
    let binary = TempFile::new(b"\xff");
    assert!(told_of(binary.path()).contains("which is not text"));
    let open = TempFile::new("{\"targets\": [{\"name\": \"a\", \"object\": \"b\"}]}");
    assert!(with(&[("TARGETS_FILE", open.path())]).is_ok());
    set_permissions(open.path(), Permissions::from_mode(0o666)).unwrap();
    assert!(told_of(open.path()).contains("which everybody can write to (mode 0666)"));
}

#[test]
fn what_is_scaled_is_said_in_one_way() {
    let file = TempFile::new("{}");
    let both = [("TARGETS", "a=b"), ("TARGETS_FILE", file.path())];
    assert_eq!(
        told(&with(&both).unwrap_err()),
        "TARGETS_FILE is set, and so is TARGETS: keep one of them"
    );
    assert_eq!(
        with_list("a=b", &[("DEPLOYMENT_NAME", "web")]).unwrap_err(),
        "DEPLOYMENT_NAME is set, and so is TARGETS: unset DEPLOYMENT_NAME, and name its \
         Deployment among the targets"
    );
}

#[test]
fn a_room_has_one_default_and_there_are_at_most_200_targets() {
    let text = r#"{"targets": [
        {"name": "a", "object": "a", "defaultIn": ["!r:x"]},
        {"name": "b", "object": "b", "defaultIn": ["!s:x", "!r:x"]}
    ]}"#;
    let [fault] = faults(text, &[]).try_into().unwrap();
    let start = "has \"b\" (line 3), which is the default in !r:x, as \"a\" (line 2) is: ";
    assert!(fault.starts_with(start), "{fault}");

    let many = |count| {
        let items = (0..count).map(|number| format!("t{number}=o{number}"));
        items.collect::<Vec<_>>().join(",")
    };
    assert!(with_list(&many(200), &[]).is_ok());
    let fault = with_list(&many(201), &[]).unwrap_err();
    assert!(fault.starts_with("TARGETS has 201 targets: "), "{fault}");
}

#[test]
fn the_bots_own_deployment_is_no_target() {
    let own = |list: &str, extra: &[(&str, &str)]| {
        let pod = ("HOSTNAME", "toggle-operator-6d4f7c9b58-x2x4z");
        let given = [&[pod], extra].concat();
        with_list(list, &given).err()
    };
    let ns = ("POD_NAMESPACE", "ns");
    let fault = own("a=ns/toggle-operator", &[ns]).unwrap();
    let start = "TARGETS has a, whose object is the bot's own Deployment: ns/toggle-operator: ";
    assert!(fault.starts_with(start), "{fault}");
    // Only where both are known to match.
    assert_eq!(own("a=ns/toggle-operator", &[]), None);
    assert_eq!(own("a=other/toggle-operator", &[ns]), None);
    assert_eq!(own("a=ns/statefulset/toggle-operator", &[ns]), None);
    assert_eq!(own("a=ns/toggle", &[ns]), None);
    let short = [ns, ("HOSTNAME", "laptop")];
    assert_eq!(own("a=ns/laptop", &short), None);
}

#[test]
fn the_namespace_of_the_pod_is_in_the_files_of_its_account() {
    let file = TempFile::new("ns\n");
    let directory = std::env::temp_dir().join(format!("account-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(file.path(), directory.join("namespace")).unwrap();
    let extra = [
        ("HOSTNAME", "toggle-6d4f7c9b58-x2x4z"),
        ("SERVICE_ACCOUNT_DIR", directory.to_str().unwrap()),
    ];
    let fault = with_list("a=ns/toggle", &extra).unwrap_err();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(fault.contains("the bot's own Deployment"), "{fault}");
}

#[test]
fn the_homeserver_is_a_target_only_where_that_is_meant() {
    let list = "a=matrix/statefulset/synapse";
    let fault = with_list(list, &[]).unwrap_err();
    let start = "TARGETS has a, whose object is what MATRIX_HOMESERVER leads to: statefulset \
                 matrix/synapse: leave it out";
    assert!(fault.starts_with(start), "{fault}");
    for (homeserver, list) in [
        ("http://synapse.matrix.svc:8008", "a=other/synapse"),
        ("http://synapse.matrix.svc:8008", "a=matrix/postgres"),
        ("https://synapse.matrix.example.com", list),
        ("matrix.example.com", list),
    ] {
        let settings = with_list(list, &[("MATRIX_HOMESERVER", homeserver)]);
        assert!(settings.is_ok(), "{homeserver}");
    }
    let file = |more: &str| {
        format!(
            "{{\"targets\": [{{\"name\": \"a\", \"object\": \"synapse\", \
             \"namespace\": \"matrix\"{more}}}]}}"
        )
    };
    assert_eq!(faults(&file(""), &[]).len(), 1);
    assert!(with_file(&file(", \"allowSelfHarm\": true"), &[]).is_ok());
}

#[test]
fn what_other_settings_lack_makes_no_fault_of_a_target() {
    let text =
        r#"{"targets": [{"name": "a", "object": "b", "users": ["@z:x"], "rooms": ["!z:x"]}]}"#;
    let extra = [
        ("ALLOWED_USERS", "bob"),
        ("ALLOWED_ROOMS", "ops"),
        ("DEPLOYMENT_NAMESPACE", "A"),
    ];
    let told = with_file(text, &extra).unwrap_err();
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(!told.contains("TARGETS_FILE"), "{told}");
}

#[test]
fn the_worst_file_is_read_in_time_and_its_first_faults_are_told() {
    let mut text = "{\"targets\": [{".to_owned();
    while text.len() < 250 * 1024 {
        text.push_str("\"maxf\":\n0,");
    }
    text.push_str("\"name\": \"a\", \"object\": \"b\"}]}");
    for text in [
        text,
        format!("{{\"targets\": [{}0]}}", "0,".repeat(125_000)),
        format!("{{\"targets\": [{}{{}}]}}", "{},".repeat(80_000)),
    ] {
        let begun = std::time::Instant::now();
        let told = faults(&text, &[]);
        assert_eq!(told.len(), 101);
        assert!(told[100].starts_with("has more faults than these: "));
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
    let told = with_list(&"a,".repeat(60_000), &[]).unwrap_err();
    assert!(told.starts_with("TARGETS has 60000 targets: "), "{told}");
    let told = with_list(&"a,".repeat(200), &[]).unwrap_err();
    assert_eq!(told.lines().count(), 101);
}
