//! JSON bodies larger than anybody wants to hold: a small value with places in
//! it that grow while it is written to a socket.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

/// The characters that enclose a place. It is a string of its own in the JSON.
const OPEN: char = '⟦';
const CLOSE: char = '⟧';

/// A body larger than this comes in chunks: nobody says beforehand how long it is.
const COUNTED: u64 = 64 * 1024 * 1024;

/// The text in an item that stands for its number, which is written in six digits.
pub const NUMBER: &str = "<i>";

/// A JSON value of any size, by how it costs its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[0,0,0,…]`: a tree of it is many times as large as its text.
    Dense,
    /// One string.
    Flat,
    /// Arrays in arrays, a hundred deep, many of them.
    Nested,
    /// One array in the other, all the way.
    Deep,
    /// A string of nothing but `\u00e4`.
    Escapes,
    /// Objects without members, one after the other.
    Objects,
    /// An object with a great many members.
    Members,
    /// One number.
    Digits,
    /// Nothing but space in an array.
    Blanks,
}

pub const SHAPES: [Shape; 9] = [
    Shape::Dense,
    Shape::Flat,
    Shape::Nested,
    Shape::Deep,
    Shape::Escapes,
    Shape::Objects,
    Shape::Members,
    Shape::Digits,
    Shape::Blanks,
];

/// A value of this shape and about this many bytes; of `usize::MAX` it never ends.
pub fn fill(shape: Shape, bytes: usize) -> Value {
    let name = SHAPES.iter().position(|one| *one == shape);
    let name = name.expect("all shapes are in the list");
    json!(format!("{OPEN}fill {bytes} {name}{CLOSE}"))
}

/// So many elements of an array. [`NUMBER`] in them stands for which it is.
pub fn each(count: usize, item: &Value) -> Value {
    json!(format!("{OPEN}each {count} {item}{CLOSE}"))
}

/// So many members of an object, the last in it; names and values as in [`each`].
pub fn members(object: &mut Value, count: usize, name: &str, value: Value) {
    let member = Value::Object(Map::from_iter([(name.to_owned(), value)]));
    object[format!("{OPEN}members {count} {member}{CLOSE}")] = Value::Null;
}

/// True if the text has a place that grows.
pub fn grows(text: &str) -> bool {
    text.contains(OPEN)
}

/// The bytes that [`write`] will write; None where they are more than anybody counts.
pub fn length(text: &str) -> Option<u64> {
    length_up_to(text, COUNTED)
}

/// The bytes that [`write`] will write; None where they are more than `most`.
pub fn length_up_to(text: &str, most: u64) -> Option<u64> {
    struct Count {
        bytes: u64,
        most: u64,
    }
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes += bytes.len() as u64;
            match self.bytes <= self.most {
                true => Ok(bytes.len()),
                false => Err(io::ErrorKind::FileTooLarge.into()),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count { bytes: 0, most };
    write(text, &mut count).ok().map(|()| count.bytes)
}

/// Writes the text, everything in it grown to its size.
pub fn write(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, place) = rest.split_at(at - 1);
        out.write_all(before.as_bytes())?;
        let end = end_of(place);
        let inner: String = serde_json::from_str(&place[..=end]).expect("a string");
        let inner = inner.trim_start_matches(OPEN).strip_suffix(CLOSE);
        let mut parts = inner.expect("a place is closed").splitn(3, ' ');
        let mut part = || parts.next().expect("a place has three parts");
        let (kind, size, what) = (part(), part(), part());
        let size = size.parse().expect("a size");
        rest = &place[end + 1..];
        match kind {
            "fill" => SHAPES[what.parse::<usize>().expect("a shape")].write(size, out)?,
            "each" => repeat(what, size, out)?,
            _ => {
                rest = rest.strip_prefix(":null").expect("a member");
                repeat(&what[1..what.len() - 1], size, out)?;
            }
        }
    }
    out.write_all(rest.as_bytes())
}

/// The index of the quote that ends the string at the start of the text, in bytes.
fn end_of(text: &str) -> usize {
    let mut escaped = false;
    let quotes = text.char_indices().skip(1);
    let mut ends = quotes.filter(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    ends.next().expect("a string ends").0
}

fn repeat(item: &str, count: usize, out: &mut dyn Write) -> io::Result<()> {
    let parts: Vec<&str> = item.split(NUMBER).collect();
    let grows = grows(item);
    let mut block = Vec::new();
    for number in 0..count {
        let digits = format!("{number:06}");
        if grows {
            out.write_all(&block)?;
            block.clear();
            write(&parts.join(&digits), out)?;
        } else {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    block.extend_from_slice(digits.as_bytes());
                }
                block.extend_from_slice(part.as_bytes());
            }
        }
        if number + 1 < count {
            block.push(b',');
        }
        if block.len() > 64 * 1024 {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&block)
}

impl Shape {
    /// Writes a value of about so many bytes.
    pub fn write(self, bytes: usize, out: &mut dyn Write) -> io::Result<()> {
        let nest = format!("{}{},", "[".repeat(100), "]".repeat(100));
        let (start, unit, end) = match self {
            Self::Dense => ("[", "0,", "0]"),
            Self::Flat => ("\"", "a", "\""),
            Self::Nested => ("[", nest.as_str(), "0]"),
            Self::Escapes => ("\"", "\\u00e4", "\""),
            Self::Objects => ("[", "{},", "0]"),
            Self::Digits => ("1", "0", "1"),
            Self::Blanks => ("[", " \n", "]"),
            Self::Deep => {
                times("[", bytes / 2, out)?;
                return times("]", bytes / 2, out);
            }
            Self::Members => {
                out.write_all(b"{")?;
                repeat("\"k<i>\":0", (bytes / 12).max(1), out)?;
                return out.write_all(b"}");
            }
        };
        out.write_all(start.as_bytes())?;
        times(unit, bytes / unit.len(), out)?;
        out.write_all(end.as_bytes())
    }
}

fn times(unit: &str, mut count: usize, out: &mut dyn Write) -> io::Result<()> {
    let whole = (64 * 1024 / unit.len()).max(1);
    let block = unit.repeat(whole.min(count));
    while count >= whole {
        out.write_all(block.as_bytes())?;
        count -= whole;
    }
    out.write_all(&block.as_bytes()[..count * unit.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(value: &Value) -> Value {
        let (text, mut out) = (value.to_string(), Vec::new());
        write(&text, &mut out).unwrap();
        assert_eq!(length(&text), Some(out.len() as u64));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_place_grows_to_its_size_wherever_it_is() {
        assert_eq!(grown(&json!({"a\"⟧": 1})), json!({"a\"⟧": 1}));
        let dense = grown(&json!({"a": "b", "x": fill(Shape::Dense, 1000), "y": 1}));
        assert_eq!(dense["x"].as_array().unwrap().len(), 501);
        let item = json!({"id": "@u<i>:s\"", "x": fill(Shape::Flat, 10)});
        let list = grown(&json!(["first", each(3, &item), "last"]));
        assert_eq!(list[3], json!({"id": "@u000002:s\"", "x": "aaaaaaaaaa"}));
        let mut object = json!({"z": {"deep": 1}});
        members(&mut object, 2, "!r<i>", json!([each(2, &json!("<i>"))]));
        let object = grown(&object);
        assert_eq!(object["!r000001"], json!(["000001", "000001"]));
        assert_eq!(object["z"]["deep"], 1);
        for shape in SHAPES.into_iter().filter(|shape| *shape != Shape::Deep) {
            let text = json!(fill(shape, 100_000)).to_string();
            assert!(length(&text).unwrap().abs_diff(100_000) < 1000, "{shape:?}");
            if shape != Shape::Digits {
                grown(&fill(shape, 100_000));
            }
            assert_eq!(length(&fill(shape, usize::MAX).to_string()), None);
        }
    }
}
