//! The HTML of a message, beside its text: the few elements that every client shows,
//! never a link, and all words escaped.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#mroommessage-msgtypes>

use std::fmt::Write;

/// A piece of HTML that can hold no element but those made here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Adds words. Each of their lines begins on a line of its own.
    #[must_use]
    pub fn text(mut self, words: &str) -> Self {
        self.push_escaped(words);
        self
    }

    /// Adds words in bold.
    #[must_use]
    pub fn bold(self, words: &str) -> Self {
        self.element("b", words)
    }

    /// Adds words that are to be typed, or a name of a thing.
    #[must_use]
    pub fn code(self, words: &str) -> Self {
        self.element("code", words)
    }

    /// Goes on in the next line.
    #[must_use]
    pub fn line_break(mut self) -> Self {
        self.0.push_str("<br>");
        self
    }

    /// Adds a list; one without items is left out.
    #[must_use]
    pub fn list(mut self, items: impl IntoIterator<Item = Self>) -> Self {
        let before = self.0.len();
        for Self(item) in items {
            let opening = if self.0.len() == before { "<ul>" } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{opening}<li>{item}</li>");
        }
        if self.0.len() > before {
            self.0.push_str("</ul>");
        }
        self
    }

    /// The HTML as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn element(mut self, name: &str, words: &str) -> Self {
        let _ = write!(self.0, "<{name}>");
        self.push_escaped(words);
        let _ = write!(self.0, "</{name}>");
        self
    }

    fn push_escaped(&mut self, words: &str) {
        for character in words.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push_str("<br>"),
                other => self.0.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped_wherever_they_stand() {
        let hostile = r#"</code><a href="x">&'"#;
        let escaped = "&lt;/code&gt;&lt;a href=&quot;x&quot;&gt;&amp;&#39;";
        let html = Html::default()
            .text(hostile)
            .bold(hostile)
            .code(hostile)
            .list([Html::default().text(hostile)]);
        assert_eq!(
            html.as_str(),
            format!("{escaped}<b>{escaped}</b><code>{escaped}</code><ul><li>{escaped}</li></ul>")
        );
    }

    #[test]
    fn lines_and_lists_stand_apart() {
        let html = Html::default().text("a\nb").line_break().bold("c");
        assert_eq!(html.as_str(), "a<br>b<br><b>c</b>");
        let items = ["a", "b"].map(|name| Html::default().code(name));
        let html = Html::default().text("two: ").list(items);
        assert_eq!(
            html.as_str(),
            "two: <ul><li><code>a</code></li><li><code>b</code></li></ul>"
        );
        let none: [Html; 0] = [];
        assert_eq!(Html::default().text("x").list(none).as_str(), "x");
    }
}
