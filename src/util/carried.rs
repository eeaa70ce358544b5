//! Texts that a server gives and a later request has to carry: in its path, its query,
//! a header or a body. One that no request can carry would, once it is stored, stop all
//! requests that need it, after a restart too; so it is checked before it is stored.

/// The longest position in a stream of a homeserver's (`next_batch`, `prev_batch`,
/// `end`), in bytes. Percent-encoded it is three times as long.
pub const MAX_POSITION: usize = 4 * 1024;

/// The longest name of something (a device, a key of the secret storage), in bytes:
/// what the Matrix specification allows for those that it bounds.
pub const MAX_ID: usize = 255;

/// The longest session of an interactive authentication, in bytes.
pub const MAX_UIA_SESSION: usize = 1024;

/// Returns whether a later request can carry this: 1 to `max` bytes of printable ASCII.
pub fn is_carried(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_is_carried() {
        for fits in ["s1_2", "t3-4~!(a)", "a b", &"x".repeat(9)] {
            assert!(is_carried(fits, 9), "{fits}");
        }
        for other in ["", "0123456789", "a\nb", "a\u{7f}", "é", "\u{202e}"] {
            assert!(!is_carried(other, 9), "{other:?}");
        }
    }
}
