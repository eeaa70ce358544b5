//! Values of a few words: switches and the login method.

use super::fault::{Flaw, quoted};

/// Whether something is on; the reference takes every word that it does not
/// know for `false`, which hides slips.
pub(super) fn switch(text: &str) -> Result<bool, Flaw> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Flaw::new(
            format!("is neither on nor off: {}", quoted(text)),
            "write true, 1, yes or on; or false, 0, no or off",
        )),
    }
}

/// Refuses what other versions can do and this one cannot: to log in another
/// way than was asked for would be worse than not to start.
pub(super) fn password_login(text: &str) -> Result<(), Flaw> {
    if text.eq_ignore_ascii_case("password") {
        return Ok(());
    }
    Err(Flaw::new(
        format!("asks for a login that is not there yet: {}", quoted(text)),
        "this version logs in by password only (jwt, sso and token come later); leave it unset \
         or write password",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches() {
        for text in ["true", "True", "1", "YES", "on"] {
            assert_eq!(switch(text), Ok(true));
        }
        for text in ["false", "FALSE", "0", "no", "Off"] {
            assert_eq!(switch(text), Ok(false));
        }
        for text in ["ture", "2", "enabled"] {
            assert!(switch(text).is_err());
        }
    }

    #[test]
    fn only_password_logs_in() {
        assert_eq!(password_login("Password"), Ok(()));
        for text in ["jwt", "sso", "token", "pasword"] {
            let fault = password_login(text).unwrap_err().of("V").to_string();
            assert!(fault.contains("by password only"), "{fault}");
        }
    }
}
