//! The machine that reads a JSON text and writes what is kept of it.

use std::collections::BTreeMap;

use super::shape::{Many, Shape};

/// The longest name of a member that is kept, in bytes of JSON text.
const MAX_NAME: usize = 512;

/// The kind under which items are counted that were left out for their names:
/// nothing that is looked at is called so.
pub const LONG_NAME: &str = "long_name";

/// How many items were left out, by the name of their kind.
pub type Skipped = BTreeMap<&'static str, u64>;

/// Decides on each item of a [`Many`] whose size and number are within its limits.
pub trait Gate: Send {
    /// What becomes of an item. `name` is its name in an object as it stands in
    /// the JSON text, without quotes, and empty in an array; `item` is what would
    /// be kept of it.
    fn admit(&mut self, what: &'static str, name: &[u8], item: &[u8]) -> Admission;
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is kept.
    Keep,
    /// Nobody looks at such an item: it is left out and not counted.
    Irrelevant,
    /// There is no room for it: it is left out and counted.
    TooMuch,
}

/// Keeps every item.
pub struct Open;

impl Gate for Open {
    fn admit(&mut self, _: &'static str, _: &[u8], _: &[u8]) -> Admission {
        Admission::Keep
    }
}

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What is kept of a text.
#[derive(Debug, Default)]
pub struct Sifted {
    /// A JSON text of the shape.
    pub body: Vec<u8>,
    /// Items that were left out although their kind is kept.
    pub skipped: Skipped,
    /// Items were left out because the whole became too large.
    pub is_cut: bool,
}

/// Reads one JSON text.
pub struct Sieve {
    shape: &'static Shape,
    gate: Box<dyn Gate>,
    most: usize,
    out: Vec<u8>,
    frames: Vec<Frame>,
    state: State,
    name: Vec<u8>,
    skipped: Skipped,
    is_cut: bool,
}

/// An object or array whose members are looked at.
struct Frame {
    members: Members,
    is_object: bool,
    /// Members written so far.
    written: usize,
    /// Where the current member begins in the output, with its comma and name.
    member_at: usize,
    /// Where its name begins, after the quote, and how long it is.
    name: (usize, usize),
    /// Where its value begins.
    value_at: usize,
    /// One bit for each named member that was read.
    seen: u64,
}

#[derive(Clone, Copy)]
enum Members {
    Named(&'static [(&'static str, Shape)]),
    Any(&'static Many),
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

#[derive(Clone, Copy)]
struct Raw {
    /// Bytes that may still be copied; none when the value is passed over.
    room: Option<usize>,
    /// What becomes of the member when there is no room for its value.
    is_lenient: bool,
    /// It is kept that it is there, and counted under this name.
    or_present: Option<&'static str>,
    /// There was no room for it, and it was not lenient.
    is_doomed: bool,
    has_begun: bool,
    /// It is a container where one of the other kind is wanted.
    is_container: bool,
    /// There is something in it.
    has_content: bool,
    /// Containers open inside the value.
    depth: usize,
    is_word: bool,
    in_string: bool,
    escaped: bool,
}

impl Raw {
    fn passed() -> Self {
        Self {
            room: None,
            is_lenient: false,
            or_present: None,
            is_doomed: false,
            has_begun: false,
            is_container: false,
            has_content: false,
            depth: 0,
            is_word: false,
            in_string: false,
            escaped: false,
        }
    }

    fn copied(room: usize, is_lenient: bool) -> Self {
        Self {
            room: Some(room),
            is_lenient,
            ..Self::passed()
        }
    }

    /// The rest of what is open `depth` containers deep.
    fn rest_of(depth: usize) -> Self {
        Self {
            has_begun: depth > 0,
            depth,
            ..Self::passed()
        }
    }

    /// Reads on: how many bytes belong to the value, and whether it ends there.
    fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
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

/// How a value ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It was written.
    Written,
    /// Nothing of it was.
    Left,
    /// There was no room for it.
    Doomed,
}

impl Sieve {
    /// For one text, of which at most `most` bytes and the item beyond are kept.
    pub fn new(shape: &'static Shape, most: usize, gate: Box<dyn Gate>) -> Self {
        Self {
            shape,
            gate,
            most,
            out: Vec::new(),
            frames: Vec::new(),
            state: State::Value { may_end: false },
            name: Vec::new(),
            skipped: Skipped::new(),
            is_cut: false,
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
                    if !self.begin_value(byte)? {
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
                State::After => match byte {
                    b',' => {
                        let is_object = self.frames.last().is_some_and(|frame| frame.is_object);
                        self.state = match is_object {
                            true => State::Name { may_end: false },
                            false => State::Value { may_end: false },
                        };
                    }
                    _ => self.close(byte)?,
                },
                State::Name { .. } | State::Colon | State::Done => return Err(Malformed),
            }
            rest = tail;
        }
        Ok(())
    }

    /// The text is over.
    ///
    /// # Errors
    /// [`Malformed`] if it is not a whole JSON text.
    pub fn finish(mut self) -> Result<Sifted, Malformed> {
        if let State::Raw(raw @ Raw { is_word: true, .. }) = self.state {
            self.raw_ended(raw);
        }
        match self.state {
            State::Done => Ok(Sifted {
                body: self.out,
                skipped: self.skipped,
                is_cut: self.is_cut,
            }),
            _ => Err(Malformed),
        }
    }

    /// The bytes of memory in use.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.out.capacity() + self.name.capacity() + self.frames.capacity() * size_of::<Frame>()
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

    /// Decides on the value that begins with `byte`. True when `byte` opened a
    /// container that is looked into; otherwise it is read again.
    fn begin_value(&mut self, byte: u8) -> Result<bool, Malformed> {
        let is_null = byte == b'n';
        let Some(shape) = self.wanted().filter(|_| !is_null) else {
            self.state = State::Raw(Raw::passed());
            return Ok(false);
        };
        let is_container = matches!(byte, b'{' | b'[');
        let raw = match shape {
            Shape::Object(members) if byte == b'{' => {
                self.open(Members::Named(members), byte);
                return Ok(true);
            }
            Shape::Map(many) if byte == b'{' => {
                self.open(Members::Any(many), byte);
                return Ok(true);
            }
            Shape::List(many) if byte == b'[' => {
                self.open(Members::Any(many), byte);
                return Ok(true);
            }
            Shape::Whole(size) => Raw::copied(*size, false),
            Shape::WholeOrPresent(size, what) => Raw {
                or_present: Some(what),
                ..Raw::copied(*size, false)
            },
            Shape::Scalar(size) if !is_container => Raw::copied(*size, false),
            Shape::Lenient(size) if !is_container => Raw::copied(*size, true),
            Shape::Lenient(_) => Raw::passed(),
            Shape::Present => {
                self.begin_member();
                self.out.extend_from_slice(b"true");
                self.state = State::Raw(Raw {
                    is_lenient: true,
                    ..Raw::passed()
                });
                return Ok(false);
            }
            Shape::Scalar(_) | Shape::Object(_) | Shape::Map(_) | Shape::List(_) => {
                // Not of its shape: it is passed over, and then its item is lost.
                Raw {
                    is_doomed: true,
                    is_container: is_container && !matches!(shape, Shape::Scalar(_)),
                    ..Raw::passed()
                }
            }
        };
        self.begin_member();
        if raw.room.is_none() && !raw.is_doomed {
            self.drop_member();
        }
        self.state = State::Raw(raw);
        Ok(false)
    }

    /// The shape of the value that comes, if it is wanted.
    fn wanted(&mut self) -> Option<&'static Shape> {
        let name_fits = self.name.len() <= MAX_NAME;
        let Some(frame) = self.frames.last_mut() else {
            return Some(self.shape);
        };
        match frame.members {
            Members::Any(_) if frame.is_object && !name_fits => {
                *self.skipped.entry(LONG_NAME).or_default() += 1;
                None
            }
            Members::Any(many) if frame.written >= many.count => {
                *self.skipped.entry(many.what).or_default() += 1;
                None
            }
            Members::Any(many) => Some(&many.item),
            Members::Named(members) => {
                let name = &*self.name;
                let (position, (_, shape)) = members
                    .iter()
                    .enumerate()
                    .find(|(_, (known, _))| known.as_bytes() == name)?;
                let bit = 1_u64.checked_shl(u32::try_from(position).ok()?)?;
                let is_first = frame.seen & bit == 0;
                frame.seen |= bit;
                is_first.then_some(shape)
            }
        }
    }

    /// Writes what stands before a value.
    fn begin_member(&mut self) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.member_at = self.out.len();
        if frame.written > 0 {
            self.out.push(b',');
        }
        if frame.is_object {
            self.out.push(b'"');
            frame.name = (self.out.len(), self.name.len());
            self.out.extend_from_slice(&self.name);
            self.out.extend_from_slice(b"\":");
        }
        frame.value_at = self.out.len();
    }

    /// Takes back what was written of the current member.
    fn drop_member(&mut self) {
        let at = self.frames.last().map_or(0, |frame| frame.member_at);
        self.out.truncate(at);
    }

    fn open(&mut self, members: Members, byte: u8) {
        self.begin_member();
        let is_object = byte == b'{';
        self.out.push(byte);
        self.frames.push(Frame {
            members,
            is_object,
            written: 0,
            member_at: 0,
            name: (0, 0),
            value_at: 0,
            seen: 0,
        });
        self.state = match is_object {
            true => State::Name { may_end: true },
            false => State::Value { may_end: true },
        };
    }

    fn close(&mut self, byte: u8) -> Result<(), Malformed> {
        let frame = self.frames.pop().ok_or(Malformed)?;
        let expected = if frame.is_object { b'}' } else { b']' };
        if byte != expected {
            return Err(Malformed);
        }
        self.out.push(byte);
        self.end_value(Ended::Written);
        Ok(())
    }

    /// Reads on in a value that is copied or passed over, and returns what comes
    /// after it.
    fn raw<'b>(&mut self, mut raw: Raw, bytes: &'b [u8]) -> Result<&'b [u8], Malformed> {
        let (length, is_over) = raw.scan(bytes)?;
        let (part, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
        if let Some(room) = raw.room {
            match room.checked_sub(part.len()) {
                Some(left) => {
                    raw.room = Some(left);
                    self.out.extend_from_slice(part);
                }
                None if let Some(what) = raw.or_present => {
                    raw.room = None;
                    raw.is_lenient = true;
                    let value_at = self.frames.last().map_or(0, |frame| frame.value_at);
                    self.out.truncate(value_at);
                    self.out.extend_from_slice(b"true");
                    *self.skipped.entry(what).or_default() += 1;
                }
                None => {
                    raw.room = None;
                    raw.is_doomed = !raw.is_lenient;
                    self.drop_member();
                    raw.is_lenient = false;
                }
            }
        }
        self.state = State::Raw(raw);
        if is_over {
            self.raw_ended(raw);
        }
        Ok(rest)
    }

    fn raw_ended(&mut self, raw: Raw) {
        let ended = match raw.room {
            Some(_) => Ended::Written,
            // Some write an empty list for an empty object, and the other way round.
            None if raw.is_doomed && raw.is_container && !raw.has_content => {
                self.drop_member();
                Ended::Left
            }
            None if raw.is_doomed => Ended::Doomed,
            // That it is there was written before it was passed over.
            None if raw.is_lenient => Ended::Written,
            None => Ended::Left,
        };
        self.end_value(ended);
    }

    fn end_value(&mut self, ended: Ended) {
        self.state = State::After;
        let Some(frame) = self.frames.last() else {
            if ended == Ended::Written {
                self.state = State::Done;
            }
            return;
        };
        match (ended, frame.members) {
            (Ended::Left, _) => {}
            (Ended::Written, Members::Any(many)) => self.end_item(many),
            (Ended::Doomed, Members::Any(many)) => {
                self.drop_member();
                *self.skipped.entry(many.what).or_default() += 1;
            }
            (Ended::Written, Members::Named(_)) => {
                if self.item_is_too_large() {
                    self.drop_item();
                } else if let Some(frame) = self.frames.last_mut() {
                    frame.written += 1;
                }
            }
            (Ended::Doomed, Members::Named(_)) => self.drop_item(),
        }
    }

    fn end_item(&mut self, many: &'static Many) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let (name_at, name_length) = frame.name;
        let name = self.out.get(name_at..name_at + name_length);
        let name = name.filter(|_| frame.is_object).unwrap_or_default();
        let item = self.out.get(frame.value_at..).unwrap_or_default();
        let admission = if item.len() > many.size {
            Admission::TooMuch
        } else if self.out.len() > self.most {
            self.is_cut = true;
            Admission::TooMuch
        } else {
            self.gate.admit(many.what, name, item)
        };
        match admission {
            Admission::Keep => frame.written += 1,
            Admission::Irrelevant => self.drop_member(),
            Admission::TooMuch => {
                self.drop_member();
                *self.skipped.entry(many.what).or_default() += 1;
            }
        }
    }

    /// The innermost item that the current member is a part of: its frame, and
    /// how many containers are open inside it.
    fn current_item(&self) -> Option<(usize, &Frame, &'static Many)> {
        self.frames
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, frame)| match frame.members {
                Members::Any(many) => Some((self.frames.len() - 1 - index, frame, many)),
                Members::Named(_) => None,
            })
    }

    fn item_is_too_large(&self) -> bool {
        self.current_item()
            .is_some_and(|(_, frame, many)| self.out.len() - frame.value_at > many.size)
    }

    /// Leaves out the item that the current member is a part of, as far as it was
    /// read and to its end. Outside of any item only the member is left out.
    fn drop_item(&mut self) {
        let Some((depth, _, many)) = self.current_item() else {
            self.drop_member();
            return;
        };
        self.frames.truncate(self.frames.len() - depth);
        self.drop_member();
        *self.skipped.entry(many.what).or_default() += 1;
        self.state = State::Raw(Raw::rest_of(depth));
    }
}
