//! The document that is written: its open containers, and the items in them that are
//! kept or taken back.

use super::gate::{Admission, Gate, Skipped};
use super::scan::Malformed;
use super::shape::{Many, Shape};

/// The longest name of a member that is kept, in bytes of JSON text.
pub(super) const MAX_NAME: usize = 512;

/// The kind under which items are counted that were left out for their names:
/// nothing that is looked at is called so.
const LONG_NAME: &str = "long_name";

/// The smaller document that was made of a text.
#[derive(Debug, Default)]
pub struct Sifted {
    /// A JSON text of the shape.
    pub body: Vec<u8>,
    /// Items that were left out although their kind is kept.
    pub skipped: Skipped,
    /// Items were left out because the whole became too large.
    pub is_cut: bool,
}

/// The part of the document that is written, and the budget for the rest.
pub(super) struct Output {
    shape: &'static Shape,
    gate: Box<dyn Gate>,
    most: usize,
    text: Vec<u8>,
    frames: Vec<Frame>,
    skipped: Skipped,
    is_cut: bool,
}

/// An object or array whose members are looked at.
struct Frame {
    members: Members,
    is_object: bool,
    /// Members written so far.
    written: usize,
    /// The position of the current member in the output, with its comma and name.
    member_at: usize,
    /// The position of its name, after the quote, and the length of that.
    name: (usize, usize),
    /// The position of its value.
    value_at: usize,
    /// One bit for each named member that was read.
    seen: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Members {
    Named(&'static [(&'static str, Shape)]),
    Any(&'static Many),
}

/// The end of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was written.
    Written,
    /// Nothing of it was.
    Skipped,
    /// There was no room for it.
    ItemLost,
}

/// The part of the text that follows a value.
pub(super) enum Next {
    /// The next member, or the end of the container.
    Member,
    /// The rest of an item that is left out, this many containers deep.
    Rest(usize),
    /// Nothing: it was the document.
    End,
}

impl Output {
    pub(super) fn new(shape: &'static Shape, most: usize, gate: Box<dyn Gate>) -> Self {
        Self {
            shape,
            gate,
            most,
            text: Vec::new(),
            frames: Vec::new(),
            skipped: Skipped::new(),
            is_cut: false,
        }
    }

    pub(super) fn finish(self) -> Sifted {
        Sifted {
            body: self.text,
            skipped: self.skipped,
            is_cut: self.is_cut,
        }
    }

    /// The bytes of memory in use.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.text.capacity() + self.frames.capacity() * size_of::<Frame>()
    }

    pub(super) fn is_in_object(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.is_object)
    }

    /// The shape of the value that comes under this name, if it is wanted.
    pub(super) fn wanted(&mut self, name: &[u8]) -> Option<&'static Shape> {
        let Some(frame) = self.frames.last_mut() else {
            return Some(self.shape);
        };
        match frame.members {
            Members::Any(_) if frame.is_object && name.len() > MAX_NAME => {
                self.skip(LONG_NAME);
                None
            }
            Members::Any(many) if frame.written >= many.count => {
                self.skip(many.what);
                None
            }
            Members::Any(many) => Some(&many.item),
            Members::Named(members) => {
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
    pub(super) fn begin_member(&mut self, name: &[u8]) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.member_at = self.text.len();
        if frame.written > 0 {
            self.text.push(b',');
        }
        if frame.is_object {
            self.text.push(b'"');
            frame.name = (self.text.len(), name.len());
            self.text.extend_from_slice(name);
            self.text.extend_from_slice(b"\":");
        }
        frame.value_at = self.text.len();
    }

    pub(super) fn write(&mut self, part: &[u8]) {
        self.text.extend_from_slice(part);
    }

    /// Takes back what was written of the current member.
    pub(super) fn drop_member(&mut self) {
        let at = self.frames.last().map_or(0, |frame| frame.member_at);
        self.text.truncate(at);
    }

    /// Writes `true` in place of the current value, which is counted under this name.
    pub(super) fn replace_by_present(&mut self, what: &'static str) {
        let value_at = self.frames.last().map_or(0, |frame| frame.value_at);
        self.text.truncate(value_at);
        self.write(b"true");
        self.skip(what);
    }

    /// Opens an object or an array, as the value of the current member.
    pub(super) fn open(&mut self, members: Members, is_object: bool) {
        self.text.push(if is_object { b'{' } else { b'[' });
        self.frames.push(Frame {
            members,
            is_object,
            written: 0,
            member_at: 0,
            name: (0, 0),
            value_at: 0,
            seen: 0,
        });
    }

    /// Closes the innermost container.
    ///
    /// # Errors
    /// `byte` does not close it, or none is open.
    pub(super) fn close(&mut self, byte: u8) -> Result<Next, Malformed> {
        let frame = self.frames.pop().ok_or(Malformed)?;
        let expected = if frame.is_object { b'}' } else { b']' };
        if byte != expected {
            return Err(Malformed);
        }
        self.text.push(byte);
        Ok(self.end_value(Ended::Written))
    }

    pub(super) fn end_value(&mut self, ended: Ended) -> Next {
        let Some(frame) = self.frames.last() else {
            return match ended {
                Ended::Written => Next::End,
                Ended::Skipped | Ended::ItemLost => Next::Member,
            };
        };
        match (ended, frame.members) {
            (Ended::Skipped, _) => {}
            (Ended::Written, Members::Any(many)) => self.end_item(many),
            (Ended::ItemLost, Members::Any(many)) => {
                self.drop_member();
                self.skip(many.what);
            }
            (Ended::Written, Members::Named(_)) => {
                if self.item_is_too_large() {
                    return self.drop_item();
                } else if let Some(frame) = self.frames.last_mut() {
                    frame.written += 1;
                }
            }
            (Ended::ItemLost, Members::Named(_)) => return self.drop_item(),
        }
        Next::Member
    }

    fn end_item(&mut self, many: &'static Many) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let (name_at, name_length) = frame.name;
        let name = self.text.get(name_at..name_at + name_length);
        let name = name.filter(|_| frame.is_object).unwrap_or_default();
        let item = self.text.get(frame.value_at..).unwrap_or_default();
        let admission = if item.len() > many.size {
            Admission::TooMuch
        } else if self.text.len() > self.most {
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
                self.skip(many.what);
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
            .is_some_and(|(_, frame, many)| self.text.len() - frame.value_at > many.size)
    }

    /// Leaves out the item that the current member is a part of, as far as it was
    /// read and to its end. Outside of any item only the member is left out.
    fn drop_item(&mut self) -> Next {
        let Some((depth, _, many)) = self.current_item() else {
            self.drop_member();
            return Next::Member;
        };
        self.frames.truncate(self.frames.len() - depth);
        self.drop_member();
        self.skip(many.what);
        Next::Rest(depth)
    }

    fn skip(&mut self, what: &'static str) {
        *self.skipped.or_default(what) += 1;
    }
}
