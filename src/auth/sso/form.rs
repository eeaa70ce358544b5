//! An HTML form, filled in as a person would.

use crate::auth::form;
use crate::util::Secret;

/// The largest number of fields that are read of a form.
const MAX_FIELDS: usize = 64;

/// A form with the fields that a browser would send: hidden ones, and those that are filled in
/// or ticked beforehand, but no button.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) id: String,
    /// The URL that it is sent to, without character references; empty for the page itself.
    pub(super) action: String,
    pub(super) is_post: bool,
    fields: Vec<(String, String)>,
}

impl Form {
    /// A form without fields.
    pub(super) fn new(id: String, action: String, method: &str) -> Self {
        Self {
            id,
            action,
            is_post: method.trim().eq_ignore_ascii_case("post"),
            fields: Vec::new(),
        }
    }

    /// Adds an `<input>`, if a browser would send it.
    pub(super) fn add(&mut self, name: String, kind: &str, value: String, checked: bool) {
        let kind = kind.trim().to_ascii_lowercase();
        let is_sent = match kind.as_str() {
            "submit" | "button" | "image" | "reset" | "file" => false,
            "checkbox" | "radio" => checked,
            _ => true,
        };
        if is_sent && !name.is_empty() && self.fields.len() < MAX_FIELDS {
            self.fields.push((name, value));
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
    use super::*;

    fn form() -> Form {
        let mut form = Form::new(String::new(), String::new(), " POST");
        for (name, kind, value, checked) in [
            ("username", "text", "", false),
            ("password", "PASSWORD", "", false),
            ("credentialId", "hidden", "a&b=ü", false),
            ("rememberMe", "checkbox", "on", false),
            ("selectedCredentialId", "radio", "1", false),
            ("selectedCredentialId", "radio", "2", true),
            ("login", "submit", "Sign In", false),
            ("", "hidden", "nameless", false),
        ] {
            form.add(name.to_owned(), kind, value.to_owned(), checked);
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
        let mut form = Form::default();
        assert!(!form.is_post);
        for number in 0..2 * MAX_FIELDS {
            form.add(number.to_string(), "hidden", String::new(), false);
        }
        assert_eq!(form.fields.len(), MAX_FIELDS);
    }
}
