//! Moments as machines write them.

use jiff::Timestamp;

/// Reads a moment of RFC 3339 (<https://www.rfc-editor.org/rfc/rfc3339#section-5.6>), in
/// milliseconds since the Unix epoch. None for a text that is none, and for one of before.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_any_number_of_decimals() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-29T09:00:00.123456Z", Some(1_795_942_800_123)),
            ("2026-11-29T10:00:00+01:00", Some(1_795_942_800_000)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-29", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(parse_rfc3339(text), ms, "{text}");
        }
    }
}
