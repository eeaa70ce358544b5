use super::*;

const ITEMS: Many = Many {
    what: "item",
    item: Shape::Object(&[
        ("type", Shape::Scalar(12)),
        ("n", Shape::Lenient(4)),
        (
            "inner",
            Shape::Object(&[("a", Shape::Scalar(8)), ("here", Shape::Present)]),
        ),
        ("whole", Shape::Whole(24)),
    ]),
    size: 64,
    count: 3,
};
const PEOPLE: Many = Many {
    what: "person",
    item: Shape::Whole(16),
    size: 16,
    count: 2,
};
const SHAPE: Shape = Shape::Object(&[
    ("next", Shape::Scalar(8)),
    ("items", Shape::List(&ITEMS)),
    ("people", Shape::Map(&PEOPLE)),
]);

/// The same whatever the pieces are that the text comes in.
fn sift(text: &str) -> Result<(String, u64), Malformed> {
    let mut whole = None;
    for size in [1, 2, 3, 7, text.len().max(1)] {
        let mut sieve = Sieve::new(&SHAPE, 1000, Box::new(Open));
        let pushed = text
            .as_bytes()
            .chunks(size)
            .try_for_each(|piece| sieve.push(piece));
        let sifted = pushed.and_then(|()| sieve.finish()).map(|sifted| {
            let skipped = sifted.skipped.values().sum::<u64>();
            (String::from_utf8(sifted.body).unwrap(), skipped)
        });
        if let Ok((body, _)) = &sifted {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(body);
            assert!(parsed.is_ok(), "{text} became {body}");
        }
        assert_eq!(
            *whole.get_or_insert(sifted.clone()),
            sifted,
            "{text} in pieces of {size}"
        );
    }
    whole.unwrap()
}

#[test]
fn what_is_asked_for_is_kept_and_nothing_else() {
    for (text, kept, skipped) in [
        (r#"{}"#, r#"{}"#, 0),
        // Empty containers of the other kind, and ones that are not empty.
        (
            r#"{"next":"a","items":{ },"people":[ ]}"#,
            r#"{"next":"a"}"#,
            0,
        ),
        (
            r#"{"items":[{"type":"t","inner":[ ]}, [], {"type":"u","inner":[1]}, {"type":[]}]}"#,
            r#"{"items":[{"type":"t"}]}"#,
            2,
        ),
        (
            r#"{"next":"a","people":[[]],"items":{"a":1}}"#,
            r#"{"next":"a"}"#,
            0,
        ),
        (
            r#" { "next" : "a" , "x" : [1,{"y":"]}"}] } "#,
            r#"{"next":"a"}"#,
            0,
        ),
        (r#"{"x":"\"","next":12}"#, r#"{"next":12}"#, 0),
        (r#"{"next":null,"items":null}"#, "{}", 0),
        (r#"{"next":"a","next":"b"}"#, r#"{"next":"a"}"#, 0),
        // Too long, or of another kind, outside of any item: as good as absent.
        (r#"{"next":"123456789"}"#, "{}", 0),
        (r#"{"next":["a"],"items":{},"people":[]}"#, "{}", 0),
        (r#"{"items":[]}"#, r#"{"items":[]}"#, 0),
        (
            r#"{"items":[{"type":"t","x":0,"n":1},{"n":[1]},{"n":12345}]}"#,
            r#"{"items":[{"type":"t","n":1},{},{}]}"#,
            0,
        ),
        (
            r#"{"items":[{"inner":{"here":{"deep":[1]},"a":"b","z":{}},"whole":{"k":[1, 2]}}]}"#,
            r#"{"items":[{"inner":{"here":true,"a":"b"},"whole":{"k":[1, 2]}}]}"#,
            0,
        ),
        (
            r#"{"items":[{"inner":{"here":null}},null]}"#,
            r#"{"items":[{"inner":{}}]}"#,
            0,
        ),
        // An item that is not of its shape is left out, and the others stay.
        (
            r#"{"items":[{"n":1},{"type":[],"n":2},{"inner":{"a":{"b":["}"]}},"n":3},7,{"n":4}]}"#,
            r#"{"items":[{"n":1},{"n":4}]}"#,
            3,
        ),
        (
            r#"{"items":[{"whole":"123456789 123456789 1234"},{"n":1}]}"#,
            r#"{"items":[{"n":1}]}"#,
            1,
        ),
        (
            r#"{"items":[{"n":1},{"n":2},{"n":3},{"n":4},{"n":5}],"next":"a"}"#,
            r#"{"items":[{"n":1},{"n":2},{"n":3}],"next":"a"}"#,
            2,
        ),
        (
            r#"{"people":{"a":[1],"b":{"x":"123456789 123456789"},"c":"}","d":0}}"#,
            r#"{"people":{"a":[1],"c":"}"}}"#,
            2,
        ),
    ] {
        assert_eq!(sift(text), Ok((kept.to_owned(), skipped)), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "x",
        "{",
        "[1",
        "{\"a\"}",
        "{\"a\":}",
        "{,}",
        "{\"a\":1,}",
        "{\"next\":1]",
        "}",
        "{\"items\":[1}",
        "{\"x\":]}",
        "{} {}",
        "{\"a\u{1}\":1}",
        "null",
        "[]",
        "7",
    ] {
        assert_eq!(sift(text), Err(Malformed), "{text}");
    }
}

#[test]
fn an_item_that_grows_beyond_its_size_is_left_out_before_it_ends() {
    // Each part is small enough by itself.
    let many = r#"{"type":"123456789","inner":{"a":"123456"},"whole":"123456789 123456789"}"#;
    let text = format!(r#"{{"items":[{many},{{"n":1}}]}}"#);
    assert_eq!(sift(&text), Ok((r#"{"items":[{"n":1}]}"#.to_owned(), 1)));
}

#[test]
fn no_more_than_the_limit_is_kept_whatever_is_sent() {
    let mut sieve = Sieve::new(&SHAPE, 40, Box::new(Open));
    let text = r#"{"people":{"a":"12345678","b":"12345678"},"items":[{"n":1},{"n":2}],"next":"z"}"#;
    sieve.push(text.as_bytes()).unwrap();
    let sifted = sieve.finish().unwrap();
    assert_eq!(
        String::from_utf8(sifted.body).unwrap(),
        r#"{"people":{"a":"12345678","b":"12345678"},"items":[],"next":"z"}"#
    );
    assert!(sifted.is_cut);
    assert_eq!(sifted.skipped, Skipped::from([("item", 2)]));
}

/// Nothing that is passed over costs memory: nested, dense or long.
#[test]
fn what_is_passed_over_is_not_held() {
    for (open, unit, close) in [
        ("[", "[", ""),
        ("[", "0,", "0]"),
        ("{", "\"k\":{},", "\"k\":0}"),
        ("\"", "\\\"", "\""),
        ("\"", "aaaaaaaaaaaaaaaa", "\""),
    ] {
        let mut sieve = Sieve::new(&SHAPE, 1000, Box::new(Open));
        sieve.push(b"{\"x\":").unwrap();
        sieve.push(open.as_bytes()).unwrap();
        for _ in 0..10_000 {
            sieve.push(unit.as_bytes()).unwrap();
            assert!(sieve.held() < 2_000);
        }
        sieve.push(close.as_bytes()).unwrap();
    }
}

#[test]
fn a_name_that_is_too_long_is_no_name() {
    let name = "n".repeat(600);
    let text = format!(r#"{{"people":{{"{name}":1,"b":2}},"{name}":3}}"#);
    assert_eq!(sift(&text), Ok((r#"{"people":{"b":2}}"#.to_owned(), 1)));
}
