//! Switches.

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
}
