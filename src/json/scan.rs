//! The bytes of one JSON value: where it ends.

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The treatment of a value that is read byte by byte.
#[derive(Clone, Copy)]
pub(super) enum Treatment {
    /// It is copied, up to so many bytes more.
    Copied(usize, Oversize),
    /// It is passed over; what stands for it was written before.
    Written,
    /// It is passed over, and nothing of it is kept.
    Skipped,
    /// It is passed over, and its item is lost; unless, where this is true, it is an empty
    /// container in place of one of the other kind.
    ItemLost(bool),
}

/// The treatment of a value that has no room.
#[derive(Clone, Copy)]
pub(super) enum Oversize {
    /// The member is left out, and its item is not.
    Skipped,
    /// Its item is lost.
    ItemLost,
    /// It becomes `true`, and is counted under this name.
    Present(&'static str),
}

/// A value that is copied or passed over byte by byte, as far as it was read.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    pub(super) treatment: Treatment,
    pub(super) has_begun: bool,
    /// There is something in it.
    pub(super) has_content: bool,
    /// It is a number, `true`, `false` or `null`, which nothing but the next byte ends.
    pub(super) is_word: bool,
    /// Containers open inside the value.
    pub(super) depth: usize,
    pub(super) in_string: bool,
    pub(super) escaped: bool,
}

impl Raw {
    /// A value of which nothing was read.
    pub(super) const fn new(treatment: Treatment) -> Self {
        Self {
            treatment,
            has_begun: false,
            has_content: false,
            depth: 0,
            is_word: false,
            in_string: false,
            escaped: false,
        }
    }

    /// The rest of what is open `depth` containers deep.
    pub(super) const fn rest_of(depth: usize) -> Self {
        Self {
            has_begun: depth > 0,
            depth,
            ..Self::new(Treatment::Skipped)
        }
    }

    /// Reads on. Returns how many bytes belong to the value, and whether it ends there.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        for (position, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Ok((position + 1, true));
                        }
                    }
                    0..0x20 => return Err(Malformed),
                    _ => {}
                }
                continue;
            }
            if self.is_word {
                if is_in_word(byte) {
                    continue;
                }
                return Ok((position, true));
            }
            self.has_content |= match byte {
                b'{' | b'[' => self.depth > 0,
                b'}' | b']' => false,
                _ => !byte.is_ascii_whitespace(),
            };
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or(Malformed)?;
                    if self.depth == 0 {
                        return Ok((position + 1, true));
                    }
                }
                _ if self.depth > 0 => {}
                b't' | b'f' | b'n' | b'-' | b'0'..=b'9' => self.is_word = true,
                _ => return Err(Malformed),
            }
            self.has_begun = true;
        }
        Ok((bytes.len(), false))
    }
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
