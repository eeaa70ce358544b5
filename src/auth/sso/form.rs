//! An HTML form, filled in as a person would.

use super::html::Tag;
use crate::auth::form;
use crate::util::Secret;

/// The largest number of fields that are read of a form.
const MAX_FIELDS: usize = 64;

/// A form with the fields that a browser would send: hidden ones, and those that are filled in
/// or ticked beforehand, but no button.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) id: String,
    /// The URL that it is sent to, without character references; empty for the page itself.
    pub(super) action: String,
    pub(super) is_post: bool,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The form that this tag begins, without fields.
    pub(super) fn of(tag: &Tag) -> Self {
        Self {
            id: tag.attribute("id").to_owned(),
            action: tag.attribute("action").trim().to_owned(),
            is_post: tag.attribute("method").trim().eq_ignore_ascii_case("post"),
            fields: Vec::new(),
        }
    }

    /// Adds an `<input>`, if a browser would send it.
    pub(super) fn add(&mut self, input: &Tag) {
        let (name, value) = (input.attribute("name"), input.attribute("value"));
        let kind = input.attribute("type").trim().to_ascii_lowercase();
        let is_sent = match kind.as_str() {
            "submit" | "button" | "image" | "reset" | "file" => false,
            "checkbox" | "radio" => input.has("checked"),
            _ => true,
        };
        if is_sent && !input.has("disabled") && !name.is_empty() && self.fields.len() < MAX_FIELDS {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Returns whether the form has a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// The body that sends the form with these values filled in; values for fields that it does
    /// not have are left out.
    pub(super) fn filled(&self, values: &[(&str, &str)]) -> Secret {
        form::encode(self.fields.iter().map(|(name, value)| {
            let filled = values.iter().find(|(known, _)| known == name);
            let value = filled.map_or(value.as_str(), |(_, value)| *value);
            (name.as_str(), value)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::html::{Token, Tokens};
    use super::*;

    fn tag(html: &str) -> Tag {
        match Tokens::of(html).next() {
            Some(Token::Start(tag)) => tag,
            other => panic!("{html}: {other:?}"),
        }
    }

    fn form() -> Form {
        let mut form = Form::of(&tag("<form method=' POST'>"));
        for input in [
            "name=username type=text",
            "name=password type=PASSWORD",
            "name=credentialId type=hidden value='a&amp;b=ü'",
            "name=rememberMe type=checkbox value=on",
            "name=selectedCredentialId type=radio value=1",
            "name=selectedCredentialId type=radio value=2 checked",
            "name=login type=submit value='Sign In'",
            "name=off type=hidden value=off disabled",
            "type=hidden value=nameless",
        ] {
            form.add(&tag(&format!("<input {input}>")));
        }
        form
    }

    #[test]
    fn what_a_browser_sends_is_sent() {
        assert!(form().is_post);
        let body = form().filled(&[("username", "bot"), ("password", "p&ss w=rd"), ("otp", "1")]);
        assert_eq!(
            body.expose(),
            "username=bot&password=p%26ss+w%3Drd&credentialId=a%26b%3D%C3%BC&selectedCredentialId=2"
        );
    }

    #[test]
    fn the_number_of_fields_is_limited() {
        let mut form = Form::of(&tag("<form>"));
        assert!(!form.is_post);
        for number in 0..2 * MAX_FIELDS {
            form.add(&tag(&format!("<input name={number} type=hidden>")));
        }
        assert_eq!(form.fields.len(), MAX_FIELDS);
    }
}
