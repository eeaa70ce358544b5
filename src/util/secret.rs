//! Values that must never be shown.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text: wiped from memory when dropped, masked by `Debug`, without
/// `Display`. [`Secret::expose`] is the one door, so a search for it finds
/// every place that a secret leaves by.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of the text; the caller keeps no copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[masked]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_text() {
        let shown = format!("{:?}", Some(Secret::new("hunter2".to_owned())));
        assert_eq!(shown, "Some([masked])");
    }
}
