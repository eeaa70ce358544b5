//! The state machine that reads a JSON text along a shape.

use super::gate::Gate;
use super::output::{Ended, MAX_NAME, Members, Next, Output, Sifted};
use super::scan::{Malformed, Oversize, Raw, Treatment};
use super::shape::Shape;

/// Reads one JSON text.
pub struct Sieve {
    output: Output,
    state: State,
    name: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    /// Before a value; an array that is empty so far may end instead.
    Value {
        may_end: bool,
    },
    /// Before a name; an object that is empty so far may end instead.
    Name {
        may_end: bool,
    },
    InName {
        escaped: bool,
    },
    /// After a name.
    Colon,
    /// After a value.
    After,
    /// Before or inside a value that is copied or passed over byte by byte.
    Raw(Raw),
    Done,
}

impl From<Next> for State {
    fn from(next: Next) -> Self {
        match next {
            Next::Member => Self::After,
            Next::Rest(depth) => Self::Raw(Raw::rest_of(depth)),
            Next::End => Self::Done,
        }
    }
}

impl Sieve {
    /// A sieve for one text, of which at most `most` bytes and the item beyond are kept.
    pub fn new(shape: &'static Shape, most: usize, gate: Box<dyn Gate>) -> Self {
        Self {
            output: Output::new(shape, most, gate),
            state: State::Value { may_end: false },
            name: Vec::new(),
        }
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// [`Malformed`] as soon as the text is found not to be JSON; what is passed
    /// over is not looked at closely.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            let in_name = matches!(self.state, State::InName { .. });
            let begun = matches!(self.state, State::Raw(raw) if raw.has_begun);
            if byte.is_ascii_whitespace() && !in_name && !begun {
                rest = tail;
                continue;
            }
            match self.state {
                State::Raw(raw) => {
                    rest = self.raw(raw, rest)?;
                    continue;
                }
                State::Value { may_end: true } if byte == b']' => self.close(byte)?,
                State::Value { .. } => {
                    // Otherwise the byte is read again, as a part of the value.
                    if !self.begin_value(byte) {
                        continue;
                    }
                }
                State::Name { may_end: true } if byte == b'}' => self.close(byte)?,
                State::Name { .. } if byte == b'"' => {
                    self.name.clear();
                    self.state = State::InName { escaped: false };
                }
                State::InName { escaped } => self.in_name(byte, escaped)?,
                State::Colon if byte == b':' => self.state = State::Value { may_end: false },
                State::After if byte == b',' => {
                    self.state = match self.output.is_in_object() {
                        true => State::Name { may_end: false },
                        false => State::Value { may_end: false },
                    };
                }
                State::After => self.close(byte)?,
                State::Name { .. } | State::Colon | State::Done => return Err(Malformed),
            }
            rest = tail;
        }
        Ok(())
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`Malformed`] if it is not a whole JSON text.
    pub fn finish(mut self) -> Result<Sifted, Malformed> {
        if let State::Raw(raw @ Raw { is_word: true, .. }) = self.state {
            self.raw_ended(raw);
        }
        match self.state {
            State::Done => Ok(self.output.finish()),
            _ => Err(Malformed),
        }
    }

    /// The bytes of memory in use.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.output.held() + self.name.capacity()
    }

    fn in_name(&mut self, byte: u8, escaped: bool) -> Result<(), Malformed> {
        match byte {
            b'"' if !escaped => {
                self.state = State::Colon;
                return Ok(());
            }
            0..0x20 => return Err(Malformed),
            _ => {}
        }
        // One byte more than is kept tells that it is too long.
        if self.name.len() <= MAX_NAME {
            self.name.push(byte);
        }
        self.state = State::InName {
            escaped: byte == b'\\' && !escaped,
        };
        Ok(())
    }

    /// Decides on the value that begins with `byte`. Returns true when `byte` opened a
    /// container that is looked into.
    fn begin_value(&mut self, byte: u8) -> bool {
        let is_null = byte == b'n';
        let Some(shape) = self.output.wanted(&self.name).filter(|_| !is_null) else {
            self.state = State::Raw(Raw::new(Treatment::Skipped));
            return false;
        };
        self.output.begin_member(&self.name);
        let is_container = matches!(byte, b'{' | b'[');
        let treatment = match shape {
            Shape::Object(members) if byte == b'{' => {
                self.open(Members::Named(members), true);
                return true;
            }
            Shape::Map(many) if byte == b'{' => {
                self.open(Members::Any(many), true);
                return true;
            }
            Shape::List(many) if byte == b'[' => {
                self.open(Members::Any(many), false);
                return true;
            }
            Shape::Whole(size) => Treatment::Copied(*size, Oversize::ItemLost),
            Shape::WholeOrPresent(size, what) => Treatment::Copied(*size, Oversize::Present(what)),
            Shape::Scalar(size) if !is_container => Treatment::Copied(*size, Oversize::ItemLost),
            Shape::Lenient(size) if !is_container => Treatment::Copied(*size, Oversize::Skipped),
            Shape::Lenient(_) => {
                self.output.drop_member();
                Treatment::Skipped
            }
            Shape::Present => {
                self.output.write(b"true");
                Treatment::Written
            }
            // Not of its shape.
            Shape::Scalar(_) => Treatment::ItemLost(false),
            Shape::Object(_) | Shape::Map(_) | Shape::List(_) => Treatment::ItemLost(is_container),
        };
        self.state = State::Raw(Raw::new(treatment));
        false
    }

    fn open(&mut self, members: Members, is_object: bool) {
        self.output.open(members, is_object);
        self.state = match is_object {
            true => State::Name { may_end: true },
            false => State::Value { may_end: true },
        };
    }

    fn close(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = self.output.close(byte)?.into();
        Ok(())
    }

    /// Reads on in a value that is copied or passed over, and returns what comes
    /// after it.
    fn raw<'b>(&mut self, mut raw: Raw, bytes: &'b [u8]) -> Result<&'b [u8], Malformed> {
        let (length, is_over) = raw.scan(bytes)?;
        let (part, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
        if let Treatment::Copied(room, oversize) = raw.treatment {
            raw.treatment = match (room.checked_sub(part.len()), oversize) {
                (Some(left), _) => {
                    self.output.write(part);
                    Treatment::Copied(left, oversize)
                }
                (None, Oversize::Present(what)) => {
                    self.output.replace_by_present(what);
                    Treatment::Written
                }
                (None, Oversize::Skipped) => {
                    self.output.drop_member();
                    Treatment::Skipped
                }
                // What was written of it goes with its item.
                (None, Oversize::ItemLost) => Treatment::ItemLost(false),
            }
        }
        self.state = State::Raw(raw);
        if is_over {
            self.raw_ended(raw);
        }
        Ok(rest)
    }

    fn raw_ended(&mut self, raw: Raw) {
        let ended = match raw.treatment {
            Treatment::Copied(..) | Treatment::Written => Ended::Written,
            // Some write an empty list for an empty object, and the other way round.
            Treatment::ItemLost(true) if !raw.has_content => {
                self.output.drop_member();
                Ended::Skipped
            }
            Treatment::ItemLost(_) => Ended::ItemLost,
            Treatment::Skipped => Ended::Skipped,
        };
        self.state = self.output.end_value(ended).into();
    }
}
