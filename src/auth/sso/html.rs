//! The tags and texts of an HTML page, for pages written by programs.
//!
//! A small part of the standard's tokenizer
//! (<https://html.spec.whatwg.org/multipage/parsing.html#tokenization>): enough to find what a
//! browser finds in the pages of Keycloak and Synapse, in one pass over any text. The named
//! character references are those that escaping makes.

/// The largest number of attributes that are kept of a tag.
const MAX_ATTRIBUTES: usize = 64;

/// The longest character reference without `&`, in bytes.
const MAX_REFERENCE: usize = 12;

/// The elements whose content has no tags.
const RAW: [&str; 8] = [
    "title", "textarea", "script", "style", "noscript", "iframe", "xmp", "noframes",
];

/// Those of them whose content has character references.
const WITH_REFERENCES: [&str; 2] = ["title", "textarea"];

/// A piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    Start(Tag),
    /// The element's name in lower case.
    End(String),
    /// Without character references; a text may come in pieces.
    Text(String),
}

/// A start tag, with names in lower case and values without references.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// An attribute's value; empty where there is no such attribute.
    pub(super) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(known, _)| known == name)
    }
}

/// Reads a page piece by piece.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// The element without tags that was just opened.
    raw: Option<String>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(page: &'a str) -> Self {
        Self {
            rest: page,
            raw: None,
        }
    }

    /// The text before the end tag of `element`, or all that is left.
    fn raw_text(&mut self, element: &str) -> Token {
        let ends_here = |from: usize| {
            let name = self.rest.get(from + "</".len()..);
            name.and_then(|name| name.split_at_checked(element.len()))
                .is_some_and(|(name, after)| {
                    name.eq_ignore_ascii_case(element) && after.starts_with(ends_name)
                })
        };
        let end = self
            .rest
            .match_indices("</")
            .map(|(at, _)| at)
            .find(|&at| ends_here(at))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        Token::Text(match WITH_REFERENCES.contains(&element) {
            true => without_references(text),
            false => text.to_owned(),
        })
    }

    /// The token that begins with the `<` before `after`; `None` for a comment or the like.
    fn markup(&mut self, after: &'a str) -> Option<Token> {
        let beyond = |end: &str| after.split_once(end).map_or("", |(_, rest)| rest);
        if after.starts_with("!--") {
            self.rest = beyond("-->");
            return None;
        }
        if let Some(name) = after.strip_prefix('/').filter(|name| begins_name(name)) {
            self.rest = beyond(">");
            let (name, _) = split_before(name, ends_name);
            return Some(Token::End(name.to_ascii_lowercase()));
        }
        if after.starts_with(['!', '?', '/']) {
            self.rest = beyond(">");
            return None;
        }
        if !begins_name(after) {
            self.rest = after;
            return Some(Token::Text("<".to_owned()));
        }
        // A tag that the page ends in is dropped.
        let (tag, rest) = start_tag(after).unzip();
        self.rest = rest.unwrap_or_default();
        let tag = tag?;
        if RAW.contains(&tag.name.as_str()) {
            self.raw = Some(tag.name.clone());
        }
        Some(Token::Start(tag))
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if let Some(element) = self.raw.take() {
            return Some(self.raw_text(&element));
        }
        while !self.rest.is_empty() {
            let Some(after) = self.rest.strip_prefix('<') else {
                let (text, rest) = split_before(self.rest, |c| c == '<');
                self.rest = rest;
                return Some(Token::Text(without_references(text)));
            };
            let token = self.markup(after);
            if token.is_some() {
                return token;
            }
        }
        None
    }
}

/// Reads a start tag from its name on; returns it and the text behind it.
fn start_tag(text: &str) -> Option<(Tag, &str)> {
    let (name, mut rest) = split_before(text, ends_name);
    let mut tag = Tag {
        name: name.to_ascii_lowercase(),
        attributes: Vec::new(),
    };
    loop {
        rest = rest.trim_start_matches(|c| is_space(c) || c == '/');
        if let Some(rest) = rest.strip_prefix('>') {
            return Some((tag, rest));
        }
        if rest.is_empty() {
            return None;
        }
        // Takes at least one character: a name, or the `=` after an empty one.
        let (key, after) = split_before(rest, |c| ends_name(c) || c == '=');
        let mut value = "";
        rest = after;
        if let Some(after) = after.trim_start_matches(is_space).strip_prefix('=') {
            let after = after.trim_start_matches(is_space);
            (value, rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after.strip_prefix(quote)?.split_once(quote)?,
                _ => split_before(after, |c| is_space(c) || c == '>'),
            };
        }
        let key = key.to_ascii_lowercase();
        if tag.attributes.len() < MAX_ATTRIBUTES && !tag.has(&key) {
            tag.attributes.push((key, without_references(value)));
        }
    }
}

fn without_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (character, after) = reference(after).unwrap_or(('&', after));
        out.push(character);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The character of the reference whose `&` precedes `text`, and the text behind it.
fn reference(text: &str) -> Option<(char, &str)> {
    let end = text
        .bytes()
        .take(MAX_REFERENCE)
        .position(|byte| byte == b';')?;
    let (name, rest) = text.split_at_checked(end)?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)?
        }
    };
    Some((character, rest.strip_prefix(';')?))
}

fn split_before(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(is_end).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn begins_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn ends_name(c: char) -> bool {
    is_space(c) || matches!(c, '/' | '>')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens as a browser would write them.
    fn shown(page: &str) -> String {
        let shown = Tokens::of(page).map(|token| match token {
            Token::Start(tag) => {
                let attributes = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| format!(" {name}={value:?}"));
                format!("<{}{}>", tag.name, attributes.collect::<String>())
            }
            Token::End(name) => format!("</{name}>"),
            Token::Text(text) => text,
        });
        shown.collect()
    }

    #[test]
    fn tags_have_names_and_attributes_in_any_writing() {
        for (page, expected) in [
            ("<a href=\"x>y\">z</a>", "<a href=\"x>y\">z</a>"),
            (
                "<A\nHREF = 'x' b c=d/e/>",
                "<a href=\"x\" b=\"\" c=\"d/e/\">",
            ),
            ("<br/><br /><hr id=x />", "<br><br><hr id=\"x\">"),
            ("<a b=1 b=2 B=3>", "<a b=\"1\">"),
            ("<a =b c>", "<a =\"b\" c=\"\">"),
            ("</A  x=y>t", "</a>t"),
            ("<a b='x\"y' c=\"\">", "<a b=\"x\\\"y\" c=\"\">"),
        ] {
            assert_eq!(shown(page), expected, "{page}");
        }
    }

    #[test]
    fn references_of_escaping_are_replaced_and_others_stay() {
        assert_eq!(
            shown("&lt;&gt;&amp;&quot;&apos;&#39;&#x2F;&#X2f;&#129438;"),
            "<>&\"''//\u{1f99e}"
        );
        for text in [
            "&",
            "&;",
            "&amp",
            "&nbsp;",
            "&#;",
            "&#x;",
            "&#xd800;",
            "&#x110000;",
            "&#99999999999;",
            "&aaaaaaaaaaaaaaaa;",
            "a & b; c",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("&amp;lt;"), "&lt;");
        assert_eq!(shown("<a b='&amp;c'>"), "<a b=\"&c\">");
    }

    #[test]
    fn where_there_are_no_tags_none_are_found() {
        for (page, expected) in [
            ("<!DOCTYPE html>a<!-- <b> --><?x <c>d", "ad"),
            ("a</>b</ c>d", "abd"),
            ("1 < 2 <3 <<b>", "1 < 2 <3 <<b>"),
            (
                "<script>\"<a>\" &lt; </scripts></SCRIPT >b",
                "<script>\"<a>\" &lt; </scripts></script>b",
            ),
            ("<title>a&lt;<b></title>", "<title>a<<b></title>"),
            ("<textarea><form></textarea>", "<textarea><form></textarea>"),
            ("<style><a>", "<style><a>"),
        ] {
            assert_eq!(shown(page), expected, "{page}");
        }
    }

    #[test]
    fn a_page_may_end_anywhere() {
        let page = "a<b c='d&amp;e' f=g>é</b><!--x--><script>y</script>&#x41;<h i";
        for end in (0..page.len()).filter(|&end| page.is_char_boundary(end)) {
            assert!(shown(&page[..end]).len() <= page.len());
        }
        for page in [
            "x<",
            "x<a",
            "x<a b",
            "x<a b=",
            "x<a b='",
            "x<a b='c'",
            "x<!--",
            "x<!",
        ] {
            assert!(shown(page).starts_with('x'), "{page}");
            assert!(!shown(page).contains("<a"), "{page}");
        }
    }

    #[test]
    fn attributes_are_limited() {
        let many: String = (0..200).map(|n| format!(" a{n}=x")).collect();
        let page = format!("<a{many}>");
        let Some(Token::Start(tag)) = Tokens::of(&page).next() else {
            panic!("no tag");
        };
        assert_eq!(tag.attributes.len(), MAX_ATTRIBUTES);
        assert_eq!(tag.attribute("a1"), "x");
        assert!(!tag.has("a199"));
    }
}
