//! The frames of a WebSocket, counted as they pass: whether there was data, and where one
//! ends. Nothing of them is kept, and no length that a peer writes is believed for more
//! than what it passes over.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.

/// The first opcode of the control frames.
const FIRST_CONTROL: u8 = 8;

/// Follows the frames of one direction, in whatever pieces they arrive.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The bytes of a header that have been seen.
    seen: u8,
    /// The bytes that this header has.
    size: u8,
    /// The bytes of it that say the length, behind the first two.
    length_bytes: u8,
    opcode: u8,
    /// The payload that is to come, of a frame whose header is complete; else what is
    /// known of its length.
    left: u64,
}

impl Frames {
    /// Takes the next bytes. Returns true if something of them is of a data frame.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut is_data = false;
        loop {
            if self.is_in_payload() {
                if bytes.is_empty() {
                    return is_data;
                }
                is_data |= self.opcode < FIRST_CONTROL;
                let passed = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                bytes = bytes.get(passed..).unwrap_or_default();
                self.left = self.left.saturating_sub(passed as u64);
                if self.left == 0 {
                    self.seen = 0;
                }
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return is_data;
            };
            bytes = rest;
            self.header(*byte);
            if self.seen > 1 && self.seen == self.size {
                is_data |= self.opcode < FIRST_CONTROL;
                if self.left == 0 {
                    self.seen = 0;
                }
            }
        }
    }

    /// Returns true if no frame has begun that has not ended.
    pub(super) const fn is_between(&self) -> bool {
        self.seen == 0
    }

    const fn is_in_payload(&self) -> bool {
        self.seen > 1 && self.seen == self.size
    }

    fn header(&mut self, byte: u8) {
        match self.seen {
            0 => self.opcode = byte & 0x0f,
            1 => {
                let mask = if byte & 0x80 == 0 { 0 } else { 4 };
                (self.length_bytes, self.left) = match byte & 0x7f {
                    126 => (2, 0),
                    127 => (8, 0),
                    length => (0, length.into()),
                };
                self.size = 2 + self.length_bytes + mask;
            }
            at if at < 2 + self.length_bytes => self.left = (self.left << 8) | u64::from(byte),
            _ => {}
        }
        self.seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame; a payload longer than this is only announced.
    fn frame(opcode: u8, is_masked: bool, length: u64, payload: &[u8]) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if is_masked {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn data_counts_and_control_does_not() {
        for (opcode, is_data) in [
            (0, true),
            (1, true),
            (2, true),
            (8, false),
            (9, false),
            (10, false),
        ] {
            for length in [0, 1, 125, 126, 300, 70_000] {
                for is_masked in [false, true] {
                    let payload = vec![7; usize::try_from(length).unwrap()];
                    let bytes = frame(opcode, is_masked, length, &payload);
                    let mut frames = Frames::default();
                    assert_eq!(frames.feed(&bytes), is_data, "{opcode} {length}");
                    assert!(frames.is_between());
                    let mut frames = Frames::default();
                    let mut seen = false;
                    for (at, byte) in bytes.iter().enumerate() {
                        assert_eq!(frames.is_between(), at == 0);
                        seen |= frames.feed(&[*byte]);
                    }
                    assert_eq!((seen, frames.is_between()), (is_data, true));
                }
            }
        }
    }

    #[test]
    fn lengths_that_nobody_sends_cost_nothing() {
        for length in [1 << 62, 1 << 63, u64::MAX] {
            let mut frames = Frames::default();
            assert!(frames.feed(&frame(2, true, length, b"abc")));
            assert!(frames.feed(b"more"));
            assert!(!frames.is_between());
            assert_eq!(frames.left, length - 7);
        }
    }

    #[test]
    fn any_cut_of_any_frames_is_the_same() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..300 {
            let mut bytes = Vec::new();
            let mut is_data = false;
            for _ in 0..random() % 6 {
                let opcode = u8::try_from(random() % 16).unwrap();
                let length = random() % 300;
                let payload = vec![0xff; usize::try_from(length).unwrap()];
                bytes.extend(frame(opcode, random() % 2 == 0, length, &payload));
                is_data |= opcode < 8;
            }
            let mut frames = Frames::default();
            let mut seen = false;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let cut = usize::try_from(random() % 40).unwrap().min(rest.len());
                seen |= frames.feed(&rest[..cut]);
                rest = &rest[cut..];
            }
            assert_eq!((seen, frames.is_between()), (is_data, true));
        }
        // Rubbish does no harm either.
        let mut frames = Frames::default();
        for _ in 0..10_000 {
            frames.feed(&random().to_ne_bytes());
        }
    }
}
