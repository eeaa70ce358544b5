//! The forms and texts of an HTML page.
//!
//! The ids and classes are those of Keycloak's own themes (`base`, `keycloak`,
//! `keycloak.v2`, as of 26) and of Synapse's templates.

use url::Url;

use super::form::Form;
use super::html::{Tag, Token, Tokens};
use super::redirect::login_token;
use crate::util::Secret;

/// The largest number of forms that are kept of a page.
const MAX_FORMS: usize = 16;

/// The largest number of texts that are kept of a page.
const MAX_TEXTS: usize = 32;

/// The longest text that is kept, in bytes.
const MAX_TEXT: usize = 512;

/// The meaning of a text of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// `<title>`.
    Title,
    /// `<h1>`.
    Heading,
    /// `<p>`.
    Paragraph,
    /// Keycloak: why a form was refused.
    Problem,
    /// Keycloak: the text of its error page.
    Error,
    /// Keycloak: the text of the page that asks for consent.
    Consent,
    /// Synapse: why the login failed.
    Message,
    /// Synapse: the code of that error, after the words "Error code".
    Code,
}

impl TextKind {
    fn of(tag: &str, id: &str, class: &str) -> Option<Self> {
        let has = |name| class.split_ascii_whitespace().any(|word| word == name);
        match id {
            "kc-error-message" => return Some(Self::Error),
            "kc-oauth" => return Some(Self::Consent),
            "errormsg" => return Some(Self::Message),
            "error_code" => return Some(Self::Code),
            _ => {}
        }
        let is_field_error =
            id.starts_with("input-error") && !id.starts_with("input-error-container");
        if is_field_error || has("kc-feedback-text") || has("alert-error") {
            return Some(Self::Problem);
        }
        match tag {
            "title" => Some(Self::Title),
            "h1" => Some(Self::Heading),
            "p" => Some(Self::Paragraph),
            _ => None,
        }
    }
}

/// The forms and the texts of a page.
#[derive(Default)]
pub(super) struct Page {
    forms: Vec<Form>,
    texts: Vec<(TextKind, String)>,
    /// The token in the link to [`super::redirect::REDIRECT_URL`].
    pub(super) token: Option<Secret>,
}

impl Page {
    /// Reads a page, which may be any bytes.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut reader = Reader::default();
        for token in Tokens::of(&String::from_utf8_lossy(body)) {
            match token {
                Token::Start(tag) => reader.start(&tag),
                Token::End(name) => reader.end(&name),
                Token::Text(text) => reader.text(&text),
            }
        }
        reader.end_form();
        reader.page
    }

    /// The form with this id.
    pub(super) fn form(&self, id: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.id == id)
    }

    /// Returns whether the page has a text of this kind, which may be empty.
    pub(super) fn has(&self, kind: TextKind) -> bool {
        self.texts.iter().any(|(known, _)| *known == kind)
    }

    /// The first text that is not empty of the first of these kinds that has one; empty if
    /// none has.
    pub(super) fn words(&self, kinds: &[TextKind]) -> String {
        let first = kinds.iter().find_map(|kind| {
            self.texts
                .iter()
                .filter(|(known, _)| known == kind)
                .map(|(_, text)| text.trim_end())
                .find(|text| !text.is_empty())
        });
        first.unwrap_or_default().to_owned()
    }
}

/// The state of reading a page.
#[derive(Default)]
struct Reader {
    page: Page,
    form: Option<Form>,
    open: Vec<OpenText>,
}

/// A text whose element has not ended.
struct OpenText {
    index: usize,
    tag: String,
    /// The number of open elements of the same name, this one included.
    depth: usize,
}

impl Reader {
    fn start(&mut self, tag: &Tag) {
        for open in &mut self.open {
            if open.tag == tag.name {
                open.depth += 1;
            }
        }
        let kind = TextKind::of(&tag.name, tag.attribute("id"), tag.attribute("class"));
        if let Some(kind) = kind.filter(|_| self.page.texts.len() < MAX_TEXTS) {
            self.open.push(OpenText {
                index: self.page.texts.len(),
                tag: tag.name.clone(),
                depth: 1,
            });
            self.page.texts.push((kind, String::new()));
        }
        match tag.name.as_str() {
            // HTML has no form inside a form.
            "form" if self.form.is_none() => self.form = Some(Form::of(tag)),
            "input" => {
                if let Some(form) = &mut self.form {
                    form.add(tag);
                }
            }
            "a" if self.page.token.is_none() => {
                let link = Url::parse(tag.attribute("href")).ok();
                self.page.token = link.and_then(|link| login_token(&link)).flatten();
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        for open in &mut self.open {
            if open.tag == name {
                open.depth -= 1;
            }
        }
        self.open.retain(|open| open.depth > 0);
        if name == "form" {
            self.end_form();
        }
    }

    fn end_form(&mut self) {
        let form = self.form.take();
        if self.page.forms.len() < MAX_FORMS {
            self.page.forms.extend(form);
        }
    }

    /// Adds to all open texts; white space becomes one blank.
    fn text(&mut self, characters: &str) {
        for open in &self.open {
            let Some((_, kept)) = self.page.texts.get_mut(open.index) else {
                continue;
            };
            for c in characters.chars() {
                if kept.len() + c.len_utf8() > MAX_TEXT {
                    break;
                }
                match c.is_whitespace() {
                    true if kept.is_empty() || kept.ends_with(' ') => {}
                    true => kept.push(' '),
                    false => kept.push(c),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> Page {
        Page::read(html.as_bytes())
    }

    #[test]
    fn a_forms_fields_and_action_are_read_without_references() {
        let page = read(
            "<FORM id=kc-form-login action='/a?b=1&amp;c=&#x32;&#51;' method=Post>\
             <input name=username><div><input type=hidden name=h value='&lt;&quot;'></div>\
             <input name=off disabled><input type=submit name=login></form>\
             <input name=outside>",
        );
        let form = page.form("kc-form-login").unwrap();
        assert_eq!(form.action, "/a?b=1&c=23");
        assert!(form.is_post);
        assert_eq!(form.filled(&[]).expose(), "username=&h=%3C%22");
        assert!(page.form("other").is_none());
    }

    #[test]
    fn a_form_ends_where_it_ends() {
        let page =
            read("<form id=a><form id=b><input name=x></form><form id=c><input name=y><p>open");
        assert!(page.form("a").unwrap().has("x"));
        assert!(page.form("b").is_none());
        assert!(page.form("c").unwrap().has("y"));
    }

    #[test]
    fn what_a_script_or_a_comment_holds_is_no_form() {
        let page = read(
            "<script>if (1 < 2) document.write(\"<form id=a></form>\")</script>\
             <!-- <form id=b></form> --><style><form id=c></form></style>\
             <textarea><form id=d></form></textarea><form id=e></form>",
        );
        for id in ["a", "b", "c", "d"] {
            assert!(page.form(id).is_none(), "{id}");
        }
        assert!(page.form("e").is_some());
    }

    #[test]
    fn keycloaks_words_are_found_in_its_themes() {
        for html in [
            // keycloak.v2
            "<div id='input-error-container-username'><div><div id='input-error-username'>\
             <span class='x'>\n Invalid username\n or <b>password</b>. </span></div></div>hint</div>",
            // base and keycloak
            "<span id=\"input-error\" class='pf-c-form__helper-text'>\
             Invalid username or password.</span>",
            "<div class='alert-error pf-c-alert'><div class='icon'><span></span></div>\
             <span class='kc-feedback-text'>Invalid username or password.</span></div> more",
        ] {
            let page = read(html);
            assert_eq!(
                page.words(&[TextKind::Problem]),
                "Invalid username or password.",
                "{html}"
            );
        }
        let page = read("<div id=kc-error-message><p>Client &quot;x&quot; not found.</p></div>");
        assert!(page.has(TextKind::Error));
        assert_eq!(
            page.words(&[TextKind::Message, TextKind::Paragraph]),
            "Client \"x\" not found."
        );
        assert!(!page.has(TextKind::Consent));
    }

    #[test]
    fn a_text_without_words_gives_way_to_the_next() {
        let page =
            read("<title> T </title><h1></h1><p>first</p><p>second</p><strong id=errormsg><br>");
        assert!(page.has(TextKind::Heading));
        assert_eq!(page.words(&[TextKind::Heading, TextKind::Message]), "");
        assert_eq!(
            page.words(&[TextKind::Message, TextKind::Paragraph]),
            "first"
        );
        assert_eq!(page.words(&[TextKind::Title]), "T");
    }

    #[test]
    fn the_link_with_the_token_is_found() {
        let ours = super::super::redirect::REDIRECT_URL;
        let token = |html: &str| read(html).token.map(|token| token.expose().to_owned());
        let link = format!(
            "<a href='https://x.example/'>a</a><a href=\"{ours}?loginToken=t%2Bu&amp;x=y\">b"
        );
        assert_eq!(token(&link).as_deref(), Some("t+u"));
        assert_eq!(token("<a href='https://x.example/?loginToken=t'>"), None);
        assert_eq!(token(&format!("<a href='{ours}'>")), None);
    }

    #[test]
    fn nothing_of_a_page_grows_without_limit() {
        let forms: String = (0..100).map(|n| format!("<form id=f{n}></form>")).collect();
        assert_eq!(read(&forms).forms.len(), MAX_FORMS);
        let page = read(&"<p>x".repeat(1000));
        assert_eq!(page.texts.len(), MAX_TEXTS);
        let page = read(&format!("<p>{}</p>", "four ".repeat(1000)));
        assert!(page.words(&[TextKind::Paragraph]).len() <= MAX_TEXT);
        let page = read(&format!("<title>{}é</title>", "x".repeat(MAX_TEXT - 1)));
        assert_eq!(page.words(&[TextKind::Title]).len(), MAX_TEXT - 1);
    }

    #[test]
    fn any_bytes_are_a_page() {
        for body in [
            &b""[..],
            b"\0\xff\xfe<form id=\xff action=\xc3><input name=\xf0>",
            b"<",
            b"</",
            b"</form></p></form>",
            b"<form id=a",
            b"<!--",
            b"&#xffffffffff;&#0;&amp",
            b"{\"errcode\":\"M_UNKNOWN\"}",
        ] {
            let page = Page::read(body);
            assert!(page.token.is_none());
            assert!(page.forms.len() <= 1);
        }
    }
}
