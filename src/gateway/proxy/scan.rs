//! The heads of requests before hyper reads them: it hides what it puts right itself, such
//! as a `Content-Length` beside a `Transfer-Encoding`.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>.

/// The bytes of a line that are kept while the rest of it has not arrived.
const MAX_KEPT: usize = 128;

const LENGTH: &[u8] = b"content-length:";
const ENCODING: &[u8] = b"transfer-encoding:";

/// Follows the heads of a connection, in whatever pieces they arrive, and passes over the
/// bodies between them.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    place: Place,
    /// The beginning of a line whose end has not arrived.
    kept: Vec<u8>,
    /// The lines of this head that say how long the body is.
    lengths: u8,
    /// The length that they say.
    length: u64,
    /// The lines of this head that say how the body is coded.
    encodings: u8,
    conflict: bool,
}

/// The place that the bytes have come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a request line.
    #[default]
    Before,
    /// Behind a request line.
    Fields,
    /// In a body of which this much is left.
    Body(u64),
    /// Behind a head after which the next one cannot be found: the connection serves no
    /// further request.
    Lost,
}

impl HeadScan {
    /// Takes the next bytes. Returns true once a head has said twice how long its body is,
    /// and from then on.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.place {
                Place::Lost => break,
                Place::Body(left) => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(skipped..).unwrap_or_default();
                    self.place = match left.saturating_sub(skipped as u64) {
                        0 => Place::Before,
                        left => Place::Body(left),
                    };
                }
                Place::Before | Place::Fields => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.keep(bytes);
                        break;
                    };
                    let (line, rest) = bytes.split_at(end);
                    bytes = rest.get(1..).unwrap_or_default();
                    if self.kept.is_empty() {
                        self.line(line);
                    } else {
                        self.keep(line);
                        let kept = std::mem::take(&mut self.kept);
                        self.line(&kept);
                    }
                }
            }
        }
        self.conflict
    }

    /// Returns true if the next byte belongs to a body, as far as can be told.
    pub(super) const fn is_in_body(&self) -> bool {
        matches!(self.place, Place::Body(_) | Place::Lost)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_KEPT.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (self.place, line) {
            (Place::Before, []) => {}
            (Place::Before, _) => {
                self.place = Place::Fields;
                (self.lengths, self.length, self.encodings) = (0, 0, 0);
            }
            (_, []) => {
                self.place = match (self.encodings, self.length) {
                    (0, 0) => Place::Before,
                    (0, length) => Place::Body(length),
                    _ => Place::Lost,
                };
            }
            (_, [b'c' | b'C', ..]) => {
                if let Some(value) = value(line, LENGTH) {
                    self.lengths = self.lengths.saturating_add(1);
                    // Of a line that long the end is missing.
                    match parse(value).filter(|_| line.len() < MAX_KEPT) {
                        Some(length) => self.length = length,
                        // What cannot be read here is not trusted to others either.
                        None => self.conflict = true,
                    }
                }
            }
            (_, [b't' | b'T', ..]) if value(line, ENCODING).is_some() => {
                self.encodings = self.encodings.saturating_add(1);
            }
            _ => {}
        }
        if self.lengths > 1 || (self.lengths > 0 && self.encodings > 0) {
            self.conflict = true;
        }
    }
}

/// The value of a field of this name, if the line is one.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

fn parse(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict about a text in every cut into two.
    fn verdict(text: &str) -> bool {
        let mut whole = HeadScan::default();
        let verdict = whole.feed(text.as_bytes());
        for cut in 0..text.len() {
            let mut scan = HeadScan::default();
            scan.feed(&text.as_bytes()[..cut]);
            assert_eq!(
                scan.feed(&text.as_bytes()[cut..]),
                verdict,
                "{text} at {cut}"
            );
        }
        let mut single = HeadScan::default();
        let last = text.bytes().fold(false, |_, byte| single.feed(&[byte]));
        assert_eq!(last, verdict, "{text} byte by byte");
        verdict
    }

    #[test]
    fn two_words_about_one_body_are_seen() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nHost: a\r\ncontent-length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nCONTENT-LENGTH: 5\r\n\r\n",
            "POST / HTTP/1.1\nContent-Length:5\nTransfer-Encoding:x\n\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\n\
             Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(verdict(text), "{text}");
        }
        // Of a line so long the end may be lost.
        let long = format!("POST / HTTP/1.1\r\nContent-Length: {:0>120}\r\n\r\n", 5);
        assert!(verdict(&long), "{long}");
    }

    #[test]
    fn other_heads_and_all_bodies_pass() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            // A body is nobody's head.
            "POST / HTTP/1.1\r\nContent-Length: 61\r\n\r\n\
             \r\nX\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n.......\
             GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /Content-Length: HTTP/1.1\r\nContent-Lengthy: 5\r\n\r\n",
        ] {
            assert!(!verdict(text), "{text}");
        }
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let mut scan = HeadScan::default();
        scan.feed(b"GET / HTTP/1.1\r\n");
        for _ in 0..1_000 {
            scan.feed(&[b'c'; 1_000]);
        }
        assert!(scan.kept.capacity() <= 2 * MAX_KEPT);
    }
}
