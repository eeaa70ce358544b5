//! How settings are shown.

use crate::util::printable;

/// Longest value shown, in bytes.
const MAX_SHOWN_BYTES: usize = 400;

/// A table: the program's version, then a line for each row.
pub(super) fn table(rows: Vec<(&'static str, String)>) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut table = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
    for (name, value) in rows {
        let value = printable(&value, MAX_SHOWN_BYTES);
        table.push_str(&format!("\n  {name:width$}  {value}"));
    }
    table
}

/// Stars for a secret that is there, whatever its length.
pub(super) fn mask<T>(secret: Option<&T>) -> String {
    secret.map_or("none", |_| "********").to_owned()
}

/// A value that may be unset, and what that means.
pub(super) fn value(given: Option<&String>, unset: &str) -> String {
    given.map_or(unset, String::as_str).to_owned()
}

/// The items, separated by commas.
pub(super) fn list(ids: impl IntoIterator<Item = impl ToString>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    if ids.is_empty() {
        "none".to_owned()
    } else {
        ids.join(", ")
    }
}
