//! YAML as people and programs write it, and its limits.

use std::time::{Duration, Instant};

use super::super::yaml::{Node, Value, YamlFault, parse};

/// A tree as one line, in which texts have no quotes.
fn line(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Scalar(text) => text.to_string(),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| line(item)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{}={}", key.as_str(), line(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
        }
    }
}

fn read(text: &str) -> String {
    match parse(text) {
        Ok(node) => line(&node),
        Err(fault) => format!("{fault:?}"),
    }
}

fn fault(text: &str) -> String {
    parse(text).err().unwrap().to_string()
}

#[test]
fn one_tree_in_many_ways_of_writing() {
    let tree = "{a=[{b=c d=null} 1] e={f=g h}}";
    for text in [
        "a:\n- b: c\n  d:\n- 1\ne:\n  f: g h\n",
        "a:\n  - b: c\n    d: ~\n  - 1\ne: {f: g h}",
        "a: [{b: c, d: null}, 1]\ne: {f: 'g h'}\n",
        r#"{"a": [{"b": "c", "d": null}, 1], "e": {"f": "g h"}}"#,
        "{\n\t\"a\": [\n\t\t{\n\t\t\t\"b\": \"c\",\n\t\t\t\"d\": null\n\t\t},\n\t\t1\n\t],\n\t\"e\": \
         {\"f\": \"g h\"}\n}\n",
        "a:\r\n- b: c\r\n  d:\r\n- 1\r\ne:\r\n  f: \"g h\"\r\n",
        "\u{feff}a:\n- b: c # a comment\n  d:\n# another\n- 1\ne:\n  f: g\n    h\n",
        "---\na:\n- b: c\n  d:\n- 1\ne:\n  f: >-\n    g\n    h\n...\n",
        "# e: x\na:\n- {b: &x c, d: }\n- 1\ne:\n  ? f\n  : g h",
        "%YAML 1.2\n---\n!!map {a: [!!map {b: !!str c, d: }, !!int 1], e: {f: \"g\\x20h\"}}",
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn texts_are_taken_as_they_are_written() {
    for (text, value) in [
        ("", "null"),
        ("# nothing\n", "null"),
        ("\n\n", "null"),
        ("''", ""),
        ("'~'", "~"),
        ("\"null\"", "null"),
        ("yes", "yes"),
        ("0x10", "0x10"),
        ("|\n a\n b\n", "a\nb\n"),
        (">\n a\n b\n", "a b\n"),
        ("\"a\\\n  b\"", "ab"),
        ("\"\\u00e9\\/\"", "é/"),
        ("[&x a, *x]", "[a a]"),
        ("{a: &x {b: c}, d: *x}", "{a={b=c} d={b=c}}"),
        ("{&x a: b, c: *x}", "{a=b c=a}"),
    ] {
        assert_eq!(read(text), value, "{text}");
    }
}

#[test]
fn what_is_no_one_document_is_refused_with_its_line() {
    for (text, told) in [
        ("a: b\n  c: d\n", "is not YAML at line 2: "),
        ("a: [b\n", "is not YAML at line "),
        ("a: \"b\n", "is not YAML at line "),
        ("a: *x\n", "is not YAML at line 1: "),
        ("a:\n\tb: c\n", "is not YAML at line 2: "),
        ("a: b\n---\nc: d\n", "holds a second document at line 2"),
        ("a: b\nc: d\na: e\n", "has the key of line 3 twice"),
        ("{\"a\": 1, \"a\": 1}", "has the key of line 1 twice"),
        ("a:\n  <<: {b: c}\n", "has a merge key (<<) at line 2"),
        ("? [a]\n: b\n", "has a key at line 1 that is not a text"),
        ("{a: b}: c\n", "has a key at line 1 that is not a text"),
        (
            "x: &x [*x]\n",
            "has an alias at line 1 for what it is itself",
        ),
        ("x: &x\n  y: *x\n", "has an alias at line 2 for what it is"),
    ] {
        assert!(fault(text).starts_with(told), "{text}: {}", fault(text));
    }
}

#[test]
fn depth_and_number_have_limits() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&deep(32)).is_ok());
    assert_eq!(parse(&deep(33)).err(), Some(YamlFault::TooDeep(1)));
    // Deeper than the parser itself goes.
    for text in [deep(1000), "[".repeat(100_000), "{a: ".repeat(100_000)] {
        let told = fault(&text);
        assert!(
            told.ends_with("at line 1: recursion limit exceeded"),
            "{told}"
        );
    }
    let blocks: String = (0..100)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert_eq!(parse(&blocks).err(), Some(YamlFault::TooDeep(33)));
    let many = |count: usize| "- a\n".repeat(count);
    assert!(parse(&many(19_999)).is_ok());
    assert_eq!(parse(&many(20_001)).err(), Some(YamlFault::TooMany));
}

/// Nine lists of nine aliases each would be a billion texts.
#[test]
fn aliases_are_not_multiplied_out() {
    let mut laughs = "a0: &a0 lol\n".to_owned();
    for level in 1..=9 {
        let nine = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{nine}]\n"));
    }
    assert!(parse(&laughs).is_ok());
    let chain: String = (1..=100)
        .map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1))
        .collect();
    assert!(parse(&format!("a0: &a0 x\n{chain}")).is_ok());
    let more = format!("a0: &a0 x\n{chain}b: *a0\n");
    assert_eq!(parse(&more).err(), Some(YamlFault::TooManyAliases));
}

/// A megabyte of what costs a parser most.
#[test]
fn the_largest_file_is_read_in_time() {
    const SIZE: usize = 1024 * 1024;
    let fill = |part: &str| part.repeat(SIZE / part.len());
    for text in [
        fill("a"),
        fill("\""),
        fill("'a' "),
        format!("\"{}", fill("\\\n ")),
        format!("a: |\n{}", fill(" b\n")),
        fill("- "),
        fill("? "),
        fill("a: "),
        fill("a:\n"),
        fill("&a "),
        fill("!a "),
        fill("[a, "),
        format!("[{}", fill("a: b, ")),
        format!("{{{}", fill("a, ")),
        fill("#\n"),
        fill("\n"),
        fill("--- "),
        fill("---\n"),
        fill("%a\n"),
        (0..SIZE / 8).map(|at| format!("{at:06}:\n")).collect(),
    ] {
        let started = Instant::now();
        let _ = parse(&text);
        let took = started.elapsed();
        let start: String = text.chars().take(20).collect();
        assert!(took < Duration::from_secs(10), "{start:?} took {took:?}");
    }
}

/// A panic would end the program: cut anywhere, and with any sign put anywhere.
#[test]
fn a_text_that_was_cut_or_changed_is_read_or_refused() {
    const TEXT: &str = "kind: Config\nclusters:\n- cluster:\n    server: https://x:1\n  name: a\n\
        contexts:\n- {name: 'a b', context: {cluster: \"c\\n\", user: &x u}}\n\
        current-context: *x\na: >-\n  b\n  c\nusers: [{name: n, user: {token: |\n abc\n}}] # d\n\
        ? k\n: !!str v\n";
    const JSON: &str = "{\"kind\": \"Config\", \"users\": [{\"name\": \"\\u00e9\", \"user\": null}],\n\
        \t\"a\": [1, true, -2.5e3]}";
    let signs = " \n\t\r:-?[]{},&*!|>'\"%@`#~<=\0\\\u{feff}\u{85}\u{2028}aé";
    for text in [TEXT, JSON] {
        let places = text.char_indices().map(|(at, _)| at);
        for (before, after) in places.map(|at| text.split_at(at)) {
            let _ = (parse(before), parse(after));
            for sign in signs.chars() {
                let _ = parse(&format!("{before}{sign}{after}"));
                let rest = after.chars().skip(1);
                let changed: String = before.chars().chain([sign]).chain(rest).collect();
                let _ = parse(&changed);
            }
        }
    }
}
