//! Making text from the network fit to be shown.

/// One line for a person: what is not visible text becomes a space, spaces
/// are not repeated, and after `limit` characters comes an ellipsis. Without a
/// full stop, so that it can end a sentence.
pub(super) fn plain(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let visible = |c: char| !c.is_whitespace() && !is_invisible(c);
    for word in text.split(|c| !visible(c)).filter(|word| !word.is_empty()) {
        let space = usize::from(length > 0);
        for c in " ".chars().take(space).chain(word.chars()) {
            if length == limit {
                return line + "…";
            }
            line.push(c);
            length += 1;
        }
    }
    line.truncate(line.trim_end_matches(['.', ' ']).len());
    line
}

/// One line for the log: what is not visible text is escaped, so nothing is
/// lost and nothing forges a line. At most `limit` characters, the last of
/// which is an ellipsis if there was more.
pub(super) fn escaped(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for c in text.chars() {
        let start = line.len();
        if is_invisible(c) {
            line.extend(c.escape_default());
            length += line.len() - start;
        } else {
            line.push(c);
            length += 1;
        }
        if length > limit {
            line.truncate(start);
            // Room for the ellipsis itself.
            while line.chars().count() >= limit {
                line.pop();
            }
            line.push('…');
            break;
        }
    }
    line
}

/// Control characters, and those that hide text or turn its direction.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_one_bounded_visible_line() {
        assert_eq!(plain("", 9), "");
        assert_eq!(plain(" a\r\n\tb\u{7}\u{202e}c. ..", 99), "a b c");
        assert_eq!(plain("no.", 99), "no");
        assert_eq!(plain("äöü äöü", 7), "äöü äöü");
        assert_eq!(plain("äöü äöü", 6), "äöü äö…");
        assert_eq!(plain("<b>\0</b>", 99), "<b> </b>");
        assert_eq!(plain(&"x".repeat(1 << 20), 5), "xxxxx…");
    }

    #[test]
    fn escaped_text_keeps_everything_visible_within_the_limit() {
        assert_eq!(
            escaped("a\nb\u{1b}[0m\u{202e}ä", 99),
            "a\\nb\\u{1b}[0m\\u{202e}ä"
        );
        assert_eq!(escaped("12345", 5), "12345");
        assert_eq!(escaped("123456", 5), "1234…");
        assert_eq!(escaped("1234\n", 5), "1234…");
        assert_eq!(escaped(&"\0".repeat(1000), 20).chars().count(), 20);
    }
}
