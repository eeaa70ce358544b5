//! The lines of an event stream: those that keep it alive do not count as use of it.
//!
//! Specification: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

/// Tells comments from events in a stream, in whatever pieces it arrives.
#[derive(Debug, Default)]
pub(super) struct Comments(Place);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    Comment,
    Event,
}

impl Comments {
    /// Takes the next bytes. Returns true if something of them is of an event.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut is_event = false;
        for byte in bytes {
            self.0 = match (self.0, byte) {
                (_, b'\n' | b'\r') => Place::LineStart,
                (Place::LineStart, b':') => Place::Comment,
                (Place::Comment, _) => Place::Comment,
                _ => Place::Event,
            };
            is_event |= self.0 == Place::Event;
        }
        is_event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_no_event() {
        for (stream, expected) in [
            (": ping\n\n", false),
            (":\r\n\r\n", false),
            ("\n\n\n", false),
            ("data: x\n\n", true),
            (": ping\n\ndata: x\n\n", true),
            (": data: x\n\n", false),
            ("id: 1\n", true),
            (" : x\n", true),
        ] {
            assert_eq!(
                Comments::default().feed(stream.as_bytes()),
                expected,
                "{stream}"
            );
            let mut comments = Comments::default();
            let pieces = stream.bytes().map(|byte| comments.feed(&[byte]));
            assert_eq!(
                pieces.fold(false, |a, b| a | b),
                expected,
                "{stream} in pieces"
            );
        }
    }
}
