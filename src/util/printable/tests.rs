use super::*;

#[test]
fn plain_text_stays_as_it_is() {
    assert_eq!(printable("Grüße 🦞 \\ \"x\"", 80), "Grüße 🦞 \\ \"x\"");
}

#[test]
fn control_line_and_direction_characters_are_escaped() {
    assert_eq!(
        printable(
            "a\r\nb\u{1b}[2Jc\u{85}\u{2028}\u{202e}\u{2066}\u{200f}",
            200
        ),
        r"a\r\nb\u{1b}[2Jc\u{85}\u{2028}\u{202e}\u{2066}\u{200f}"
    );
}

#[test]
fn the_limit_holds_for_every_length_and_never_splits_an_escape() {
    let text = "aé🦞\n\u{1b}".repeat(4);
    let whole = printable(&text, 1000);
    for max in 0..=whole.len() + 2 {
        let shown = printable(&text, max);
        assert!(shown.len() <= max, "{shown:?} at {max}");
        if max >= whole.len() {
            assert_eq!(shown, whole);
        } else if max >= 3 {
            let kept = shown.strip_suffix('…').unwrap();
            assert!(whole.starts_with(kept));
            assert!(!kept.ends_with('\\'), "{shown:?} at {max}");
            assert!(!kept.ends_with("1b"), "{shown:?} at {max}");
        } else {
            assert_eq!(shown, "");
        }
    }
}

#[test]
fn a_full_sink_takes_nothing_more() {
    let mut sink = Printable::new(6);
    assert!(sink.write_str("longer than six").is_err());
    assert!(sink.write_str("x").is_err());
    assert_eq!(sink.finish(), "lon…");
}

/// Names that make people see something else, or click.
const TRICKS: [&str; 30] = [
    // Lines and terminals.
    "a\nb",
    "a\r\nb",
    "a\tb",
    "a\u{1b}[31mb",
    "a\u{7}b",
    "a\0b",
    "a\u{85}b",
    "a\u{2028}b",
    // Directions, nothing to be seen, look-alikes.
    "a\u{202e}b",
    "a\u{2066}b",
    "a\u{61c}b",
    "a\u{200b}b",
    "a\u{200d}b",
    "a\u{2060}b",
    "a\u{feff}b",
    "a\u{ad}b",
    "a\u{3164}b",
    "a\u{e0041}b",
    "a\u{fe0f}b",
    "PH\u{41e}NE",
    // Links and mentions.
    "example.org",
    "https://example.org/x",
    "mailto:a@b",
    "matrix:u/a:b",
    "@alice:example.org",
    "#room:example.org",
    "@room",
    "[x](y)",
    // Markup and sentences.
    "<b>x</b>",
    "one two",
];

#[test]
fn a_name_is_shown_as_it_is_or_not_at_all() {
    for plain in ["ALICEPHONE", "a", "x-y_Z9", &"D".repeat(32)] {
        assert_eq!(name(plain), Some(plain));
    }
    let others = ["", &"D".repeat(33), &"D".repeat(512)];
    for trick in TRICKS.into_iter().chain(others) {
        assert_eq!(name(trick), None, "{trick:?}");
    }
}

#[test]
fn a_code_is_one_of_matrix_or_unknown() {
    for plain in ["M_FORBIDDEN", "M_X", "M_LIMIT_9"] {
        assert_eq!(code(plain), plain);
    }
    let long = format!("M_{}", "X".repeat(63));
    let others = [
        "",
        "M_",
        "m_forbidden",
        "M_a",
        "M_A.B",
        "org.example.x",
        "M_X M_Y",
        &long,
    ];
    for trick in TRICKS.into_iter().chain(others) {
        assert_eq!(code(trick), "an unknown code", "{trick:?}");
    }
}

#[test]
fn no_character_is_deceptive_in_one_place_alone() {
    for trick in TRICKS {
        let words = words(trick, 200);
        let shown = shown(trick).to_string();
        let printable = printable(trick, 200);
        for text in [&words, &shown, &printable] {
            assert!(!text.chars().any(is_deceptive), "{text:?}");
        }
        assert!(!shown.contains(char::is_whitespace), "{shown:?}");
    }
    // All that has no shape of its own, by name.
    let shapeless = [
        0xad, 0x34f, 0x61c, 0x115f, 0x17b4, 0x180e, 0x200b, 0x200e, 0x2029, 0x202a, 0x2064, 0x2069,
        0x206f, 0x2800, 0x3164, 0xfe00, 0xfeff, 0xffa0, 0xfff9, 0x13430, 0x1343f, 0x1bca0, 0x1d173,
        0xe0001, 0xe007f, 0xe0080, 0xe0100, 0xe01f0, 0xe0fff,
    ];
    for c in shapeless.map(|c| char::from_u32(c).unwrap()) {
        assert!(is_deceptive(c), "{c:?}");
    }
    for c in "aÄß中🦞-…\u{301}".chars() {
        assert!(!is_deceptive(c), "{c:?}");
    }
}

#[test]
fn the_words_of_a_server_are_one_bounded_line_without_links() {
    for (said, told) in [
        ("", ""),
        (" a\r\n\tb\u{7}\u{202e}c. ..", "a b c"),
        ("no.", "no"),
        ("äöü äöü", "äöü äöü"),
        ("<b>\0</b>", "<b> </b>"),
        (
            "see https://example.org/x?y",
            "see https[:]//example[.]org/x?y",
        ),
        ("ask @alice:example.org", "ask [at]alice[:]example[.]org"),
        ("a@b.example", "a[at]b[.]example"),
        ("matrix:u/a", "matrix[:]u/a"),
        ("10.0.0.1 at 12:30", "10[.]0[.]0[.]1 at 12:30"),
        (
            "example\u{3002}org ex\u{200b}ample.org",
            "example[.]org ex ample[.]org",
        ),
        ("that is: no. Or yes", "that is: no. Or yes"),
    ] {
        assert_eq!(words(said, 99), told);
    }
    assert_eq!(words("äöü äöü", 7), "äöü äöü");
    assert_eq!(words("äöü äöü", 6), "äöü äö…");
    assert_eq!(words("abc def", 4), "abc…");
    assert_eq!(words("ab.cd", 4), "ab[.…");
    assert_eq!(words(&(" ".repeat(5000) + "x"), 5), "x");
    assert_eq!(words(&"x".repeat(1 << 20), 5), "xxxxx…");
}

#[test]
fn a_name_in_the_log_is_one_word() {
    assert_eq!(shown("@a:b").to_string(), "@a:b");
    assert_eq!(shown("a b\n\u{202e}").to_string(), r"a\u{20}b\u{a}\u{202e}");
    let long = shown(&"x".repeat(65)).to_string();
    assert_eq!(long, "x".repeat(64) + "…");
    assert_eq!(shown(&"x".repeat(64)).to_string(), "x".repeat(64));
}
