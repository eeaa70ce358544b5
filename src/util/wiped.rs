//! JSON with secrets in it, written so that no copy stays behind.

use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

/// The first size of a buffer, in bytes: most pickles of a session fit.
const FIRST: usize = 2048;

/// The JSON of `value`, wiped from memory when it is dropped; so are the smaller
/// buffers that it outgrew while it was written.
///
/// # Errors
/// `value` has no JSON form.
pub fn wiped_json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut buffer = Buffer(Zeroizing::new(Vec::with_capacity(FIRST)));
    serde_json::to_writer(&mut buffer, value)?;
    Ok(buffer.0)
}

/// A vector that moves by itself leaves what it held on the heap; this one wipes
/// it.
struct Buffer(Zeroizing<Vec<u8>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let room = needed.max(self.0.capacity() * 2);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_json_at_any_size() {
        for length in [0, 1, FIRST - 2, FIRST - 1, FIRST, 100_000] {
            let text = "x".repeat(length);
            let written = wiped_json(&[&text, "y"]).unwrap();
            assert_eq!(*written, serde_json::to_vec(&[&text, "y"]).unwrap());
        }
    }

    #[test]
    fn it_never_grows_in_place() {
        let mut buffer = Buffer(Zeroizing::new(Vec::with_capacity(4)));
        for _ in 0..100 {
            let before = (buffer.0.as_ptr(), buffer.0.capacity());
            buffer.write_all(b"abc").unwrap();
            let after = (buffer.0.as_ptr(), buffer.0.capacity());
            assert!(before.1 == after.1 || before.0 != after.0);
            assert!(before.1 == after.1 || before.1 * 2 <= after.1);
        }
        assert_eq!(buffer.0.len(), 300);
    }
}
