//! The beginning of a text.

/// The beginning of a text, at most so many bytes long.
pub fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut() {
        for (text, max, expected) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("aé", 2, "a"),
            ("€", 2, ""),
            ("€", 3, "€"),
        ] {
            assert_eq!(cut(text, max), expected, "{text} at {max}");
        }
    }
}
