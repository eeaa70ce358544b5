//! The quotation that clients put before the text of a rich reply.

/// The text of a rich reply, without the quotation that clients put
/// before it: lines that begin with `> `, then an empty one. For messages that
/// are replies only; in any other, such lines are the person's own.
///
/// <https://spec.matrix.org/v1.11/client-server-api/#fallbacks-for-rich-replies>
/// (later versions have no fallback, but older clients still send it).
pub fn strip_reply_fallback(body: &str) -> &str {
    let mut rest = body;
    while rest.starts_with("> ") {
        rest = after_line(rest);
    }
    if rest.len() < body.len() && (rest.starts_with('\n') || rest.starts_with("\r\n")) {
        rest = after_line(rest);
    }
    rest
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotation_of_a_reply_is_left_out() {
        for (body, kept) in [
            ("> <@a:x> stop\n> now\n\nstart", "start"),
            ("> <@a:x> stop\r\n\r\nstart", "start"),
            ("> <@a:x> stop\nstart", "start"),
            ("> q\n\n\nstart", "\nstart"),
            ("> q\n\n> mine", "> mine"),
            ("> q", ""),
            (">start", ">start"),
            ("\nstart", "\nstart"),
            ("start\n> later", "start\n> later"),
            ("start", "start"),
            ("", ""),
        ] {
            assert_eq!(strip_reply_fallback(body), kept, "{body:?}");
        }
    }
}
